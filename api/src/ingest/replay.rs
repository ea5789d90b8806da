//! Events that people send as tests, and the answer to what the journal does not take.

use std::sync::Arc;

use entity::event;
use openapi::problem::Code;
use openapi::sources::Accepted;
use serde_json::Value;
use uuid::Uuid;

use super::{route, title_of};
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
