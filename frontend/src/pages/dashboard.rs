//! The dashboard: what came in, what went out, what waits, what is ill.

use chrono::{DateTime, Local, Timelike, Utc};
use leptos::prelude::*;
use leptos_router::components::A;
use openapi::stats::{Hour, Light, Queue, Stats, Today};
use openapi::stream::Message;

use crate::api::{load, use_live};
use crate::format;
use crate::ui::{Bars, Card, Empty, Icon, Lines, PageHead, Point, show};

const REFRESH_MS: u32 = 1_500;

/// The dashboard.
#[component]
pub fn Dashboard() -> impl IntoView {
    let stats = load::<Stats>(|| "stats".to_owned());
    use_live().after(
        REFRESH_MS,
        |message| !matches!(message, Message::Configuration { .. } | Message::Job(_)),
        move || stats.reload(),
    );
    view! {
        <PageHead title="Dashboard" text="The last 24 hours at a glance. Figures of today count from midnight UTC." />
        {show(stats, page)}
    }
    .into_any()
}

fn page(stats: Stats) -> AnyView {
    let quiet = stats
        .hours
        .iter()
        .all(|h| h.accepted == 0 && h.refused == 0);
    view! {
        <div data-testid="dashboard">
            {figures(&stats.today, &stats.queue)}
            {quiet.then(first_steps)}
            <div class="split">
                <div class="stack">
                    {requests(&stats.hours)}
                    {deliveries(&stats.hours)}
                </div>
                {lights(stats.lights)}
            </div>
        </div>
    }
    .into_any()
}

fn figures(today: &Today, queue: &Queue) -> AnyView {
    let latency = today.mean_latency_ms.map_or_else(
        || "no delivery yet".to_owned(),
        |ms| format!("{} to deliver", format::millis(ms)),
    );
    let oldest = match (queue.oldest_seconds, queue.held) {
        (Some(age), 0) => format!("oldest {}", format::duration(age)),
        (Some(age), held) => format!("oldest {}, {held} held", format::duration(age)),
        (None, 0) => "nothing waits".to_owned(),
        (None, held) => format!("{held} held for a person"),
    };
    view! {
        <div class="figures">
            {figure("Events today", today.accepted, format!("{} unmatched, {} dropped", today.unmatched, today.dropped), "/events", "accepted", false)}
            {figure("Tickets created", today.created, format!("{} updated", today.updated), "/deliveries?state=delivered", "created", false)}
            {figure("Tickets closed", today.closed, "today".to_owned(), "/deliveries?state=delivered", "closed", false)}
            {figure("Delivered", today.delivered, latency, "/deliveries?state=delivered", "delivered", false)}
            {figure("Failed", today.failed, format::plural(usize::try_from(queue.dead).unwrap_or_default(), "dead letter"), "/dead-letters", "failed", today.failed > 0)}
            {figure("In the queue", queue.depth, oldest, "/deliveries", "queue", false)}
        </div>
    }
    .into_any()
}

fn figure(
    label: &'static str,
    value: i64,
    note: String,
    href: &'static str,
    test: &'static str,
    bad: bool,
) -> AnyView {
    view! {
        <A href=href attr:class=if bad { "figure bad" } else { "figure" } attr:data-testid=format!("figure-{test}")>
            <span class="label">{label}</span>
            <span class="value">{format::count(value)}</span>
            <span class="note">{note}</span>
        </A>
    }
    .into_any()
}

fn first_steps() -> AnyView {
    view! {
        <div class="card first-steps">
            <Empty
                mark=Icon::Source
                title="Nothing has come in yet"
                text="Make a source, point a monitoring system at its address, and write a rule for what should happen."
            >
                <A href="/sources/new" attr:class="button primary">
                    "Make a source"
                </A>
                <A href="/rules/new" attr:class="button">
                    "Write a rule"
                </A>
            </Empty>
        </div>
    }
    .into_any()
}

fn points(hours: &[Hour], good: fn(&Hour) -> i64, bad: fn(&Hour) -> i64) -> Vec<Point> {
    hours
        .iter()
        .map(|hour| Point {
            label: hour_label(hour.hour),
            good: good(hour),
            bad: bad(hour),
        })
        .collect()
}

fn hour_label(at: DateTime<Utc>) -> String {
    format!("{:02}:00", at.with_timezone(&Local).hour())
}

fn requests(hours: &[Hour]) -> AnyView {
    let points = points(hours, |h| h.accepted, |h| h.refused);
    view! {
        <Card
            title="Requests per hour"
            actions=view! {
                <div class="legend">
                    <span><i></i>"Accepted"</span>
                    <span><i class="red"></i>"Refused"</span>
                </div>
            }
            .into_any()
        >
            <Bars label="Requests per hour" names=("Accepted", "Refused") points=points />
        </Card>
    }
    .into_any()
}

fn deliveries(hours: &[Hour]) -> AnyView {
    let points = points(hours, |h| h.delivered, |h| h.dead);
    view! {
        <Card
            title="Deliveries per hour"
            actions=view! {
                <div class="legend">
                    <span><i class="green"></i>"Delivered"</span>
                    <span><i class="red"></i>"Given up"</span>
                </div>
            }
            .into_any()
        >
            <Lines label="Deliveries per hour" names=("Delivered", "Given up") points=points />
        </Card>
    }
    .into_any()
}

fn lights(lights: Vec<Light>) -> AnyView {
    view! {
        <Card title="Services" flush=true>
            <ul class="lights" data-testid="lights">
                {lights.into_iter().map(light).collect_view()}
            </ul>
        </Card>
    }
    .into_any()
}

fn light(light: Light) -> AnyView {
    let (class, words) = match light.colour.as_str() {
        "green" => ("light green", "fine"),
        "yellow" => ("light yellow", "wants a look"),
        "red" => ("light red", "failing"),
        _ => ("light", "not used"),
    };
    let kind = match light.kind.as_str() {
        "database" => "Database",
        "redis" => "Redis",
        "source" => "Source",
        _ => "Connection",
    };
    // Said once is enough: "Redis, Redis: not used, not used".
    let kind = (light.name != kind).then(|| format!(" {kind}"));
    let detail = light.detail.filter(|detail| detail != words);
    let name = match light.id {
        Some(id) => {
            let list = if light.kind == "source" {
                "sources"
            } else {
                "connections"
            };
            view! { <A href=format!("/{list}/{id}")>{light.name}</A> }.into_any()
        }
        None => light.name.into_any(),
    };
    view! {
        <li>
            <span class=class aria-hidden="true"></span>
            <span class="grow">
                {name}
                {kind.map(|kind| view! { <span class="small faint">{kind}</span> })}
                {detail.map(|detail| view! { <span class="small muted block">{detail}</span> })}
            </span>
            <span class="small muted">{words}</span>
        </li>
    }
    .into_any()
}
