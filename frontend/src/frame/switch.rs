//! The maintenance switch in the top bar.

use chrono::{DateTime, TimeDelta, Utc};
use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::maintenance::{ChangeMaintenance, Maintenance};
use openapi::problem::FieldError;
use openapi::stream::Message;
use web_sys::SubmitEvent;

use crate::api::{Failure, Load, Remote, load, use_api, use_live};
use crate::clock;
use crate::format;
use crate::ui::{Button, Dialog, Kind, SelectField, Sending, Switch, TextField, use_toasts};

const REFRESH_MS: u32 = 1_000;
/// How long it stays on: hours, a time of the person's choice, or until it is switched off.
const CHOICES: [(&str, &str); 4] = [
    ("1", "For one hour"),
    ("4", "For four hours"),
    (TIME, "Until a time"),
    (ALWAYS, "Until it is switched off"),
];
const TIME: &str = "time";
const ALWAYS: &str = "always";

/// Turns maintenance of the whole workspace on and off.
#[component]
pub fn MaintenanceSwitch() -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let state = load::<Maintenance>(|| "maintenance".to_owned());
    use_live().after(
        REFRESH_MS,
        |message| matches!(message, Message::Configuration { .. } | Message::Reset),
        move || state.reload(),
    );
    let asking = RwSignal::new(false);
    let change = Callback::new(move |on: bool| {
        if on {
            asking.set(true);
            return;
        }
        let Some(revision) = revision_of(state) else {
            return;
        };
        spawn_local(async move {
            let change = ChangeMaintenance {
                on: Some(false),
                until: None,
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
    });
    let on = Signal::derive(move || state.get().is_some_and(|now| now.on));
    view! {
        {move || {
            matches!(state.stage(), Remote::Ready(_))
                .then(|| {
                    view! {
                        <span class="topbar-switch">
                            <span class="small" aria-hidden="true">
                                "Maintenance"
                            </span>
                            <Switch
                                on=on
                                label="Maintenance of the whole workspace"
                                change=change
                                testid="maintenance-switch"
                            />
                        </span>
                    }
                })
        }}
        <Dialog
            open=asking
            title=Signal::stored("Switch maintenance on?".to_owned())
            testid="maintenance-dialog"
        >
            {ask(state, asking)}
        </Dialog>
    }
}

fn revision_of(state: Load<Maintenance>) -> Option<i64> {
    untrack(|| state.get()).map(|now| now.revision)
}

/// The question, with how long.
fn ask(state: Load<Maintenance>, asking: RwSignal<bool>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let choice = RwSignal::new("1".to_owned());
    let time = RwSignal::new(String::new());
    let sending = Sending::here();
    let (busy, faults) = (sending.busy, sending.faults);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let until = match until(&choice.get_untracked(), &time.get_untracked(), clock::now()) {
            Ok(until) => until,
            Err(fault) => {
                faults.set(vec![fault]);
                return;
            }
        };
        let Some(revision) = revision_of(state) else {
            return;
        };
        let call = async move {
            let change = ChangeMaintenance {
                on: Some(true),
                until: Some(until),
            };
            let answer: Result<Maintenance, Failure> =
                api.patch("maintenance", &change, Some(revision)).await;
            // What is not about the form is told, and looked at anew.
            if let Err(failure) = &answer
                && failure.errors().is_empty()
            {
                toasts.failed(failure);
                state.reload();
            }
            answer
        };
        sending.run(call, move |now| {
            state.put(now);
            asking.try_set(false);
        });
    };
    let choices = CHOICES
        .iter()
        .map(|(key, words)| ((*key).to_owned(), (*words).to_owned()))
        .collect::<Vec<_>>();
    view! {
        <form on:submit=submit novalidate=true>
            <div class="dialog-body stack">
                <p>
                    "Events are taken as ever. Every delivery of the workspace waits until maintenance ends, and then goes in order."
                </p>
                <SelectField
                    label="How long"
                    value=choice
                    options=Signal::stored(choices)
                    testid="maintenance-choice"
                />
                {move || {
                    choice
                        .with(|choice| choice == TIME)
                        .then(|| {
                            view! {
                                <TextField
                                    label="Until"
                                    help="By the clock of this browser."
                                    value=time
                                    kind="datetime-local"
                                    required=true
                                    faults=faults
                                    at="until"
                                    testid="maintenance-until"
                                />
                            }
                        })
                }}
            </div>
            <div class="dialog-foot">
                <Button attr:data-testid="maintenance-no" press=move |_| asking.set(false)>
                    "Cancel"
                </Button>
                <Button
                    kind=Kind::Primary
                    submit=true
                    busy=busy
                    attr:data-testid="maintenance-yes"
                >
                    "Switch on"
                </Button>
            </div>
        </form>
    }
    .into_any()
}

/// When it ends; none: when somebody switches it off.
fn until(
    choice: &str,
    time: &str,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, FieldError> {
    if choice == ALWAYS {
        return Ok(None);
    }
    let end = match choice.parse() {
        Ok(hours) => TimeDelta::try_hours(hours).and_then(|hours| now.checked_add_signed(hours)),
        Err(_) => format::instant(time).parse().ok(),
    };
    match end {
        Some(end) => Ok(Some(end)),
        None => Err(FieldError {
            field: "until".to_owned(),
            code: "empty".to_owned(),
            message: "Choose the time at which it ends.".to_owned(),
            offset: None,
        }),
    }
}
