//! Events that people send as tests, and the answer to what the journal does not take.

use std::sync::Arc;

use entity::event;
use openapi::problem::Code;
use openapi::sources::Accepted;
use serde_json::Value;
use uuid::Uuid;

use super::fan_out::fan_out;
use super::route;
use crate::core::Core;
use crate::http::problem::ApiError;
use crate::journal::{Accept, JournalError};
use crate::scope::Scope;
use crate::snapshot::SourceConfig;

/// Sends a payload to a source as if it had come in, cut into its events where the source does that;
/// they are marked as tests. They have no delivery ids: a second test is no repeat of the first, and
/// the alert that a sample was made from is none of the test.
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
        title: String::new(),
        matched: String::new(),
    };
    let events = fan_out(core, &source, event, payload.clone())
        .into_iter()
        .map(|(mut event, view)| {
            event.idempotency_key = None;
            route::route(core, &source, event, &view, false)
        })
        .collect();
    let accepted = core
        .journal
        .accept(Accept { events })
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
