//! The dialog that asks again who somebody is, before something dangerous is done.

use leptos::prelude::*;
use openapi::account::ConfirmIdentity;
use openapi::auth::Session;
use web_sys::SubmitEvent;

use crate::api::{SignedIn, use_api};
use crate::pages::{PasskeyProof, ProviderProof};
use crate::ui::{Button, Dialog, Kind, Sending, TextField};

/// The place on the page of the dialog.
#[component]
pub fn ProofHost() -> impl IntoView {
    let api = use_api();
    let open = api.proof.open;
    Effect::new(move |was: Option<bool>| {
        let is = open.get();
        // Closed without an answer: those who wait are told no. After an answer nobody waits.
        if was == Some(true) && !is {
            api.proof.answer(false);
        }
        is
    });
    view! {
        <Dialog open=open title="Is it you?" testid="proof">
            {form()}
        </Dialog>
    }
    .into_any()
}

fn form() -> AnyView {
    let api = use_api();
    let password = RwSignal::new(String::new());
    let code = RwSignal::new(String::new());
    let by_code = RwSignal::new(false);
    let sending = Sending::here();
    let (busy, failure) = (sending.busy, sending.failure);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let shown = if by_code.get_untracked() {
            ConfirmIdentity {
                code: Some(code.get_untracked()),
                ..ConfirmIdentity::default()
            }
        } else {
            ConfirmIdentity {
                password: Some(password.get_untracked()),
                ..ConfirmIdentity::default()
            }
        };
        let call = async move { api.post::<_, Session>("auth/confirm", &shown).await };
        sending.run(call, move |session| {
            api.session.set(SignedIn::Yes(Box::new(session)));
            api.proof.answer(true);
            api.proof.open.try_set(false);
        });
    };
    let field = move || {
        if by_code.get() {
            view! {
                <TextField
                    label="Code"
                    value=code
                    autocomplete="one-time-code"
                    required=true
                    help="Six digits of the app, or a recovery code."
                    testid="proof-code"
                />
            }
            .into_any()
        } else {
            view! {
                <TextField
                    label="Password"
                    value=password
                    kind="password"
                    autocomplete="current-password"
                    required=true
                    testid="proof-password"
                />
            }
            .into_any()
        }
    };
    view! {
        <form class="stack" on:submit=submit data-testid="proof-form">
            <div class="dialog-body stack">
                <p>"This cannot be done by somebody who finds an open browser. Please confirm."</p>
                {field}
                {move || {
                    failure
                        .get()
                        .map(|failure| {
                            view! {
                                <p class="notice red" role="alert">
                                    {failure.text()}
                                </p>
                            }
                        })
                }}
                <PasskeyProof />
                {move || api.proof.open.get().then(|| view! { <ProviderProof /> })}
                <Button
                    kind=Kind::Quiet
                    small=true
                    attr:data-testid="proof-other"
                    press=move |_| by_code.update(|by| *by = !*by)
                >
                    {move || if by_code.get() { "Use the password" } else { "Use a code" }}
                </Button>
            </div>
            <div class="dialog-foot">
                <Button press=move |_| api.proof.open.set(false)>"Cancel"</Button>
                <Button kind=Kind::Primary submit=true busy=busy attr:data-testid="proof-confirm">
                    "Confirm"
                </Button>
            </div>
        </form>
    }
    .into_any()
}
