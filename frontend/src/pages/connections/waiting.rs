//! What waits for a connection, and when it is tried next.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use openapi::connections::{Breaker, Connection, NextAttempt, Waiting};
use openapi::deliveries::DeadResult;
use openapi::stream::Message;
use uuid::Uuid;

use super::parked::parked;
use crate::api::{Load, load, use_api, use_live};
use crate::format;
use crate::pages::dead_letters::told;
use crate::ui::{Ago, Button, Card, Kind, Question, show, use_confirm, use_toasts};

/// How often it is read while deliveries change, in milliseconds.
const REFRESH_MS: u32 = 2_000;

/// The card; `now` is the connection as it is, for its breaker.
pub fn waiting(id: Uuid, now: Load<Connection>) -> AnyView {
    let waiting = load::<Waiting>(move || format!("connections/{id}/waiting"));
    use_live().after(
        REFRESH_MS,
        |message| {
            matches!(
                message,
                Message::Delivery(_) | Message::Connection(_) | Message::Reset
            )
        },
        move || {
            waiting.reload();
            now.reload();
        },
    );
    view! {
        <Card title="What waits">
            {move || {
                let any = waiting.get().is_none_or(|w| w.ready + w.retrying + w.paused > 0);
                now.get().map(|c| (open(&c.breaker, any), asked(&c.breaker), slow(&c.breaker)))
            }}
            {show(waiting, move |found| figures(id, found, waiting))}
        </Card>
    }
    .into_any()
}

/// `any`: there is something to look with.
fn open(breaker: &Breaker, any: bool) -> Option<AnyView> {
    if breaker.state != "open" {
        return None;
    }
    let calls = format::plural(
        usize::try_from(breaker.failures).unwrap_or_default(),
        "call",
    );
    let looks = if any {
        "One call a second looks whether it is back; the first success sends what waits."
    } else {
        "Nothing waits: the next delivery looks whether it is back."
    };
    Some(
        view! {
            <div class="notice red" role="status" data-testid="breaker-open">
                <p>
                    {format!("{calls} in a row failed. {looks} Since ")}
                    {breaker.opened_at.map(|at| view! { <Ago at=at /> })}
                </p>
            </div>
        }
        .into_any(),
    )
}

fn asked(breaker: &Breaker) -> Option<AnyView> {
    let until = breaker.asked_until?;
    Some(
        view! {
            <div class="notice amber" role="status" data-testid="asked-until">
                <p>
                    "Nothing is sent, because the upstream asked for it (Retry-After). It goes on "
                    <Ago at=until /> "."
                </p>
            </div>
        }
        .into_any(),
    )
}

fn slow(breaker: &Breaker) -> Option<AnyView> {
    let pace = breaker.pace?;
    let calls = format::plural(usize::try_from(pace.at_once).unwrap_or_default(), "call");
    let apart = match pace.apart_ms {
        0 => String::new(),
        ms => format!(", {} ms apart", format::count(ms)),
    };
    Some(
        view! {
            <p class="muted small" data-testid="pace">
                {format!("The upstream has too much to do: {calls} at once{apart}, more with each success.")}
            </p>
        }
        .into_any(),
    )
}

/// Discards all of it, after a question.
fn discard(id: Uuid, waiting: Load<Waiting>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let confirm = use_confirm();
    let busy = RwSignal::new(false);
    let run = move || {
        busy.try_set(true);
        spawn_local(async move {
            let path = format!("connections/{id}/discard-waiting");
            match api.act::<DeadResult>(&path).await {
                Ok(result) => toasts.good(told(&result)),
                Err(failure) => toasts.failed(&failure),
            }
            busy.try_set(false);
            waiting.reload();
        });
    };
    let ask = move |_| {
        let question = Question {
            title: "Discard all that waits?".to_owned(),
            text: "What waits for this connection will not be sent, whatever it waits for. What is being sent right now is left. Events stay and can be replayed.".to_owned(),
            yes: "Discard",
            danger: true,
        };
        confirm.ask(question, run);
    };
    view! {
        <div class="row">
            <Button
                small=true
                kind=Kind::Danger
                busy=busy
                attr:data-testid="discard-waiting"
                press=ask
            >
                "Discard all that waits"
            </Button>
        </div>
    }
    .into_any()
}

fn figures(id: Uuid, waiting: Waiting, load: Load<Waiting>) -> AnyView {
    let any = waiting.oldest_at.is_some();
    let line = |words: &'static str, state: &'static str, count: i64| {
        view! {
            <dt>{words}</dt>
            <dd data-testid=format!("waiting-{state}")>
                <A href=format!("/deliveries?connection={id}&state={state}")>
                    {format::count(count)}
                </A>
            </dd>
        }
    };
    let none = waiting.next.is_empty();
    view! {
        <div class="stack-s" data-testid="waiting">
            <dl class="facts">
                {line("Due now", "ready", waiting.ready)}
                {line("Wait for their next attempt", "retrying", waiting.retrying)}
                {(waiting.paused > 0).then(|| line("Set aside", "paused", waiting.paused))}
                {(waiting.parked > 0).then(|| line("Lanes that wait for a person", "parked", waiting.parked))}
                <dt>"Behind another of their key"</dt>
                <dd>{format::count(waiting.behind)}</dd>
                {waiting
                    .oldest_at
                    .map(|at| {
                        view! {
                            <dt>"Oldest"</dt>
                            <dd>
                                <Ago at=at />
                            </dd>
                        }
                    })}
            </dl>
            {parked(id, waiting.parked_causes, move || load.reload())}
            {(!none)
                .then(|| {
                    view! {
                        <div class="table-wrap" tabindex="0" role="group" aria-label="What waits">
                            <table class="table stacked" data-testid="next-attempts">
                                <thead>
                                    <tr>
                                        <th scope="col">"Next attempt"</th>
                                        <th scope="col">"Delivery"</th>
                                        <th scope="col" class="right">"Attempts"</th>
                                        <th scope="col">"Last fault"</th>
                                    </tr>
                                </thead>
                                <tbody>{waiting.next.into_iter().map(row).collect_view()}</tbody>
                            </table>
                        </div>
                    }
                })}
            {any.then(|| discard(id, load))}
        </div>
    }
    .into_any()
}

fn row(next: NextAttempt) -> AnyView {
    let name = next
        .key
        .unwrap_or_else(|| format::short_id(next.delivery_id));
    view! {
        <tr>
            <td class="nowrap">
                <Ago at=next.at />
            </td>
            <td>
                <A href=format!("/deliveries/{}", next.delivery_id)>{name}</A>
            </td>
            <td class="right num">{next.attempts}</td>
            <td class="small muted">
                {next.error_code.map(|code| format::words(&code)).unwrap_or_default()}
            </td>
        </tr>
    }
    .into_any()
}
