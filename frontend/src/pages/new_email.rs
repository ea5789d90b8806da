//! The page of the link to a new address.

use leptos::prelude::*;
use leptos_router::hooks::use_navigate;
use openapi::auth::Session;
use openapi::people::LinkToken;

use super::outside::{frame, said, to_sign_in, token};
use crate::api::{SignedIn, use_api};
use crate::ui::{Button, Kind, PageHead, Sending, use_toasts};

/// The link, opened by somebody who is not signed in.
#[component]
pub fn NewEmailOutside() -> impl IntoView {
    Effect::new(|_| document().set_title("New address · Signalbox"));
    frame("Your new address", (ask(), to_sign_in()).into_any())
}

/// The link, opened by somebody who is signed in.
#[component]
pub fn NewEmailPage() -> impl IntoView {
    view! {
        <PageHead title="Your new address" />
        <div class="card">
            <div class="card-body stack">{ask()}</div>
        </div>
    }
    .into_any()
}

/// Asked, and not done at once: programs that look at mails open links too.
fn ask() -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let navigate = use_navigate();
    let sending = Sending::here();
    let press = move |_| {
        let navigate = navigate.clone();
        let call = async move {
            let token = LinkToken { token: token() };
            api.post::<_, ()>("auth/new-email", &token).await?;
            // This browser may be signed in, as this person or another one.
            Ok(api.get::<Session>("auth/session").await.ok())
        };
        sending.run(call, move |session| {
            toasts.good("The address is changed. Sign in with it from now on.");
            let to = if session.is_some() { "/profile" } else { "/" };
            api.session
                .set(session.map_or(SignedIn::No, |session| SignedIn::Yes(Box::new(session))));
            navigate(to, Default::default());
        });
    };
    view! {
        <p>"From now on you sign in with the address that this link was mailed to. All sessions end but the one of this browser."</p>
        {said(sending.failure, "new-email-failed")}
        <div>
            <Button
                kind=Kind::Primary
                busy=sending.busy
                attr:data-testid="new-email-confirm"
                press=press
            >
                "Use this address"
            </Button>
        </div>
    }
    .into_any()
}
