//! Reading events.

mod detail;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::event;
use openapi::events::{EventSummary, MatchedRule};
use openapi::page::Page;
use openapi::problem::Code;
use sea_orm::sea_query::{Expr, Func, LikeExpr};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, ExprTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::cursor::Window;
use super::names::{self, DELETED};
use super::sources::stored;
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::scope::Scope;

pub(super) use detail::find;
pub use detail::{body, detail};

/// Which events are wanted; everything that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Slug or id of the source.
    pub source: Option<String>,
    /// Disposition.
    pub disposition: Option<String>,
    /// Id or name of a rule that took it.
    pub rule: Option<String>,
    /// Id, correlation id, delivery id of the sender, or beginning of the title.
    pub words: Option<String>,
    /// Received at or after.
    pub from: Option<DateTime<Utc>>,
    /// Received before.
    pub to: Option<DateTime<Utc>>,
}

/// The columns of a line of the list, without the body.
type Line = (
    Uuid,
    Uuid,
    i64,
    String,
    String,
    String,
    String,
    String,
    i64,
    bool,
);

/// Events, newest first.
///
/// # Errors
/// A filter that cannot be.
pub async fn list(
    core: &Core,
    scope: Scope,
    filter: EventFilter,
    window: Window,
) -> ApiResult<Page<EventSummary>> {
    let slugs = names::sources(core.db.read(), scope).await?;
    let Some(condition) = condition(scope, &filter, &slugs)? else {
        return Ok(Page {
            items: Vec::new(),
            next_cursor: None,
        });
    };
    let mut query = event::Entity::find()
        .select_only()
        .column(event::Column::Id)
        .column(event::Column::SourceId)
        .column(event::Column::ReceivedAt)
        .column(event::Column::CorrelationId)
        .column(event::Column::Disposition)
        .column(event::Column::Reason)
        .column(event::Column::Matched)
        .column(event::Column::Title)
        .column_as(size(core), "size")
        .column(event::Column::Test)
        .filter(condition);
    if let Some(before) = window.before {
        query = query.filter(event::Column::Id.lt(before));
    }
    let rows: Vec<Line> = query
        .order_by_desc(event::Column::Id)
        .limit(window.limit + 1)
        .into_tuple()
        .all(core.db.read())
        .await?;
    let page = window.page(rows, |row| row.0, |row| summary(row, &slugs));
    Ok(Page {
        items: page.items.into_iter().collect::<ApiResult<_>>()?,
        next_cursor: page.next_cursor,
    })
}

/// Bytes of the body, counted where they lie.
fn size(core: &Core) -> Expr {
    let body = Expr::col(event::Column::Body);
    if core.db.is_postgres() {
        Expr::from(Func::cust("octet_length").arg(body)).cast_as("bigint")
    } else {
        Expr::from(Func::cust("length").arg(body))
    }
}

fn summary(row: Line, slugs: &HashMap<Uuid, String>) -> ApiResult<EventSummary> {
    let (
        id,
        source_id,
        received_at,
        correlation_id,
        disposition,
        reason,
        matched,
        title,
        size,
        test,
    ) = row;
    Ok(EventSummary {
        id,
        source_id,
        source: slug(slugs, source_id),
        received_at: from_ms(received_at),
        correlation_id,
        disposition,
        reason,
        rules: rules(&matched)?,
        title,
        size,
        test,
    })
}

fn slug(slugs: &HashMap<Uuid, String>, id: Uuid) -> String {
    slugs
        .get(&id)
        .map_or_else(|| DELETED.to_owned(), Clone::clone)
}

fn rules(matched: &str) -> ApiResult<Vec<MatchedRule>> {
    if matched.is_empty() {
        return Ok(Vec::new());
    }
    stored("event.matched", matched)
}

/// The condition of a filter; none if nothing can match it.
fn condition(
    scope: Scope,
    filter: &EventFilter,
    slugs: &HashMap<Uuid, String>,
) -> ApiResult<Option<Condition>> {
    let mut all = Condition::all().add(event::Column::WorkspaceId.eq(scope.workspace()));
    if let Some(wanted) = &filter.source {
        let source = slugs
            .iter()
            .find(|(id, slug)| *slug == wanted || id.to_string() == *wanted);
        let Some((id, _)) = source else {
            return Ok(None);
        };
        all = all.add(event::Column::SourceId.eq(*id));
    }
    if let Some(word) = &filter.disposition {
        if !["routed", "unmatched", "dropped", "unrouted"].contains(&word.as_str()) {
            return Err(ApiError::new(Code::InvalidParameter).at(
                "disposition",
                "unknown_value",
                "One of routed, unmatched, dropped, unrouted is expected.",
            ));
        }
        all = all.add(event::Column::Disposition.eq(word));
    }
    if let Some(rule) = &filter.rule {
        // The column is our own JSON; a name is looked for as JSON writes it.
        let part = match rule.parse::<Uuid>() {
            Ok(id) => format!("\"{id}\""),
            Err(_) => format!("\"name\":{}", serde_json::Value::String(rule.clone())),
        };
        all = all.add(
            event::Column::Matched.like(LikeExpr::new(format!("%{}%", escaped(&part))).escape('!')),
        );
    }
    if let Some(from) = filter.from {
        all = all.add(event::Column::ReceivedAt.gte(from.timestamp_millis()));
    }
    if let Some(to) = filter.to {
        all = all.add(event::Column::ReceivedAt.lt(to.timestamp_millis()));
    }
    if let Some(words) = filter
        .words
        .as_deref()
        .map(str::trim)
        .filter(|w| !w.is_empty())
    {
        let mut any = Condition::any()
            .add(event::Column::CorrelationId.eq(words))
            .add(event::Column::IdempotencyKey.eq(words))
            .add(
                Expr::from(Func::lower(Expr::col(event::Column::Title))).like(
                    LikeExpr::new(format!("{}%", escaped(&words.to_lowercase()))).escape('!'),
                ),
            );
        if let Ok(id) = words.parse::<Uuid>() {
            any = any.add(event::Column::Id.eq(id));
        }
        all = all.add(any);
    }
    Ok(Some(all))
}

/// A text that `LIKE` takes as it is.
fn escaped(text: &str) -> String {
    text.replace('!', "!!")
        .replace('%', "!%")
        .replace('_', "!_")
}
