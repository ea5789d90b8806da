//! Registering oneself: asking for a link, and the page of the link.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use leptos_router::hooks::{use_navigate, use_query_map};
use openapi::people::{
    AskToJoin, LinkToken, Register, Registered, RegistrationOffer, RegistrationShown,
};
use web_sys::SubmitEvent;

use super::outside::{frame, said, to_sign_in, token};
use crate::api::{Failure, load, use_api};
use crate::format;
use crate::ui::{Button, FailureView, Kind, PasswordField, Sending, TextField, use_toasts};

/// The link on the sign-in page, where people can register.
#[component]
pub fn RegisterLink() -> impl IntoView {
    let offer = load::<RegistrationOffer>(|| "auth/registration".to_owned());
    (move || {
        offer.get().is_some_and(|offer| offer.open).then(|| {
            view! {
                <p class="small">
                    <A href="/register" attr:data-testid="register-link">
                        "Ask for an account"
                    </A>
                </p>
            }
        })
    })
    .into_any()
}

/// Without a token it asks for a link; with one it takes name and password.
#[component]
pub fn RegisterPage() -> impl IntoView {
    Effect::new(|_| document().set_title("Registration · Signalbox"));
    if token().is_empty() {
        asking()
    } else {
        answering()
    }
}

fn asking() -> AnyView {
    let api = use_api();
    let workspace = use_query_map().with_untracked(|query| query.get("workspace"));
    let email = RwSignal::new(String::new());
    let sent = RwSignal::new(false);
    let sending = Sending::here();
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        sent.set(false);
        let wanted = AskToJoin {
            email: email.get_untracked().trim().to_owned(),
            workspace: workspace.clone(),
        };
        let call = async move { api.post::<_, ()>("auth/registration", &wanted).await };
        sending.run(call, move |()| {
            sent.try_set(true);
        });
    };
    let done = move || {
        sent.get().then(|| {
            view! {
                <p class="notice green" role="status" data-testid="register-sent">
                    "If people with this address can register here, a mail is on its way. Its link works once, for a day."
                </p>
            }
        })
    };
    frame(
        "Ask for an account",
        view! {
            <form class="stack" on:submit=submit data-testid="register-ask">
                <TextField
                    label="E-mail"
                    value=email
                    kind="email"
                    autocomplete="email"
                    required=true
                    faults=sending.faults
                    at="email"
                    testid="register-email"
                />
                {said(sending.failure, "register-failed")}
                {done}
                <Button kind=Kind::Primary submit=true busy=sending.busy attr:data-testid="register-send">
                    "Send a link"
                </Button>
                {to_sign_in()}
            </form>
        }
        .into_any(),
    )
}

fn answering() -> AnyView {
    let api = use_api();
    let shown = RwSignal::new(None::<Result<RegistrationShown, Failure>>);
    let waits = RwSignal::new(false);
    spawn_local(async move {
        let token = LinkToken { token: token() };
        let answer = api.post("auth/registration/show", &token).await;
        shown.try_set(Some(answer));
    });
    (move || {
        let inside = match shown.get() {
            _ if waits.get() => view! {
                <p class="notice green" role="status" data-testid="register-waits">
                    "Thank you. Somebody of the workspace looks at it; a mail tells you when you may sign in."
                </p>
                {to_sign_in()}
            }
            .into_any(),
            None => view! { <p role="status">"Loading…"</p> }.into_any(),
            Some(Err(failure)) => {
                view! { <FailureView failure=failure /> {to_sign_in()} }.into_any()
            }
            Some(Ok(what)) => form(what, waits),
        };
        frame("Make an account", inside)
    })
    .into_any()
}

fn form(what: RegistrationShown, waits: RwSignal<bool>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let navigate = use_navigate();
    let name = RwSignal::new(String::new());
    let password = RwSignal::new(String::new());
    let sending = Sending::here();
    let email = what.email.clone();
    let hints = Signal::derive(move || vec![email.clone(), name.get()]);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let wanted = Register {
            token: token(),
            name: name.get_untracked().trim().to_owned(),
            password: password.get_untracked(),
        };
        let navigate = navigate.clone();
        let call = async move {
            api.post::<_, Registered>("auth/registration/accept", &wanted)
                .await
        };
        sending.run(call, move |done| {
            if done.approved {
                toasts.good("You are in. Sign in with your password.");
                navigate("/", Default::default());
            } else {
                waits.try_set(true);
            }
        });
    };
    view! {
        <form class="stack" on:submit=submit data-testid="register-form">
            <p>
                "To join "
                <strong>{what.workspace}</strong>
                " with "
                <strong data-testid="register-address">{what.email}</strong>
                ", choose a name and a password."
            </p>
            <p class="help">"The link ends on " {format::moment(what.expires_at)} "."</p>
            <TextField
                label="Your name"
                value=name
                autocomplete="name"
                required=true
                faults=sending.faults
                at="name"
                testid="register-name"
            />
            <PasswordField
                label="Password"
                value=password
                hints=hints
                faults=sending.faults
                at="password"
                testid="register-password"
            />
            {said(sending.failure, "register-failed")}
            <Button kind=Kind::Primary submit=true busy=sending.busy attr:data-testid="register">
                "Register"
            </Button>
        </form>
    }
    .into_any()
}
