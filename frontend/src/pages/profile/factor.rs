//! The second factor: set up by a picture and a code, with recovery codes that are shown once.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::account::{NewSecondFactor, Profile, RecoveryCodes, SecondFactorCode};
use openapi::auth::Session;
use web_sys::SubmitEvent;

use crate::api::{Load, SignedIn, encode, use_api};
use crate::format;
use crate::ui::{
    Badge, Button, Card, CopyLine, Dialog, Kind, Question, TextField, Tone, use_confirm, use_toasts,
};

/// What the dialogs show.
#[derive(Clone, Copy)]
struct Shown {
    profile: Load<Profile>,
    setup: RwSignal<Option<NewSecondFactor>>,
    setting_up: RwSignal<bool>,
    codes: RwSignal<Vec<String>>,
    codes_open: RwSignal<bool>,
}

impl Shown {
    /// Shows new recovery codes, once.
    fn reveal(self, codes: Vec<String>) {
        self.codes.set(codes);
        self.codes_open.set(true);
        self.setting_up.set(false);
    }
}

pub(super) fn card(profile: &Profile, load: Load<Profile>) -> AnyView {
    let shown = Shown {
        profile: load,
        setup: RwSignal::new(None),
        setting_up: RwSignal::new(false),
        codes: RwSignal::new(Vec::new()),
        codes_open: RwSignal::new(false),
    };
    Effect::new(move |was: Option<bool>| {
        let is = shown.codes_open.get();
        if was == Some(true) && !is {
            shown.codes.set(Vec::new());
            shown.profile.reload();
        }
        is
    });
    Effect::new(move |_| {
        if !shown.setting_up.get() {
            shown.setup.set(None);
        }
    });
    let inside = match profile.second_factor_since {
        None => off(shown),
        Some(since) => on(&format::moment(since), profile.recovery_codes_left, shown),
    };
    view! {
        <Card
            title="Second factor"
            text="Beside the password, a code of an app on your phone."
        >
            <div class="stack" data-testid="factor">{inside}</div>
        </Card>
        <Dialog open=shown.setting_up title="Set up an app" testid="factor-dialog">
            {move || shown.setup.get().map(|made| setup_form(&made, shown))}
        </Dialog>
        <Dialog open=shown.codes_open title="Recovery codes" testid="codes-dialog">
            {move || codes_once(shown.codes.get())}
        </Dialog>
    }
    .into_any()
}

fn off(shown: Shown) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let busy = RwSignal::new(false);
    let press = move |_| {
        busy.set(true);
        spawn_local(async move {
            match api.act::<NewSecondFactor>("me/second-factor").await {
                Ok(made) => {
                    shown.setup.try_set(Some(made));
                    shown.setting_up.try_set(true);
                }
                Err(failure) => toasts.failed(&failure),
            }
            busy.try_set(false);
        });
    };
    view! {
        <p>
            <Badge text="off" tone=Tone::Grey />
            " Whoever knows the password can sign in."
        </p>
        <div>
            <Button kind=Kind::Primary busy=busy attr:data-testid="factor-setup" press=press>
                "Set it up"
            </Button>
        </div>
    }
    .into_any()
}

fn on(since: &str, left: u32, shown: Shown) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let confirm = use_confirm();
    let busy = RwSignal::new(false);
    let more = move |_| {
        busy.set(true);
        spawn_local(async move {
            match api
                .act::<RecoveryCodes>("me/second-factor/recovery-codes")
                .await
            {
                Ok(made) => shown.reveal(made.codes),
                Err(failure) => toasts.failed(&failure),
            }
            busy.try_set(false);
        });
    };
    let end = move || {
        spawn_local(async move {
            match api.take::<Session>("me/second-factor").await {
                Ok(session) => {
                    api.session.set(SignedIn::Yes(Box::new(session)));
                    shown.profile.reload();
                }
                Err(failure) => toasts.failed(&failure),
            }
        });
    };
    let ask = move |_| {
        let question = Question {
            title: "Turn the second factor off?".to_owned(),
            text: "Whoever knows the password can sign in then.".to_owned(),
            yes: "Turn off",
            danger: true,
        };
        confirm.ask(question, end);
    };
    let since = since.to_owned();
    view! {
        <p>
            <Badge text="on" tone=Tone::Green />
            {format!(" since {since}. ")}
            <span data-testid="codes-left">{format!("{left} recovery codes are left.")}</span>
        </p>
        <div class="row wrap">
            <Button busy=busy attr:data-testid="codes-new" press=more>
                "New recovery codes"
            </Button>
            <Button kind=Kind::Danger attr:data-testid="factor-off" press=ask>
                "Turn off"
            </Button>
        </div>
    }
    .into_any()
}

fn setup_form(made: &NewSecondFactor, shown: Shown) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let code = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let picture = format!("data:image/svg+xml,{}", encode(&made.qr_svg));
    let secret = made.secret.clone();
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let body = SecondFactorCode {
            code: code.get_untracked(),
        };
        busy.set(true);
        spawn_local(async move {
            match api
                .post::<_, RecoveryCodes>("me/second-factor/confirm", &body)
                .await
            {
                Ok(made) => {
                    api.session.update(|session| {
                        if let SignedIn::Yes(session) = session {
                            session.csrf_token = made.csrf_token;
                        }
                    });
                    shown.reveal(made.codes);
                }
                Err(failure) => toasts.failed(&failure),
            }
            busy.try_set(false);
        });
    };
    view! {
        <form class="stack" on:submit=submit data-testid="factor-form">
            <div class="dialog-body stack">
                <p>"Point the app's camera at the picture, or type the secret in."</p>
                <img class="qr" src=picture alt="The secret as a picture for the app's camera" />
                <CopyLine text=secret label="secret" testid="factor-secret" />
                <TextField
                    label="Code of the app"
                    value=code
                    autocomplete="one-time-code"
                    required=true
                    testid="factor-code"
                />
            </div>
            <div class="dialog-foot">
                <Button press=move |_| shown.setting_up.set(false)>"Cancel"</Button>
                <Button kind=Kind::Primary submit=true busy=busy attr:data-testid="factor-confirm">
                    "Turn on"
                </Button>
            </div>
        </form>
    }
    .into_any()
}

fn codes_once(codes: Vec<String>) -> AnyView {
    let all = codes.join("\n");
    view! {
        <div class="dialog-body stack">
            <p>
                "Without the phone, each of these lets you in once. Keep them where you find them: they are not shown again."
            </p>
            <ul class="codes mono" data-testid="codes">
                {codes
                    .into_iter()
                    .map(|code| view! { <li data-testid="recovery-code">{code}</li> })
                    .collect_view()}
            </ul>
            <crate::ui::CopyButton text=all label="the recovery codes" />
        </div>
    }
    .into_any()
}
