//! The live feed: everything as it happens, newest first.

use std::collections::VecDeque;

use leptos::prelude::*;
use leptos_router::components::A;
use openapi::events::EventSummary;
use openapi::page::Page;
use openapi::stream::Message;

use crate::api::{load, use_live};
use crate::format;
use crate::ui::{
    Badge, Button, Card, Empty, Icon, PageHead, Tone, disposition_tone, icon, keyed, state_tone,
};

/// Lines kept; older ones are in the lists.
const KEPT: usize = 200;
/// Lines collected while paused; beyond, the oldest go.
const HELD_BACK: usize = 500;

/// One line.
#[derive(Clone, PartialEq)]
struct Line {
    id: u64,
    kind: &'static str,
    tone: Tone,
    word: String,
    text: String,
    detail: String,
    href: Option<String>,
    at: chrono::DateTime<chrono::Utc>,
    fresh: bool,
}

fn of_message(id: u64, message: &Message) -> Option<Line> {
    Some(match message {
        Message::Event(event) => Line {
            id,
            kind: "event",
            tone: disposition_tone(&event.disposition),
            word: event.disposition.clone(),
            text: if event.title.is_empty() {
                "Event".to_owned()
            } else {
                event.title.clone()
            },
            detail: if event.rules.is_empty() {
                event.source.clone()
            } else {
                format!("{} → {}", event.source, event.rules.join(", "))
            },
            href: Some(format!("/events/{}", event.id)),
            at: event.received_at,
            fresh: true,
        },
        Message::Delivery(delivery) => Line {
            id,
            kind: "delivery",
            tone: state_tone(delivery.state),
            word: delivery.state.as_str().to_owned(),
            text: format!("{} on {}", delivery.operation, delivery.connection),
            detail: match (&delivery.error_code, &delivery.effect, &delivery.record_id) {
                (Some(code), _, _) => format::words(code),
                (None, Some(effect), Some(record)) => format!("{effect} {record}"),
                (None, Some(effect), None) => effect.clone(),
                _ => String::new(),
            },
            href: Some(format!("/deliveries/{}", delivery.id)),
            at: delivery.at,
            fresh: true,
        },
        Message::Refusal(refusal) => Line {
            id,
            kind: "refusal",
            tone: Tone::Red,
            word: format!("refused {}", refusal.status),
            text: format::words(&refusal.reason),
            detail: refusal.source.clone(),
            href: None,
            at: refusal.at,
            fresh: true,
        },
        Message::Connection(connection) => Line {
            id,
            kind: "connection",
            tone: match connection.change.as_str() {
                "ok" | "breaker_closed" => Tone::Green,
                _ => Tone::Red,
            },
            word: format::words(&connection.change),
            text: connection.name.clone(),
            detail: connection.reason.clone().unwrap_or_default(),
            href: Some(format!("/connections/{}", connection.id)),
            at: connection.at,
            fresh: true,
        },
        Message::Configuration { revision } => Line {
            id,
            kind: "configuration",
            tone: Tone::Accent,
            word: "changed".to_owned(),
            text: "The configuration changed".to_owned(),
            detail: format!("revision {revision}"),
            href: None,
            at: crate::clock::now(),
            fresh: true,
        },
        // Jobs have a page of their own.
        Message::Job(_) | Message::Reset => return None,
    })
}

fn of_event(id: u64, event: EventSummary) -> Line {
    let rules: Vec<String> = event.rules.into_iter().map(|rule| rule.name).collect();
    Line {
        id,
        kind: "event",
        tone: disposition_tone(&event.disposition),
        word: event.disposition,
        text: if event.title.is_empty() {
            "Event".to_owned()
        } else {
            event.title
        },
        detail: if rules.is_empty() {
            event.source
        } else {
            format!("{} → {}", event.source, rules.join(", "))
        },
        href: Some(format!("/events/{}", event.id)),
        at: event.received_at,
        fresh: false,
    }
}

