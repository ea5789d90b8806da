//! Numbers for the dashboard, from the hourly counters.

use std::collections::BTreeMap;

use entity::{connection, delivery, stat_hour};
use openapi::deliveries::State;
use openapi::stats::{Hour, Light, Queue, Stats, Today};
use sea_orm::{
    ColumnTrait as _, DbErr, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};

use super::notices;
use crate::clock::from_ms;
use crate::core::Core;
use crate::dispatch;
use crate::http::problem::ApiResult;
use crate::journal::{metric, open_states};
use crate::scope::Scope;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The dashboard.
///
/// # Errors
/// The database failed.
pub async fn stats(core: &Core, scope: Scope) -> ApiResult<Stats> {
    let now = core.clock.now_ms();
    let this_hour = now - now.rem_euclid(HOUR_MS);
    let midnight = now - now.rem_euclid(DAY_MS);
    let rows = stat_hour::Entity::find()
        .filter(stat_hour::Column::WorkspaceId.eq(scope.workspace()))
        .filter(stat_hour::Column::Hour.gt(this_hour - DAY_MS))
        .all(core.db.read())
        .await?;
    let mut hours: BTreeMap<i64, Hour> = (0..24)
        .map(|back| this_hour - back * HOUR_MS)
        .map(|start| (start, empty(start)))
        .collect();
    let mut today = Today::default();
    let mut latency = 0_i64;
    for row in rows {
        if let Some(hour) = hours.get_mut(&row.hour) {
            match row.metric.as_str() {
                metric::ACCEPTED => hour.accepted += row.value,
                metric::REFUSED => hour.refused += row.value,
                metric::DELIVERED => hour.delivered += row.value,
                metric::DEAD => hour.dead += row.value,
                _ => {}
            }
        }
        if row.hour < midnight {
            continue;
        }
        let field = match row.metric.as_str() {
            metric::ACCEPTED => &mut today.accepted,
            metric::UNMATCHED => &mut today.unmatched,
            metric::DROPPED => &mut today.dropped,
            metric::CREATED => &mut today.created,
            metric::UPDATED => &mut today.updated,
            metric::CLOSED => &mut today.closed,
            metric::DELIVERED => &mut today.delivered,
            metric::DEAD => &mut today.failed,
            metric::LATENCY_MS => &mut latency,
            _ => continue,
        };
        *field += row.value;
    }
    #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
    if today.delivered > 0 {
        today.mean_latency_ms = Some(latency as f64 / today.delivered as f64);
    }
    Ok(Stats {
        hours: hours.into_values().collect(),
        today,
        queue: queue(core, scope, now).await?,
        lights: lights(core, scope).await?,
    })
}

fn empty(start: i64) -> Hour {
    Hour {
        hour: from_ms(start),
        accepted: 0,
        refused: 0,
        delivered: 0,
        dead: 0,
    }
}

/// How many deliveries are in each open state.
///
/// # Errors
/// The database failed.
pub async fn open_by_state(core: &Core, scope: Option<Scope>) -> Result<Vec<(State, i64)>, DbErr> {
    let open = State::ALL
        .iter()
        .filter(|s| s.is_open())
        .map(|s| s.as_str());
    let mut query = delivery::Entity::find()
        .select_only()
        .column(delivery::Column::State)
        .column_as(delivery::Column::Id.count(), "count")
        .filter(delivery::Column::State.is_in(open));
    if let Some(scope) = scope {
        query = query.filter(delivery::Column::WorkspaceId.eq(scope.workspace()));
    }
    let rows: Vec<(String, i64)> = query
        .group_by(delivery::Column::State)
        .into_tuple()
        .all(core.db.read())
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|(word, count)| Some((State::parse(&word)?, count)))
        .collect())
}

