//! The steps of a rule: what a match does.

use leptos::prelude::*;

use super::context::{Editor, fault_line, keep};
use super::fields::fields;
use super::model::Step;
use crate::ui::{Button, CheckField, Icon, SelectField, TextField, icon, keyed};

const KINDS: [(&str, &str); 3] = [
    ("deliver", "Deliver at once"),
    ("hold", "Hold until a person releases it"),
    ("drop", "Drop the event"),
];
const OTHERWISE: [(&str, &str); 3] = [
    ("note", "adds a note, if there is a record"),
    ("open", "opens, too"),
    ("ignore", "is ignored"),
];

/// The steps, and a button for another one.
pub fn steps(editor: Editor) -> AnyView {
    let list = editor.parts.steps;
    let add = move |_| list.update(|list| list.push(keep(Step::empty)));
    view! {
        <div>
            {keyed(
                move || list.get(),
                |step| step.id,
                move |step| step_view(editor, step, list),
            )}
            <div class="row adder">
                <Button small=true attr:data-testid="add-step" press=add>
                    {icon(Icon::Plus)}
                    "Add a step"
                </Button>
            </div>
            {fault_line(|| Some("then".to_owned()))}
        </div>
    }
    .into_any()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(key, words)| ((*key).to_owned(), (*words).to_owned()))
        .collect()
}

fn step_view(editor: Editor, step: Step, list: RwSignal<Vec<Step>>) -> AnyView {
    let place = Memo::new(move |_| {
        list.with(|list| {
            list.iter()
                .position(|other| other.id == step.id)
                .unwrap_or_default()
        })
    });
    let base = Signal::derive(move || format!("then[{}].{}", place.get(), step.kind.get()));
    let remove = move |_| list.update(|list| list.retain(|other| other.id != step.id));
    // The form of the operation is made anew only when it comes or goes.
    let sends = Memo::new(move |_| step.kind.with(|kind| kind != "drop"));
    view! {
        <div class="step" data-testid="step">
            <div class="stack">
                <div class="row-between">
                    <h3>{move || format!("Step {}", place.get() + 1)}</h3>
                    <button
                        type="button"
                        class="button quiet icon small"
                        aria-label="Remove the step"
                        data-testid="remove-step"
                        on:click=remove
                    >
                        {icon(Icon::Trash)}
                    </button>
                </div>
                <SelectField label="What to do" value=step.kind options=Signal::stored(pairs(&KINDS)) testid="step-kind" />
                {move || sends.get().then(|| operation(editor, step, base))}
            </div>
        </div>
    }
    .into_any()
}

fn operation(editor: Editor, step: Step, base: Signal<String>) -> AnyView {
    let connections = Signal::derive(move || {
        let mut options = vec![(String::new(), "Choose a connection".to_owned())];
        let kept = step.connection.get();
        editor.connections.with(|all| {
            options.extend(
                all.iter()
                    .map(|c| (c.name.clone(), format!("{} ({})", c.name, c.connector))),
            );
            if !kept.is_empty() && !all.iter().any(|c| c.name == kept) {
                options.push((kept.clone(), format!("{kept} (missing)")));
            }
        });
        options
    });
    let operations = Signal::derive(move || {
        let connection = step.connection.get();
        let kind = editor.connections.with(|all| {
            all.iter()
                .find(|c| c.name == connection)
                .map(|c| c.connector.clone())
        });
        let mut options = vec![(String::new(), "Choose an operation".to_owned())];
        editor.connectors.with(|all| {
            if let Some(connector) = all.iter().find(|c| Some(&c.kind) == kind.as_ref()) {
                options.extend(
                    connector
                        .operations
                        .iter()
                        .map(|o| (o.name.clone(), o.title.clone())),
                );
            }
        });
        let kept = step.operation.get();
        if !kept.is_empty() && !options.iter().any(|(name, _)| *name == kept) {
            options.push((kept.clone(), kept));
        }
        options
    });
    // The only operation of a connector needs no choosing.
    Effect::new(move |_| {
        let options = operations.get();
        if let [_, (only, _)] = options.as_slice()
            && step.operation.get_untracked().is_empty()
        {
            step.operation.set(only.clone());
        }
    });
    let needs_key = Memo::new(move |_| {
        editor
            .operation(&step.connection.get(), &step.operation.get())
            .is_some_and(|o| o.needs_key)
    });
    let own = move |name: &'static str| move || Some(format!("{}.{name}", base.get()));
    view! {
        <div class="stack">
            <div class="form-grid">
                <div>
                    <SelectField label="Connection" value=step.connection options=connections testid="step-connection" />
                    {fault_line(own("connection"))}
                </div>
                <div>
                    <SelectField label="Operation" value=step.operation options=operations testid="step-operation" />
                    {fault_line(own("operation"))}
                </div>
            </div>
            <div>
                <TextField
                    label="Record key"
                    value=step.key
                    code=true
                    placeholder="kuma:{{ monitor.id }}"
                    help="Events with the same key belong to the same record and go in order."
                    testid="step-key"
                />
                {move || {
                    (needs_key.get() && step.key.with(|k| k.trim().is_empty()))
                        .then(|| view! { <p class="small muted">"This operation needs a key."</p> })
                }}
                {fault_line(own("key"))}
            </div>
            <div class="stack-s">
                <CheckField
                    label="The record opens and closes"
                    value=step.has_lifecycle
                    testid="step-lifecycle"
                />
                {move || step.has_lifecycle.get().then(|| lifecycle(step))}
                {fault_line(own("lifecycle"))}
            </div>
            <div>
                <p class="field-label">"Fields"</p>
                {fields(editor, step, base)}
            </div>
        </div>
    }
    .into_any()
}

fn lifecycle(step: Step) -> AnyView {
    view! {
        <div class="form-grid nested">
            <TextField label="Path of the state" value=step.path code=true placeholder="$.heartbeat.status" testid="lifecycle-path" />
            <TextField label="Opens when it is" value=step.open code=true placeholder="0" help="Values between commas." testid="lifecycle-open" />
            <TextField label="Closes when it is" value=step.close code=true placeholder="1" help="Values between commas." testid="lifecycle-close" />
            <SelectField label="Anything else" value=step.otherwise options=Signal::stored(pairs(&OTHERWISE)) />
        </div>
    }
    .into_any()
}
