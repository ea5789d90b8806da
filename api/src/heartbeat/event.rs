//! The events that silence raises: they go through the rules like any other of their source.

use entity::{event, source};
use sea_orm::DbErr;
use serde_json::json;

use crate::clock::from_ms;
use crate::core::Core;
use crate::ingest::{route, title_of};
use crate::journal::Accept;

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It is silent.
    Silent,
    /// It is not silent any more.
    Recovered {
        /// It was heard; else nobody wants to know any more.
        returned: bool,
    },
}

/// Puts an event into the journal, once for each silence.
pub async fn raise(
    core: &Core,
    source: &source::Model,
    news: News,
    since: i64,
    heard: Option<i64>,
    now: i64,
) -> Result<(), DbErr> {
    let snapshot = core.snapshots.current();
    let Some(config) = snapshot.source(source.id) else {
        return Err(DbErr::Custom("the source is not served yet".to_owned()));
    };
    let moment = |ms: i64| from_ms(ms).to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let name = &source.name;
    let (kind, cause, message) = match news {
        News::Silent => ("source.silent", None, format!("Nothing comes from {name}.")),
        News::Recovered { returned: true } => (
            "source.recovered",
            Some("event"),
            format!("{name} sends again."),
        ),
        News::Recovered { returned: false } => (
            "source.recovered",
            Some("switched_off"),
            format!("The heartbeat of {name} was switched off."),
        ),
    };
    let payload = json!({
        "type": kind,
        "source": { "slug": source.slug, "name": name },
        "silent_since": moment(since),
        "silent_seconds": (heard.filter(|at| *at > since).unwrap_or(now) - since) / 1000,
        "after_seconds": source.silent_after,
        "cause": cause,
        "message": message,
    });
    let id = crate::ids::new(&core.clock);
    let event = event::Model {
        id,
        workspace_id: source.workspace_id,
        source_id: source.id,
        received_at: now,
        correlation_id: id.to_string(),
        idempotency_key: Some(format!("signalbox:{kind}:{since}")),
        disposition: String::new(),
        reason: String::new(),
        method: "POST".to_owned(),
        content_type: "application/json".to_owned(),
        query: String::new(),
        remote_addr: String::new(),
        headers: "[]".to_owned(),
        body: serde_json::to_vec(&payload).unwrap_or_default(),
        envelope: None,
        test: false,
        title: title_of(&payload),
        matched: String::new(),
    };
    let routed = route(core, config, event, &payload, false);
    let accept = Accept {
        events: vec![routed],
    };
    match core.journal.accept(accept).await {
        Ok(_) => Ok(()),
        Err(error) => Err(DbErr::Custom(error.to_string())),
    }
}
