//! The list of deliveries.
//!
//! It is in the order of the ids. What is open, what is dead and what belongs to an event is found by
//! an index; everything else that a filter names is looked for among [`LOOKED_AT`] deliveries a page.

use entity::delivery;
use openapi::deliveries::{Delivery, State};
use openapi::page::Page;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Select, Value,
};
use uuid::Uuid;

use super::{DeliveryFilter, to_wire};
use crate::core::Core;
use crate::http::problem::ApiResult;
use crate::journal::{OPEN_D, sql};
use crate::scope::Scope;
use crate::services::cursor::{LOOKED_AT, Window};
use crate::services::names;

/// Deliveries that are found by an index and sorted for a page, at most. Of more than these the list
/// is full, and its newest are near.
const SORTED: usize = 5_000;

/// The queries of one page.
#[derive(Clone, Debug)]
pub struct Look {
    /// The id down to which this page looks; none: as far as it takes, by an index.
    pub floor: Option<Select<delivery::Entity>>,
    /// The rows, one more than a page has.
    pub page: Select<delivery::Entity>,
}

/// Deliveries, newest first.
///
/// # Errors
/// The database failed.
pub async fn list(
    core: &Core,
    scope: Scope,
    filter: DeliveryFilter,
    window: Window,
) -> ApiResult<Page<Delivery>> {
    let db = core.db.read();
    let names = names::connections(db, scope).await?;
    let connection = match &filter.connection {
        None => None,
        Some(wanted) => {
            let known = names::meant(names.iter().map(|(id, (name, _))| (id, name)), wanted);
            // One that was deleted has no name any more.
            let Some(id) = known.or_else(|| wanted.parse().ok()) else {
                return Ok(Page {
                    items: Vec::new(),
                    next_cursor: None,
                });
            };
            Some(id)
        }
    };
    let mut few = few(core, scope, &filter, connection).await?;
    // Where only the states are asked for, the first of them are the page.
    let mut floor = None;
    if let Some(ids) = &mut few
        && filter.event.is_none()
        && !looks(&filter)
    {
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.retain(|id| window.before.is_none_or(|before| *id < before));
        let wanted = usize::try_from(window.limit)
            .unwrap_or(usize::MAX)
            .saturating_add(1);
        if ids.len() > wanted {
            ids.truncate(wanted);
            // Some may have moved on before they are read.
            floor = ids.last().copied();
        }
    }
    let look = look(scope, &filter, connection, few.as_deref(), window);
    if let Some(query) = look.floor {
        floor = query.into_tuple().one(db).await?;
    }
    let mut query = look.page;
    if let Some(floor) = floor {
        query = query.filter(delivery::Column::Id.gte(floor));
    }
    let rows = query.all(db).await?;
    let make = |row| to_wire(row, &names, Vec::new());
    let page = window.page_down_to(floor, rows, |row| row.id, make);
    Ok(Page {
        items: page.items.into_iter().collect::<ApiResult<_>>()?,
        next_cursor: page.next_cursor,
    })
}

/// The ids of those among which the page is, if an index knows them and they are few.
async fn few(
    core: &Core,
    scope: Scope,
    filter: &DeliveryFilter,
    connection: Option<Uuid>,
) -> ApiResult<Option<Vec<Uuid>>> {
    let db = core.db.read();
    let mut found: Vec<Uuid> = Vec::new();
    if let Some(event) = filter.event {
        found = of_event(event).into_tuple().all(db).await?;
    } else if !filter.states.is_empty() && filter.states.iter().all(|state| state.is_open()) {
        let mut values: Vec<Value> = vec![scope.workspace().into()];
        values.extend(connection.map(Value::from));
        let query = open_query(&filter.states, connection.is_some());
        for row in sql::rows(db, query, values).await? {
            found.push(row.try_get("", "id")?);
        }
        if connection.is_none() && filter.states.contains(&State::Parked) {
            let parked: Vec<Uuid> = parked_nowhere(scope).into_tuple().all(db).await?;
            found.extend(parked);
        }
    } else {
        return Ok(None);
    }
    Ok((found.len() <= SORTED).then_some(found))
}

