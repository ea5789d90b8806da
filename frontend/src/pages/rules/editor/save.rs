//! Saving a rule, and what to do when somebody else was quicker.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use leptos_router::components::A;
use leptos_router::hooks::use_navigate;
use openapi::rules::Rule;
use web_sys::SubmitEvent;

use super::form::RuleForm;
use crate::api::{Api, Failure, use_api};
use crate::ui::{Button, Kind, Toasts, use_toasts};

/// Saving.
#[derive(Clone, Copy)]
pub struct Saving {
    form: RuleForm,
    busy: RwSignal<bool>,
    /// Somebody changed the rule meanwhile.
    stale: RwSignal<bool>,
    /// A person tried to save: faults are shown from now on.
    pub tried: RwSignal<bool>,
    api: Api,
    toasts: Toasts,
    go: Callback<String>,
}

/// Saving of a form.
pub fn saving(form: RuleForm) -> Saving {
    let navigate = StoredValue::new_local(use_navigate());
    Saving {
        form,
        busy: RwSignal::new(false),
        stale: RwSignal::new(false),
        tried: RwSignal::new(form.id.is_some()),
        api: use_api(),
        toasts: use_toasts(),
        go: Callback::new(move |path: String| {
            navigate.with_value(|navigate| navigate(&path, NavigateOptions::default()));
        }),
    }
}

impl Saving {
    /// Saves; the browser must not send the form itself.
    pub fn submit(self, event: &SubmitEvent) {
        event.prevent_default();
        self.tried.set(true);
        self.run(self.form.revision.get_untracked());
    }

    fn run(self, revision: Option<i64>) {
        let form = self.form;
        form.faults.set(Vec::new());
        self.busy.set(true);
        spawn_local(async move {
            let answer = match form.id {
                Some(id) => {
                    let change = untrack(|| form.change());
                    self.api
                        .patch::<_, Rule>(&format!("rules/{id}"), &change, revision)
                        .await
                }
                None => {
                    self.api
                        .post::<_, Rule>("rules", &untrack(|| form.new_rule()))
                        .await
                }
            };
            self.busy.try_set(false);
            match answer {
                Ok(rule) => self.saved(&rule),
                Err(failure) => self.failed(&failure),
            }
        });
    }

    fn saved(self, rule: &Rule) {
        self.toasts.good("Saved. It is in force from now on.");
        self.stale.try_set(false);
        self.form.revision.try_set(Some(rule.revision));
        if self.form.id.is_none() {
            self.go.run("/rules".to_owned());
        }
    }

    fn failed(self, failure: &Failure) {
        if failure.is_stale() {
            self.stale.try_set(true);
            return;
        }
        self.form.faults.try_set(failure.errors());
        self.toasts.failed(failure);
    }

    fn overwrite(self) {
        let Some(id) = self.form.id else { return };
        spawn_local(async move {
            match self.api.get::<Rule>(&format!("rules/{id}")).await {
                Ok(rule) => self.run(Some(rule.revision)),
                Err(failure) => self.toasts.failed(&failure),
            }
        });
    }
}

/// The buttons, and the notice when somebody else was quicker.
pub fn save_bar(saving: Saving) -> AnyView {
    let id = saving.form.id;
    let stale = move || {
        let id = id.filter(|_| saving.stale.get())?;
        Some(view! {
            <div class="notice amber" role="alert" data-testid="stale">
                <div class="stack-s">
                    <strong>"Somebody changed this rule since you opened it"</strong>
                    <p>"Your changes are still here. Look at what is saved now, then decide."</p>
                    <div class="row">
                        <a class="button small" href=format!("/rules/{id}") target="_blank" rel="external">
                            "Show what is saved now"
                        </a>
                        <Button
                            small=true
                            kind=Kind::Danger
                            attr:data-testid="overwrite"
                            press=move |_| saving.overwrite()
                        >
                            "Save mine over it"
                        </Button>
                    </div>
                </div>
            </div>
        })
    };
    view! {
        {stale}
        <div class="form-foot save-bar">
            <Button kind=Kind::Primary submit=true busy=saving.busy attr:data-testid="rule-save">
                {if id.is_some() { "Save changes" } else { "Save the rule" }}
            </Button>
            <A href="/rules" attr:class="button quiet">
                "Back to the list"
            </A>
        </div>
    }
    .into_any()
}
