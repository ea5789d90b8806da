//! One's own account: name, address, password, second factor, sessions.

mod email;
mod factor;
mod sessions;

use leptos::prelude::*;
use openapi::account::{ChangePassword, ChangeProfile, Profile};
use openapi::auth::Session;
use web_sys::SubmitEvent;

use crate::api::{Load, SignedIn, load, use_api};
use crate::format;
use crate::pages::passkeys::OwnPasskeys;
use crate::ui::{
    Button, Card, FaultList, Kind, PageHead, PasswordField, Sending, TextField, show, use_toasts,
};

/// The page.
#[component]
pub fn ProfilePage() -> impl IntoView {
    let profile = load::<Profile>(|| "me".to_owned());
    view! {
        <PageHead title="Profile" text="Your account, in all workspaces." />
        <div class="stack" data-testid="profile-page">
            {show(profile, move |it| name_card(it, profile))}
            {email::card()}
            {show(profile, move |it| password_card(it, profile))}
            {show(profile, move |it| factor::card(&it, profile))}
            <OwnPasskeys />
            {sessions::card()}
        </div>
    }
    .into_any()
}

fn name_card(profile: Profile, shown: Load<Profile>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let name = RwSignal::new(profile.user.name);
    let sending = Sending::with_toasts();
    let (busy, faults) = (sending.busy, sending.faults);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let wanted = ChangeProfile {
            name: name.get_untracked().trim().to_owned(),
        };
        let call = async move { api.patch::<_, Profile>("me", &wanted, None).await };
        sending.run(call, move |now| {
            toasts.good("Saved.");
            api.session.update(|session| {
                if let SignedIn::Yes(session) = session {
                    session.user.name.clone_from(&now.user.name);
                }
            });
            shown.put(now);
        });
    };
    view! {
        <Card title="Who you are" text=profile.user.email>
            <form class="stack" on:submit=submit>
                <TextField
                    label="Name"
                    value=name
                    autocomplete="name"
                    required=true
                    faults=faults
                    at="name"
                    testid="profile-name"
                />
                <div>
                    <Button submit=true busy=busy attr:data-testid="profile-save">
                        "Save"
                    </Button>
                </div>
            </form>
        </Card>
    }
    .into_any()
}

fn password_card(profile: Profile, shown: Load<Profile>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let current = RwSignal::new(String::new());
    let new = RwSignal::new(String::new());
    let sending = Sending::with_toasts();
    let (busy, faults) = (sending.busy, sending.faults);
    let has = profile.has_password;
    let hints = Signal::stored(vec![profile.user.email, profile.user.name]);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let wanted = ChangePassword {
            current_password: has.then(|| current.get_untracked()),
            new_password: new.get_untracked(),
        };
        let call = async move { api.post::<_, Session>("me/password", &wanted).await };
        sending.run(call, move |session| {
            api.session.set(SignedIn::Yes(Box::new(session)));
            toasts.good("The password is changed. All other sessions have ended.");
            shown.reload();
        });
    };
    let since = profile
        .password_changed_at
        .map(|at| format!("Changed {}.", format::moment(at)))
        .unwrap_or_default();
    view! {
        <Card title="Password" text=since>
            <form class="stack" on:submit=submit data-testid="password-form">
                <FaultList faults=faults />
                {has
                    .then(|| {
                        view! {
                            <TextField
                                label="Password until now"
                                value=current
                                kind="password"
                                autocomplete="current-password"
                                required=true
                                faults=faults
                                at="current_password"
                                testid="current-password"
                            />
                        }
                    })}
                <PasswordField
                    label="New password"
                    value=new
                    hints=hints
                    faults=faults
                    at="new_password"
                    testid="new-password"
                />
                <div>
                    <Button
                        kind=Kind::Primary
                        submit=true
                        busy=busy
                        attr:data-testid="password-save"
                    >
                        "Change the password"
                    </Button>
                </div>
            </form>
        </Card>
    }
    .into_any()
}
