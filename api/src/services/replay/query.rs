//! Which rows are meant.
//!
//! The word of the state stands in the text of each query: only so do the databases see that an
//! index over the dead (or parked) rows alone serves it.

use entity::delivery;
use openapi::deliveries::DeadFilter;
use openapi::problem::Code;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait as _, Condition, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _, Select,
};
use uuid::Uuid;

use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::journal::{Lane, UNDER_WAY, open_states};
use crate::scope::Scope;

/// Most dead letters that can be named in one request.
const NAMED: usize = 1000;

/// Those that were set aside with their lane, in the words of the partial indexes.
const ASIDE: &str = "state = 'dead' AND lane_parked = TRUE";
/// The place of a delivery in its lane, in the words of the index.
const PLACE: &str = "COALESCE(place, id)";

/// Dead letters that a filter names, in no order.
pub fn dead_query(scope: Scope, filter: &DeadFilter) -> Select<delivery::Entity> {
    dead(scope).filter(named(filter))
}

/// What a replay of those takes: they, and the rest of each lane that was set aside with one of them.
pub fn whole_query(scope: Scope, filter: &DeadFilter) -> Select<delivery::Entity> {
    // A connection has whole lanes.
    if filter.ids.is_none() && filter.error_code.is_none() && filter.rule_id.is_none() {
        return dead_query(scope, filter);
    }
    let columns = [delivery::Column::ConnectionId, delivery::Column::Lane];
    let lanes = dead_query(scope, filter)
        .filter(Expr::cust(ASIDE))
        .select_only()
        .columns(columns)
        .distinct()
        .into_query();
    let with_its_lane = Condition::all()
        .add(delivery::Column::LaneParked.eq(true))
        .add(
            Expr::tuple(columns.map(|column| Expr::col(column.as_column_ref()))).in_subquery(lanes),
        );
    dead(scope).filter(Condition::any().add(named(filter)).add(with_its_lane))
}

fn dead(scope: Scope) -> Select<delivery::Entity> {
    delivery::Entity::find()
        .filter(delivery::Column::WorkspaceId.eq(scope.workspace()))
        .filter(Expr::cust("state = 'dead'"))
}

fn named(filter: &DeadFilter) -> Condition {
    let mut all = Condition::all();
    if let Some(ids) = &filter.ids {
        all = all.add(delivery::Column::Id.is_in(ids.iter().copied()));
    }
    if let Some(code) = &filter.error_code {
        all = all.add(delivery::Column::ErrorCode.eq(code));
    }
    if let Some(connection) = filter.connection_id {
        all = all.add(delivery::Column::ConnectionId.eq(connection));
    }
    if let Some(rule) = filter.rule_id {
        all = all.add(delivery::Column::RuleId.eq(rule));
    }
    all
}

/// What was set aside with a lane, oldest first. Nothing of one that is still being set aside: only
/// its newest are dead letters yet. One statement, so that it sees both at the same moment.
pub fn lane_query(scope: Scope, lane: &Lane) -> Select<delivery::Entity> {
    let under_way = under_way(lane.0)
        .select_only()
        .column(delivery::Column::Lane)
        .into_query();
    aside(scope, lane)
        .filter(delivery::Column::Lane.not_in_subquery(under_way))
        .order_by_asc(Expr::cust(PLACE))
}

/// The failed heads of a connection whose lanes are being set aside. The word of the state stands in
/// the text: only so is the index over open rows used.
fn under_way(connection: Uuid) -> Select<delivery::Entity> {
    delivery::Entity::find()
        .filter(delivery::Column::ConnectionId.eq(connection))
        .filter(Expr::cust("state = 'parked'"))
        .filter(open_states())
        .filter(delivery::Column::DueAt.eq(UNDER_WAY))
}

/// Whether a lane is still being set aside.
///
/// # Errors
/// The database failed.
pub async fn is_under_way(core: &Core, (connection, key): &Lane) -> Result<bool, DbErr> {
    let heads = under_way(*connection).filter(delivery::Column::Lane.eq(key));
    Ok(count(core, &heads).await? > 0)
}

fn aside(scope: Scope, (connection, key): &Lane) -> Select<delivery::Entity> {
    delivery::Entity::find()
        .filter(delivery::Column::WorkspaceId.eq(scope.workspace()))
        .filter(delivery::Column::ConnectionId.eq(*connection))
        .filter(delivery::Column::Lane.eq(key))
        .filter(Expr::cust(ASIDE))
}

