//! Hourly counters, written with what they count.

use std::collections::BTreeMap;

use sea_orm::DbErr;
use uuid::Uuid;

use super::sql::{self, Values};
use crate::db::Sql;

/// Names of the counters.
pub mod metric {
    /// Events accepted; subject: source.
    pub const ACCEPTED: &str = "accepted";
    /// Events that no rule took; subject: source.
    pub const UNMATCHED: &str = "unmatched";
    /// Events that a rule or the policy dropped; subject: source.
    pub const DROPPED: &str = "dropped";
    /// Requests refused; subject: source.
    pub const REFUSED: &str = "refused";
    /// Deliveries that reached their upstream; subject: connection.
    pub const DELIVERED: &str = "delivered";
    /// Notes that became part of another; subject: connection.
    pub const COALESCED: &str = "coalesced";
    /// Deliveries given up; subject: connection.
    pub const DEAD: &str = "dead";
    /// Records created; subject: connection.
    pub const CREATED: &str = "created";
    /// Records changed or annotated; subject: connection.
    pub const UPDATED: &str = "updated";
    /// Records closed; subject: connection.
    pub const CLOSED: &str = "closed";
    /// Milliseconds from accept to delivered, summed; subject: connection.
    pub const LATENCY_MS: &str = "latency_ms";
}

const HOUR_MS: i64 = 3_600_000;

/// Counters of one commit.
#[derive(Default)]
pub struct Counters(BTreeMap<(Uuid, i64, &'static str, Uuid), i64>);

impl Counters {
    /// Adds to a counter of the hour of `at`.
    pub fn add(&mut self, workspace: Uuid, at: i64, metric: &'static str, subject: Uuid, n: i64) {
        let hour = at - at.rem_euclid(HOUR_MS);
        *self
            .0
            .entry((workspace, hour, metric, subject))
            .or_default() += n;
    }

    /// Writes them. In key order, so that two nodes never wait for each other crosswise.
    pub async fn write(self, txn: &impl Sql) -> Result<(), DbErr> {
        let all: Vec<_> = self.0.into_iter().collect();
        for chunk in all.chunks(sql::ROWS) {
            let mut rows = Values::of(txn);
            for ((workspace, hour, metric, subject), n) in chunk {
                rows.row([
                    (*workspace).into(),
                    (*hour).into(),
                    (*metric).into(),
                    subject.to_string().into(),
                    (*n).into(),
                ]);
            }
            sql::execute(
                txn,
                format!(
                    "INSERT INTO stat_hour (workspace_id, hour, metric, subject, value) VALUES {} \
                     ON CONFLICT (workspace_id, hour, metric, subject) \
                     DO UPDATE SET value = stat_hour.value + excluded.value",
                    rows.text
                ),
                rows.values,
            )
            .await?;
        }
        Ok(())
    }
}
