//! The list of events.

mod detail;
mod trace;

use leptos::prelude::*;
use leptos_router::components::A;
use openapi::events::{EventDetail, EventSummary};
use openapi::page::Page;
use openapi::sources::Source;
use openapi::stream::Message;

use crate::api::{Load, Tree, Unread, load, load_by, query, use_live};
use crate::format;
use crate::ui::{
    Ago, Badge, Button, Card, Empty, Filter, FilterSelect, Icon, PageHead, SearchBox, Tone,
    disposition_badge, page_of, pages,
};

pub use detail::EventPage;
pub use trace::record;

const DISPOSITIONS: [(&str, &str); 4] = [
    ("routed", "Routed"),
    ("unmatched", "Unmatched"),
    ("dropped", "Dropped"),
    ("unrouted", "Unrouted"),
];

/// Why a request is kept as one event that no rule was asked about.
const TOO_MANY: &str = "too_many_events";

/// The list of events.
#[component]
pub fn Events() -> impl IntoView {
    let source = Filter::of("source");
    let disposition = Filter::of("disposition");
    let words = Filter::of("q");
    let from = Filter::of("from");
    let to = Filter::of("to");
    let sources = load::<Page<Source>>(|| "sources".to_owned());
    let names = Signal::derive(move || {
        sources.get().map_or_else(Vec::new, |list| {
            list.items.into_iter().map(|s| (s.slug, s.name)).collect()
        })
    });
    let events = pages::<EventSummary>(move |cursor| {
        query(
            "events",
            &[
                ("source", source.value.get()),
                ("disposition", disposition.value.get()),
                ("q", words.value.get()),
                ("from", format::instant(&from.value.get())),
                ("to", format::instant(&to.value.get())),
                ("cursor", cursor),
            ],
        )
    });
    let fresh = RwSignal::new(0usize);
    Effect::new(move |_| {
        events.load.track();
        fresh.set(0);
    });
    use_live().listen(move |message| match message {
        Message::Event(_) => fresh.update(|n| *n += 1),
        Message::Reset => events.reload(),
        _ => {}
    });
    let filtered = move || {
        [source, disposition, words, from, to]
            .iter()
            .any(|filter| filter.value.with(|v| !v.is_empty()))
    };
    view! {
        <PageHead title="Events" text="Everything that was accepted, and what became of it." />
        <div class="toolbar">
            <SearchBox label="Search events" filter=words testid="event-search" />
            <FilterSelect
                label="Source"
                all="All sources"
                filter=source
                options=names
                testid="event-source"
            />
            <FilterSelect
                label="Disposition"
                all="Every disposition"
                filter=disposition
                options=Signal::stored(
                    DISPOSITIONS.iter().map(|(k, w)| ((*k).to_owned(), (*w).to_owned())).collect(),
                )
                testid="event-disposition"
            />
            {moment_filter("From", from, "event-from")}
            {moment_filter("To", to, "event-to")}
        </div>
        {move || {
            let n = fresh.get();
            (n > 0)
                .then(|| {
                    view! {
                        <div class="new-rows">
                            <Button
                                small=true
                                attr:data-testid="show-new"
                                press=move |_| events.reload()
                            >
                                {format!("Show {}", format::plural(n, "new event"))}
                            </Button>
                        </div>
                    }
                })
        }}
        <div class="card">
            {events.view(move || nothing(filtered()), table)}
        </div>
    }
    .into_any()
}

fn moment_filter(label: &'static str, filter: Filter, testid: &'static str) -> AnyView {
    view! {
        <label class="inline-label small">
            {label}
            <input
                class="input"
                type="datetime-local"
                data-testid=testid
                prop:value=move || filter.value.get()
                on:change=move |event| filter.choose(event_target_value(&event))
            />
        </label>
    }
    .into_any()
}

fn nothing(filtered: bool) -> AnyView {
    if filtered {
        view! {
            <Empty
                mark=Icon::Search
                title="No event fits"
                text="Take a filter away, or search for something else."
            >
                <A href="/events" attr:class="button">
                    "Clear filters"
                </A>
            </Empty>
        }
        .into_any()
    } else {
        view! {
            <Empty
                mark=Icon::Event
                title="No events yet"
                text="Send something to one of your sources; each accepted request shows up here."
            >
                <A href="/sources" attr:class="button primary">
                    "Go to sources"
                </A>
            </Empty>
        }
        .into_any()
    }
}

fn table(events: Vec<EventSummary>) -> AnyView {
    view! {
        <div class="table-wrap">
            <table class="table stacked" data-testid="events">
                <thead>
                    <tr>
                        <th scope="col">"Event"</th>
                        <th scope="col">"Source"</th>
                        <th scope="col">"Disposition"</th>
                        <th scope="col">"Rules"</th>
                        <th scope="col">"Received"</th>
                        <th scope="col" class="right">"Size"</th>
                    </tr>
                </thead>
                <tbody>{events.into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn row(event: EventSummary) -> AnyView {
    let title = if event.title.is_empty() {
        "Untitled event".to_owned()
    } else {
        event.title
    };
    let rules: Vec<String> = event.rules.into_iter().map(|rule| rule.name).collect();
    view! {
        <tr data-testid="event-row">
            <td class="title-cell">
                <A href=format!("/events/{}", event.id)>{title}</A>
                {event.test.then(|| view! { " " <Badge text="test" tone=Tone::Accent /> })}
            </td>
            <td>
                <span class="tag">{event.source}</span>
            </td>
            <td>{disposition_badge(&event.disposition)}</td>
            <td class="small muted wrap">{rules.join(", ")}</td>
            <td class="nowrap">
                <Ago at=event.received_at />
            </td>
            <td class="right num nowrap faint">{format::bytes(event.size)}</td>
        </tr>
    }
    .into_any()
}

/// Whether an event carries so many that no rule is ever asked about it: rules are made for one of
/// them, and not for a list.
pub fn too_many(event: &EventSummary) -> bool {
    event.reason == TOO_MANY
}

/// One event with all that became of it.
pub fn load_event(path: impl Fn() -> Option<String> + 'static) -> Load<EventDetail> {
    load_by(path, read)
}

/// The line of the list lies between the other fields; its own reader would copy them all.
fn read(tree: &Tree) -> Result<EventDetail, Unread> {
    Ok(EventDetail {
        summary: tree.read()?,
        method: tree.part("method")?,
        query: tree.part("query")?,
        content_type: tree.part("content_type")?,
        remote_addr: tree.part("remote_addr")?,
        idempotency_key: tree.part("idempotency_key")?,
        headers: tree.part("headers")?,
        payload: tree.part("payload")?,
        deliveries: tree.part("deliveries")?,
    })
}

/// A card with the events of one source or rule is made of the same rows.
pub fn recent(title: &'static str, path: String) -> AnyView {
    let events = load::<Page<EventSummary>>(move || path.clone());
    view! {
        <Card title=title flush=true>
            {page_of(
                events,
                || {
                    view! {
                        <Empty
                            compact=true
                            mark=Icon::Event
                            title="No events of late"
                            text="Nothing among the newest rows looked at. The page Events looks further."
                        />
                    }
                        .into_any()
                },
                || {
                    view! {
                        <Empty
                            compact=true
                            mark=Icon::Event
                            title="No events yet"
                            text="Send a test event, or use the curl line above."
                        />
                    }
                        .into_any()
                },
                table,
            )}
        </Card>
    }
    .into_any()
}
