//! Rows as lines of the archive. The form is documented in the guide to operations.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use entity::{attempt, audit, delivery, event};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock::from_ms;

/// A row.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its table.
    pub table: &'static str,
    /// Its id, which orders lines.
    pub id: Uuid,
    /// As it is written.
    pub json: Value,
    at: DateTime<Utc>,
}

impl Line {
    /// The day of its file, in UTC.
    pub fn day(&self) -> String {
        self.at.format("%Y-%m-%d").to_string()
    }
}

/// A column that holds JSON; a text that is none stays a text.
fn json_of(text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

fn moment(ms: Option<i64>) -> Option<DateTime<Utc>> {
    ms.map(from_ms)
}

/// An event. The body is a text where it is one, else Base64.
pub fn event(row: &event::Model) -> Line {
    let (body, base64) = match std::str::from_utf8(&row.body) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(STANDARD.encode(&row.body))),
    };
    Line {
        table: "event",
        id: row.id,
        at: from_ms(row.received_at),
        json: json!({
            "id": row.id, "workspace_id": row.workspace_id, "source_id": row.source_id,
            "received_at": from_ms(row.received_at), "correlation_id": row.correlation_id,
            "idempotency_key": row.idempotency_key, "disposition": row.disposition,
            "reason": row.reason, "method": row.method, "content_type": row.content_type,
            "query": row.query, "remote_addr": row.remote_addr, "headers": json_of(&row.headers),
            "body": body, "body_base64": base64, "test": row.test, "title": row.title,
            "matched": json_of(&row.matched),
        }),
    }
}

/// A delivery.
pub fn delivery(row: &delivery::Model) -> Line {
    Line {
        table: "delivery",
        id: row.id,
        at: from_ms(row.created_at),
        json: json!({
            "id": row.id, "workspace_id": row.workspace_id, "event_id": row.event_id,
            "correlation_id": row.correlation_id, "received_at": from_ms(row.received_at),
            "rule_id": row.rule_id, "rule_name": row.rule_name, "rule_revision": row.rule_revision,
            "step": row.step, "connection_id": row.connection_id, "operation": row.operation,
            "key": row.lane, "action": row.action, "fields": json_of(&row.fields),
            "message_id": row.message_id, "state": row.state, "attempts": row.attempts,
            "error_code": row.error_code, "error": row.error, "effect": row.effect,
            "record_id": row.record_id, "record_url": row.record_url, "replay_of": row.replay_of,
            "replayed_as": row.replayed_as, "created_at": from_ms(row.created_at),
            "finished_at": moment(row.finished_at),
        }),
    }
}

/// An attempt.
pub fn attempt(row: &attempt::Model) -> Line {
    Line {
        table: "attempt",
        id: row.id,
        at: from_ms(row.started_at),
        json: json!({
            "id": row.id, "workspace_id": row.workspace_id, "delivery_id": row.delivery_id,
            "number": row.number, "started_at": from_ms(row.started_at),
            "duration_ms": row.duration_ms, "outcome": row.outcome, "status": row.status,
            "error_code": row.error_code, "error": row.error,
            "exchanges": json_of(&row.exchanges),
        }),
    }
}

/// A line of the audit log.
pub fn audit(row: &audit::Model) -> Line {
    Line {
        table: "audit",
        id: row.id,
        at: from_ms(row.at),
        json: json!({
            "id": row.id, "workspace_id": row.workspace_id, "at": from_ms(row.at),
            "actor_kind": row.actor_kind, "actor": row.actor, "remote_addr": row.remote_addr,
            "action": row.action, "subject_kind": row.subject_kind, "subject_id": row.subject_id,
            "subject": row.subject, "before": json_of(&row.before), "after": json_of(&row.after),
        }),
    }
}
