//! Another address for one's own account.

use leptos::prelude::*;
use openapi::account::ChangeEmail;
use web_sys::SubmitEvent;

use crate::api::use_api;
use crate::ui::{Button, Card, Sending, TextField};

/// The form that asks for a link to the new address.
pub(super) fn card() -> AnyView {
    let api = use_api();
    let email = RwSignal::new(String::new());
    let sent = RwSignal::new(false);
    let sending = Sending::with_toasts();
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        sent.set(false);
        let wanted = ChangeEmail {
            email: email.get_untracked().trim().to_owned(),
        };
        let call = async move { api.post::<_, ()>("me/email", &wanted).await };
        sending.run(call, move |()| {
            sent.try_set(true);
        });
    };
    let done = move || {
        sent.get().then(|| {
            view! {
                <p class="notice green" role="status" data-testid="email-sent">
                    "A link is on its way to the new address, good for an hour. Open it there; until then nothing changes."
                </p>
            }
        })
    };
    view! {
        <Card
            title="Address"
            text="What you sign in with. The old address gets a notice, and all other sessions end."
        >
            <form class="stack" on:submit=submit data-testid="email-form">
                <TextField
                    label="New e-mail address"
                    value=email
                    kind="email"
                    autocomplete="email"
                    required=true
                    faults=sending.faults
                    at="email"
                    testid="new-email"
                />
                {done}
                <div>
                    <Button submit=true busy=sending.busy attr:data-testid="email-save">
                        "Send a link"
                    </Button>
                </div>
            </form>
        </Card>
    }
    .into_any()
}
