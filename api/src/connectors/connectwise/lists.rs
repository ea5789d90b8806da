//! The lists of a tenant: boards, statuses, types, priorities, companies. Always all pages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openapi::connections::MetadataItem;
use serde_json::Value;

use super::client::Client;
use super::trouble::Trouble;
use crate::clock::Clock;
use crate::connectors::common::Cache;
use crate::connectors::{Connection, Fault};

/// How long a list is served from memory.
const KEPT: Duration = Duration::from_secs(600);

/// The lists by name.
pub(super) const NAMES: &[&str] = &[
    "boards",
    "statuses",
    "types",
    "subtypes",
    "items",
    "priorities",
    "companies",
];

/// One row of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) name: String,
    identifier: Option<String>,
    /// Of a status: whether it closes.
    pub(super) closes: bool,
    inactive: bool,
    sort: i64,
}

impl Row {
    fn read(value: &Value) -> Option<Self> {
        let flag = |name| value.get(name).and_then(Value::as_bool).unwrap_or_default();
        let text = |name| value.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            id: value.get("id").and_then(Value::as_i64)?,
            name: text("name")?,
            identifier: text("identifier"),
            closes: flag("closedStatus"),
            inactive: flag("inactive") || flag("inactiveFlag") || flag("deletedFlag"),
            sort: value
                .get("sortOrder")
                .and_then(Value::as_i64)
                .unwrap_or(i64::MAX),
        })
    }
}

/// The lists of all connections.
pub(super) struct Lists {
    cache: Cache<Vec<Row>>,
    clock: Clock,
}

impl Lists {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            cache: Cache::new(KEPT),
            clock,
        }
    }

    /// The statuses of a board.
    pub(super) async fn statuses(
        &self,
        client: &mut Client<'_>,
        connection: &Connection,
        board: i64,
    ) -> Result<Arc<Vec<Row>>, Trouble> {
        self.of_board(client, connection, "statuses", board).await
    }

    /// Has the statuses of a board read anew the next time.
    pub(super) async fn forget_statuses(&self, connection: &Connection, board: i64) {
        self.cache
            .forget(connection, &slot("statuses", board))
            .await;
    }

    async fn of_board(
        &self,
        client: &mut Client<'_>,
        connection: &Connection,
        list: &str,
        board: i64,
    ) -> Result<Arc<Vec<Row>>, Trouble> {
        let id = board.to_string();
        let path = ["service", "boards", &id, list];
        let read = rows(client, &path);
        self.cache
            .get(connection, &slot(list, board), self.clock.now(), read)
            .await
    }

    async fn whole(
        &self,
        client: &mut Client<'_>,
        connection: &Connection,
        list: &str,
        path: &[&str],
    ) -> Result<Arc<Vec<Row>>, Trouble> {
        self.cache
            .get(connection, list, self.clock.now(), rows(client, path))
            .await
    }

    /// A list to choose from; those of a board need `board`, its name or number.
    pub(super) async fn items(
        &self,
        client: &mut Client<'_>,
        connection: &Connection,
        list: &str,
        filter: &BTreeMap<String, String>,
    ) -> Result<Vec<MetadataItem>, Fault> {
        let found = match list {
            "boards" => {
                self.whole(client, connection, list, &["service", "boards"])
                    .await
            }
            "priorities" => {
                self.whole(client, connection, list, &["service", "priorities"])
                    .await
            }
            "companies" => {
                self.whole(client, connection, list, &["company", "companies"])
                    .await
            }
            "statuses" | "types" | "subtypes" | "items" => {
                let board = self.board(client, connection, filter).await?;
                self.of_board(client, connection, list, board).await
            }
            _ => {
                let known = NAMES.join(", ");
                return Err(Fault::new(
                    "unknown_list",
                    format!("known lists are {known}"),
                    None,
                ));
            }
        };
        let rows = found.map_err(Trouble::fault)?;
        let mut rows: Vec<&Row> = rows.iter().filter(|row| !row.inactive).collect();
        rows.sort_by(|a, b| (a.sort, &a.name).cmp(&(b.sort, &b.name)));
        Ok(rows
            .into_iter()
            .map(|row| MetadataItem {
                value: row.identifier.clone().unwrap_or_else(|| row.name.clone()),
                label: row.name.clone(),
            })
            .collect())
    }

    async fn board(
        &self,
        client: &mut Client<'_>,
        connection: &Connection,
        filter: &BTreeMap<String, String>,
    ) -> Result<i64, Fault> {
        let Some(wanted) = filter.get("board") else {
            return Err(Fault::new(
                "missing_filter",
                "this list needs the filter `board`",
                None,
            ));
        };
        let boards = self
            .whole(client, connection, "boards", &["service", "boards"])
            .await
            .map_err(Trouble::fault)?;
        named(&boards, wanted)
            .or_else(|| boards.iter().find(|row| row.id.to_string() == *wanted))
            .map(|row| row.id)
            .ok_or_else(|| Fault::new("unknown_board", "there is no board of this name", None))
    }
}

fn slot(list: &str, board: i64) -> String {
    format!("{list}/{board}")
}

async fn rows(client: &mut Client<'_>, path: &[&str]) -> Result<Vec<Row>, Trouble> {
    let found = client.list(path, &[]).await?;
    Ok(found.iter().filter_map(Row::read).collect())
}

/// The row of this name; ConnectWise takes names without regard to case.
pub(super) fn named<'a>(rows: &'a [Row], name: &str) -> Option<&'a Row> {
    let wanted = name.trim().to_lowercase();
    rows.iter().find(|row| row.name.to_lowercase() == wanted)
}

/// The status that closes a ticket: the one of this name, else the board's first that closes.
pub(super) fn closing<'a>(statuses: &'a [Row], name: &str) -> Option<&'a Row> {
    let configured = Some(name)
        .filter(|name| !name.trim().is_empty())
        .and_then(|name| named(statuses, name));
    configured.or_else(|| {
        statuses
            .iter()
            .filter(|row| row.closes && !row.inactive)
            .min_by_key(|row| (row.sort, row.id))
    })
}
