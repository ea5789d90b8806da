//! People who ask to join, and the answer to them.

use leptos::prelude::*;
use openapi::page::Page;
use openapi::people::{ApproveRegistration, Member, Registration};

use crate::api::{Load, load, use_api};
use crate::ui::{Ago, Button, Card, Kind, Sending, use_toasts};

/// Those who wait for an answer; nothing while there are none.
pub(super) fn card(members: Load<Page<Member>>) -> AnyView {
    let waiting = load::<Page<Registration>>(|| "registrations".to_owned());
    (move || {
        let rows = waiting.get()?.items;
        (!rows.is_empty()).then(|| {
            view! {
                <Card
                    title="Asking to join"
                    text="They have shown that the address is theirs."
                    flush=true
                >
                    {table(rows, waiting, members)}
                </Card>
            }
            .into_any()
        })
    })
    .into_any()
}

fn table(
    rows: Vec<Registration>,
    waiting: Load<Page<Registration>>,
    members: Load<Page<Member>>,
) -> AnyView {
    view! {
        <div class="table-wrap" tabindex="0" role="group" aria-label="Asking to join">
            <table class="table stacked" data-testid="registrations">
                <thead>
                    <tr>
                        <th scope="col">"Person"</th>
                        <th scope="col">"Asked"</th>
                        <th scope="col">
                            <span class="visually-hidden">"What can be done"</span>
                        </th>
                    </tr>
                </thead>
                <tbody>
                    {rows.into_iter().map(|one| row(one, waiting, members)).collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

fn row(
    one: Registration,
    waiting: Load<Page<Registration>>,
    members: Load<Page<Member>>,
) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let sending = Sending::with_toasts();
    let path = format!("registrations/{}", one.id);
    let approve = {
        let path = format!("{path}/approve");
        move |_| {
            let path = path.clone();
            let wanted = ApproveRegistration::default();
            let call = async move { api.post::<_, ()>(&path, &wanted).await };
            sending.run(call, move |()| {
                toasts.good("A member from now on; a mail tells them.");
                waiting.reload();
                members.reload();
            });
        }
    };
    let refuse = move |_| {
        let path = format!("{path}/refuse");
        let call = async move { api.act::<()>(&path).await };
        sending.run(call, move |()| waiting.reload());
    };
    view! {
        <tr data-testid="registration">
            <td class="title-cell">
                {one.name}
                <span class="small faint block">{one.email}</span>
            </td>
            <td>
                <Ago at=one.asked_at />
            </td>
            <td class="actions">
                <Button
                    small=true
                    kind=Kind::Primary
                    busy=sending.busy
                    attr:data-testid="registration-approve"
                    press=approve
                >
                    "Approve"
                </Button>
                <Button
                    small=true
                    kind=Kind::Danger
                    attr:data-testid="registration-refuse"
                    press=refuse
                >
                    "Refuse"
                </Button>
            </td>
        </tr>
    }
    .into_any()
}
