//! What only a webhook has: its signing secret and its recent messages.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use openapi::connections::Connection;
use openapi::deliveries::{Delivery, ReplayedDelivery, State};
use openapi::page::Page;
use openapi::stream::Message;
use openapi::webhooks::NewSigningSecret;

use crate::api::{Load, load, use_api, use_live};
use crate::pages::stale::explain_failure;
use crate::ui::{
    Ago, Button, Card, CopyLine, Empty, Icon, Question, icon, show, state_badge, use_confirm,
    use_toasts,
};

const REFRESH_MS: u32 = 1_500;

/// A secret that is shown once.
pub fn signing_secret(secret: String) -> AnyView {
    view! {
        <div class="secret-once" role="status" data-testid="secret-once">
            <strong>"The signing secret is shown this one time"</strong>
            <p class="small">
                "Copy it now and give it to the subscriber, who checks messages with it. The server stores it sealed and will not show it again."
            </p>
            <CopyLine text=secret label="signing secret" testid="secret" />
        </div>
    }
    .into_any()
}

/// Rotating the secret.
pub fn secret_card(
    connection: &Connection,
    load: Load<Connection>,
    shown: RwSignal<Option<String>>,
) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let confirm = use_confirm();
    let (id, revision) = (connection.id, connection.revision);
    let rotate = move |_| {
        spawn_local(async move {
            match api
                .act_on::<NewSigningSecret>(&format!("connections/{id}/rotate-secret"), revision)
                .await
            {
                Ok(made) => {
                    shown.try_set(Some(made.secret));
                    load.reload();
                    toasts.good("Messages are signed with both secrets now.");
                }
                Err(failure) => explain_failure(toasts, &failure),
            }
        });
    };
    let retire = move |_| {
        let question = Question {
            title: "Retire the old secret?".to_owned(),
            text: "Messages are signed with the newest secret only. A subscriber that does not know it refuses them.".to_owned(),
            yes: "Retire it",
            danger: true,
        };
        confirm.ask(question, move || {
            spawn_local(async move {
                match api
                    .act_on::<Connection>(&format!("connections/{id}/retire-secret"), revision)
                    .await
                {
                    Ok(saved) => {
                        load.put(saved);
                        toasts.good("Only the newest secret signs now.");
                    }
                    Err(failure) => explain_failure(toasts, &failure),
                }
            });
        });
    };
    view! {
        <Card
            title="Signing secret"
            text="Make a new one, give it to the subscriber, then retire the old one: in between, messages carry both signatures."
        >
            <div class="stack">
                {move || shown.get().map(signing_secret)}
                <div class="row">
                    <Button attr:data-testid="rotate" press=rotate>
                        {icon(Icon::Key)}
                        "New secret"
                    </Button>
                    <Button attr:data-testid="retire" press=retire>
                        "Retire the old one"
                    </Button>
                </div>
            </div>
        </Card>
    }
    .into_any()
}

/// The recent messages.
pub fn messages(id: String) -> AnyView {
    let all = format!("/deliveries?connection={id}");
    let list = load::<Page<Delivery>>(move || format!("deliveries?connection={id}&limit=30"));
    use_live().after(
        REFRESH_MS,
        |message| matches!(message, Message::Delivery(_) | Message::Reset),
        move || list.reload(),
    );
    view! {
        <Card title="Recent messages" text="The newest thirty." flush=true>
            {show(list, move |page| rows(page.items, list))}
            <p class="small card-foot">
                <A href=all>"All messages"</A>
            </p>
        </Card>
    }
    .into_any()
}

fn rows(messages: Vec<Delivery>, list: Load<Page<Delivery>>) -> AnyView {
    if messages.is_empty() {
        return view! {
            <Empty
                compact=true
                mark=Icon::Delivery
                title="No message yet"
                text="As soon as something happens that this webhook wants to know, it stands here."
            />
        }
        .into_any();
    }
    view! {
        <div class="table-wrap">
            <table class="table stacked" data-testid="messages">
                <thead>
                    <tr>
                        <th scope="col">"Message"</th>
                        <th scope="col">"State"</th>
                        <th scope="col" class="right">"Attempts"</th>
                        <th scope="col">"When"</th>
                        <th scope="col">
                            <span class="visually-hidden">"What can be done"</span>
                        </th>
                    </tr>
                </thead>
                <tbody>{messages.into_iter().map(|m| row(m, list)).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn row(message: Delivery, list: Load<Page<Delivery>>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let id = message.id;
    let kind = message
        .fields
        .get("type")
        .and_then(|kind| kind.as_str())
        .unwrap_or("message")
        .to_owned();
    let again = move |_| {
        spawn_local(async move {
            match api
                .act::<ReplayedDelivery>(&format!("deliveries/{id}/replay"))
                .await
            {
                Ok(_) => {
                    toasts.good("Sent again under the same id.");
                    list.reload();
                }
                Err(failure) => toasts.failed(&failure),
            }
        });
    };
    let may = matches!(
        message.state,
        State::Delivered | State::Dead | State::Discarded
    );
    let label = format!("Send {kind} again");
    view! {
        <tr data-testid="message-row">
            <td class="title-cell">
                <A href=format!("/deliveries/{id}")>{kind}</A>
                <span class="small faint block clip">
                    {message.error.filter(|_| message.state != State::Delivered)}
                </span>
            </td>
            <td>{state_badge(message.state)}</td>
            <td class="right num">{message.attempts}</td>
            <td class="nowrap">
                <Ago at=message.created_at />
            </td>
            <td class="actions">
                {may
                    .then(|| {
                        view! {
                            <Button small=true attr:aria-label=label attr:data-testid="redeliver" press=again>
                                {icon(Icon::Replay)}
                                "Send again"
                            </Button>
                        }
                    })}
            </td>
        </tr>
    }
    .into_any()
}
