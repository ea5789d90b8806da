//! The pages of those who are not signed in: sign-in, invitation, a new password.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use leptos_router::hooks::{use_location, use_navigate};
use openapi::account::{ForgottenPassword, ResetPassword};
use openapi::auth::Session;
use openapi::people::{AcceptInvitation, InvitationShown, LinkToken};
use web_sys::SubmitEvent;

use super::new_email::NewEmailOutside;
use super::register::RegisterPage;
use super::sign_in::SignIn;
use crate::api::{Failure, SignedIn, use_api};
use crate::format;
use crate::ui::{
    Button, FailureView, Kind, Mark, PageHead, PasswordField, Sending, TextField, use_toasts,
};

/// What somebody sees who is not signed in, by the address.
#[component]
pub fn Outside() -> impl IntoView {
    let path = use_location().pathname;
    move || match path.get().as_str() {
        "/invitation" => view! { <Invited /> }.into_any(),
        "/forgot-password" => view! { <Forgotten /> }.into_any(),
        "/reset-password" => view! { <Reset /> }.into_any(),
        "/register" => view! { <RegisterPage /> }.into_any(),
        "/new-email" => view! { <NewEmailOutside /> }.into_any(),
        _ => view! { <SignIn /> }.into_any(),
    }
}

/// The card in the middle of an empty page.
pub(super) fn frame(text: &'static str, inside: AnyView) -> AnyView {
    view! {
        <main class="sign-in">
            <div class="card">
                <div class="card-body stack">
                    <div class="mark">
                        <Mark />
                        <div>
                            <h1>"Signalbox"</h1>
                            <p>{text}</p>
                        </div>
                    </div>
                    {inside}
                </div>
            </div>
        </main>
    }
    .into_any()
}

/// What went wrong, above the button.
pub(super) fn said(failure: RwSignal<Option<Failure>>, testid: &'static str) -> AnyView {
    (move || {
        failure.get().map(|failure| {
            view! {
                <p class="notice red" role="alert" data-testid=testid>
                    {failure.text()}
                </p>
            }
        })
    })
    .into_any()
}

/// The way back.
pub(super) fn to_sign_in() -> AnyView {
    view! {
        <p class="small">
            <A href="/">"To the sign-in"</A>
        </p>
    }
    .into_any()
}

/// What stands behind `#`.
pub(super) fn token() -> String {
    let hash = window().location().hash().unwrap_or_default();
    hash.trim_start_matches('#').to_owned()
}

/// Asks for a link to a new password.
#[component]
fn Forgotten() -> impl IntoView {
    let api = use_api();
    let email = RwSignal::new(String::new());
    let sent = RwSignal::new(false);
    let sending = Sending::here();
    Effect::new(|_| document().set_title("Forgotten password · Signalbox"));
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let request = ForgottenPassword {
            email: email.get_untracked().trim().to_owned(),
        };
        let call = async move { api.post::<_, ()>("auth/password-reset", &request).await };
        sending.run(call, move |()| {
            sent.try_set(true);
        });
    };
    frame(
        "A new password",
        view! {
            <form class="stack" on:submit=submit data-testid="forgotten">
                <TextField
                    label="E-mail"
                    value=email
                    kind="email"
                    autocomplete="username"
                    required=true
                    testid="email"
                />
                {said(sending.failure, "forgotten-failed")}
                {move || {
                    sent.get()
                        .then(|| {
                            view! {
                                <p class="notice green" role="status" data-testid="forgotten-sent">
                                    "If there is such an account, a link is on its way. It works once, for an hour."
                                </p>
                            }
                        })
                }}
                <Button kind=Kind::Primary submit=true busy=sending.busy attr:data-testid="forgotten-submit">
                    "Send a link"
                </Button>
                {to_sign_in()}
            </form>
        }
        .into_any(),
    )
}

/// Takes a new password by a link.
#[component]
fn Reset() -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let navigate = use_navigate();
    let password = RwSignal::new(String::new());
    let sending = Sending::here();
    let (busy, faults) = (sending.busy, sending.faults);
    Effect::new(|_| document().set_title("New password · Signalbox"));
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let request = ResetPassword {
            token: token(),
            password: password.get_untracked(),
        };
        let navigate = navigate.clone();
        let call = async move {
            api.post::<_, ()>("auth/password-reset/accept", &request)
                .await
        };
        sending.run(call, move |()| {
            toasts.good("The password is set. Sign in with it.");
            navigate("/", Default::default());
        });
    };
    frame(
        "Choose a new password",
        view! {
            <form class="stack" on:submit=submit data-testid="reset">
                <PasswordField
                    label="New password"
                    value=password
                    hints=Signal::stored(Vec::new())
                    faults=faults
                    at="password"
                    testid="new-password"
                />
                {said(sending.failure, "reset-failed")}
                <Button kind=Kind::Primary submit=true busy=busy attr:data-testid="reset-submit">
                    "Set the password"
                </Button>
                {to_sign_in()}
            </form>
        }
        .into_any(),
    )
}

