//! Reading events.

mod detail;
mod filter;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::event;
use openapi::events::{EventSummary, MatchedRule};
use openapi::page::Page;
use sea_orm::{ColumnTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::cursor::Window;
use super::names::{self, DELETED};
use super::sources::stored;
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::problem::ApiResult;
use crate::scope::Scope;

pub(super) use detail::find;
pub use detail::{body, detail};
pub use filter::{Look, by_name, look, of_request};

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

/// Events, newest first. What no index knows is looked for among so many events a page; the next
/// page looks further.
///
/// # Errors
/// A filter that cannot be.
pub async fn list(
    core: &Core,
    scope: Scope,
    filter: EventFilter,
    window: Window,
) -> ApiResult<Page<EventSummary>> {
    let db = core.db.read();
    let slugs = names::sources(db, scope).await?;
    let source = match &filter.source {
        None => None,
        Some(wanted) => {
            let Some(id) = names::meant(&slugs, wanted) else {
                return Ok(Page {
                    items: Vec::new(),
                    next_cursor: None,
                });
            };
            Some(id)
        }
    };
    let mut named = Vec::new();
    for query in filter::by_name(scope, &filter, slugs.keys().copied()) {
        let found: Vec<Uuid> = query.into_tuple().all(db).await?;
        named.extend(found);
    }
    if let Some(first) = named.first() {
        let found = filter::of_request(scope, &filter, *first);
        let found: Vec<Uuid> = found.into_tuple().all(db).await?;
        named.extend(found);
    }
    let look = filter::look(core.db.backend(), scope, &filter, source, &named, window)?;
    let floor: Option<Uuid> = match look.floor {
        None => None,
        Some(query) => query.into_tuple().one(db).await?,
    };
    let mut query = look.page;
    if let Some(floor) = floor {
        query = query.filter(event::Column::Id.gte(floor));
    }
    let rows: Vec<Line> = query.into_tuple().all(db).await?;
    let page = window.page_down_to(floor, rows, |row| row.0, |row| summary(row, &slugs));
    Ok(Page {
        items: page.items.into_iter().collect::<ApiResult<_>>()?,
        next_cursor: page.next_cursor,
    })
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
