//! Events that people send: tests, and replays of what was received.

use std::sync::Arc;

use entity::event;
use openapi::events::Replayed;
use openapi::problem::Code;
use openapi::sources::Accepted;
use sea_orm::EntityTrait as _;
use serde_json::Value;
use uuid::Uuid;

use super::{route, title_of, view};
use crate::core::Core;
use crate::http::problem::ApiError;
use crate::journal::{Accept, JournalError};
use crate::scope::Scope;
use crate::snapshot::SourceConfig;

/// Sends a payload to a source as if it had come in; it is marked as a test.
///
/// # Errors
/// There is no such source, or the journal cannot take it.
pub async fn send_test(
    core: &Core,
    scope: Scope,
    source: Uuid,
    payload: &Value,
) -> Result<Accepted, ApiError> {
    let source = source_of(core, scope, source)?;
    let id = crate::ids::new(&core.clock);
    let event = event::Model {
        id,
        workspace_id: source.workspace_id,
        source_id: source.id,
        received_at: core.clock.now_ms(),
        correlation_id: id.to_string(),
        idempotency_key: None,
        disposition: String::new(),
        reason: String::new(),
        method: "POST".to_owned(),
        content_type: "application/json".to_owned(),
        query: String::new(),
        remote_addr: String::new(),
        headers: "[]".to_owned(),
        body: serde_json::to_vec(payload).unwrap_or_default(),
        envelope: None,
        test: true,
        title: title_of(payload),
        matched: String::new(),
    };
    let routed = route::route(core, &source, event, payload, false);
    let accepted = core
        .journal
        .accept(Accept {
            events: vec![routed],
        })
        .await
        .map_err(refused)?;
    Ok(Accepted {
        event_ids: accepted.event_ids,
        correlation_id: accepted.correlation_id,
        duplicate: false,
    })
}

/// Routes a stored event again, from its original bytes and by today's rules. The event itself
/// stays as it is; the new deliveries point to it.
///
/// # Errors
/// There is no such event or its source is gone, it cannot be parsed, or the journal cannot take
/// it.
pub async fn replay_event(core: &Core, scope: Scope, id: Uuid) -> Result<Replayed, ApiError> {
    let event = event::Entity::find_by_id(id)
        .one(core.db.read())
        .await?
        .filter(|event| event.workspace_id == scope.workspace())
        .ok_or_else(ApiError::not_found)?;
    let source = source_of(core, scope, event.source_id)
        .map_err(|_| ApiError::new(Code::Conflict).detail("The source of this event is gone."))?;
    let payload = view(&event)?;
    let routed = route::route(core, &source, event, &payload, true);
    let disposition = routed.event.disposition.clone();
    let accepted = core
        .journal
        .accept(Accept {
            events: vec![routed],
        })
        .await
        .map_err(refused)?;
    Ok(Replayed {
        event_id: id,
        disposition,
        delivery_ids: accepted.delivery_ids,
    })
}

fn source_of(core: &Core, scope: Scope, id: Uuid) -> Result<Arc<SourceConfig>, ApiError> {
    core.snapshots
        .current()
        .source(id)
        .filter(|source| source.workspace_id == scope.workspace())
        .cloned()
        .ok_or_else(ApiError::not_found)
}

/// The answer to what the journal did not take.
pub fn refused(error: JournalError) -> ApiError {
    match error {
        JournalError::Unavailable => ApiError::new(Code::Unavailable).retry_after(1),
        JournalError::Rejected => ApiError::new(Code::Internal),
    }
}
