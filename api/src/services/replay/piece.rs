//! A few rows at once: the unit of a replay.

use std::collections::{BTreeMap, HashMap, HashSet};

use entity::{delivery, job};
use openapi::deliveries::{ReplayRules, State};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QuerySelect as _, RuntimeErr,
    Select,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::lanes::{self, Lanes};
use super::make::Maker;
use super::pace::Pace;
use super::query;
use crate::core::Core;
use crate::journal::{Accept, AcceptEvent, JournalError, Lane, place_of};
use crate::schedule::batches::{self, Found, MOST};
use crate::schedule::job::Step;
use crate::scope::Scope;
use crate::services::actions::tell;
use crate::services::rules;

/// What is to be done with the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The same operation again.
    Again,
    /// What these rules make of the event.
    Rules(ReplayRules),
    /// A person decided against them.
    Discard,
}

/// Rows, and what is to be done with them.
#[derive(Debug)]
pub struct Errand {
    /// The tenant.
    pub scope: Scope,
    /// Which rows.
    pub query: Select<delivery::Entity>,
    /// The same, with those that go along because their lanes do; for the count.
    pub whole: Select<delivery::Entity>,
    /// The newest of them that is meant.
    pub last: Uuid,
    /// What is to be done.
    pub deed: Deed,
    /// How fast.
    pub pace: Option<Pace>,
}

/// How far an errand is; what a job keeps between its pieces.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// The last row that was looked at.
    pub after: Uuid,
    /// When the next one is planned, in microseconds since 1970; none: at once.
    #[serde(default)]
    pub planned: Option<i64>,
    /// The lanes that were set aside whole, which come after all else; none: not yet.
    #[serde(default)]
    pub lanes: Option<Lanes>,
    /// Why rows stayed as they were.
    #[serde(default)]
    pub reasons: BTreeMap<String, i64>,
    /// Rows done since this was read.
    #[serde(skip)]
    pub done: i64,
    /// Rows since then that stayed as they were.
    #[serde(skip)]
    pub failed: i64,
}

impl Progress {
    /// So many stayed as they were.
    pub fn fail(&mut self, reason: &str, count: i64) {
        if count > 0 {
            self.failed += count;
            *self.reasons.entry(reason.to_owned()).or_default() += count;
        }
    }
}

/// Does all of an errand at once.
///
/// # Errors
/// The database failed or the journal was full; what was done stays.
pub async fn all(core: &Core, errand: &Errand) -> Result<Progress, DbErr> {
    let begun = (begin(core, errand).await?, Progress::default());
    let (_, progress) = batches::all(begun, |state, most| batch(core, errand, state, most)).await?;
    Ok(progress)
}

/// Does one piece of a job.
///
/// # Errors
/// The same; the piece is begun again later.
pub async fn step(core: &Core, errand: &Errand, job: &job::Model) -> Result<Step, DbErr> {
    let now = core.clock.now_ms();
    let progress: Progress = serde_json::from_str(&job.cursor).unwrap_or_default();
    let room = errand.pace.map_or(MOST, |pace| {
        let room = pace.room(progress.planned, now * 1_000);
        u64::try_from(room).unwrap_or(0).min(MOST)
    });
    let begun = (begin(core, errand).await?, progress);
    let one = |state, most| batch(core, errand, state, most);
    let ((_, mut progress), found) = batches::piece(begun, room, one).await?;
    let mut again = now;
    if let Some(pace) = errand.pace {
        let looked = i64::try_from(found.looked).unwrap_or(0);
        let planned = pace.after(progress.planned, now * 1_000, looked);
        progress.planned = Some(planned);
        again = again.max(planned / 1_000);
    }
    Ok(Step {
        done: progress.done,
        failed: progress.failed,
        cursor: serde_json::to_string(&progress).unwrap_or_default(),
        again: (!found.ended).then_some(again),
    })
}

async fn begin<'a>(core: &'a Core, errand: &Errand) -> Result<Maker<'a>, DbErr> {
    if errand.deed == Deed::Rules(ReplayRules::Then) {
        rules::catch_up(&core.db, &core.clock).await?;
    }
    Ok(Maker::new(core, errand.scope))
}

