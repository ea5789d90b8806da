//! The list of deliveries.

mod attempts;
mod detail;
mod held;

use leptos::prelude::*;
use leptos_router::components::A;
use openapi::connections::Connection;
use openapi::deliveries::{Delivery, State};
use openapi::page::Page;
use openapi::stream::Message;

use crate::api::{load, query, use_live};
use crate::ui::{Ago, Empty, Filter, FilterSelect, Icon, PageHead, SearchBox, pages, state_badge};

pub use attempts::attempts;
pub use detail::DeliveryPage;

const REFRESH_MS: u32 = 2_000;

/// The list of deliveries.
#[component]
pub fn Deliveries() -> impl IntoView {
    let state = Filter::of("state");
    let connection = Filter::of("connection");
    let key = Filter::of("key");
    let event = Filter::of("event");
    let rule = Filter::of("rule");
    let connections = load::<Page<Connection>>(|| "connections".to_owned());
    let names = Signal::derive(move || {
        connections.get().map_or_else(Vec::new, |list| {
            list.items
                .into_iter()
                .map(|c| (c.id.to_string(), c.name))
                .collect()
        })
    });
    let deliveries = pages::<Delivery>(move |cursor| {
        query(
            "deliveries",
            &[
                ("state", state.value.get()),
                ("connection", connection.value.get()),
                ("key", key.value.get()),
                ("event", event.value.get()),
                ("rule", rule.value.get()),
                ("cursor", cursor),
            ],
        )
    });
    use_live().after(
        REFRESH_MS,
        |message| matches!(message, Message::Delivery(_) | Message::Reset),
        // Further pages would be lost by reading anew; the person is looking at them.
        move || {
            if deliveries
                .load
                .peek()
                .is_none_or(|page| page.items.len() <= 50)
            {
                deliveries.reload();
            }
        },
    );
    let filtered = move || {
        [state, connection, key, event, rule]
            .iter()
            .any(|filter| filter.value.with(|v| !v.is_empty()))
    };
    view! {
        <PageHead
            title="Deliveries"
            text="What rules sent out: one line for each step. Held ones wait for a person."
        />
        <div class="toolbar">
            <SearchBox label="Record key" filter=key testid="delivery-key" />
            <FilterSelect
                label="State"
                all="Every state"
                filter=state
                options=Signal::stored(
                    State::ALL
                        .iter()
                        .map(|s| (s.as_str().to_owned(), title_case(s.as_str())))
                        .collect(),
                )
                testid="delivery-state"
            />
            <FilterSelect
                label="Connection"
                all="All connections"
                filter=connection
                options=names
                testid="delivery-connection"
            />
        </div>
        <div class="card">
            {deliveries.view(move || nothing(filtered()), table)}
        </div>
    }
    .into_any()
}

fn title_case(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| {
        std::iter::once(first.to_ascii_uppercase())
            .chain(letters)
            .collect()
    })
}

fn nothing(filtered: bool) -> AnyView {
    if filtered {
        view! {
            <Empty mark=Icon::Search title="No delivery fits" text="Take a filter away to see more.">
                <A href="/deliveries" attr:class="button">
                    "Clear filters"
                </A>
            </Empty>
        }
        .into_any()
    } else {
        view! {
            <Empty
                mark=Icon::Delivery
                title="Nothing was sent yet"
                text="When a rule takes an event, each of its steps becomes a delivery here."
            >
                <A href="/rules" attr:class="button primary">
                    "Go to rules"
                </A>
            </Empty>
        }
        .into_any()
    }
}

fn table(deliveries: Vec<Delivery>) -> AnyView {
    view! {
        <div class="table-wrap">
            <table class="table stacked" data-testid="deliveries">
                <thead>
                    <tr>
                        <th scope="col">"Delivery"</th>
                        <th scope="col">"State"</th>
                        <th scope="col">"Rule"</th>
                        <th scope="col">"Key"</th>
                        <th scope="col" class="right">"Attempts"</th>
                        <th scope="col">"Created"</th>
                    </tr>
                </thead>
                <tbody>{deliveries.into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn row(delivery: Delivery) -> AnyView {
    let note = match (&delivery.error, &delivery.record_id) {
        (Some(error), _) if delivery.state != State::Delivered => error.clone(),
        (_, Some(record)) => {
            format!("{} {record}", delivery.effect.clone().unwrap_or_default())
        }
        _ if delivery.repeats > 1 => format!("stands for {} deliveries", delivery.repeats),
        _ if delivery.behind => "waits for an earlier one of its lane".to_owned(),
        _ => String::new(),
    };
    view! {
        <tr data-testid="delivery-row">
            <td class="title-cell">
                <A href=format!("/deliveries/{}", delivery.id)>
                    {delivery.operation} " on " {delivery.connection}
                </A>
                <span class="small faint block clip">{note}</span>
            </td>
            <td>{state_badge(delivery.state)}</td>
            <td class="small muted wrap">{delivery.rule}</td>
            <td>{delivery.key.map(|key| view! { <span class="tag">{key}</span> })}</td>
            <td class="right num">{delivery.attempts}</td>
            <td class="nowrap">
                <Ago at=delivery.created_at />
            </td>
        </tr>
    }
    .into_any()
}
