//! The maintenance switch in the top bar.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::maintenance::{ChangeMaintenance, Maintenance};
use openapi::stream::Message;

use crate::api::{Remote, load, use_api, use_live};
use crate::ui::{Question, Switch, use_confirm, use_toasts};

const REFRESH_MS: u32 = 1_000;

/// Turns maintenance of the whole workspace on and off.
#[component]
pub fn MaintenanceSwitch() -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let confirm = use_confirm();
    let state = load::<Maintenance>(|| "maintenance".to_owned());
    use_live().after(
        REFRESH_MS,
        |message| matches!(message, Message::Configuration { .. } | Message::Reset),
        move || state.reload(),
    );
    let turn = move |on: bool| {
        let Some(revision) = untrack(|| state.get()).map(|now| now.revision) else {
            return;
        };
        spawn_local(async move {
            let change = ChangeMaintenance {
                on: Some(on),
                until: on.then_some(None),
            };
            match api
                .patch::<_, Maintenance>("maintenance", &change, Some(revision))
                .await
            {
                Ok(now) => state.put(now),
                Err(failure) => {
                    toasts.failed(&failure);
                    state.reload();
                }
            }
        });
    };
    let change = Callback::new(move |on: bool| {
        if !on {
            turn(false);
            return;
        }
        let question = Question {
            title: "Switch maintenance on?".to_owned(),
            text: "Events are taken as ever. Every delivery of the workspace waits until it is switched off, and then goes in order.".to_owned(),
            yes: "Switch on",
            danger: false,
        };
        confirm.ask(question, move || turn(true));
    });
    let on = Signal::derive(move || state.get().is_some_and(|now| now.on));
    move || {
        matches!(state.stage(), Remote::Ready(_)).then(|| {
            view! {
                <span class="topbar-switch">
                    <span class="small" aria-hidden="true">
                        "Maintenance"
                    </span>
                    <Switch on=on label="Maintenance of the whole workspace" change=change testid="maintenance-switch" />
                </span>
            }
        })
    }
}
