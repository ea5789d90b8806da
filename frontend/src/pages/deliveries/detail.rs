//! One delivery.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use leptos_router::components::A;
use leptos_router::hooks::{use_navigate, use_params_map};
use openapi::deliveries::{Delivery, ReplayDelivery, ReplayedDelivery, State};
use openapi::stream::Message;

use super::attempts::attempts;
use super::held::held;
use crate::api::{Load, load, use_api, use_live};
use crate::format;
use crate::pages::dead_letters::sent_again;
use crate::pages::events::record;
use crate::ui::{
    Ago, Button, Card, Empty, Icon, JsonView, Kind, PageHead, Question, icon, show, state_badge,
    use_confirm, use_toasts,
};

/// The operation of lifecycle messages.
const MESSAGE: &str = "webhook.send";

/// One delivery.
#[component]
pub fn DeliveryPage() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|p| p.get("id").unwrap_or_default()));
    let delivery = load::<Delivery>(move || format!("deliveries/{}", id.get()));
    use_live().after(
        400,
        move |message| match message {
            Message::Delivery(message) => id
                .try_with_untracked(|id| *id == message.id.to_string())
                .unwrap_or(false),
            Message::Reset => true,
            _ => false,
        },
        move || delivery.reload(),
    );
    let title = Signal::derive(move || {
        delivery.get().map_or_else(
            || "Delivery".to_owned(),
            |d| format!("{} on {}", d.operation, d.connection),
        )
    });
    view! {
        <PageHead title=title back=("/deliveries", "Deliveries")>
            {move || delivery.get().map(|d| actions(d, delivery))}
        </PageHead>
        {show(delivery, move |d| page(d, delivery))}
    }
    .into_any()
}

fn actions(delivery: Delivery, load: Load<Delivery>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let confirm = use_confirm();
    let navigate = use_navigate();
    let id = delivery.id;
    let may_replay = matches!(
        delivery.state,
        State::Dead | State::Discarded | State::Delivered
    );
    // A subscriber is told again without harm.
    let done = delivery.state == State::Delivered && delivery.operation != MESSAGE;
    let send = move || {
        let navigate = navigate.clone();
        let asked = ReplayDelivery {
            repeat_delivered: done,
        };
        spawn_local(async move {
            match api
                .post::<_, ReplayedDelivery>(&format!("deliveries/{id}/replay"), &asked)
                .await
            {
                Ok(done) => {
                    toasts.good(sent_again(&done));
                    navigate(
                        &format!("/deliveries/{}", done.delivery_id),
                        NavigateOptions::default(),
                    );
                }
                Err(failure) => toasts.failed(&failure),
            }
        });
    };
    let replay = move |_| {
        if !done {
            send();
            return;
        }
        let question = Question {
            title: "Send it once more?".to_owned(),
            text: "It was delivered. Sent again, it repeats what was done already: another request, message or note. A receiver that remembers the message id may ignore it.".to_owned(),
            yes: "Send once more",
            danger: true,
        };
        confirm.ask(question, send.clone());
    };
    let discard = move |_| {
        let question = Question {
            title: "Discard this delivery?".to_owned(),
            text: "It will not be sent. The event and this record of it stay.".to_owned(),
            yes: "Discard",
            danger: true,
        };
        confirm.ask(question, move || {
            spawn_local(async move {
                match api
                    .act::<serde_json::Value>(&format!("deliveries/{id}/discard"))
                    .await
                {
                    Ok(_) => {
                        toasts.good("Discarded.");
                        load.reload();
                    }
                    Err(failure) => toasts.failed(&failure),
                }
            });
        });
    };
    let retry = move |_| {
        spawn_local(async move {
            match api.act::<Delivery>(&format!("deliveries/{id}/retry")).await {
                Ok(_) => {
                    toasts.good("It is tried again now.");
                    load.reload();
                }
                Err(failure) => toasts.failed(&failure),
            }
        });
    };
    let stopped = delivery.state == State::Parked && delivery.lane_parked;
    let may_retry = stopped || delivery.state == State::Retrying;
    let may_discard = delivery.state == State::Dead
        || (delivery.state.is_open() && delivery.state != State::Leased);
    view! {
        {may_replay
            .then(|| {
                view! {
                    <Button attr:data-testid="replay-delivery" press=replay>
                        {icon(Icon::Replay)}
                        "Send again"
                    </Button>
                }
            })}
        {may_retry
            .then(|| {
                view! {
                    <Button attr:data-testid="retry-delivery" press=retry>
                        {icon(Icon::Replay)}
                        "Try now"
                    </Button>
                }
            })}
        {may_discard
            .then(|| {
                view! {
                    <Button kind=Kind::Danger attr:data-testid="discard" press=discard>
                        {icon(Icon::Trash)}
                        "Discard"
                    </Button>
                }
            })}
    }
    .into_any()
}

