//! Signing in with a passkey, and confirming who one is.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::auth::Session;
use openapi::passkeys::{PasskeyBegun, PasskeyShown};

use super::browser::{Ask, ask, has_passkeys};
use crate::api::{Api, SignedIn, use_api};
use crate::ui::Button;

/// The button on the sign-in page; nothing where the browser has no passkeys.
#[component]
pub fn PasskeySignIn() -> impl IntoView {
    button("auth/passkey-sign-in", "Sign in with a passkey", |_| {})
}

/// The button beside the password, where one confirms who one is.
#[component]
pub fn PasskeyProof() -> impl IntoView {
    button("auth/passkey-confirmation", "Use a passkey", |api| {
        api.proof.answer(true);
        api.proof.open.try_set(false);
    })
}

fn button(path: &'static str, words: &'static str, then: fn(Api)) -> AnyView {
    if !has_passkeys() {
        return ().into_any();
    }
    let api = use_api();
    let busy = RwSignal::new(false);
    let fault = RwSignal::new(None::<String>);
    let press = move |_| {
        busy.set(true);
        fault.set(None);
        spawn_local(async move {
            match shown(api, path).await {
                Ok(session) => {
                    api.session.set(SignedIn::Yes(Box::new(session)));
                    then(api);
                }
                Err(text) => {
                    fault.try_set(Some(text));
                }
            }
            busy.try_set(false);
        });
    };
    view! {
        <Button busy=busy press=press attr:data-testid="passkey">
            {words}
        </Button>
        {move || {
            fault
                .get()
                .map(|text| {
                    view! {
                        <p class="notice red" role="alert" data-testid="passkey-failed">
                            {text}
                        </p>
                    }
                })
        }}
    }
    .into_any()
}

async fn shown(api: Api, path: &str) -> Result<Session, String> {
    let text = |failure: crate::api::Failure| failure.text();
    let begun: PasskeyBegun = api.act(&format!("{path}/start")).await.map_err(text)?;
    let credential = ask(Ask::Show, &begun.options).await?;
    let body = PasskeyShown {
        token: begun.token,
        credential,
    };
    api.post(path, &body).await.map_err(text)
}
