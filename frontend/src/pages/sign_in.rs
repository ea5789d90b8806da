//! Signing in: the password, then the second factor if there is one.

use leptos::prelude::*;
use leptos_router::components::A;
use openapi::account::SecondFactorCode;
use openapi::auth::{LoginRequest, Session};
use openapi::problem::Code;
use web_sys::SubmitEvent;

use super::outside::{frame, said};
use super::passkeys::PasskeySignIn;
use super::providers::{ProviderLinks, at_second_step};
use super::register::RegisterLink;
use crate::api::{SignedIn, use_api};
use crate::ui::{Button, Kind, Sending, TextField};

/// The sign-in page.
#[component]
pub fn SignIn() -> impl IntoView {
    let second = RwSignal::new(at_second_step());
    Effect::new(|_| document().set_title("Sign in · Signalbox"));
    move || {
        if second.get() {
            second_step(second)
        } else {
            first_step(second)
        }
    }
}

fn first_step(second: RwSignal<bool>) -> AnyView {
    let api = use_api();
    let email = RwSignal::new(String::new());
    let password = RwSignal::new(String::new());
    let sending = Sending::here();
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let request = LoginRequest {
            email: email.get_untracked().trim().to_owned(),
            password: password.get_untracked(),
        };
        let call = async move {
            match api.post::<_, Session>("auth/login", &request).await {
                Err(error) if error.code() == Some(Code::SecondFactorRequired) => Ok(None),
                answer => answer.map(Some),
            }
        };
        sending.run(call, move |session| match session {
            Some(session) => api.session.set(SignedIn::Yes(Box::new(session))),
            None => {
                second.try_set(true);
            }
        });
    };
    frame(
        "Sign in to the console",
        view! {
            <form class="stack" on:submit=submit data-testid="sign-in">
                <TextField
                    label="E-mail"
                    value=email
                    kind="email"
                    autocomplete="username"
                    required=true
                    testid="email"
                />
                <TextField
                    label="Password"
                    value=password
                    kind="password"
                    autocomplete="current-password"
                    required=true
                    testid="password"
                />
                {said(sending.failure, "sign-in-failed")}
                <Button kind=Kind::Primary submit=true busy=sending.busy attr:data-testid="sign-in-submit">
                    "Sign in"
                </Button>
                <PasskeySignIn />
                <ProviderLinks />
                <RegisterLink />
                <p class="small">
                    <A href="/forgot-password" attr:data-testid="forgot-password">
                        "Forgot your password?"
                    </A>
                </p>
            </form>
        }
        .into_any(),
    )
}

fn second_step(second: RwSignal<bool>) -> AnyView {
    let api = use_api();
    let code = RwSignal::new(String::new());
    let sending = Sending::here();
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let request = SecondFactorCode {
            code: code.get_untracked(),
        };
        let call = async move { api.post::<_, Session>("auth/second-factor", &request).await };
        sending.run(call, move |session| {
            api.session.set(SignedIn::Yes(Box::new(session)));
        });
    };
    frame(
        "The second factor",
        view! {
            <form class="stack" on:submit=submit data-testid="second-factor">
                <TextField
                    label="Code"
                    value=code
                    autocomplete="one-time-code"
                    required=true
                    help="Six digits of the app, or one of your recovery codes."
                    testid="code"
                />
                {said(sending.failure, "code-failed")}
                <Button kind=Kind::Primary submit=true busy=sending.busy attr:data-testid="code-submit">
                    "Continue"
                </Button>
                <PasskeySignIn />
                <Button kind=Kind::Quiet press=move |_| second.set(false)>
                    "Begin again"
                </Button>
            </form>
        }
        .into_any(),
    )
}
