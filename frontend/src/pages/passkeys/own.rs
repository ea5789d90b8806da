//! One's own passkeys, in the profile.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::page::Page;
use openapi::passkeys::{NewPasskey, Passkey, PasskeyBegun, RenamePasskey};
use web_sys::SubmitEvent;

use super::browser::{Ask, ask, has_passkeys};
use crate::api::{Api, Load, load, use_api};
use crate::ui::{Ago, Button, Card, Kind, Sending, TextField, show, use_toasts};

/// The card.
#[component]
pub fn OwnPasskeys() -> impl IntoView {
    let list = load::<Page<Passkey>>(|| "me/passkeys".to_owned());
    view! {
        <Card
            title="Passkeys"
            text="Sign in without a password: this device, your phone or a security key shows that it is you."
        >
            <div class="stack">
                {show(list, move |page| rows(page.items, list))}
                {if has_passkeys() {
                    add(list)
                } else {
                    view! { <p class="small">"This browser has no passkeys."</p> }.into_any()
                }}
            </div>
        </Card>
    }
    .into_any()
}

fn rows(rows: Vec<Passkey>, list: Load<Page<Passkey>>) -> AnyView {
    if rows.is_empty() {
        return ().into_any();
    }
    view! {
        <div class="table-wrap" tabindex="0" role="group" aria-label="Passkeys">
            <table class="table stacked" data-testid="passkeys">
                <thead>
                    <tr>
                        <th scope="col">"Name"</th>
                        <th scope="col">"Last used"</th>
                        <th scope="col">
                            <span class="visually-hidden">"What can be done"</span>
                        </th>
                    </tr>
                </thead>
                <tbody>{rows.into_iter().map(|row| line(row, list)).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn line(row: Passkey, list: Load<Page<Passkey>>) -> AnyView {
    let api = use_api();
    let sending = Sending::with_toasts();
    let busy = sending.busy;
    let name = RwSignal::new(row.name.clone());
    let renaming = RwSignal::new(false);
    let path = StoredValue::new(format!("me/passkeys/{}", row.id));
    let remove = move |_| {
        let call = async move { api.take::<()>(&path.get_value()).await };
        sending.run(call, move |()| list.reload());
    };
    let rename = move |event: SubmitEvent| {
        event.prevent_default();
        let wanted = RenamePasskey {
            name: name.get_untracked(),
        };
        let call = async move {
            api.patch::<_, Passkey>(&path.get_value(), &wanted, None)
                .await
        };
        sending.run(call, move |_| list.reload());
    };
    let shown = StoredValue::new(row.name);
    let title = move || {
        if renaming.get() {
            view! {
                <form class="row" on:submit=rename>
                    <TextField label="Name" value=name required=true testid="passkey-rename" />
                    <Button submit=true small=true busy=busy>"Save"</Button>
                </form>
            }
            .into_any()
        } else {
            shown.get_value().into_any()
        }
    };
    let used = match row.last_used_at {
        Some(at) => view! { <Ago at=at /> }.into_any(),
        None => "never".into_any(),
    };
    view! {
        <tr data-testid="own-passkey">
            <td class="title-cell">{title}</td>
            <td>{used}</td>
            <td class="actions">
                <Button small=true press=move |_| renaming.update(|it| *it = !*it)>
                    "Rename"
                </Button>
                <Button
                    small=true
                    kind=Kind::Danger
                    busy=busy
                    press=remove
                    attr:data-testid="passkey-remove"
                >
                    "Remove"
                </Button>
            </td>
        </tr>
    }
    .into_any()
}

fn add(list: Load<Page<Passkey>>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let name = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let wanted = name.get_untracked().trim().to_owned();
        busy.set(true);
        spawn_local(async move {
            match made(api, wanted).await {
                Ok(()) => {
                    name.try_set(String::new());
                    toasts.good("The passkey is there.");
                    list.reload();
                }
                Err(text) => toasts.bad(text),
            }
            busy.try_set(false);
        });
    };
    view! {
        <form class="stack" on:submit=submit>
            <TextField
                label="Name of a new passkey"
                value=name
                required=true
                help="So that you know it again: Laptop, phone, key on the ring."
                testid="passkey-name"
            />
            <div>
                <Button submit=true busy=busy attr:data-testid="passkey-add">
                    "Add a passkey"
                </Button>
            </div>
        </form>
    }
    .into_any()
}

async fn made(api: Api, name: String) -> Result<(), String> {
    let text = |failure: crate::api::Failure| failure.text();
    let begun: PasskeyBegun = api.act("me/passkeys/start").await.map_err(text)?;
    let credential = ask(Ask::Make, &begun.options).await?;
    let body = NewPasskey {
        token: begun.token,
        name,
        credential,
    };
    let _made: Passkey = api.post("me/passkeys", &body).await.map_err(text)?;
    Ok(())
}
