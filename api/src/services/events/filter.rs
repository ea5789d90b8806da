//! Which events a filter names, and how they are found.
//!
//! The list is in the order of the ids, and so are the indexes over a workspace and over a source.
//! Ids carry the time at which they were made, so a time is a place in the list. The rest of a filter
//! is in no index, for each index would cost every event that comes in: what it names is looked for
//! among [`LOOKED_AT`] events at a time. Only ids, which name one event, are looked up.

use entity::event;
use openapi::problem::Code;
use sea_orm::sea_query::{Expr, Func, LikeExpr};
use sea_orm::{
    ColumnTrait as _, Condition, DatabaseBackend, EntityTrait as _, ExprTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
};
use uuid::Uuid;

use super::EventFilter;
use crate::http::problem::{ApiError, ApiResult};
use crate::ids;
use crate::scope::Scope;
use crate::services::cursor::{LOOKED_AT, Window};

/// How much later than the receipt of an event its id may be made: the body has to arrive, and a
/// clock may be set. Beyond it the id counts: events that came while a clock was set back stand in
/// the list where they came, and are found there.
const LATER_MS: i64 = 60_000;
/// How long the events of one request take to get their ids.
const REQUEST_MS: i64 = 5_000;
/// Events that share a name, at most.
const NAMED: u64 = 1_000;

/// The queries of one page.
#[derive(Clone, Debug)]
pub struct Look {
    /// The id down to which this page looks; none: as far as it takes, by an index.
    pub floor: Option<Select<event::Entity>>,
    /// The rows, one more than a page has.
    pub page: Select<event::Entity>,
}

/// The queries of a page. `source` is that of the filter; `named` are the events that its words name,
/// if there are any.
///
/// # Errors
/// A filter that cannot be.
pub fn look(
    backend: DatabaseBackend,
    scope: Scope,
    filter: &EventFilter,
    source: Option<Uuid>,
    named: &[Uuid],
    window: Window,
) -> ApiResult<Look> {
    let part = part(scope, filter, source, window);
    let rest = rest(filter, named)?;
    let floor = named.is_empty() && !rest.is_empty();
    let newest_first =
        |query: Select<event::Entity>| query.select_only().order_by_desc(event::Column::Id);
    let all = || event::Entity::find().filter(part.clone());
    Ok(Look {
        floor: floor.then(|| {
            newest_first(all())
                .column(event::Column::Id)
                .offset(LOOKED_AT - 1)
                .limit(1)
        }),
        page: newest_first(all())
            .column(event::Column::Id)
            .column(event::Column::SourceId)
            .column(event::Column::ReceivedAt)
            .column(event::Column::CorrelationId)
            .column(event::Column::Disposition)
            .column(event::Column::Reason)
            .column(event::Column::Matched)
            .column(event::Column::Title)
            .column_as(size(backend), "size")
            .column(event::Column::Test)
            .filter(rest)
            .limit(window.limit + 1),
    })
}

/// Bytes of the body, counted where they lie.
fn size(backend: DatabaseBackend) -> Expr {
    let body = Expr::col(event::Column::Body);
    if backend == DatabaseBackend::Postgres {
        Expr::from(Func::cust("octet_length").arg(body)).cast_as("bigint")
    } else {
        Expr::from(Func::cust("length").arg(body))
    }
}

/// A piece of the list: what an index finds, in its order.
fn part(scope: Scope, filter: &EventFilter, source: Option<Uuid>, window: Window) -> Condition {
    let id = || event::Column::Id;
    let part = match source {
        // Known to be of this workspace, and with it both indexes would do.
        Some(source) => event::Column::SourceId.eq(source),
        None => event::Column::WorkspaceId.eq(scope.workspace()),
    };
    let ms = |at: chrono::DateTime<chrono::Utc>| at.timestamp_millis();
    Condition::all()
        .add(part)
        .add_option(window.before.map(|before| id().lt(before)))
        .add_option(filter.from.map(|from| id().gte(ids::first_of(ms(from)))))
        .add_option(
            filter
                .to
                .map(|to| id().lt(ids::first_of(ms(to).saturating_add(LATER_MS)))),
        )
}

/// What is to be looked at in each event of the piece.
fn rest(filter: &EventFilter, named: &[Uuid]) -> ApiResult<Condition> {
    let mut all = Condition::all();
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
        all = all.add(since(from.timestamp_millis()));
    }
    if let Some(to) = filter.to {
        all = all.add(since(to.timestamp_millis()).not());
    }
    if !named.is_empty() {
        all = all.add(event::Column::Id.is_in(named.iter().copied()));
    } else if let Some(words) = words(filter) {
        let title = Expr::from(Func::lower(Expr::col(event::Column::Title)))
            .like(LikeExpr::new(format!("{}%", escaped(&words.to_lowercase()))).escape('!'));
        all = all.add(
            Condition::any()
                .add(event::Column::CorrelationId.eq(words))
                .add(title),
        );
    }
    Ok(all)
}

/// Received at or after a moment. Each event is either that or was received before, so that pieces of
/// time that follow each other have every event once.
fn since(ms: i64) -> Condition {
    let later = ids::first_of(ms.saturating_add(LATER_MS));
    Condition::all()
        .add(event::Column::Id.gte(ids::first_of(ms)))
        .add(
            Condition::any()
                .add(event::Column::ReceivedAt.gte(ms))
                .add(event::Column::Id.gte(later)),
        )
}

fn words(filter: &EventFilter) -> Option<&str> {
    let words = filter.words.as_deref().map(str::trim);
    words.filter(|words| !words.is_empty())
}

/// The events that the words of a filter name: by their id, and by the delivery id of a sender, of
/// which each source has its own.
pub fn by_name(
    scope: Scope,
    filter: &EventFilter,
    sources: impl Iterator<Item = Uuid>,
) -> Vec<Select<event::Entity>> {
    let Some(words) = words(filter) else {
        return Vec::new();
    };
    let ids = || {
        event::Entity::find()
            .select_only()
            .column(event::Column::Id)
            .limit(NAMED)
    };
    let mut queries = vec![
        ids()
            .filter(event::Column::SourceId.is_in(sources))
            .filter(event::Column::IdempotencyKey.eq(words))
            // The words of the partial index.
            .filter(event::Column::IdempotencyKey.is_not_null()),
    ];
    if let Ok(id) = words.parse::<Uuid>() {
        let own = event::Column::WorkspaceId.eq(scope.workspace());
        queries.insert(0, ids().filter(event::Column::Id.eq(id)).filter(own));
    }
    queries
}

/// The events that came in one request with this one, whose id names them all.
pub fn of_request(scope: Scope, filter: &EventFilter, first: Uuid) -> Select<event::Entity> {
    let end = ids::first_of(ids::moment_of(first).saturating_add(REQUEST_MS));
    event::Entity::find()
        .select_only()
        .column(event::Column::Id)
        .filter(event::Column::WorkspaceId.eq(scope.workspace()))
        .filter(event::Column::Id.gt(first))
        .filter(event::Column::Id.lt(end))
        .filter(event::Column::CorrelationId.eq(words(filter).unwrap_or_default()))
        .order_by_asc(event::Column::Id)
        .limit(NAMED)
}

/// A text that `LIKE` takes as it is.
fn escaped(text: &str) -> String {
    text.replace('!', "!!")
        .replace('%', "!%")
        .replace('_', "!_")
}
