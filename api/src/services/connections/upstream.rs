//! What needs the upstream: tests and lists.

use std::collections::BTreeMap;
use std::sync::Arc;

use openapi::connections::{Metadata, TestResult};
use openapi::problem::Code;
use serde_json::json;
use uuid::Uuid;

use super::find;
use crate::connectors::{Connection, Connector};
use crate::core::Core;
use crate::dispatch;
use crate::http::problem::{ApiError, ApiResult};
use crate::scope::Scope;
use crate::services::audit::{Act, Actor};

/// A connection with its secrets opened, and its connector.
///
/// # Errors
/// 404, or 409 for one that this server cannot use.
pub fn view(core: &Core, scope: Scope, id: Uuid) -> ApiResult<(Connection, Arc<dyn Connector>)> {
    let snapshot = core.snapshots.current();
    let view = snapshot
        .connection(id)
        .filter(|c| c.view.workspace_id == scope.workspace())
        .map(|c| c.view.clone())
        .ok_or_else(ApiError::not_found)?;
    let connector = core.registry.get(&view.connector).cloned().ok_or_else(|| {
        ApiError::new(Code::Conflict).detail("This server has no connector of this kind.")
    })?;
    Ok((view, connector))
}

/// Asks the upstream whether it answers and takes the credentials. A passed test ends the state
/// `attention`, unless many records were gone at once: what was set aside is taken up again.
///
/// # Errors
/// 404; a failed test is no error.
pub async fn test(core: &Core, scope: Scope, id: Uuid) -> ApiResult<TestResult> {
    let row = find(core, scope, id).await?;
    let (connection, connector) = view(core, scope, id)?;
    let result = connector.test(&connection).await;
    // That the credentials are taken says nothing about records that were all gone at once.
    let by_person = row.state_code.as_deref() == Some(dispatch::MASS_GONE);
    if result.ok && row.state != "ok" && !by_person {
        go_on(core, scope, id, None).await?;
    }
    Ok(result)
}

/// A person has looked at a connection that needs attention: it goes on.
///
/// # Errors
/// 404, or 409 for one that needs no attention.
pub async fn resume(
    core: &Core,
    scope: Scope,
    by: &Actor,
    id: Uuid,
) -> ApiResult<openapi::connections::Connection> {
    let row = find(core, scope, id).await?;
    if row.state == "ok" {
        return Err(ApiError::new(Code::Conflict).detail("The connection needs no attention."));
    }
    let act = Act {
        action: "connection.resume",
        kind: "connection",
        id: Some(id),
        name: &row.name,
        before: json!({ "state": row.state, "state_code": row.state_code }),
        after: json!({ "state": "ok", "state_code": null }),
    };
    go_on(core, scope, id, Some((by, act))).await?;
    super::get(core, scope, id).await
}

async fn go_on(
    core: &Core,
    scope: Scope,
    id: Uuid,
    line: Option<(&Actor, Act<'_>)>,
) -> ApiResult<()> {
    dispatch::resume(core, scope, id, line).await?;
    core.snapshots.refresh().await?;
    core.dispatch.announce(id);
    Ok(())
}

/// A list of the upstream to choose values from.
///
/// # Errors
/// 404 for an unknown connection or list, 502 when the upstream does not answer as it should.
pub async fn metadata(
    core: &Core,
    scope: Scope,
    id: Uuid,
    list: &str,
    filter: &BTreeMap<String, String>,
) -> ApiResult<Metadata> {
    find(core, scope, id).await?;
    let (connection, connector) = view(core, scope, id)?;
    if !connector
        .describe()
        .metadata
        .iter()
        .any(|name| name == list)
    {
        return Err(ApiError::not_found().detail("This connector has no list of that name."));
    }
    let items = connector
        .metadata(&connection, list, filter)
        .await
        .map_err(|fault| {
            ApiError::new(Code::UpstreamFailed)
                .detail(format!("{} ({})", fault.message, fault.code))
        })?;
    Ok(Metadata {
        items,
        fetched_at: core.clock.now(),
    })
}
