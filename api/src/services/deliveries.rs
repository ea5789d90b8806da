//! Reading deliveries, their attempts, and dead letters.

mod dead;
mod list;

use std::collections::HashMap;
use std::time::Duration;

use entity::{attempt, delivery};
use openapi::DateTime;
use openapi::deliveries::{Attempt, Delivery, State};
use openapi::problem::Code;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use uuid::Uuid;

use super::names::{self, DELETED};
use super::sources::stored;
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::mask;
use crate::scope::Scope;

pub use dead::groups;
pub use list::{Look, list, look, of_event, open_query, parked_nowhere};

/// How many attempts to come are named.
const AHEAD: usize = 5;

type Names = HashMap<Uuid, (String, String)>;

/// Which deliveries are wanted; everything that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// One of these states; empty: any.
    pub states: Vec<State>,
    /// Id or name of the connection.
    pub connection: Option<String>,
    /// The event.
    pub event: Option<Uuid>,
    /// The rule.
    pub rule: Option<Uuid>,
    /// Record key.
    pub key: Option<String>,
    /// Stable code of the last fault.
    pub error_code: Option<String>,
}

/// Reads a list of states, as `ready,retrying`.
///
/// # Errors
/// A word that is none.
pub fn states(text: Option<&str>) -> ApiResult<Vec<State>> {
    let words = text.into_iter().flat_map(|text| text.split(','));
    words
        .filter(|word| !word.is_empty())
        .map(|word| {
            State::parse(word).ok_or_else(|| {
                ApiError::new(Code::InvalidParameter).at(
                    "state",
                    "unknown_value",
                    "States are expected, separated by commas.",
                )
            })
        })
        .collect()
}

/// One delivery with its attempts.
///
/// # Errors
/// 404.
pub async fn get(core: &Core, scope: Scope, id: Uuid) -> ApiResult<Delivery> {
    let row = delivery::Entity::find_by_id(id)
        .filter(delivery::Column::WorkspaceId.eq(scope.workspace()))
        .one(core.db.read())
        .await?
        .ok_or_else(ApiError::not_found)?;
    let ahead = ahead(core, &row);
    let mut delivery = with_attempts(core, scope, vec![row])
        .await?
        .pop()
        .ok_or_else(ApiError::not_found)?;
    if let Some((schedule, gives_up_at)) = ahead {
        delivery.schedule = schedule;
        delivery.gives_up_at = Some(gives_up_at);
    }
    Ok(delivery)
}

/// The attempts that would follow the next one, and when it is given up: of a delivery that waits
/// for its next attempt, by the policy of today.
fn ahead(core: &Core, row: &delivery::Model) -> Option<(Vec<DateTime>, DateTime)> {
    let tried_at = row
        .tried_at
        .filter(|_| row.state == State::Retrying.as_str())?;
    let connection = core.snapshots.current().connection(row.connection_id)?;
    let policy = connection.retry(core.dispatch.retry_default());
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let at = |duration: Duration| from_ms(tried_at.saturating_add(ms(duration)));
    let elapsed = u64::try_from(row.due_at.saturating_sub(tried_at)).unwrap_or(0);
    let made = u32::try_from(row.attempts).unwrap_or(0).saturating_add(1);
    let times = policy.ahead(made, Duration::from_millis(elapsed), AHEAD);
    // After a list of waits the last attempt is the end.
    let end = match times.last() {
        Some(last) if !policy.waits.is_empty() && times.len() < AHEAD => *last,
        _ => policy.horizon,
    };
    Some((times.into_iter().map(at).collect(), at(end)))
}

/// Deliveries with their attempts.
///
/// # Errors
/// The database failed.
pub async fn with_attempts(
    core: &Core,
    scope: Scope,
    rows: Vec<delivery::Model>,
) -> ApiResult<Vec<Delivery>> {
    let names = names::connections(core.db.read(), scope).await?;
    let attempts = attempt::Entity::find()
        .filter(attempt::Column::WorkspaceId.eq(scope.workspace()))
        .filter(attempt::Column::DeliveryId.is_in(rows.iter().map(|row| row.id)))
        .order_by_asc(attempt::Column::Number)
        .all(core.db.read())
        .await?;
    let mut by_delivery: HashMap<Uuid, Vec<Attempt>> = HashMap::new();
    for row in attempts {
        let id = row.delivery_id;
        by_delivery
            .entry(id)
            .or_default()
            .push(attempt_to_wire(row)?);
    }
    rows.into_iter()
        .map(|row| {
            let log = by_delivery.remove(&row.id).unwrap_or_default();
            to_wire(row, &names, log)
        })
        .collect()
}

fn attempt_to_wire(row: attempt::Model) -> ApiResult<Attempt> {
    Ok(Attempt {
        id: row.id,
        number: row.number,
        started_at: from_ms(row.started_at),
        duration_ms: row.duration_ms,
        outcome: row.outcome,
        status: row.status,
        error_code: row.error_code,
        error: row.error,
        exchanges: stored("attempt.exchanges", &row.exchanges)?,
    })
}

fn to_wire(row: delivery::Model, names: &Names, attempt_log: Vec<Attempt>) -> ApiResult<Delivery> {
    let state =
        State::parse(&row.state).ok_or_else(|| ApiError::internal("delivery.state", &row.state))?;
    let (connection, connector) = names
        .get(&row.connection_id)
        .cloned()
        .unwrap_or_else(|| (DELETED.to_owned(), String::new()));
    let waits = matches!(state, State::Ready | State::Retrying) && !row.behind;
    Ok(Delivery {
        id: row.id,
        event_id: row.event_id,
        rule_id: row.rule_id,
        rule: row.rule_name,
        step: row.step,
        connection_id: row.connection_id,
        connection,
        connector,
        operation: row.operation,
        key: row.lane,
        action: row.action,
        fields: mask::value(stored("delivery.fields", &row.fields)?),
        message_id: row.message_id,
        state,
        behind: row.behind,
        due_at: waits.then(|| from_ms(row.due_at)),
        schedule: Vec::new(),
        gives_up_at: None,
        attempts: row.attempts,
        error_code: row.error_code,
        error: row.error,
        effect: row.effect,
        record_id: row.record_id,
        record_url: row.record_url,
        replay_of: row.replay_of,
        replayed_as: row.replayed_as,
        repeats: row.repeats,
        coalesced_into: row.coalesced_into,
        lane_parked: row.lane_parked,
        created_at: from_ms(row.created_at),
        finished_at: row.finished_at.map(from_ms),
        attempt_log,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_states() {
        assert_eq!(states(None).unwrap(), []);
        assert_eq!(
            states(Some("ready,held")).unwrap(),
            [State::Ready, State::Held]
        );
        assert!(states(Some("ready,done")).is_err());
    }
}
