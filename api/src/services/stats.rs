//! Numbers for the dashboard, from the hourly counters and what is open.

use std::collections::BTreeMap;

use entity::{connection, stat_hour};
use openapi::deliveries::State;
use openapi::stats::{Hour, Light, Queue, Stats, Today};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};

use super::notices;
use super::queue::{self, Waiting};
use crate::clock::from_ms;
use crate::core::Core;
use crate::dispatch;
use crate::http::problem::ApiResult;
use crate::journal::{metric, sql};
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
    let waiting = queue::waiting(&core.db, Some(scope)).await?;
    Ok(Stats {
        hours: hours.into_values().collect(),
        today,
        queue: queue(core, scope, &waiting, now).await?,
        lights: lights(core, scope, &waiting).await?,
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

async fn queue(core: &Core, scope: Scope, waiting: &[Waiting], now: i64) -> ApiResult<Queue> {
    let of = |wanted: fn(State) -> bool| waiting.iter().filter(move |w| wanted(w.state));
    let query = queue::dead_query(true);
    let dead = sql::rows(core.db.read(), query, vec![scope.workspace().into()]).await?;
    Ok(Queue {
        depth: waiting.iter().map(|w| w.count).sum(),
        held: of(|state| state == State::Held).map(|w| w.count).sum(),
        oldest_seconds: of(|state| state != State::Held)
            .map(|w| (now - w.oldest).max(0) / 1000)
            .max(),
        dead: dead.first().map_or(Ok(0), |row| row.try_get("", "dead"))?,
    })
}

async fn lights(core: &Core, scope: Scope, waiting: &[Waiting]) -> ApiResult<Vec<Light>> {
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
        let retrying: i64 = waiting
            .iter()
            .filter(|w| w.connection == row.id && w.state == State::Retrying)
            .map(|w| w.count)
            .sum();
        let failures = breakers
            .get(&row.id)
            .filter(|breaker| breaker.state == "open")
            .map(|breaker| breaker.failures);
        let (colour, detail) = match (row.enabled, row.state.as_str(), failures, retrying) {
            (false, ..) if notices::off_by_server(&row) => ("red", row.state_reason),
            (false, ..) => ("grey", Some("switched off".to_owned())),
            (true, "ok", Some(n), 0) => {
                let text = format!("{n} calls in a row failed; the next delivery looks for it");
                ("red", Some(text))
            }
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
