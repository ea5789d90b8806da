//! What was called upstream, and what came back.

use leptos::prelude::*;
use openapi::deliveries::{Attempt, Exchange};

use crate::api::{from_text, to_pretty};
use crate::format;
use crate::ui::{Ago, Badge, CodeBlock, outcome_tone};

/// Each attempt with its requests and responses.
pub fn attempts(log: Vec<Attempt>) -> AnyView {
    let last = log.len();
    log.into_iter()
        .map(|attempt| {
            let open = usize::try_from(attempt.number).is_ok_and(|number| number == last);
            one(attempt, open)
        })
        .collect_view()
        .into_any()
}

fn one(attempt: Attempt, open: bool) -> AnyView {
    let exchanges = attempt.exchanges.into_iter().map(exchange).collect_view();
    view! {
        <details class="attempt" open=open data-testid="attempt">
            <summary>
                {format!("Attempt {}", attempt.number)}
                <Badge text=format::words(&attempt.outcome) tone=outcome_tone(&attempt.outcome) />
                {attempt.status.map(|status| view! { <span class="tag">{status}</span> })}
                <span class="small faint">
                    <Ago at=attempt.started_at />
                    {format!(", {} ms", format::count(attempt.duration_ms))}
                </span>
            </summary>
            <div class="stack-s">
                {attempt.error.map(|error| view! { <p class="small wrap">{error}</p> })} {exchanges}
            </div>
        </details>
    }
    .into_any()
}

fn exchange(exchange: Exchange) -> AnyView {
    let status = match exchange.status {
        Some(status) => format!("→ {status}"),
        None => "→ no answer".to_owned(),
    };
    let title = format!("{} {}", exchange.method, exchange.url);
    view! {
        <div class="stack-s exchange">
            <p class="mono small wrap">
                {title}
                " "
                <strong>{status}</strong>
                <span class="faint">{format!(" {} ms", format::count(exchange.duration_ms))}</span>
            </p>
            {exchange.error.map(|error| view! { <p class="small wrap">{error}</p> })}
            {exchange.request_body.map(|body| labelled("Sent", "request body", body))}
            {exchange.response_body.map(|body| labelled("Answered", "response body", body))}
        </div>
    }
    .into_any()
}

fn labelled(title: &'static str, label: &'static str, body: String) -> AnyView {
    // Indented where it is JSON; as it is where it was cut or is something else.
    let pretty = from_text::<serde_json::Value>(&body)
        .ok()
        .map(|value| to_pretty(&value));
    view! {
        <div>
            <p class="small faint">{title}</p>
            <CodeBlock text=pretty.unwrap_or(body) label=label wrapped=true short=true />
        </div>
    }
    .into_any()
}
