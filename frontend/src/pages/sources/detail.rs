//! One source.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_navigate, use_params_map};
use openapi::sources::{Source, SourceCreated};
use web_sys::SubmitEvent;

use super::curl::curl;
use super::form::SourceForm;
use super::refusals::refusals;
use super::secret::secret_once;
use super::test_event::test_event;
use crate::api::{Load, load, use_api};
use crate::pages::events::recent;
use crate::pages::stale::explain_failure;
use crate::ui::{
    Ago, Badge, Button, Card, CodeBlock, CopyLine, FaultList, Icon, Kind, PageHead, Question, Tabs,
    TextField, Tone, icon, show, use_confirm, use_toasts,
};

/// One source.
#[component]
pub fn SourcePage() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|p| p.get("id").unwrap_or_default()));
    let source = load::<Source>(move || format!("sources/{}", id.get()));
    let secret = RwSignal::new(None::<String>);
    let tab = RwSignal::new("use");
    let title =
        Signal::derive(move || source.get().map_or_else(|| "Source".to_owned(), |s| s.name));
    view! {
        <PageHead title=title back=("/sources", "Sources")>
            {move || source.get().map(|s| actions(s, source, secret))}
        </PageHead>
        {move || secret.get().map(secret_once)}
        <Tabs
            name="source"
            label="Parts of the source"
            tabs=vec![("use", "Use it"), ("settings", "Settings"), ("refusals", "Refused requests")]
            chosen=tab
        />
        <div id="source-panel" role="tabpanel" aria-labelledby=move || format!("source-{}", tab.get())>
            {move || match tab.get() {
                "settings" => show(source, move |s| settings(s, source)),
                "refusals" => refusals(id.get()),
                _ => show(source, usage),
            }}
        </div>
    }
    .into_any()
}

fn usage(source: Source) -> AnyView {
    let line = curl(&source.url, &source.auth);
    view! {
        <div class="stack" data-testid="source">
            {(!source.enabled)
                .then(|| {
                    view! {
                        <p class="notice amber">
                            "This source is switched off: requests are refused with 403."
                        </p>
                    }
                })}
            {source
                .awaits_handshake
                .then(|| {
                    view! {
                        <p class="notice amber" data-testid="source-handshake">
                            "Waiting for the sender to make its webhook with the address below and the token that was shown. Requests are refused until then."
                        </p>
                    }
                })}
            {source
                .old_secret_until
                .map(|at| {
                    view! {
                        <p class="notice amber" data-testid="source-old-secret">
                            "Two secrets are valid: the old one ends "
                            <Ago at=at />
                            "."
                        </p>
                    }
                })}
            {source
                .silent_since
                .map(|at| {
                    view! {
                        <p class="notice red" data-testid="source-silent">
                            "Nothing comes from this source any more; it was heard last "
                            <Ago at=at />
                            "."
                        </p>
                    }
                })}
            <div class="split-even">
                <div class="stack">
                    <Card
                        title="Address"
                        text=super::scheme_words(source.auth.name())
                        actions=if source.has_secret {
                            view! { <Badge text="secret stored" tone=Tone::Green /> }.into_any()
                        } else {
                            view! { <Badge text="no secret" tone=Tone::Amber /> }.into_any()
                        }
                    >
                        <CopyLine text=source.url label="address" testid="source-url" />
                    </Card>
                    <Card title="With curl" text="Put the secret into the variable and paste this into a shell.">
                        <CodeBlock text=line label="curl command" plain=true testid="curl" />
                    </Card>
                </div>
                {test_event(source.id.to_string())}
            </div>
            {recent("Latest events", format!("events?limit=10&source={}", source.slug))}
        </div>
    }
    .into_any()
}

