//! A linked record that is gone.
//!
//! Invariant: nothing is written in its place before it was asked whether others of the connection are
//! gone, too. One alone was deleted: without its link the operation looks for another, and makes one
//! if there is none, in the same attempt. Many at once are a permission that was taken away: the
//! connection waits for a person, nothing is made, and no link is forgotten. A crash in between
//! leaves the link as it was, and the next attempt asks again. Of a record that a person knows to be
//! gone nobody is asked: nothing that is said of the others changes what it is.

use std::time::{Duration, Instant};

use engine::guard::{GuardPolicy, Judgement};
use entity::{delivery, link};
use sea_orm::QuerySelect as _;
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _};

use super::execute::{Called, bounded, unknown, unread_ledger};
use crate::connectors::{Census, Connection, Connector, Job, LinkChange, Outcome, Report};
use crate::core::Core;

/// Ten are too many, however much else there is.
pub(super) const POLICY: GuardPolicy = GuardPolicy {
    records: 10,
    share: 0.0,
    window: Duration::from_secs(600),
};

/// How many other linked records are looked at: those that were seen last.
const OTHERS: u64 = 99;
/// What was not seen for so long says nothing of today.
const SEEN_WITHIN_MS: i64 = 7 * 24 * 3600 * 1000;

/// An attempt whose linked record is gone.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) core: &'a Core,
    pub(super) connector: &'a dyn Connector,
    pub(super) connection: &'a Connection,
    pub(super) claimed: &'a delivery::Model,
    pub(super) begun: Instant,
}

/// Asks for the other records, and looks for another in place of this one if it is gone alone.
pub(super) async fn look_again(asked: Asked<'_>, job: Job, mut found: Report) -> Called {
    let judgement = match judge(asked, &job, &mut found).await {
        Ok(judgement) => judgement,
        Err(outcome) => {
            // Not known: then nothing is done, and nothing is forgotten.
            found.outcome = outcome;
            found.link = LinkChange::Keep;
            return Called::from(found);
        }
    };
    if judgement == Judgement::Mass {
        return Called {
            report: found,
            ghost: Some(judgement),
        };
    }
    let job = Job { link: None, ..job };
    let execute = asked.connector.execute(asked.connection, &job);
    let mut report = bounded(asked.claimed, execute)
        .await
        .unwrap_or_else(unknown);
    let done = matches!(report.outcome, Outcome::Delivered { .. });
    if done && report.link == LinkChange::Keep {
        report.link = LinkChange::Clear;
    }
    found.exchanges.append(&mut report.exchanges);
    report.exchanges = found.exchanges;
    Called {
        report,
        ghost: Some(judgement),
    }
}

async fn judge(asked: Asked<'_>, job: &Job, found: &mut Report) -> Result<Judgement, Outcome> {
    let Some(key) = &job.key else {
        return Ok(Judgement::Single);
    };
    let (dispatch, connection) = (&asked.core.dispatch, asked.claimed.connection_id);
    if dispatch.is_believed_gone(connection, key) {
        return Ok(Judgement::Single);
    }
    let others = others(asked, key).await.map_err(|error| {
        tracing::warn!(%error, delivery.id = %asked.claimed.id, "The ledger could not be read.");
        unread_ledger()
    })?;
    let mut gone = Vec::new();
    if !others.is_empty() {
        let records: Vec<String> = others.iter().map(|row| row.record_id.clone()).collect();
        let census = asked.connector.census(asked.connection, &records);
        let Census {
            there,
            mut exchanges,
        } = bounded(asked.claimed, census)
            .await
            .map_err(Outcome::Unknown)?;
        found.exchanges.append(&mut exchanges);
        let there = there?;
        gone.extend(others.iter().filter(|row| !there.contains(&row.record_id)));
    }
    let keys = gone.into_iter().map(|row| &row.key).chain([key]);
    let mass = dispatch.are_mass_ghosts(connection, keys, asked.begun);
    Ok(if mass {
        Judgement::Mass
    } else {
        Judgement::Single
    })
}

/// Other records that were open when they were last seen, the newest first.
async fn others(asked: Asked<'_>, key: &str) -> Result<Vec<link::Model>, DbErr> {
    let since = asked.core.clock.now_ms() - SEEN_WITHIN_MS;
    link::Entity::find()
        .filter(link::Column::ConnectionId.eq(asked.claimed.connection_id))
        .filter(link::Column::Key.ne(key))
        .filter(link::Column::State.eq("open"))
        .filter(link::Column::UpdatedAt.gt(since))
        .order_by_desc(link::Column::UpdatedAt)
        .limit(OTHERS)
        .all(asked.core.db.read())
        .await
}
