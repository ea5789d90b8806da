//! The form for a new credential.

use leptos::prelude::*;
use openapi::auth::WhoAmI;
use openapi::credentials::{CredentialKind, CredentialRevealed, NewCredential, Rotation};
use web_sys::SubmitEvent;

use super::Shown;
use crate::api::{load, use_api};
use crate::ui::{
    AreaField, Button, FaultList, Kind, SelectField, Sending, TextField, TickField, show,
};

/// The form, once it is known what the maker may hand out.
pub(super) fn create_dialog(open: RwSignal<bool>, shown: Shown) -> AnyView {
    let me = load::<WhoAmI>(|| "debug/whoami".to_owned());
    show(me, move |me| form(me.scopes, open, shown)).into_any()
}

fn form(scopes: Vec<String>, open: RwSignal<bool>, shown: Shown) -> AnyView {
    let api = use_api();
    let name = RwSignal::new(String::new());
    let kind = RwSignal::new("hmac".to_owned());
    let chosen = RwSignal::new(Vec::<String>::new());
    let networks = RwSignal::new(String::new());
    let days = RwSignal::new(String::new());
    let rate = RwSignal::new(String::new());
    let sending = Sending::with_toasts();
    let (busy, faults) = (sending.busy, sending.faults);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let days = days.get_untracked();
        let rotation = (!days.trim().is_empty()).then(|| Rotation {
            // What is no number is told by the server, like what is too large.
            every_days: days.trim().parse().unwrap_or_default(),
            overlap_days: days.trim().parse::<u32>().unwrap_or_default().min(7),
        });
        let new = NewCredential {
            name: name.get_untracked().trim().to_owned(),
            kind: match kind.get_untracked().as_str() {
                "bearer" => CredentialKind::Bearer,
                _ => CredentialKind::Hmac,
            },
            scopes: chosen.get_untracked(),
            allow_cidrs: networks
                .get_untracked()
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            expires_at: None,
            legacy: false,
            rate_per_minute: {
                let rate = rate.get_untracked();
                (!rate.trim().is_empty()).then(|| rate.trim().parse().unwrap_or_default())
            },
            rotation,
        };
        let call = async move { api.post::<_, CredentialRevealed>("credentials", &new).await };
        sending.run(call, move |made| {
            open.try_set(false);
            shown.reveal(made);
        });
    };
    let kinds = [
        ("hmac", "It signs every call (HMAC)"),
        ("bearer", "It sends a token (Bearer)"),
    ];
    view! {
        <form class="stack" on:submit=submit data-testid="credential-form">
            <div class="dialog-body stack">
                <FaultList faults=faults />
                <TextField label="Name" value=name required=true faults=faults at="name" testid="credential-name" />
                <SelectField
                    label="Kind"
                    value=kind
                    options=Signal::stored(
                        kinds.map(|(word, words)| (word.to_owned(), words.to_owned())).to_vec(),
                    )
                    testid="credential-kind"
                />
                <TickField
                    label="Scopes"
                    value=chosen
                    choices=scopes
                    required=true
                    help="What it may do: nothing that you may not."
                    faults=faults
                    at="scopes"
                    testid="credential-scope"
                />
                <AreaField
                    label="Networks"
                    value=networks
                    code=true
                    rows=2
                    help="One to a line, as 192.0.2.0/24. A token needs some; 0.0.0.0/0 and ::/0 are any."
                    faults=faults
                    at="allow_cidrs"
                    testid="credential-networks"
                />
                <TextField
                    label="Requests a minute"
                    value=rate
                    help="Empty: what the server's settings say."
                    faults=faults
                    at="rate_per_minute"
                    testid="credential-rate"
                />
                <TextField
                    label="Days until a new secret is due"
                    value=days
                    help="Empty: nobody is reminded. The old secret then stays valid for a week beside the new one."
                    faults=faults
                    at="rotation.every_days"
                    testid="credential-rotation"
                />
            </div>
            <div class="dialog-foot">
                <Button press=move |_| open.set(false)>"Cancel"</Button>
                <Button kind=Kind::Primary submit=true busy=busy attr:data-testid="credential-save">
                    "Make the credential"
                </Button>
            </div>
        </form>
    }
    .into_any()
}