fn actions(source: Source, load: Load<Source>, secret: RwSignal<Option<String>>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let confirm = use_confirm();
    let navigate = use_navigate();
    let (id, revision) = (source.id, source.revision);
    let has_scheme = source.auth.secret_key().is_some();
    let rotate = move |_| {
        let question = Question {
            title: "Make a new secret?".to_owned(),
            text: "Both are valid for a day, or until you end the old one: time to give the new one to the sender."
                .to_owned(),
            yes: "Make a new secret",
            danger: false,
        };
        confirm.ask(question, move || {
            spawn_local(async move {
                match api
                    .act_on::<SourceCreated>(&format!("sources/{id}/rotate-secret"), revision)
                    .await
                {
                    Ok(answer) => {
                        secret.try_set(answer.secret);
                        load.put(answer.source);
                        toasts.good("The new secret is shown on the page.");
                    }
                    Err(failure) => explain_failure(toasts, &failure),
                }
            });
        });
    };
    let has_old = source.old_secret_until.is_some();
    let retire = move |_| {
        let question = Question {
            title: "End the old secret?".to_owned(),
            text: "Requests that still use it are refused from now on.".to_owned(),
            yes: "End it",
            danger: true,
        };
        confirm.ask(question, move || {
            spawn_local(async move {
                let path = format!("sources/{id}/retire-secret");
                match api.act_on::<Source>(&path, revision).await {
                    Ok(source) => {
                        load.put(source);
                        toasts.good("Only the new secret is valid.");
                    }
                    Err(failure) => explain_failure(toasts, &failure),
                }
            });
        });
    };
    let name = source.name.clone();
    let delete = move |_| {
        let navigate = navigate.clone();
        let question = Question {
            title: format!("Delete {name}?"),
            text: "Its address stops answering. Its events and their deliveries stay.".to_owned(),
            yes: "Delete",
            danger: true,
        };
        confirm.ask(question, move || {
            let navigate = navigate.clone();
            spawn_local(async move {
                match api.delete(&format!("sources/{id}"), revision).await {
                    Ok(()) => {
                        toasts.good("Deleted.");
                        navigate("/sources", NavigateOptions::default());
                    }
                    Err(failure) => explain_failure(toasts, &failure),
                }
            });
        });
    };
    view! {
        {has_old
            .then(|| {
                view! {
                    <Button attr:data-testid="retire" press=retire>
                        "End the old secret"
                    </Button>
                }
            })}
        {has_scheme
            .then(|| {
                view! {
                    <Button attr:data-testid="rotate" press=rotate>
                        {icon(Icon::Key)}
                        "New secret"
                    </Button>
                }
            })}
        <Button kind=Kind::Danger attr:data-testid="delete" press=delete>
            {icon(Icon::Trash)}
            "Delete"
        </Button>
    }
    .into_any()
}

fn settings(source: Source, load: Load<Source>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let form = SourceForm::of(&source);
    let busy = RwSignal::new(false);
    let (id, revision) = (source.id, source.revision);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let Some(change) = form.change() else { return };
        busy.set(true);
        spawn_local(async move {
            match api
                .patch::<_, Source>(&format!("sources/{id}"), &change, Some(revision))
                .await
            {
                Ok(source) => {
                    toasts.good("Saved.");
                    load.put(source);
                }
                Err(failure) => {
                    form.faults.try_set(failure.errors());
                    explain_failure(toasts, &failure);
                }
            }
            busy.try_set(false);
        });
    };
    view! {
        <form class="stack narrow" on:submit=submit data-testid="source-form">
            <FaultList faults=form.faults />
            <Card title="Name and address">
                <div class="form-grid">
                    <TextField label="Name" value=form.name required=true faults=form.faults at="name" testid="source-name" />
                    <TextField
                        label="Name in the address"
                        value=form.slug
                        required=true
                        code=true
                        help="A change breaks the address that senders use."
                        faults=form.faults
                        at="slug"
                        testid="source-slug"
                    />
                </div>
            </Card>
            <Card title="Who may send">{form.auth.fields(false)}</Card>
            <Card title="Events and limits">{form.more_fields()}</Card>
            <div class="form-foot">
                <Button kind=Kind::Primary submit=true busy=busy attr:data-testid="source-save">
                    "Save changes"
                </Button>
            </div>
        </form>
    }
    .into_any()
}