/// The live feed.
#[component]
pub fn LiveFeed() -> impl IntoView {
    let live = use_live();
    let lines = RwSignal::new(VecDeque::<Line>::new());
    let waiting = RwSignal::new(VecDeque::<Line>::new());
    let paused = RwSignal::new(false);
    let kind = RwSignal::new(String::new());
    let words = RwSignal::new(String::new());
    let next = StoredValue::new(0u64);
    let number = move || {
        let id = next.get_value();
        next.set_value(id.wrapping_add(1));
        id
    };

    // What is already there, so that the page does not start empty; read anew after a gap.
    let before = load::<Page<EventSummary>>(|| "events?limit=30".to_owned());
    Effect::new(move |_| {
        if let Some(page) = before.get() {
            let list = page
                .items
                .into_iter()
                .map(|event| of_event(number(), event));
            lines.set(list.collect());
        }
    });
    live.listen(move |message| {
        if matches!(message, Message::Reset) {
            waiting.update(VecDeque::clear);
            before.reload();
        }
        if let Some(line) = of_message(number(), message) {
            let (list, most) = if paused.get_untracked() {
                (waiting, HELD_BACK)
            } else {
                (lines, KEPT)
            };
            list.update(|list| {
                list.push_front(line);
                list.truncate(most);
            });
        }
    });
    let toggle = move |_| {
        if paused.get_untracked() {
            let mut new = waiting.get_untracked();
            waiting.update(VecDeque::clear);
            lines.update(|list| {
                new.append(list);
                new.truncate(KEPT);
                *list = new;
            });
        }
        paused.update(|paused| *paused = !*paused);
    };
    let shown = move || {
        let (kind, words) = (kind.get(), format::lower(&words.get()));
        lines.with(|lines| {
            lines
                .iter()
                .filter(|line| kind.is_empty() || line.kind == kind)
                .filter(|line| {
                    words.is_empty()
                        || [&line.text, &line.detail, &line.word]
                            .iter()
                            .any(|text| format::lower(text).contains(&words))
                })
                .cloned()
                .collect::<Vec<_>>()
        })
    };
    view! {
        <PageHead title="Live feed" text="Events, deliveries and refusals as they happen.">
            <Button attr:data-testid="pause" press=toggle>
                {move || icon(if paused.get() { Icon::Play } else { Icon::Pause })}
                {move || match (paused.get(), waiting.with(VecDeque::len)) {
                    (false, _) => "Pause".to_owned(),
                    (true, 0) => "Resume".to_owned(),
                    (true, n) => format!("Resume ({n} new)"),
                }}
            </Button>
        </PageHead>
        <div class="toolbar">
            <div class="search">
                {icon(Icon::Search)}
                <input
                    class="input"
                    type="search"
                    aria-label="Filter the feed"
                    placeholder="Filter the feed"
                    data-testid="feed-filter"
                    prop:value=move || words.get()
                    on:input=move |event| words.set(event_target_value(&event))
                />
            </div>
            <select
                class="select"
                aria-label="Kind"
                data-testid="feed-kind"
                on:change=move |event| kind.set(event_target_value(&event))
            >
                <option value="">"Everything"</option>
                <option value="event">"Events"</option>
                <option value="delivery">"Deliveries"</option>
                <option value="refusal">"Refusals"</option>
                <option value="configuration">"Configuration"</option>
            </select>
        </div>
        <Card title="Newest first" flush=true>
            <ul class="feed" data-testid="feed">
                {keyed(shown, |line| line.id, row)}
            </ul>
            {move || {
                shown()
                    .is_empty()
                    .then(|| {
                        view! {
                            <Empty
                                mark=Icon::Live
                                title="Waiting for something to happen"
                                text="New events, deliveries and refusals appear here by themselves."
                            />
                        }
                    })
            }}
        </Card>
    }
    .into_any()
}

fn row(line: Line) -> AnyView {
    let text = match line.href {
        Some(href) => view! { <A href=href>{line.text}</A> }.into_any(),
        None => line.text.into_any(),
    };
    view! {
        <li class:fresh=line.fresh data-kind=line.kind>
            <time datetime=line.at.to_rfc3339() title=format::moment(line.at)>
                {format::clock(line.at)}
            </time>
            <span>
                <Badge text=line.word tone=line.tone />
            </span>
            <span class="grow">{text} <span class="muted small block wrap">{line.detail}</span></span>
            <span class="faint small">{line.kind}</span>
        </li>
    }
    .into_any()
}