/// What the link of an invitation is for; none: not known yet.
fn invitation() -> RwSignal<Option<Result<InvitationShown, Failure>>> {
    let api = use_api();
    let shown = RwSignal::new(None);
    spawn_local(async move {
        let token = LinkToken { token: token() };
        let answer = api
            .post::<_, InvitationShown>("auth/invitation", &token)
            .await;
        shown.try_set(Some(answer));
    });
    shown
}

/// An invitation, opened by somebody who is not signed in.
#[component]
fn Invited() -> impl IntoView {
    let known = RwSignal::new(false);
    let shown = invitation();
    Effect::new(|_| document().set_title("Invitation · Signalbox"));
    move || {
        if known.get() {
            return view! { <SignIn /> }.into_any();
        }
        let inside = match shown.get() {
            None => view! { <p role="status">"Loading…"</p> }.into_any(),
            Some(Err(failure)) => {
                view! { <FailureView failure=failure /> {to_sign_in()} }.into_any()
            }
            Some(Ok(invitation)) => join_form(invitation, known),
        };
        frame("You are invited", inside)
    }
}

/// Name and password of somebody new.
fn join_form(invitation: InvitationShown, known: RwSignal<bool>) -> AnyView {
    let api = use_api();
    let navigate = use_navigate();
    let name = RwSignal::new(String::new());
    let password = RwSignal::new(String::new());
    let sending = Sending::here();
    let (busy, faults) = (sending.busy, sending.faults);
    let email = invitation.email.clone();
    let hints = Signal::derive(move || vec![email.clone(), name.get()]);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let request = AcceptInvitation {
            token: token(),
            name: name.get_untracked().trim().to_owned(),
            password: password.get_untracked(),
        };
        let navigate = navigate.clone();
        let call = async move {
            api.post::<_, Session>("auth/invitation/accept", &request)
                .await
        };
        sending.run(call, move |session| {
            navigate("/", Default::default());
            api.session.set(SignedIn::Yes(Box::new(session)));
        });
    };
    let until = format::moment(invitation.expires_at);
    view! {
        <form class="stack" on:submit=submit data-testid="invitation">
            <p>
                "To join "
                <strong>{invitation.workspace}</strong>
                " as "
                {invitation.role}
                ", make an account for "
                <strong data-testid="invited-email">{invitation.email}</strong>
                "."
            </p>
            <p class="help">"The link ends on " {until} "."</p>
            <TextField
                label="Your name"
                value=name
                autocomplete="name"
                required=true
                faults=faults
                at="name"
                testid="join-name"
            />
            <PasswordField
                label="Password"
                value=password
                hints=hints
                faults=faults
                at="password"
                testid="join-password"
            />
            {said(sending.failure, "join-failed")}
            <Button kind=Kind::Primary submit=true busy=busy attr:data-testid="join">
                "Join"
            </Button>
            <Button
                kind=Kind::Quiet
                attr:data-testid="join-known"
                press=move |_| known.set(true)
            >
                "I have an account"
            </Button>
        </form>
    }
    .into_any()
}

/// An invitation, opened by somebody who is signed in.
#[component]
pub fn AcceptAsPerson() -> impl IntoView {
    let shown = invitation();
    view! {
        <PageHead title="Invitation" />
        <div class="card">
            <div class="card-body stack">
                {move || match shown.get() {
                    None => view! { <p role="status">"Loading…"</p> }.into_any(),
                    Some(Err(failure)) => view! { <FailureView failure=failure /> }.into_any(),
                    Some(Ok(invitation)) => accept(invitation),
                }}
            </div>
        </div>
    }
    .into_any()
}

fn accept(invitation: InvitationShown) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let navigate = use_navigate();
    let sending = Sending::with_toasts();
    let busy = sending.busy;
    let press = move |_| {
        let navigate = navigate.clone();
        let call = async move {
            let token = LinkToken { token: token() };
            api.post::<_, ()>("me/invitations/accept", &token).await?;
            api.get::<Session>("auth/session").await
        };
        sending.run(call, move |session| {
            api.session.set(SignedIn::Yes(Box::new(session)));
            toasts.good("You are a member now.");
            navigate("/", Default::default());
        });
    };
    view! {
        <p>
            <strong>{invitation.email}</strong>
            " is invited to "
            <strong>{invitation.workspace}</strong>
            " as "
            {invitation.role}
            "."
        </p>
        <div>
            <Button kind=Kind::Primary busy=busy attr:data-testid="accept-invitation" press=press>
                "Join with this account"
            </Button>
        </div>
    }
    .into_any()
}
