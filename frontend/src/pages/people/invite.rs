//! The form for an invitation.

use leptos::prelude::*;
use openapi::people::{InvitationSent, NewInvitation};
use web_sys::SubmitEvent;

use super::{ROLES, Shown};
use crate::api::use_api;
use crate::ui::{Button, FaultList, Kind, SelectField, Sending, TextField};

pub(super) fn form(open: RwSignal<bool>, shown: Shown) -> AnyView {
    let api = use_api();
    let email = RwSignal::new(String::new());
    let role = RwSignal::new("viewer".to_owned());
    let days = RwSignal::new("7".to_owned());
    let sending = Sending::with_toasts();
    let (busy, faults) = (sending.busy, sending.faults);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let new = NewInvitation {
            email: email.get_untracked().trim().to_owned(),
            role: role.get_untracked(),
            // What is no number is told by the server, like what is too large.
            expires_in_days: days.get_untracked().trim().parse().unwrap_or_default(),
        };
        let call = async move { api.post::<_, InvitationSent>("invitations", &new).await };
        sending.run(call, move |sent| {
            open.try_set(false);
            shown.reveal(sent);
        });
    };
    view! {
        <form class="stack" on:submit=submit data-testid="invite-form">
            <div class="dialog-body stack">
                <FaultList faults=faults />
                <TextField
                    label="E-mail"
                    value=email
                    kind="email"
                    required=true
                    faults=faults
                    at="email"
                    testid="invite-email"
                />
                <SelectField
                    label="Role"
                    value=role
                    options=Signal::stored(
                        ROLES.map(|(word, words)| (word.to_owned(), words.to_owned())).to_vec(),
                    )
                    help="Nobody hands out more than they have."
                    faults=faults
                    at="role"
                    testid="invite-role"
                />
                <TextField
                    label="Days until the link ends"
                    value=days
                    faults=faults
                    at="expires_in_days"
                    testid="invite-days"
                />
            </div>
            <div class="dialog-foot">
                <Button press=move |_| open.set(false)>"Cancel"</Button>
                <Button kind=Kind::Primary submit=true busy=busy attr:data-testid="invite-send">
                    "Invite"
                </Button>
            </div>
        </form>
    }
    .into_any()
}
