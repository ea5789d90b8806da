//! A few rows at once: the unit of a replay.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use entity::{delivery, job};
use openapi::deliveries::{ReplayRules, State};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QuerySelect as _, RuntimeErr,
    Select,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::make::Maker;
use super::pace::Pace;
use super::query;
use crate::core::Core;
use crate::journal::{Accept, AcceptEvent, JournalError};
use crate::schedule::job::Step;
use crate::scope::Scope;
use crate::services::actions::tell;
use crate::services::rules;

/// Rows of one commit.
const ROWS: u64 = 100;
/// Rows of one piece of a job.
const MOST: i64 = 2_000;
/// Longest time of one piece of a job.
const LONGEST: Duration = Duration::from_secs(1);

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
    /// When the next one is planned, in microseconds since 1970.
    #[serde(default)]
    pub planned: i64,
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
    fn fail(&mut self, reason: String) {
        self.failed += 1;
        *self.reasons.entry(reason).or_default() += 1;
    }
}

/// Does all of an errand at once.
///
/// # Errors
/// The database failed or the journal was full; what was done stays.
pub async fn all(core: &Core, errand: &Errand) -> Result<Progress, DbErr> {
    let mut progress = Progress::default();
    let mut maker = begin(core, errand).await?;
    while rows(core, errand, &mut maker, &mut progress, ROWS).await? == ROWS {}
    Ok(progress)
}

/// Does one piece of a job.
///
/// # Errors
/// The same; the piece is begun again later.
pub async fn step(core: &Core, errand: &Errand, job: &job::Model) -> Result<Step, DbErr> {
    let begun = Instant::now();
    let now = core.clock.now_ms();
    let mut progress: Progress = serde_json::from_str(&job.cursor).unwrap_or_default();
    let room = errand.pace.map_or(MOST, |pace| {
        pace.room(progress.planned, now * 1_000).min(MOST)
    });
    let mut maker = begin(core, errand).await?;
    let (mut looked, mut ended) = (0_i64, false);
    while looked < room && !ended && begun.elapsed() < LONGEST {
        let most = u64::try_from(room - looked).unwrap_or(0).min(ROWS);
        let found = rows(core, errand, &mut maker, &mut progress, most).await?;
        looked += i64::try_from(found).unwrap_or(0);
        ended = found < most || progress.after >= errand.last;
    }
    let mut again = now;
    if let Some(pace) = errand.pace {
        progress.planned = pace.after(progress.planned, now * 1_000, looked);
        again = again.max(progress.planned / 1_000);
    }
    Ok(Step {
        done: progress.done,
        failed: progress.failed,
        cursor: serde_json::to_string(&progress).unwrap_or_default(),
        again: (!ended).then_some(again),
    })
}

async fn begin<'a>(core: &'a Core, errand: &Errand) -> Result<Maker<'a>, DbErr> {
    if errand.deed == Deed::Rules(ReplayRules::Then) {
        rules::catch_up(&core.db, &core.clock).await?;
    }
    Ok(Maker::new(core, errand.scope))
}

/// Does up to `most` rows in one commit. Returns how many it found.
async fn rows(
    core: &Core,
    errand: &Errand,
    maker: &mut Maker<'_>,
    progress: &mut Progress,
    most: u64,
) -> Result<u64, DbErr> {
    let (after, last) = (progress.after, errand.last);
    let found = query::next(core, &errand.query, after, last, most).await?;
    let Some(newest) = found.last().map(|row| row.id) else {
        return Ok(0);
    };
    let count = u64::try_from(found.len()).unwrap_or(0);
    let mut next = progress.clone();
    next.after = newest;
    if errand.deed == Deed::Discard {
        discard(core, &found, &mut next).await?;
    } else {
        replace(core, errand.deed, found, maker, &mut next).await?;
    }
    *progress = next;
    Ok(count)
}

async fn discard(
    core: &Core,
    rows: &[delivery::Model],
    progress: &mut Progress,
) -> Result<(), DbErr> {
    let result = delivery::Entity::update_many()
        .col_expr(
            delivery::Column::State,
            Expr::val(State::Discarded.as_str()),
        )
        .col_expr(delivery::Column::UpdatedAt, Expr::val(core.clock.now_ms()))
        .filter(delivery::Column::Id.is_in(rows.iter().map(|row| row.id)))
        .filter(delivery::Column::State.eq(State::Dead.as_str()))
        .exec(core.db.write())
        .await?;
    let done = i64::try_from(result.rows_affected).unwrap_or(0);
    progress.done += done;
    for _ in done..i64::try_from(rows.len()).unwrap_or(0) {
        progress.fail("changed".to_owned());
    }
    for row in rows {
        tell(core, row, State::Discarded);
    }
    Ok(())
}

async fn replace(
    core: &Core,
    deed: Deed,
    rows: Vec<delivery::Model>,
    maker: &mut Maker<'_>,
    progress: &mut Progress,
) -> Result<(), DbErr> {
    let mut made: Vec<(delivery::Model, AcceptEvent)> = Vec::with_capacity(rows.len());
    for row in rows {
        let outcome = match deed {
            Deed::Rules(which) => maker.by_rules(&row, which).await?,
            Deed::Again | Deed::Discard => maker.again(&row),
        };
        match outcome {
            Ok(event) => made.push((row, event)),
            Err(reason) => progress.fail(reason),
        }
    }
    if made.is_empty() {
        return Ok(());
    }
    let all: Vec<AcceptEvent> = made.iter().map(|(_, event)| event.clone()).collect();
    match core.journal.accept(Accept { events: all }).await {
        Ok(accepted) => count(core, &made, &accepted.delivery_ids, progress).await?,
        Err(JournalError::Unavailable) => return Err(full()),
        // One of them cannot be written; the others can.
        Err(JournalError::Rejected) => {
            for one in made {
                let events = vec![one.1.clone()];
                match core.journal.accept(Accept { events }).await {
                    Ok(accepted) => {
                        count(core, &[one], &accepted.delivery_ids, progress).await?;
                    }
                    Err(JournalError::Unavailable) => return Err(full()),
                    Err(JournalError::Rejected) => progress.fail("rejected".to_owned()),
                }
            }
        }
    }
    maker.written();
    Ok(())
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
            progress.fail("changed".to_owned());
        }
    }
    Ok(())
}

fn full() -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(
        "the journal cannot take it now".to_owned(),
    ))
}
