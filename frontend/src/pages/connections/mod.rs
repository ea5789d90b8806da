//! Connections: credentials and settings for upstreams.

mod create;
mod detail;
mod fields;
mod form;
mod parked;
mod records;
mod waiting;
mod webhook;

use leptos::prelude::*;
use leptos_router::components::A;
use openapi::connections::Connection;
use openapi::page::Page;

use crate::api::{load, use_live};
use crate::format;
use crate::ui::{Ago, Badge, Empty, Icon, PageHead, Tone, icon, show};

pub use create::NewConnectionPage;
pub use detail::ConnectionPage;

/// The list of connections.
#[component]
pub fn Connections() -> impl IntoView {
    let connections = load::<Page<Connection>>(|| "connections".to_owned());
    use_live().after(
        1_000,
        |message| {
            use openapi::stream::Message;
            matches!(
                message,
                Message::Configuration { .. } | Message::Connection(_)
            )
        },
        move || connections.reload(),
    );
    view! {
        <PageHead title="Connections" text="Where things go: a ticket system, another webhook, the sandbox.">
            <A href="/connections/new" attr:class="button primary" attr:data-testid="new-connection">
                {icon(Icon::Plus)}
                "New connection"
            </A>
        </PageHead>
        <div class="card">{show(connections, |list| table(list.items))}</div>
    }
    .into_any()
}

/// The light of a connection and its words.
pub fn light(connection: &Connection) -> AnyView {
    let open = connection.breaker.state == "open";
    let (text, tone) = match (connection.enabled, connection.state.as_str()) {
        (false, _) if connection.is_off_by_server() => ("switched off by the server", Tone::Red),
        (false, _) => ("switched off", Tone::Grey),
        (true, "ok") if open => ("does not answer", Tone::Red),
        (true, "ok") => ("fine", Tone::Green),
        (true, _) => ("needs attention", Tone::Red),
    };
    view! { <Badge text=text tone=tone /> }.into_any()
}

fn table(rows: Vec<Connection>) -> AnyView {
    if rows.is_empty() {
        return view! {
            <Empty
                mark=Icon::Connection
                title="No connections yet"
                text="Start with the sandbox: it needs nothing outside, and shows what would have been sent."
            >
                <A href="/connections/new" attr:class="button primary">
                    "Make the first one"
                </A>
            </Empty>
        }
        .into_any();
    }
    view! {
        <div class="table-wrap">
            <table class="table stacked" data-testid="connections">
                <thead>
                    <tr>
                        <th scope="col">"Connection"</th>
                        <th scope="col">"Connector"</th>
                        <th scope="col">"State"</th>
                        <th scope="col">"Since"</th>
                        <th scope="col">"Limits"</th>
                    </tr>
                </thead>
                <tbody>{rows.into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn row(connection: Connection) -> AnyView {
    let light = light(&connection);
    let limits = match (connection.concurrency, connection.rate_per_minute) {
        (None, None) => "none set".to_owned(),
        (Some(n), None) => {
            format::plural(usize::try_from(n).unwrap_or_default(), "call") + " at once"
        }
        (None, Some(rate)) => format!("{rate} a minute"),
        (Some(n), Some(rate)) => format!("{n} at once, {rate} a minute"),
    };
    view! {
        <tr data-testid="connection-row">
            <td class="title-cell">
                <A href=format!("/connections/{}", connection.id)>{connection.name}</A>
                {connection.state_reason.map(|why| view! { <span class="block small faint clip">{why}</span> })}
            </td>
            <td>
                <span class="tag">{connection.connector}</span>
            </td>
            <td>{light}</td>
            <td class="nowrap">
                <Ago at=connection.state_at />
            </td>
            <td class="small muted">{limits}</td>
        </tr>
    }
    .into_any()
}
