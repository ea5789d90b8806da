//! The fields of a step, from the catalogue of its operation.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::connections::{Field, Metadata, Operation};

use super::context::{Editor, fault_line, keep};
use super::mapping::{About, form_select, mapping_view};
use super::model::{Mapped, Step};
use crate::api::{encode, use_api};
use crate::ui::{Button, Choice, Icon, icon, keyed, use_toasts};

/// The rows, and a way to add another field.
pub fn fields(editor: Editor, step: Step, base: Signal<String>) -> AnyView {
    let operation =
        Memo::new(move |_| editor.operation(&step.connection.get(), &step.operation.get()));
    // Required fields are there from the start.
    Effect::new(move |_| {
        let Some(operation) = operation.get() else {
            return;
        };
        let missing: Vec<Mapped> = step.fields.with_untracked(|rows| {
            operation
                .fields
                .iter()
                .filter(|field| field.required)
                .filter(|field| {
                    !rows
                        .iter()
                        .any(|row| row.name.with_untracked(|n| *n == field.name))
                })
                .map(|field| keep(|| Mapped::empty(&field.name, first_form(field))))
                .collect()
        });
        if !missing.is_empty() {
            step.fields.update(|rows| rows.extend(missing));
        }
    });
    view! {
        <div>
            {keyed(
                move || step.fields.get(),
                |row| row.id,
                move |row| field_row(editor, step, row, operation, base),
            )}
            {move || adder(step, operation.get())}
        </div>
    }
    .into_any()
}

/// A template suits texts; what is chosen from a list starts as a fixed value.
fn first_form(field: &Field) -> &'static str {
    let listed = field.metadata.is_some() || !field.choices.is_empty();
    match field.kind.as_str() {
        "string" | "text" | "url" if !listed => "template",
        "map" | "any" | "list" if !listed => "path",
        _ => "value",
    }
}

fn adder(step: Step, operation: Option<Operation>) -> AnyView {
    let Some(operation) = operation else {
        return ().into_any();
    };
    let used: Vec<String> = step
        .fields
        .with(|rows| rows.iter().map(|row| row.name.get()).collect());
    let open = operation.open_fields || operation.fields.is_empty();
    let left: Vec<Field> = operation
        .fields
        .into_iter()
        .filter(|field| !used.contains(&field.name))
        .collect();
    let known = left.clone();
    let choose = move |event| {
        let name = event_target_value(&event);
        let form = known
            .iter()
            .find(|f| f.name == name)
            .map_or("template", first_form);
        if !name.is_empty() {
            step.fields
                .update(|rows| rows.push(keep(|| Mapped::empty(&name, form))));
        }
    };
    let other = move |_| {
        step.fields
            .update(|rows| rows.push(keep(|| Mapped::empty("", "template"))))
    };
    view! {
        <div class="row adder">
            {(!left.is_empty())
                .then(|| {
                    view! {
                        <select class="select" aria-label="Add a field" data-testid="add-field" on:change=choose>
                            <option value="" selected=true>
                                "Add a field…"
                            </option>
                            {left
                                .into_iter()
                                .map(|field| view! { <option value=field.name>{field.title}</option> })
                                .collect_view()}
                        </select>
                    }
                })}
            {open
                .then(|| {
                    view! {
                        <Button small=true attr:data-testid="add-other-field" press=other>
                            {icon(Icon::Plus)}
                            "Other field"
                        </Button>
                    }
                })}
        </div>
    }
    .into_any()
}

fn field_row(
    editor: Editor,
    step: Step,
    row: Mapped,
    operation: Memo<Option<Operation>>,
    base: Signal<String>,
) -> AnyView {
    let field = operation.with_untracked(|operation| {
        let name = row.name.get_untracked();
        operation
            .as_ref()?
            .fields
            .iter()
            .find(|f| f.name == name)
            .cloned()
    });
    let at = Signal::derive(move || format!("{}.map.{}", base.get(), row.name.get()));
    let remove = move |_| {
        step.fields
            .update(|rows| rows.retain(|other| other.id != row.id))
    };
    let title = field.as_ref().map(|f| f.title.clone());
    let help = field.as_ref().map(|f| f.help.clone()).unwrap_or_default();
    let required = field.as_ref().is_some_and(|f| f.required);
    let label = title.clone().unwrap_or_else(|| row.name.get_untracked());
    let about = About {
        label: StoredValue::new(if label.is_empty() {
            "the field".to_owned()
        } else {
            label.clone()
        }),
        long: field.as_ref().is_some_and(|f| f.kind == "text"),
        ..choices(editor, step, field)
    };
    view! {
        <div class="map-field" data-testid="map-field" data-field=move || row.name.get()>
            <div class="map-head">
                {match title {
                    Some(title) => {
                        view! {
                            <span class="name">
                                {title}
                                {required
                                    .then(|| {
                                        view! {
                                            " "
                                            <span class="required" title="required">
                                                "*"
                                            </span>
                                        }
                                    })}
                            </span>
                        }
                            .into_any()
                    }
                    None => {
                        view! {
                            <input
                                class="input code name-input"
                                aria-label="Name of the field"
                                placeholder="name"
                                data-testid="field-name"
                                prop:value=move || row.name.get()
                                on:change=move |event| row.name.set(event_target_value(&event))
                            />
                        }
                            .into_any()
                    }
                }}
                <span class="grow"></span>
                {form_select(row.mapping, &label)}
                <button
                    type="button"
                    class="button quiet icon small"
                    aria-label=format!("Remove {label}")
                    data-testid="remove-field"
                    on:click=remove
                >
                    {icon(Icon::Trash)}
                </button>
            </div>
            {mapping_view(row.mapping, about, at)}
            {(!help.is_empty()).then(|| view! { <p class="small muted">{help}</p> })}
            {fault_line(move || Some(at.get()))}
        </div>
    }
    .into_any()
}

/// The values of a field: the connector's own, or a list read from the upstream when asked for.
fn choices(editor: Editor, step: Step, field: Option<Field>) -> About {
    let nothing = About {
        label: StoredValue::new(String::new()),
        choices: Signal::stored(Vec::new()),
        ask: None,
        long: false,
    };
    let Some(field) = field else {
        return nothing;
    };
    if !field.choices.is_empty() {
        let list = field.choices.into_iter().map(|value| Choice {
            label: value.clone(),
            value,
            detail: String::new(),
        });
        return About {
            choices: Signal::stored(list.collect()),
            ..nothing
        };
    }
    let Some(list) = field.metadata else {
        return nothing;
    };
    let api = use_api();
    let toasts = use_toasts();
    let rows = RwSignal::new(Vec::new());
    let asked = StoredValue::new(String::new());
    let ask = Callback::new(move |()| {
        let connection = editor.connections.with_untracked(|all| {
            let name = step.connection.get_untracked();
            all.iter()
                .find(|c| c.name == name)
                .map(|c| c.id.to_string())
        });
        let Some(connection) = connection.filter(|id| asked.with_value(|a| a != id)) else {
            return;
        };
        asked.set_value(connection.clone());
        let path = format!("connections/{connection}/metadata/{}", encode(&list));
        spawn_local(async move {
            match api.get::<Metadata>(&path).await {
                Ok(found) => {
                    let choices = found.items.into_iter().map(|item| Choice {
                        detail: if item.label == item.value {
                            String::new()
                        } else {
                            item.value.clone()
                        },
                        value: item.value,
                        label: item.label,
                    });
                    rows.try_set(choices.collect());
                }
                Err(failure) => toasts.failed(&failure),
            }
        });
    });
    About {
        choices: rows.into(),
        ask: Some(ask),
        ..nothing
    }
}