/// The next lanes after one, in the order of connection and key, of which a query names something
/// that was set aside.
///
/// # Errors
/// The database failed.
pub async fn lanes(
    core: &Core,
    query: &Select<delivery::Entity>,
    after: Option<&Lane>,
    last: Uuid,
    most: u64,
) -> Result<Vec<Lane>, DbErr> {
    use delivery::Column::{ConnectionId, Id, Lane};
    let mut query = query
        .clone()
        .filter(Expr::cust(ASIDE))
        .filter(Id.lte(last))
        .filter(Lane.is_not_null());
    if let Some((connection, key)) = after {
        let same = Condition::all()
            .add(ConnectionId.eq(*connection))
            .add(Lane.gt(key));
        query = query.filter(Condition::any().add(ConnectionId.gt(*connection)).add(same));
    }
    query
        .select_only()
        .columns([ConnectionId, Lane])
        .distinct()
        .order_by_asc(ConnectionId)
        .order_by_asc(Lane)
        .limit(most)
        .into_tuple()
        .all(core.db.read())
        .await
}

/// The first of those that were set aside with a lane.
///
/// # Errors
/// The database failed.
pub async fn next_of_lane(
    core: &Core,
    scope: Scope,
    lane: &Lane,
    most: u64,
) -> Result<Vec<delivery::Model>, DbErr> {
    lane_query(scope, lane)
        .limit(most)
        .all(core.db.read())
        .await
}

/// How many that were set aside with a lane come after a place.
///
/// # Errors
/// The database failed.
pub async fn behind(core: &Core, scope: Scope, lane: &Lane, place: Uuid) -> Result<i64, DbErr> {
    count(
        core,
        &aside(scope, lane).filter(Expr::cust(PLACE).gt(place)),
    )
    .await
}

/// Deliveries that a quarantined rule has parked. Those that wait in a lane are parked for another
/// reason: a rule that cannot be compiled renders no key.
pub fn parked_query(scope: Scope, rule: Uuid) -> Select<delivery::Entity> {
    delivery::Entity::find()
        .filter(delivery::Column::WorkspaceId.eq(scope.workspace()))
        .filter(Expr::cust("state = 'parked'"))
        .filter(delivery::Column::RuleId.eq(rule))
        .filter(delivery::Column::Lane.is_null())
        .filter(delivery::Column::Attempts.eq(0))
}

/// Refuses a filter that names too many.
///
/// # Errors
/// 422 at `ids`.
pub fn check(filter: &DeadFilter) -> ApiResult<()> {
    if filter.ids.as_ref().is_some_and(|ids| ids.len() > NAMED) {
        return Err(ApiError::invalid(
            "ids",
            "too_many",
            format!("At most {NAMED} can be named; filter by their cause instead."),
        ));
    }
    Ok(())
}

/// How many rows there are.
///
/// # Errors
/// The database failed.
pub async fn count(core: &Core, query: &Select<delivery::Entity>) -> Result<i64, DbErr> {
    let count: Option<i64> = query
        .clone()
        .select_only()
        .column_as(delivery::Column::Id.count(), "count")
        .into_tuple()
        .one(core.db.read())
        .await?;
    Ok(count.unwrap_or_default())
}

/// The newest row: what comes later is not meant.
///
/// # Errors
/// The database failed.
pub async fn newest(core: &Core, query: &Select<delivery::Entity>) -> Result<Option<Uuid>, DbErr> {
    query
        .clone()
        .select_only()
        .column(delivery::Column::Id)
        .order_by_desc(delivery::Column::Id)
        .limit(1)
        .into_tuple()
        .one(core.db.read())
        .await
}

/// The next rows after a place, oldest first.
///
/// # Errors
/// The database failed.
pub async fn next(
    core: &Core,
    query: &Select<delivery::Entity>,
    after: Uuid,
    last: Uuid,
    most: u64,
) -> Result<Vec<delivery::Model>, DbErr> {
    query
        .clone()
        .filter(delivery::Column::Id.gt(after))
        .filter(delivery::Column::Id.lte(last))
        .order_by_asc(delivery::Column::Id)
        .limit(most)
        .all(core.db.read())
        .await
}

/// The answer when a replay is asked of something that a replay cannot be made of.
pub fn conflict(detail: &str) -> ApiError {
    ApiError::new(Code::Conflict).detail(detail)
}
