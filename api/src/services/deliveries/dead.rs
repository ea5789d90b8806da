//! Dead letters, grouped by their cause.

use entity::delivery;
use openapi::deliveries::DeadGroup;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::clock::from_ms;
use crate::core::Core;
use crate::http::problem::ApiResult;
use crate::scope::Scope;
use crate::services::names::{self, DELETED};

type Group = (Option<String>, Uuid, i64, i64, i64);

/// Dead letters by cause and connection, the largest group first; only those of a rule if one is named.
///
/// # Errors
/// The database failed.
pub async fn groups(core: &Core, scope: Scope, rule: Option<Uuid>) -> ApiResult<Vec<DeadGroup>> {
    let names = names::connections(core.db.read(), scope).await?;
    let rows: Vec<Group> = dead(scope, rule)
        .select_only()
        .column(delivery::Column::ErrorCode)
        .column(delivery::Column::ConnectionId)
        .column_as(delivery::Column::Id.count(), "count")
        .column_as(delivery::Column::CreatedAt.min(), "oldest")
        .column_as(delivery::Column::CreatedAt.max(), "newest")
        .group_by(delivery::Column::ErrorCode)
        .group_by(delivery::Column::ConnectionId)
        .into_tuple()
        .all(core.db.read())
        .await?;
    let mut groups = Vec::with_capacity(rows.len());
    for (code, connection_id, count, oldest, newest) in rows {
        let of_code = match &code {
            Some(code) => delivery::Column::ErrorCode.eq(code),
            None => delivery::Column::ErrorCode.is_null(),
        };
        let error: Option<Option<String>> = dead(scope, rule)
            .select_only()
            .column(delivery::Column::Error)
            .filter(delivery::Column::ConnectionId.eq(connection_id))
            .filter(of_code)
            .order_by_desc(delivery::Column::Id)
            .limit(1)
            .into_tuple()
            .one(core.db.read())
            .await?;
        groups.push(DeadGroup {
            error_code: code.unwrap_or_default(),
            connection_id,
            connection: names
                .get(&connection_id)
                .map_or_else(|| DELETED.to_owned(), |(name, _)| name.clone()),
            error: error.flatten(),
            count,
            oldest_at: from_ms(oldest),
            newest_at: from_ms(newest),
        });
    }
    groups.sort_by_key(|group| std::cmp::Reverse((group.count, group.newest_at)));
    Ok(groups)
}

fn dead(scope: Scope, rule: Option<Uuid>) -> sea_orm::Select<delivery::Entity> {
    let all = delivery::Entity::find()
        .filter(delivery::Column::WorkspaceId.eq(scope.workspace()))
        // The word stands in the text, so that the index over dead letters serves it.
        .filter(Expr::cust("state = 'dead'"));
    match rule {
        Some(rule) => all.filter(delivery::Column::RuleId.eq(rule)),
        None => all,
    }
}