/// Ids of the deliveries of an event, of whichever workspace: in no order, one more than are sorted.
pub fn of_event(event: Uuid) -> Select<delivery::Entity> {
    ids().filter(delivery::Column::EventId.eq(event))
}

/// Ids of open deliveries in these states: of workspace `$1`, and of its connection `$2`; in no order,
/// one more than are sorted.
pub fn open_query(states: &[State], of_connection: bool) -> String {
    let own = if of_connection { "AND c.id = $2" } else { "" };
    format!(
        "SELECT d.id AS id FROM connection c JOIN delivery d ON d.connection_id = c.id \
         WHERE c.workspace_id = $1 {own} AND d.{} AND {OPEN_D} LIMIT {}",
        in_states(states),
        SORTED + 1
    )
}

/// Ids of what a rule in quarantine sends to a connection that does not exist.
pub fn parked_nowhere(scope: Scope) -> Select<delivery::Entity> {
    ids()
        .filter(delivery::Column::WorkspaceId.eq(scope.workspace()))
        .filter(Expr::cust("state = 'parked'"))
        .filter(delivery::Column::ConnectionId.eq(Uuid::nil()))
}

fn ids() -> Select<delivery::Entity> {
    let most = u64::try_from(SORTED).unwrap_or(u64::MAX);
    delivery::Entity::find()
        .select_only()
        .column(delivery::Column::Id)
        .limit(most.saturating_add(1))
}

/// The queries of a page. `connection` is that of the filter; `few` are ids among which the page is,
/// where they are known.
pub fn look(
    scope: Scope,
    filter: &DeliveryFilter,
    connection: Option<Uuid>,
    few: Option<&[Uuid]>,
    window: Window,
) -> Look {
    let dead = filter.states == [State::Dead];
    let mut part = Condition::all()
        .add(delivery::Column::WorkspaceId.eq(scope.workspace()))
        .add_option(window.before.map(|before| delivery::Column::Id.lt(before)));
    let mut rest = Condition::all();
    if dead {
        part = part.add(Expr::cust(in_states(&filter.states)));
    } else if !filter.states.is_empty() {
        rest = rest.add(Expr::cust(in_states(&filter.states)));
    }
    rest = rest
        .add_option(connection.map(|id| delivery::Column::ConnectionId.eq(id)))
        .add_option(filter.event.map(|id| delivery::Column::EventId.eq(id)))
        .add_option(filter.rule.map(|id| delivery::Column::RuleId.eq(id)))
        .add_option(
            filter
                .key
                .as_ref()
                .map(|key| delivery::Column::Lane.eq(key)),
        )
        .add_option(
            filter
                .error_code
                .as_ref()
                .map(|code| delivery::Column::ErrorCode.eq(code)),
        );
    // Dead letters have an index for each of these.
    let indexed = [
        connection.is_some(),
        filter.rule.is_some(),
        filter.error_code.is_some(),
    ];
    let served = rest.is_empty()
        || dead
            && filter.event.is_none()
            && filter.key.is_none()
            && indexed.into_iter().filter(|asked| *asked).count() == 1;
    let newest_first = |query: Select<delivery::Entity>| query.order_by_desc(delivery::Column::Id);
    let all = || delivery::Entity::find().filter(part.clone());
    let page = newest_first(all()).filter(rest).limit(window.limit + 1);
    match few {
        Some(few) => Look {
            floor: None,
            page: page.filter(delivery::Column::Id.is_in(few.iter().copied())),
        },
        None => Look {
            floor: (!served).then(|| {
                newest_first(all())
                    .select_only()
                    .column(delivery::Column::Id)
                    .offset(LOOKED_AT - 1)
                    .limit(1)
            }),
            page,
        },
    }
}

/// Whether a filter asks for something in each row that the index over what is open does not know.
fn looks(filter: &DeliveryFilter) -> bool {
    filter.rule.is_some() || filter.key.is_some() || filter.error_code.is_some()
}

/// The words of the states stand in the text: only so do the databases see that an index over such
/// rows alone serves the query.
fn in_states(states: &[State]) -> String {
    let words: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
    match words.as_slice() {
        [one] => format!("state = '{one}'"),
        several => format!("state IN ('{}')", several.join("','")),
    }
}