async fn queue(core: &Core, scope: Scope, now: i64) -> ApiResult<Queue> {
    let counts = open_by_state(core, Some(scope)).await?;
    let held = counts
        .iter()
        .find(|(state, _)| *state == State::Held)
        .map_or(0, |(_, count)| *count);
    let not_held = State::ALL
        .iter()
        .filter(|s| s.is_open() && **s != State::Held)
        .map(|s| s.as_str());
    let oldest: Option<i64> = delivery::Entity::find()
        .select_only()
        .column(delivery::Column::CreatedAt)
        .filter(delivery::Column::WorkspaceId.eq(scope.workspace()))
        .filter(delivery::Column::State.is_in(not_held))
        .order_by_asc(delivery::Column::CreatedAt)
        .limit(1)
        .into_tuple()
        .one(core.db.read())
        .await?;
    let dead = delivery::Entity::find()
        .filter(delivery::Column::WorkspaceId.eq(scope.workspace()))
        .filter(delivery::Column::State.eq(State::Dead.as_str()))
        .count(core.db.read())
        .await?;
    Ok(Queue {
        depth: counts.iter().map(|(_, count)| count).sum(),
        held,
        oldest_seconds: oldest.map(|at| (now - at).max(0) / 1000),
        dead: i64::try_from(dead).unwrap_or(i64::MAX),
    })
}

async fn lights(core: &Core, scope: Scope) -> ApiResult<Vec<Light>> {
    let trouble = core.db.trouble();
    let mut lights = vec![Light {
        kind: "database".to_owned(),
        name: if core.db.is_postgres() {
            "PostgreSQL"
        } else {
            "SQLite"
        }
        .to_owned(),
        id: None,
        // What is shown here was just read from it; writing is another matter.
        colour: trouble.map_or("green", |_| "red").to_owned(),
        detail: trouble.map(|trouble| trouble.text().to_owned()),
    }];
    lights.push(redis(core).await);
    let rows = connection::Entity::find()
        .filter(connection::Column::WorkspaceId.eq(scope.workspace()))
        .order_by_asc(connection::Column::Name)
        .all(core.db.read())
        .await?;
    let breakers = dispatch::breakers(core, scope).await?;
    for row in rows {
        let waiting = retrying(core, scope, row.id).await?;
        let failures = breakers
            .get(&row.id)
            .filter(|breaker| breaker.state == "open")
            .map(|breaker| breaker.failures);
        let (colour, detail) = match (row.enabled, row.state.as_str(), failures, waiting) {
            (false, ..) => ("grey", Some("switched off".to_owned())),
            (true, "ok", Some(n), _) => {
                let text = format!("{n} calls in a row failed; one a second looks for it");
                ("red", Some(text))
            }
            (true, "ok", None, 0) => ("green", None),
            (true, "ok", None, n) => ("yellow", Some(format!("{n} deliveries are tried again"))),
            (true, ..) => ("red", row.state_reason),
        };
        lights.push(Light {
            kind: "connection".to_owned(),
            name: row.name,
            id: Some(row.id),
            colour: colour.to_owned(),
            detail,
        });
    }
    lights.extend(silent(core, scope).await?);
    Ok(lights)
}

/// Sources whose silence has raised its alert.
async fn silent(core: &Core, scope: Scope) -> ApiResult<Vec<Light>> {
    let notices = notices::sources(core, scope).await?;
    Ok(notices
        .into_iter()
        .map(|notice| Light {
            kind: notice.kind,
            name: notice.name,
            id: notice.id,
            colour: notice.colour,
            detail: Some("silent".to_owned()),
        })
        .collect())
}

async fn redis(core: &Core) -> Light {
    let (colour, detail) = match core.redis.answers().await {
        None => ("grey", Some("not used".to_owned())),
        Some(true) => ("green", None),
        Some(false) => ("red", Some("does not answer".to_owned())),
    };
    Light {
        kind: "redis".to_owned(),
        name: "Redis".to_owned(),
        id: None,
        colour: colour.to_owned(),
        detail,
    }
}

async fn retrying(core: &Core, scope: Scope, id: uuid::Uuid) -> ApiResult<u64> {
    Ok(delivery::Entity::find()
        .filter(delivery::Column::WorkspaceId.eq(scope.workspace()))
        .filter(delivery::Column::ConnectionId.eq(id))
        .filter(delivery::Column::State.eq(State::Retrying.as_str()))
        .filter(open_states())
        .count(core.db.read())
        .await?)
}