fn page(delivery: Delivery, load: Load<Delivery>) -> AnyView {
    let log = delivery.attempt_log.clone();
    let fault = fault(&delivery);
    let fields = delivery.fields.clone();
    let fields = if delivery.state == State::Held {
        held(&delivery, load)
    } else {
        view! {
            <Card title="Rendered fields" text="What the rule made of the event.">
                <JsonView value=fields label="rendered fields" testid="fields" />
            </Card>
        }
        .into_any()
    };
    view! {
        <div class="split" data-testid="delivery">
            <div class="stack">
                {lane_note(&delivery)} {fault} {fields}
                <Card title="Attempts">
                    {if log.is_empty() {
                        view! {
                            <Empty
                                compact=true
                                mark=Icon::Clock
                                title="No attempt yet"
                                text="Each call upstream is kept here with its request and response."
                            />
                        }
                            .into_any()
                    } else {
                        view! { <div class="stack-s">{attempts(log)}</div> }.into_any()
                    }}
                </Card>
            </div>
            {facts(delivery)}
        </div>
    }
    .into_any()
}

/// What the failure of a lane's head means for this one.
fn lane_note(delivery: &Delivery) -> Option<AnyView> {
    if !delivery.lane_parked {
        return None;
    }
    let text = match delivery.state {
        State::Parked => {
            "It failed for good and keeps its lane waiting. Try it again, or discard it: then the next one goes on."
        }
        State::Dead => {
            "It was set aside with its lane. Sent again, all of the lane is, in order; until then what comes in joins it."
        }
        _ => return None,
    };
    Some(
        view! {
            <div class="notice amber" data-testid="lane-note">
                <p>{text}</p>
            </div>
        }
        .into_any(),
    )
}

fn fault(delivery: &Delivery) -> Option<AnyView> {
    if delivery.state == State::Delivered {
        return None;
    }
    let code = delivery.error_code.clone()?;
    let class = if delivery.state == State::Dead {
        "notice red"
    } else {
        "notice amber"
    };
    Some(
        view! {
            <div class=class data-testid="delivery-fault">
                <div class="stack-s">
                    <strong>{format::words(&code)}</strong>
                    {delivery.error.clone().map(|error| view! { <p>{error}</p> })}
                </div>
            </div>
        }
        .into_any(),
    )
}

fn facts(delivery: Delivery) -> AnyView {
    let record = record(&delivery);
    let rule = match delivery.rule_id {
        Some(id) => view! { <A href=format!("/rules/{id}")>{delivery.rule.clone()}</A> }.into_any(),
        None if delivery.operation == MESSAGE => "None: a lifecycle message".into_any(),
        None => "The source's default target".into_any(),
    };
    let other = |label: &'static str, id: Option<uuid::Uuid>| {
        id.map(|id| {
            view! {
                <dt>{label}</dt>
                <dd>
                    <A href=format!("/deliveries/{id}")>{format::short_id(id)}</A>
                </dd>
            }
        })
    };
    view! {
        <Card title="About">
            <dl class="facts">
                <dt>"State"</dt>
                <dd data-testid="delivery-state-now">{state_badge(delivery.state)}</dd>
                {record
                    .map(|record| {
                        view! {
                            <dt>"Upstream"</dt>
                            <dd>{record}</dd>
                        }
                    })}
                {delivery
                    .due_at
                    .map(|at| {
                        view! {
                            <dt>"Next attempt"</dt>
                            <dd>
                                <Ago at=at />
                            </dd>
                        }
                    })}
                {(!delivery.schedule.is_empty())
                    .then(|| {
                        view! {
                            <dt>"Then"</dt>
                            <dd data-testid="schedule">
                                {delivery
                                    .schedule
                                    .iter()
                                    .map(|at| view! { <span class="block"><Ago at=*at /></span> })
                                    .collect_view()}
                            </dd>
                        }
                    })}
                {delivery
                    .gives_up_at
                    .map(|at| {
                        view! {
                            <dt>"Given up"</dt>
                            <dd>
                                <Ago at=at />
                            </dd>
                        }
                    })}
                {(delivery.repeats > 1)
                    .then(|| {
                        view! {
                            <dt>"Stands for"</dt>
                            <dd data-testid="repeats">{format!("{} deliveries", delivery.repeats)}</dd>
                        }
                    })}
                {(!delivery.event_id.is_nil())
                    .then(|| {
                        view! {
                            <dt>"Event"</dt>
                            <dd>
                                <A href=format!("/events/{}", delivery.event_id)>"Show the event"</A>
                            </dd>
                        }
                    })}
                <dt>"Rule"</dt>
                <dd>{rule}</dd>
                <dt>"Connection"</dt>
                <dd>
                    <A href=format!("/connections/{}", delivery.connection_id)>
                        {delivery.connection.clone()}
                    </A>
                    <span class="faint">{format!(" {}", delivery.connector)}</span>
                </dd>
                {delivery
                    .key
                    .clone()
                    .map(|key| {
                        view! {
                            <dt>"Key"</dt>
                            <dd>
                                <span class="tag">{key}</span>
                            </dd>
                        }
                    })}
                {delivery
                    .action
                    .clone()
                    .map(|action| {
                        view! {
                            <dt>"Action"</dt>
                            <dd>{action}</dd>
                        }
                    })}
                <dt>"Message id"</dt>
                <dd class="mono small">{delivery.message_id.clone()}</dd>
                <dt>"Created"</dt>
                <dd>{format::moment(delivery.created_at)}</dd>
                {delivery
                    .finished_at
                    .map(|at| {
                        view! {
                            <dt>"Finished"</dt>
                            <dd>{format::moment(at)}</dd>
                        }
                    })}
                {other("Repeats", delivery.replay_of)}
                {other("Repeated as", delivery.replayed_as)}
                {other("Became part of", delivery.coalesced_into)}
            </dl>
        </Card>
    }
    .into_any()
}