/// Does up to `most` rows, and hands on what the next ones need.
async fn batch<'a>(
    core: &Core,
    errand: &Errand,
    (mut maker, mut progress): (Maker<'a>, Progress),
    most: u64,
) -> Result<((Maker<'a>, Progress), Found), DbErr> {
    let found = rows(core, errand, &mut maker, &mut progress, most).await?;
    Ok(((maker, progress), found))
}

/// Does up to `most` rows in one commit.
async fn rows(
    core: &Core,
    errand: &Errand,
    maker: &mut Maker<'_>,
    progress: &mut Progress,
    most: u64,
) -> Result<Found, DbErr> {
    if progress.lanes.is_some() {
        return lanes::rows(core, errand, maker, progress, most).await;
    }
    let mut next = progress.clone();
    let mut query = errand.query.clone();
    let discards = errand.deed == Deed::Discard;
    if !discards {
        query = query.filter(delivery::Column::LaneParked.eq(false));
    }
    let found = query::next(core, &query, next.after, errand.last, most).await?;
    let looked = u64::try_from(found.len()).unwrap_or(0);
    let ended = looked < most;
    next.after = found.last().map_or(next.after, |row| row.id);
    if discards {
        discard(core, &found, &mut next).await?;
    } else {
        replace(core, errand.deed, found, maker, &mut next).await?;
        next.lanes = ended.then(Lanes::default);
    }
    *progress = next;
    Ok(Found {
        looked,
        ended: ended && discards,
    })
}

async fn discard(
    core: &Core,
    rows: &[delivery::Model],
    progress: &mut Progress,
) -> Result<(), DbErr> {
    let now = core.clock.now_ms();
    let discarded = delivery::Entity::update_many()
        .col_expr(
            delivery::Column::State,
            Expr::val(State::Discarded.as_str()),
        )
        .col_expr(delivery::Column::UpdatedAt, Expr::val(now))
        .col_expr(delivery::Column::FinishedAt, Expr::val(Some(now)))
        .filter(delivery::Column::Id.is_in(rows.iter().map(|row| row.id)))
        .filter(delivery::Column::State.eq(State::Dead.as_str()))
        .exec_with_returning(core.db.write())
        .await?;
    let count = discarded.len();
    let done = i64::try_from(count).unwrap_or(0);
    progress.done += done;
    core.metrics
        .ended(State::Discarded, u64::try_from(count).unwrap_or(0));
    progress.fail("changed", i64::try_from(rows.len()).unwrap_or(0) - done);
    for row in &discarded {
        tell(core, row, State::Discarded);
    }
    Ok(())
}

/// Replaces rows. Where one that was set aside with its lane cannot be, those of its lane that come
/// after it are left alone. Returns those lanes, each with the place of the one that could not be.
///
/// # Errors
/// The database failed or the journal was full.
pub async fn replace(
    core: &Core,
    deed: Deed,
    rows: Vec<delivery::Model>,
    maker: &mut Maker<'_>,
    progress: &mut Progress,
) -> Result<HashMap<Lane, Uuid>, DbErr> {
    let mut stopped = HashMap::new();
    let mut made: Vec<(delivery::Model, AcceptEvent)> = Vec::with_capacity(rows.len());
    for row in rows {
        if is_stopped(&stopped, &row) {
            continue;
        }
        let outcome = match deed {
            Deed::Rules(which) => maker.by_rules(&row, which).await?,
            Deed::Again | Deed::Discard => maker.again(&row),
        };
        match outcome {
            Ok(event) => made.push((row, event)),
            Err(reason) => {
                progress.fail(&reason, 1);
                stop(&mut stopped, &row);
            }
        }
    }
    if made.is_empty() {
        return Ok(stopped);
    }
    let all: Vec<AcceptEvent> = made.iter().map(|(_, event)| event.clone()).collect();
    match core.journal.accept(Accept { events: all }).await {
        Ok(accepted) => count(core, &made, &accepted.delivery_ids, progress).await?,
        Err(JournalError::Unavailable) => return Err(full()),
        // One of them cannot be written; the others can.
        Err(JournalError::Rejected) => {
            for one in made {
                if is_stopped(&stopped, &one.0) {
                    continue;
                }
                let events = vec![one.1.clone()];
                match core.journal.accept(Accept { events }).await {
                    Ok(accepted) => {
                        count(core, &[one], &accepted.delivery_ids, progress).await?;
                    }
                    Err(JournalError::Unavailable) => return Err(full()),
                    Err(JournalError::Rejected) => {
                        progress.fail("rejected", 1);
                        stop(&mut stopped, &one.0);
                    }
                }
            }
        }
    }
    maker.written();
    Ok(stopped)
}

fn is_stopped(stopped: &HashMap<Lane, Uuid>, row: &delivery::Model) -> bool {
    aside(row).is_some_and(|lane| stopped.contains_key(&lane))
}

fn stop(stopped: &mut HashMap<Lane, Uuid>, row: &delivery::Model) {
    if let (Some(lane), Some(place)) = (aside(row), place_of(row)) {
        stopped.entry(lane).or_insert(place);
    }
}

/// The lane with which it was set aside.
fn aside(row: &delivery::Model) -> Option<Lane> {
    let key = row.lane.as_ref().filter(|_| row.lane_parked)?;
    Some((row.connection_id, key.clone()))
}

/// Counts what was written. The rows say what each stands in the place of.
async fn count(
    core: &Core,
    made: &[(delivery::Model, AcceptEvent)],
    written: &[Uuid],
    progress: &mut Progress,
) -> Result<(), DbErr> {
    let replaced: Vec<Option<Uuid>> = delivery::Entity::find()
        .select_only()
        .column(delivery::Column::ReplayOf)
        .filter(delivery::Column::Id.is_in(written.iter().copied()))
        .into_tuple()
        .all(core.db.read())
        .await?;
    let replaced: HashSet<Uuid> = replaced.into_iter().flatten().collect();
    for (old, _) in made {
        if replaced.contains(&old.id) {
            progress.done += 1;
            tell(core, old, State::Superseded);
        } else {
            // Somebody was quicker.
            progress.fail("changed", 1);
        }
    }
    Ok(())
}

fn full() -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(
        "the journal cannot take it now".to_owned(),
    ))
}
