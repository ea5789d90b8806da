//! Signing in.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::auth::{LoginRequest, Session};
use web_sys::SubmitEvent;

use crate::api::{Failure, SignedIn, use_api};
use crate::ui::{Button, Kind, Mark, TextField};

/// The sign-in page.
#[component]
pub fn SignIn() -> impl IntoView {
    let api = use_api();
    let email = RwSignal::new(String::new());
    let password = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let failure = RwSignal::new(None::<Failure>);
    Effect::new(|_| document().set_title("Sign in · Signalbox"));

    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        failure.set(None);
        let request = LoginRequest {
            email: email.get_untracked().trim().to_owned(),
            password: password.get_untracked(),
        };
        spawn_local(async move {
            match api.post::<_, Session>("auth/login", &request).await {
                Ok(session) => api.session.set(SignedIn::Yes(Box::new(session))),
                Err(error) => {
                    failure.try_set(Some(error));
                }
            }
            busy.try_set(false);
        });
    };
    view! {
        <main class="sign-in">
            <div class="card">
                <form class="card-body stack" on:submit=submit data-testid="sign-in">
                    <div class="mark">
                        <Mark />
                        <div>
                            <h1>"Signalbox"</h1>
                            <p>"Sign in to the console"</p>
                        </div>
                    </div>
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
                    {move || {
                        failure
                            .get()
                            .map(|failure| {
                                view! {
                                    <p class="notice red" role="alert" data-testid="sign-in-failed">
                                        {failure.text()}
                                    </p>
                                }
                            })
                    }}
                    <Button kind=Kind::Primary submit=true busy=busy attr:data-testid="sign-in-submit">
                        "Sign in"
                    </Button>
                </form>
            </div>
        </main>
    }
    .into_any()
}
