//! Dead letters as JSON Lines, with the bytes of their events.
//!
//! Nothing is masked: what is exported is meant to be kept or sent by other means. It is read page
//! by page while the receiver takes it, so its size does not matter; the audit log has it before
//! the first byte.

use std::collections::{HashMap, VecDeque};

use actix_web::web::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use entity::{delivery, event};
use futures_util::{Stream, stream};
use openapi::deliveries::DeadFilter;
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use uuid::Uuid;

use super::query::{check, count, dead_query, newest, next};
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::problem::ApiResult;
use crate::scope::Scope;
use crate::services::audit::{self, Act, Actor};
use crate::services::names::{self, DELETED};

/// Rows that are read at once.
const ROWS: u64 = 50;

struct Reader {
    core: Core,
    scope: Scope,
    filter: DeadFilter,
    names: HashMap<Uuid, (String, String)>,
    after: Uuid,
    last: Uuid,
    lines: VecDeque<Bytes>,
}

/// The lines, oldest first.
///
/// # Errors
/// 422 for a filter that cannot be. A failure later ends the stream without its end.
pub async fn export(
    core: &Core,
    scope: Scope,
    by: &Actor,
    filter: DeadFilter,
) -> ApiResult<impl Stream<Item = Result<Bytes, DbErr>> + use<>> {
    check(&filter)?;
    let query = dead_query(scope, &filter);
    let count = count(core, &query).await?;
    let last = newest(core, &query).await?.unwrap_or_default();
    let mut after = serde_json::to_value(&filter).unwrap_or_default();
    if let Some(after) = after.as_object_mut() {
        after.insert("count".to_owned(), count.into());
    }
    let act = Act {
        action: "dead_letters.export",
        kind: "dead_letters",
        id: None,
        name: "",
        before: Value::Null,
        after,
    };
    audit::note(core.db.write(), &core.clock, scope, by, act).await?;
    let reader = Reader {
        names: names::connections(core.db.read(), scope).await?,
        core: core.clone(),
        scope,
        filter,
        after: Uuid::nil(),
        last,
        lines: VecDeque::new(),
    };
    Ok(stream::try_unfold(reader, |mut reader| async move {
        if reader.lines.is_empty() {
            reader.read().await?;
        }
        Ok(reader.lines.pop_front().map(|line| (line, reader)))
    }))
}

impl Reader {
    async fn read(&mut self) -> Result<(), DbErr> {
        let query = dead_query(self.scope, &self.filter);
        let rows = next(&self.core, &query, self.after, self.last, ROWS).await?;
        for row in rows {
            self.after = row.id;
            // One at a time: bodies may be large.
            let event = event::Entity::find_by_id(row.event_id)
                .filter(event::Column::WorkspaceId.eq(self.scope.workspace()))
                .one(self.core.db.read())
                .await?;
            let mut line = self.line(row, event).to_string();
            line.push('\n');
            self.lines.push_back(Bytes::from(line));
        }
        Ok(())
    }

    fn line(&self, row: delivery::Model, event: Option<event::Model>) -> Value {
        let connection = self
            .names
            .get(&row.connection_id)
            .map_or(DELETED, |(name, _)| name.as_str());
        let fields: Value = serde_json::from_str(&row.fields).unwrap_or_default();
        json!({
            "id": row.id,
            "event_id": row.event_id,
            "correlation_id": row.correlation_id,
            "rule_id": row.rule_id,
            "rule": row.rule_name,
            "rule_revision": row.rule_revision,
            "step": row.step,
            "connection_id": row.connection_id,
            "connection": connection,
            "operation": row.operation,
            "key": row.lane,
            "action": row.action,
            "fields": fields,
            "message_id": row.message_id,
            "attempts": row.attempts,
            "error_code": row.error_code,
            "error": row.error,
            "created_at": from_ms(row.created_at),
            "finished_at": row.finished_at.map(from_ms),
            "event": event.map(|event| {
                let (name, body) = match String::from_utf8(event.body) {
                    Ok(text) => ("body", text),
                    Err(bytes) => ("body_base64", STANDARD.encode(bytes.as_bytes())),
                };
                json!({
                    "source_id": event.source_id,
                    "received_at": from_ms(event.received_at),
                    "method": event.method,
                    "content_type": event.content_type,
                    "query": event.query,
                    name: body,
                })
            }),
        })
    }
}
