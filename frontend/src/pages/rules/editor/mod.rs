//! The rule editor: the form, the JSON, and the live explanation beside them.

mod ask;
mod conditions;
mod context;
mod explain;
mod fields;
mod form;
mod json_tab;
mod mapping;
mod model;
mod paths;
mod save;
mod scalar;
mod steps;
mod verdict;

use engine::Fault;
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use openapi::connections::{Connection, Connector};
use openapi::page::Page;
use openapi::rules::Rule;
use openapi::sources::Source;

use super::history::history;
use super::parked::parked;
use crate::api::{Load, load};
use crate::pages::events::load_event;
use crate::ui::{
    Badge, Card, CheckField, Choice, FaultList, PageHead, SelectField, Tabs, TextField, Tone, show,
};
use ask::ask;
use conditions::conditions;
use context::Editor;
use explain::{Against, explain};
use form::RuleForm;
use json_tab::json_tab;
use paths::paths;
use save::{save_bar, saving};
use steps::steps;

/// A new rule; with `?event=` in the address, for the source of that event.
#[component]
pub fn NewRulePage() -> impl IntoView {
    let event = use_query_map().with_untracked(|q| q.get("event").unwrap_or_default());
    let asked = event.clone();
    let origin = load_event(move || (!asked.is_empty()).then(|| format!("events/{asked}")));
    view! {
        <PageHead title="New rule" back=("/rules", "Rules") text="Which events it takes, and what is done with them." />
        {if event.is_empty() {
            editor(RuleForm::empty(String::new()), String::new())
        } else {
            show(origin, move |origin| {
                editor(RuleForm::empty(origin.summary.source), event.clone())
            })
        }}
    }
    .into_any()
}

/// A saved rule.
#[component]
pub fn RulePage() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|p| p.get("id").unwrap_or_default()));
    let rule = load::<Rule>(move || format!("rules/{}", id.get()));
    let title = Signal::derive(move || rule.get().map_or_else(|| "Rule".to_owned(), |r| r.name));
    let known = Memo::new(move |_| rule.get().map(|rule| rule.id));
    let tab = RwSignal::new("edit");
    view! {
        <PageHead title=title back=("/rules", "Rules")>
            {move || {
                rule.get()
                    .filter(|rule| rule.validity != "valid")
                    .map(|_| view! { <Badge text="quarantined" tone=Tone::Red /> })
            }}
        </PageHead>
        <Tabs
            name="rulepage"
            label="About this rule"
            tabs=vec![("edit", "Edit"), ("history", "History")]
            chosen=tab
        />
        <div
            id="rulepage-panel"
            role="tabpanel"
            aria-labelledby=move || format!("rulepage-{}", tab.get())
        >
            // What was typed stays while the history is looked at.
            <div class="stack" hidden=move || tab.get() != "edit">
                {move || rule.get().map(|rule| parked(&rule))}
                {show(rule, |rule| editor(RuleForm::of(&rule), String::new()))}
            </div>
            {move || {
                let shown = tab.get() == "history";
                known.get().filter(|_| shown).map(|id| history(id, rule))
            }}
        </div>
    }
    .into_any()
}

fn editor(form: RuleForm, event: String) -> AnyView {
    let rules = load::<Page<Rule>>(|| "rules".to_owned());
    let sources = load::<Page<Source>>(|| "sources".to_owned());
    let connections = load::<Page<Connection>>(|| "connections".to_owned());
    let connectors = load::<Page<Connector>>(|| "connectors".to_owned());
    let against = Against::new(event);
    let saving = saving(form);
    let offered = Memo::new(move |_| {
        against
            .asked()
            .and_then(|event| event.payload)
            .map_or_else(Vec::<Choice>::new, |payload| paths(&payload))
    });
    let answer = ask(form, against, rules, sources);
    let found = Memo::new(move |_| {
        if saving.tried.get() {
            answer.with(|answer| {
                answer
                    .as_ref()
                    .map(|a| a.faults.clone())
                    .unwrap_or_default()
            })
        } else {
            Vec::<Fault>::new()
        }
    });
    let shared = Editor {
        parts: form.parts,
        connections: rows(connections),
        connectors: rows(connectors),
        paths: offered.into(),
        found: found.into(),
        faults: form.faults,
        owner: StoredValue::new(Owner::current().as_ref().map(Owner::downgrade)),
    };
    provide_context(shared);
    let tab = RwSignal::new("form");
    view! {
        <div class="editor" data-testid="rule-editor">
            <form class="stack" on:submit=move |event| saving.submit(&event)>
                <FaultList faults=form.faults />
                {about(form, sources)}
                <Tabs
                    name="rule"
                    label="How to edit"
                    tabs=vec![("form", "Form"), ("json", "JSON")]
                    chosen=tab
                />
                <div id="rule-panel" role="tabpanel" aria-labelledby=move || format!("rule-{}", tab.get())>
                    {move || match tab.get() {
                        "json" => json_tab(form),
                        _ => parts(shared),
                    }}
                </div>
                {save_bar(saving)}
            </form>
            <div class="editor-side" tabindex="0" role="region" aria-label="Live explanation">
                {explain(form, against, answer)}
            </div>
        </div>
    }
    .into_any()
}

fn rows<T: Clone + Send + Sync + 'static>(load: Load<Page<T>>) -> Signal<Vec<T>> {
    Signal::derive(move || load.get().map(|page| page.items).unwrap_or_default())
}

fn about(form: RuleForm, sources: Load<Page<Source>>) -> AnyView {
    let options = Signal::derive(move || {
        let mut options = vec![(String::new(), "Every source".to_owned())];
        let kept = form.source.get();
        let list = sources.get().map(|page| page.items).unwrap_or_default();
        options.extend(list.into_iter().map(|s| (s.slug, s.name)));
        if !options.iter().any(|(slug, _)| *slug == kept) {
            options.push((kept.clone(), kept));
        }
        options
    });
    view! {
        <Card title="The rule">
            <div class="stack">
                <TextField
                    label="Name"
                    value=form.name
                    required=true
                    placeholder="down and up to the service desk"
                    faults=form.faults
                    at="name"
                    testid="rule-name"
                />
                <div class="form-grid">
                    <SelectField label="Source" value=form.source options=options faults=form.faults at="source" testid="rule-source" />
                    <TextField
                        label="Priority"
                        value=form.priority
                        help="Smaller goes first. Empty: after all others."
                        faults=form.faults
                        at="priority"
                        testid="rule-priority"
                    />
                </div>
                <CheckField label="In use" value=form.enabled testid="rule-enabled" />
            </div>
        </Card>
    }
    .into_any()
}

fn parts(shared: Editor) -> AnyView {
    let none = move || shared.parts.when.with(Vec::is_empty);
    view! {
        <div class="stack">
            <Card title="When" text="All conditions must hold.">
                <div class="stack-s">
                    {move || {
                        none()
                            .then(|| {
                                view! {
                                    <p class="small muted">
                                        "No conditions: the rule takes every event of its source."
                                    </p>
                                }
                            })
                    }}
                    {conditions(shared.parts.when, Signal::stored("when".to_owned()))}
                </div>
            </Card>
            <Card title="Then" text="The steps run in this order.">
                {steps(shared)}
            </Card>
        </div>
    }
    .into_any()
}
