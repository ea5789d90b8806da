//! Replaying and discarding dead letters: a few at once, many as a job.

use std::collections::BTreeMap;

use entity::job;
use openapi::deliveries::{DeadFilter, DeadReplay, DeadResult};
use sea_orm::DbErr;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::pace::Pace;
use super::piece::{self, Deed, Errand};
use super::query::{self, check, dead_query, whole_query};
use crate::core::Core;
use crate::http::problem::ApiResult;
use crate::schedule::job::{self as work, Params, Step, Worker};
use crate::scope::Scope;
use crate::services::audit::{self, Act, Actor};

/// Rows that are done at once; more become a job.
pub const AT_ONCE: i64 = 20;

/// The kind of the jobs that replay.
const REPLAY: &str = "dead_letters.replay";
/// The kind of the jobs that discard.
const DISCARD: &str = "dead_letters.discard";

/// Replays dead letters.
///
/// # Errors
/// 422 for a filter or a rate that cannot be; 503.
pub async fn replay(
    core: &Core,
    scope: Scope,
    by: &Actor,
    asked: DeadReplay,
) -> ApiResult<DeadResult> {
    check(&asked.filter())?;
    let pace = Pace::of(asked.per_second, asked.per_minute)?;
    let errand = |last| replay_errand(scope, &asked, last, pace);
    do_or_start(core, by, REPLAY, (None, ""), &asked, errand).await
}

/// Discards dead letters. They are kept as `discarded`.
///
/// # Errors
/// 422 for a filter that cannot be.
pub async fn discard(
    core: &Core,
    scope: Scope,
    by: &Actor,
    filter: DeadFilter,
) -> ApiResult<DeadResult> {
    check(&filter)?;
    let errand = |last| discard_errand(scope, &filter, last);
    do_or_start(core, by, DISCARD, (None, ""), &filter, errand).await
}

fn replay_errand(scope: Scope, asked: &DeadReplay, last: Uuid, pace: Option<Pace>) -> Errand {
    Errand {
        scope,
        query: dead_query(scope, &asked.filter()),
        whole: whole_query(scope, &asked.filter()),
        last,
        deed: asked.rules.map_or(Deed::Again, Deed::Rules),
        pace,
    }
}

fn discard_errand(scope: Scope, filter: &DeadFilter, last: Uuid) -> Errand {
    Errand {
        scope,
        query: dead_query(scope, filter),
        whole: dead_query(scope, filter),
        last,
        deed: Deed::Discard,
        pace: None,
    }
}

/// Does a few rows at once, and starts a job for many or for those that have a rate. The audit log
/// has it before anything is done.
///
/// # Errors
/// The database failed.
pub async fn do_or_start<T: Serialize>(
    core: &Core,
    by: &Actor,
    kind: &'static str,
    (subject, name): (Option<Uuid>, &str),
    asked: &T,
    errand: impl Fn(Uuid) -> Errand,
) -> ApiResult<DeadResult> {
    let all = errand(Uuid::max());
    let scope = all.scope;
    let count = query::count(core, &all.whole).await?;
    let Some(last) = query::newest(core, &all.query).await? else {
        return Ok(DeadResult {
            count: 0,
            failed: 0,
            reasons: BTreeMap::new(),
            job: None,
        });
    };
    let errand = errand(last);
    let now = errand.pace.is_none() && count <= AT_ONCE;
    let txn = core.db.begin().await?;
    let job = if now {
        None
    } else {
        let params = serde_json::to_string(&Params { asked, last }).unwrap_or_default();
        let who = by.name().to_owned();
        Some(work::start(&txn, core, scope, kind, params, count, who).await?)
    };
    let mut after = serde_json::to_value(asked).unwrap_or_default();
    if let Some(after) = after.as_object_mut() {
        after.insert("count".to_owned(), count.into());
        if let Some(job) = &job {
            after.insert("job".to_owned(), job.id.to_string().into());
        }
    }
    let act = Act {
        action: kind,
        kind: if subject.is_some() {
            "rule"
        } else {
            "dead_letters"
        },
        id: subject.or(job.as_ref().map(|job| job.id)),
        name,
        before: Value::Null,
        after,
    };
    audit::note(&txn, &core.clock, scope, by, act).await?;
    txn.commit().await?;
    if let Some(job) = job {
        work::tell(core, job.id).await;
        return Ok(DeadResult {
            count: u64::try_from(count).unwrap_or(0),
            failed: 0,
            reasons: BTreeMap::new(),
            job: Some(work::to_wire(job)),
        });
    }
    let progress = piece::all(core, &errand).await?;
    Ok(DeadResult {
        count: u64::try_from(progress.done).unwrap_or(0),
        failed: u64::try_from(progress.failed).unwrap_or(0),
        reasons: progress.reasons,
        job: None,
    })
}

/// Does the pieces of replays.
#[derive(Debug)]
pub struct ReplayWorker;

#[async_trait::async_trait]
impl Worker for ReplayWorker {
    fn kind(&self) -> &'static str {
        REPLAY
    }

    async fn step(&self, core: &Core, job: &job::Model) -> Result<Step, DbErr> {
        let params: Params<DeadReplay> = Params::read(job)?;
        let scope = Scope::granted(job.workspace_id);
        // It was checked when the job was started.
        let asked = &params.asked;
        let pace = Pace::of(asked.per_second, asked.per_minute).unwrap_or_default();
        let errand = replay_errand(scope, asked, params.last, pace);
        piece::step(core, &errand, job).await
    }
}

/// Does the pieces of discards.
#[derive(Debug)]
pub struct DiscardWorker;

#[async_trait::async_trait]
impl Worker for DiscardWorker {
    fn kind(&self) -> &'static str {
        DISCARD
    }

    async fn step(&self, core: &Core, job: &job::Model) -> Result<Step, DbErr> {
        let params: Params<DeadFilter> = Params::read(job)?;
        let scope = Scope::granted(job.workspace_id);
        let errand = discard_errand(scope, &params.asked, params.last);
        piece::step(core, &errand, job).await
    }
}
