//! What a replay of dead letters would do.

use std::collections::HashMap;

use entity::delivery;
use openapi::deliveries::{
    DeadFilter, DeadOutcome, DeadPreview, DeadSample, DeadShare, PlannedOperation, ReplayRules,
};
use sea_orm::{
    ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    Select,
};
use serde_json::Value;
use uuid::Uuid;

use super::make::Maker;
use super::query::{self, check, dead_query, whole_query};
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::problem::ApiResult;
use crate::journal::AcceptEvent;
use crate::mask;
use crate::scope::Scope;
use crate::services::names::{self, DELETED};
use crate::services::{deliveries, rules};

/// Dead letters that are shown as they would be sent.
const SAMPLES: u64 = 5;
/// Most connections, causes and rules that are named.
const SHARES: usize = 50;

/// Counts, and shows the oldest few as every kind of replay would do them.
///
/// # Errors
/// 422 for a filter that cannot be.
pub async fn preview(core: &Core, scope: Scope, filter: DeadFilter) -> ApiResult<DeadPreview> {
    check(&filter)?;
    rules::catch_up(&core.db, &core.clock).await?;
    let named = query::count(core, &dead_query(scope, &filter)).await?;
    let query = whole_query(scope, &filter);
    let totals: Option<(i64, Option<i64>, Option<i64>)> = query
        .clone()
        .select_only()
        .column_as(delivery::Column::Id.count(), "count")
        .column_as(delivery::Column::CreatedAt.min(), "oldest")
        .column_as(delivery::Column::CreatedAt.max(), "newest")
        .into_tuple()
        .one(core.db.read())
        .await?;
    let (count, oldest, newest) = totals.unwrap_or_default();
    let known = names::connections(core.db.read(), scope).await?;
    let name = |id: &Uuid| {
        known
            .get(id)
            .map_or_else(|| DELETED.to_owned(), |(name, _)| name.clone())
    };
    let connections: Vec<(Uuid, i64)> =
        shares(core, &query, delivery::Column::ConnectionId).await?;
    let causes: Vec<(Option<String>, i64)> =
        shares(core, &query, delivery::Column::ErrorCode).await?;
    let by_rule: Vec<(Option<Uuid>, i64)> = shares(core, &query, delivery::Column::RuleId).await?;
    let rule_names = rule_names(core, scope).await?;
    Ok(DeadPreview {
        count,
        with_lanes: (count - named).max(0),
        oldest_at: oldest.map(from_ms),
        newest_at: newest.map(from_ms),
        connections: listed(connections, |id| (name(&id), Some(id))),
        causes: listed(causes, |code| (code.unwrap_or_default(), None)),
        rules: listed(by_rule, |id| match id {
            None => (String::new(), None),
            Some(id) => {
                let name = rule_names.get(&id).cloned();
                (name.unwrap_or_else(|| DELETED.to_owned()), Some(id))
            }
        }),
        samples: samples(core, scope, &query).await?,
    })
}

async fn shares<T: sea_orm::TryGetable + Send + Sync + 'static>(
    core: &Core,
    query: &Select<delivery::Entity>,
    column: delivery::Column,
) -> Result<Vec<(T, i64)>, DbErr> {
    query
        .clone()
        .select_only()
        .column(column)
        .column_as(delivery::Column::Id.count(), "count")
        .group_by(column)
        .into_tuple()
        .all(core.db.read())
        .await
}

/// The most first, and not too many.
fn listed<T>(rows: Vec<(T, i64)>, named: impl Fn(T) -> (String, Option<Uuid>)) -> Vec<DeadShare> {
    let mut all: Vec<DeadShare> = rows
        .into_iter()
        .map(|(of, count)| {
            let (name, id) = named(of);
            DeadShare { name, id, count }
        })
        .collect();
    all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    all.truncate(SHARES);
    all
}

async fn rule_names(core: &Core, scope: Scope) -> Result<HashMap<Uuid, String>, DbErr> {
    use entity::rule;
    let rows: Vec<(Uuid, String)> = rule::Entity::find()
        .select_only()
        .column(rule::Column::Id)
        .column(rule::Column::Name)
        .filter(rule::Column::WorkspaceId.eq(scope.workspace()))
        .into_tuple()
        .all(core.db.read())
        .await?;
    Ok(rows.into_iter().collect())
}

async fn samples(
    core: &Core,
    scope: Scope,
    query: &Select<delivery::Entity>,
) -> ApiResult<Vec<DeadSample>> {
    let rows = query
        .clone()
        .order_by_asc(delivery::Column::Id)
        .limit(SAMPLES)
        .all(core.db.read())
        .await?;
    let mut samples = Vec::with_capacity(rows.len());
    let (mut today, mut then) = (Maker::new(core, scope), Maker::new(core, scope));
    for row in rows {
        let again = today.again(&row);
        let now = today.by_rules(&row, ReplayRules::Today).await?;
        let before = then.by_rules(&row, ReplayRules::Then).await?;
        let differ = what(&now) != what(&before);
        let shown = deliveries::with_attempts(core, scope, vec![row]).await?;
        samples.extend(shown.into_iter().map(|delivery| DeadSample {
            delivery,
            again: outcome(&again),
            today: outcome(&now),
            then: outcome(&before),
            differ,
        }));
    }
    Ok(samples)
}

/// What counts when two outcomes are compared: what would be sent, and where.
fn what(made: &Result<AcceptEvent, String>) -> Result<Vec<[String; 5]>, &String> {
    made.as_ref().map(|event| {
        event
            .deliveries
            .iter()
            .map(|d| {
                [
                    d.row.connection_id.to_string(),
                    d.row.operation.clone(),
                    d.row.lane.clone().unwrap_or_default(),
                    d.row.action.clone().unwrap_or_default(),
                    d.row.fields.clone(),
                ]
            })
            .collect()
    })
}

fn outcome(made: &Result<AcceptEvent, String>) -> DeadOutcome {
    let (reason, operations) = match made {
        Err(reason) => (Some(reason.clone()), Vec::new()),
        Ok(event) => (
            None,
            event
                .deliveries
                .iter()
                .map(|d| PlannedOperation {
                    rule: d.row.rule_name.clone(),
                    revision: d.row.rule_revision,
                    connection: d.connection.clone(),
                    operation: d.row.operation.clone(),
                    key: d.row.lane.clone(),
                    action: d.row.action.clone(),
                    fields: mask::value(serde_json::from_str(&d.row.fields).unwrap_or(Value::Null)),
                })
                .collect(),
        ),
    };
    DeadOutcome { reason, operations }
}
