//! Which rows are meant.
//!
//! The word of the state stands in the text of each query: only so do the databases see that an
//! index over the dead (or parked) rows alone serves it.

use entity::delivery;
use openapi::deliveries::DeadFilter;
use openapi::problem::Code;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    Select,
};
use uuid::Uuid;

use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::scope::Scope;

/// Most dead letters that can be named in one request.
const NAMED: usize = 1000;

/// Dead letters that a filter names, in no order.
pub fn dead_query(scope: Scope, filter: &DeadFilter) -> Select<delivery::Entity> {
    let mut query = delivery::Entity::find()
        .filter(delivery::Column::WorkspaceId.eq(scope.workspace()))
        .filter(Expr::cust("state = 'dead'"));
    if let Some(ids) = &filter.ids {
        query = query.filter(delivery::Column::Id.is_in(ids.iter().copied()));
    }
    if let Some(code) = &filter.error_code {
        query = query.filter(delivery::Column::ErrorCode.eq(code));
    }
    if let Some(connection) = filter.connection_id {
        query = query.filter(delivery::Column::ConnectionId.eq(connection));
    }
    if let Some(rule) = filter.rule_id {
        query = query.filter(delivery::Column::RuleId.eq(rule));
    }
    query
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

/// How many rows there are, and the newest of them: what comes later is not meant.
///
/// # Errors
/// The database failed.
pub async fn extent(
    core: &Core,
    query: &Select<delivery::Entity>,
) -> Result<Option<(i64, Uuid)>, DbErr> {
    let count: Option<i64> = query
        .clone()
        .select_only()
        .column_as(delivery::Column::Id.count(), "count")
        .into_tuple()
        .one(core.db.read())
        .await?;
    let newest: Option<Uuid> = query
        .clone()
        .select_only()
        .column(delivery::Column::Id)
        .order_by_desc(delivery::Column::Id)
        .limit(1)
        .into_tuple()
        .one(core.db.read())
        .await?;
    Ok(count.filter(|n| *n > 0).zip(newest))
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
