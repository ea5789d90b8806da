//! One line of the list of rules.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use openapi::rules::{ChangeRule, Rule};
use web_sys::{DragEvent, KeyboardEvent};

use super::Order;
use super::words::{then_words, when_words};
use crate::api::use_api;
use crate::pages::stale::explain_failure;
use crate::ui::{Badge, Button, Icon, Kind, Question, Switch, Tone, icon, use_confirm, use_toasts};

/// One line.
pub fn row(rule: Rule, order: Order) -> AnyView {
    let id = rule.id;
    let place = Memo::new(move |_| {
        order
            .rules
            .with(|list| list.iter().position(|r| r.id == id).map_or(0, |n| n + 1))
    });
    let start = move |event: DragEvent| {
        order.dragged.set(Some(id));
        if let Some(data) = event.data_transfer() {
            data.set_effect_allowed("move");
            // Some browsers only drag what carries data.
            drop(data.set_data("text/plain", &id.to_string()));
        }
    };
    let over = move |event: DragEvent| {
        if order.dragged.get_untracked().is_some() {
            event.prevent_default();
            if order.over.get_untracked() != Some(id) {
                order.over.set(Some(id));
            }
        }
    };
    let dropped = move |event: DragEvent| {
        event.prevent_default();
        if let Some(dragged) = order.dragged.get_untracked() {
            let to = order
                .rules
                .with_untracked(|list| list.iter().position(|r| r.id == id));
            order.put(dragged, to.unwrap_or_default());
        }
        order.dragged.set(None);
        order.over.set(None);
    };
    let end = move |_| {
        order.dragged.set(None);
        order.over.set(None);
    };
    let key = move |event: KeyboardEvent| match event.key().as_str() {
        "ArrowUp" => {
            event.prevent_default();
            order.nudge(id, false);
        }
        "ArrowDown" => {
            event.prevent_default();
            order.nudge(id, true);
        }
        _ => {}
    };
    let enabled = rule.enabled;
    let label = format!("Move {}", rule.name);
    let title = rule.name.clone();
    view! {
        <li
            class="rule"
            class:off=!enabled
            class:dragging=move || order.dragged.get() == Some(id)
            class:over=move || order.over.get() == Some(id) && order.dragged.get() != Some(id)
            draggable="true"
            data-testid="rule-row"
            on:dragstart=start
            on:dragover=over
            on:drop=dropped
            on:dragend=end
        >
            <button
                type="button"
                class="grip"
                id=format!("grip-{id}")
                aria-label=label
                title="Drag, or use the arrow keys"
                data-testid="rule-grip"
                on:keydown=key
            >
                {icon(Icon::Grip)}
            </button>
            <span class="rule-place">{move || place.get()}</span>
            <div class="grow">
                <div class="row">
                    <A href=format!("/rules/{id}") attr:class="rule-name">
                        {title}
                    </A>
                    {badges(&rule)}
                </div>
                <p class="rule-text">{when_words(&rule.spec)}</p>
            </div>
            {controls(rule, order)}
        </li>
    }
    .into_any()
}

fn badges(rule: &Rule) -> AnyView {
    let source = rule
        .source
        .clone()
        .unwrap_or_else(|| "every source".to_owned());
    let quarantined = rule.validity != "valid";
    let why = rule
        .faults
        .first()
        .map(|f| f.message.clone())
        .unwrap_or_default();
    view! {
        <span class="tag">{source}</span>
        {then_words(&rule.spec)
            .into_iter()
            .map(|words| {
                let tone = match words.split(' ').next() {
                    Some("drop") => Tone::Grey,
                    Some("hold") => Tone::Amber,
                    _ => Tone::Accent,
                };
                view! { <Badge text=words tone=tone /> }
            })
            .collect_view()}
        {quarantined.then(|| view! { <span title=why><Badge text="quarantined" tone=Tone::Red /></span> })}
    }
    .into_any()
}

fn controls(rule: Rule, order: Order) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let confirm = use_confirm();
    let (id, revision) = (rule.id, rule.revision);
    let name = rule.name.clone();
    let switch = Callback::new(move |on: bool| {
        spawn_local(async move {
            let change = ChangeRule {
                enabled: Some(on),
                ..ChangeRule::default()
            };
            let path = format!("rules/{id}");
            if let Err(failure) = api
                .patch::<_, serde_json::Value>(&path, &change, Some(revision))
                .await
            {
                explain_failure(toasts, &failure);
            }
            order.reload();
        });
    });
    let duplicate = move |_| {
        spawn_local(async move {
            match api
                .act::<serde_json::Value>(&format!("rules/{id}/duplicate"))
                .await
            {
                Ok(_) => toasts.good("Duplicated."),
                Err(failure) => toasts.failed(&failure),
            }
            order.reload();
        });
    };
    let delete_label = format!("Delete {name}");
    let copy_label = format!("Duplicate {name}");
    let switch_label = format!("Use {name}");
    let delete = move |_| {
        let question = Question {
            title: format!("Delete {name}?"),
            text: "Events are no longer asked against it. What it already sent stays.".to_owned(),
            yes: "Delete",
            danger: true,
        };
        confirm.ask(question, move || {
            spawn_local(async move {
                match api.delete(&format!("rules/{id}"), revision).await {
                    Ok(()) => toasts.good("Deleted."),
                    Err(failure) => explain_failure(toasts, &failure),
                }
                order.reload();
            });
        });
    };
    view! {
        <div class="row">
            <Switch
                on=Signal::stored(rule.enabled)
                label=switch_label
                change=switch
                testid="rule-enabled"
            />
            <Button
                small=true
                kind=Kind::Quiet
                attr:aria-label=copy_label
                attr:title="Duplicate"
                attr:data-testid="rule-duplicate"
                press=duplicate
            >
                {icon(Icon::Copy)}
            </Button>
            <Button
                small=true
                kind=Kind::Quiet
                attr:aria-label=delete_label
                attr:title="Delete"
                attr:data-testid="rule-delete"
                press=delete
            >
                {icon(Icon::Trash)}
            </Button>
        </div>
    }
    .into_any()
}
