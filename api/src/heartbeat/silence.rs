//! The look at the silence of a source.

use entity::{source, source_silence};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait as _};
use uuid::Uuid;

use super::event::{self, News};
use crate::core::Core;
use crate::journal::sql;
use crate::schedule::{self, Due, Next, Task};

/// The kind of the timers; the key is the source.
const KIND: &str = "silence";
/// What a node may know that is not written yet, with room to spare.
const UNWRITTEN_MS: i64 = 5_000;
/// A look that comes this late was kept from coming: the server was out, and did not listen.
const LATE_MS: i64 = 30_000;
/// How far the clock of another node may be ahead of this one before it is taken for wrong.
const SLACK_MS: i64 = 2_000;
/// How often a source that is silent is looked at, besides whenever it is heard.
const SILENT_MS: i64 = 60_000;

/// Raises alerts and ends them.
pub struct Silence;

/// Has a source looked at soon: its heartbeat was switched or set.
///
/// # Errors
/// The statement failed.
pub async fn look_soon(txn: &impl ConnectionTrait, source: Uuid, now: i64) -> Result<(), DbErr> {
    schedule::set(txn, KIND, &source.to_string(), now).await
}

/// Forgets a source that is deleted.
///
/// # Errors
/// A statement failed.
pub async fn forget(txn: &impl ConnectionTrait, source: Uuid) -> Result<(), DbErr> {
    schedule::cancel(txn, KIND, &source.to_string()).await?;
    for table in ["source_beat", "source_silence"] {
        let query = format!("DELETE FROM {table} WHERE source_id = $1");
        sql::execute(txn, query, vec![source.into()]).await?;
    }
    Ok(())
}

/// Has those looked at soon that were silent and are heard again.
pub(super) async fn wake(
    txn: &impl ConnectionTrait,
    heard: &[(Uuid, i64)],
    now: i64,
) -> Result<(), DbErr> {
    for silence in source_silence::Entity::find().all(txn).await? {
        if heard.iter().any(|(id, _)| *id == silence.source_id) {
            look_soon(txn, silence.source_id, now).await?;
        }
    }
    Ok(())
}

#[async_trait::async_trait]
impl Task for Silence {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn run(&self, core: &Core, due: &Due) -> Result<Next, DbErr> {
        let Ok(id) = Uuid::parse_str(&due.key) else {
            return Ok(Next::Done);
        };
        let db = core.db.read();
        let Some(row) = source::Entity::find_by_id(id).one(db).await? else {
            return Ok(Next::Done);
        };
        // The change that set this timer may not be served here yet.
        core.snapshots.refresh().await?;
        let now = core.clock.now_ms();
        let heard = last_heard(core, id, now).await?;
        let wanted = row.silent_after.filter(|_| row.enabled);
        if let Some(silence) = source_silence::Entity::find_by_id(id).one(db).await? {
            let returned = heard.is_some_and(|at| at > silence.since);
            if wanted.is_some() && !returned {
                return Ok(Next::At(now + SILENT_MS));
            }
            let news = News::Recovered { returned };
            event::raise(core, &row, news, silence.since, heard, now).await?;
            source_silence::Entity::delete_by_id(id)
                .exec(core.db.write())
                .await?;
        }
        let Some(after) = wanted.map(|seconds| seconds.saturating_mul(1000)) else {
            return Ok(Next::Done);
        };
        let Some(listening) = listening_since(core, now).await? else {
            return Ok(Next::At(now + SILENT_MS));
        };
        let set = row.heartbeat_since.unwrap_or(row.updated_at);
        let counted = counted_from(now, heard, set, listening);
        let deadline = counted.saturating_add(after).saturating_add(UNWRITTEN_MS);
        if now < deadline {
            return Ok(Next::At(deadline));
        }
        if now - due.due_at > LATE_MS {
            return Ok(Next::At(
                now.saturating_add(after).saturating_add(UNWRITTEN_MS),
            ));
        }
        // Not what it is counted from: a restart must not make another silence of this one.
        let since = heard.unwrap_or(set);
        event::raise(core, &row, News::Silent, since, heard, now).await?;
        source_silence::Entity::insert(source_silence::ActiveModel {
            source_id: Set(id),
            since: Set(since),
            alerted_at: Set(now),
        })
        .exec_without_returning(core.db.write())
        .await?;
        Ok(Next::At(now + SILENT_MS))
    }
}

/// From when the silence counts: the latest of what has been. What lies ahead of now was written
/// before the clock was set back, and says nothing any more; if that is the source's own moment, when
/// it was heard or else set, the silence begins now.
fn counted_from(now: i64, heard: Option<i64>, set: i64, listening: i64) -> i64 {
    let passed = |at: &i64| *at <= now + SLACK_MS;
    let own = heard.unwrap_or(set);
    if !passed(&own) {
        return now;
    }
    [set, listening]
        .into_iter()
        .filter(passed)
        .fold(own, i64::max)
}

/// When the source was last heard, by any node. After the clock was set back, what was heard before
/// counts as heard now: silence begins with the jump, not when the clock is there again.
async fn last_heard(core: &Core, source: Uuid, now: i64) -> Result<Option<i64>, DbErr> {
    let query = "SELECT MAX(at) AS at FROM source_beat WHERE source_id = $1";
    let rows = sql::rows(core.db.read(), query, vec![source.into()]).await?;
    let heard: Option<i64> = match rows.first() {
        Some(row) => row.try_get("", "at")?,
        None => None,
    };
    if heard.is_none_or(|at| at <= now + SLACK_MS) {
        return Ok(heard);
    }
    let query = "UPDATE source_beat SET at = $2 WHERE source_id = $1 AND at > $2";
    sql::execute(core.db.write(), query, vec![source.into(), now.into()]).await?;
    Ok(Some(now))
}

/// Since when some node that lives takes requests.
async fn listening_since(core: &Core, now: i64) -> Result<Option<i64>, DbErr> {
    let query =
        "SELECT MIN(started_at) AS at FROM node WHERE role <> 'worker' AND lease_until > $1";
    let rows = sql::rows(core.db.read(), query, vec![now.into()]).await?;
    rows.first().map_or(Ok(None), |row| row.try_get("", "at"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_from_the_latest_moment_that_has_been() {
        const NOW: i64 = 1_000_000;
        assert_eq!(counted_from(NOW, Some(900_000), 800_000, 700_000), 900_000);
        assert_eq!(counted_from(NOW, Some(600_000), 800_000, 700_000), 800_000);
        assert_eq!(counted_from(NOW, None, 600_000, 700_000), 700_000);
        // Set back: the server started, and the heartbeat was set, by a clock that was ahead.
        let ahead = NOW + 3_600_000;
        assert_eq!(counted_from(NOW, Some(900_000), ahead, ahead + 1), 900_000);
        assert_eq!(counted_from(NOW, None, ahead, 700_000), NOW);
    }
}
