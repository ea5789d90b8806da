//! The trace of an event: request, rules, deliveries, attempts, upstream record.

use leptos::prelude::*;
use leptos_router::components::A;
use openapi::deliveries::{Delivery, State};
use openapi::events::EventDetail;

use super::TOO_MANY;
use crate::format;
use crate::pages::deliveries::attempts;
use crate::ui::{
    Ago, Badge, Icon, JsonView, Tone, disposition_badge, disposition_tone, icon, state_badge,
    state_tone,
};

/// The trace.
pub fn trace(event: EventDetail) -> AnyView {
    let rules = rules(&event);
    let summary = event.summary;
    let last = event.deliveries.len();
    let deliveries = event
        .deliveries
        .iter()
        .cloned()
        .enumerate()
        // The last one is what people look for.
        .map(|(n, delivery)| step(delivery, n + 1 == last))
        .collect_view();
    view! {
        <ol class="trace" data-testid="trace">
            <li>
                <span class="trace-mark blue">{icon(Icon::Source)}</span>
                <div class="trace-title">
                    "Request to "
                    <A href=format!("/sources/{}", summary.source_id)>{summary.source.clone()}</A>
                </div>
                <p class="small muted">
                    {format!("{} from {}, {}", event.method, event.remote_addr, format::bytes(summary.size))}
                    " · "
                    <Ago at=summary.received_at />
                </p>
            </li>
            <li>
                <span class=format!("trace-mark {}", disposition_tone(&summary.disposition).class())>
                    {icon(Icon::Rule)}
                </span>
                <div class="trace-title">
                    {rules} {disposition_badge(&summary.disposition)}
                </div>
                <p class="small muted">{reason(&summary.reason)}</p>
            </li>
            {deliveries}
        </ol>
    }
    .into_any()
}

fn rules(event: &EventDetail) -> AnyView {
    let rules = &event.summary.rules;
    if rules.is_empty() {
        return "No rule took it".into_any();
    }
    rules
        .iter()
        .enumerate()
        .map(|(n, rule)| {
            let name = rule.name.clone();
            let name = match rule.id {
                Some(id) => view! { <A href=format!("/rules/{id}")>{name}</A> }.into_any(),
                None => "The source's default target".into_any(),
            };
            view! {
                {(n > 0).then_some(", ")}
                {name}
            }
        })
        .collect_view()
        .into_any()
}

fn reason(code: &str) -> String {
    match code {
        "matched" => "All conditions held.".to_owned(),
        "rule_drop" => "The rule drops what it takes.".to_owned(),
        "rule_quarantined" => "The rule is quarantined; what it takes is parked.".to_owned(),
        "no_match_keep" => "Nothing matched; kept, and can be replayed.".to_owned(),
        "no_match_drop" => "Nothing matched; the source drops such events.".to_owned(),
        "no_match_target" => "Nothing matched; sent to the source's default target.".to_owned(),
        TOO_MANY => {
            "It carries more events than its source takes in one request, so no rule was asked."
                .to_owned()
        }
        other => format::words(other),
    }
}

fn step(delivery: Delivery, open: bool) -> AnyView {
    let tone = state_tone(delivery.state).class();
    let record = record(&delivery);
    let address = format!("/deliveries/{}", delivery.id);
    let last = delivery
        .error
        .clone()
        .filter(|_| delivery.state != State::Delivered);
    let fields = delivery.fields.clone();
    let count = delivery.attempt_log.len();
    view! {
        <li data-testid="trace-delivery">
            <span class=format!("trace-mark {tone}")>{icon(Icon::Delivery)}</span>
            <div class="trace-title">
                <A href=address>
                    {delivery.operation.clone()} " on " {delivery.connection.clone()}
                </A>
                {state_badge(delivery.state)}
                {delivery.replay_of.map(|_| view! { <Badge text="replay" tone=Tone::Accent /> })}
            </div>
            {delivery
                .key
                .clone()
                .map(|key| view! { <p class="small muted">"Key " <span class="tag">{key}</span></p> })}
            {record}
            {last.map(|error| view! { <p class="small wrap">{error}</p> })}
            <details>
                <summary>"Rendered fields"</summary>
                <div class="stack-s">
                    <JsonView value=fields label="rendered fields" short=true />
                </div>
            </details>
            {(count > 0)
                .then(|| {
                    view! {
                        <details open=open && delivery.state != State::Delivered>
                            <summary>{format::plural(count, "attempt")}</summary>
                            <div class="stack-s">{attempts(delivery.attempt_log)}</div>
                        </details>
                    }
                })}
        </li>
    }
    .into_any()
}

/// What it did upstream, with a link to the record where there is one.
pub fn record(delivery: &Delivery) -> Option<AnyView> {
    let effect = delivery.effect.clone().filter(|effect| effect != "none")?;
    let what = match effect.as_str() {
        "created" => "Created",
        "updated" => "Updated",
        "noted" => "Added a note to",
        "closed" => "Closed",
        _ => "Sent",
    };
    let id = delivery.record_id.clone();
    let link = match (id, delivery.record_url.clone()) {
        (Some(id), Some(url)) => view! {
            " "
            <a href=url target="_blank" rel="noopener noreferrer external" data-testid="record-link">
                {format!("record {id}")}
            </a>
        }
        .into_any(),
        (Some(id), None) => view! { " record " <span class="tag">{id}</span> }.into_any(),
        (None, _) => ().into_any(),
    };
    Some(view! { <p class="small">{what} {link}</p> }.into_any())
}
