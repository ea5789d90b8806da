//! What the size of the database takes: the oldest events of all, of whichever workspace.
//!
//! Invariant: nothing goes that is still needed, and nothing at all while the archive does not take
//! what is to go there, or where all else is too large by itself. How much has to go is measured once,
//! and each batch takes off what its events took. One that a fault of the archive cut off may have
//! deleted a part of them: then it is measured anew.
//!
//! A crash leaves batches that are whole, each gone with all that was made of its events, and loses
//! what was measured: the next run measures what is there by then.

use std::collections::{BTreeMap, HashMap};

use sea_orm::DbErr;
use uuid::Uuid;

use super::{Phase, Run, ids};
use crate::core::Core;
use crate::journal::sql::{self, Values};
use crate::retention::batch::{self, Stopped};
use crate::retention::queries;
use crate::retention::size::{self, Written};
use crate::schedule::Due;

/// What the size cap cleans down to, in hundredths of it.
const DOWN_TO: i64 = 95;

impl Run {
    /// Deletes the oldest events of all while the database is too large.
    pub(super) async fn size(
        &mut self,
        core: &Core,
        due: &Due,
        left: Option<i64>,
        dead: i64,
        after: Uuid,
    ) -> Result<Option<Phase>, Stopped> {
        let left = match left {
            Some(left) => left,
            None => match surplus(core).await? {
                Surplus::Bytes(bytes) => bytes,
                Surplus::NotEvents(rest) => {
                    self.say(format!(
                        "The database is larger than it may be, but not for its events: all else in \
                         it takes {} MiB by itself. No event was deleted for its size.",
                        rest >> 20
                    ));
                    return Ok(None);
                }
            },
        };
        if left <= 0 {
            return Ok(None);
        }
        // Those that can go now would go for those that cannot, however young they are.
        if self.known.workspaces.keys().any(|id| self.must_wait(*id)) {
            self.say(
                "The database is larger than it may be, and no event is deleted for its size until \
                 the archive takes what is to go there."
                    .to_owned(),
            );
            return Ok(None);
        }
        let mut found = self.oldest(core, after, dead).await?;
        let fit = self.fitting(core, Written::Events, &found).await?;
        found.truncate(fit);
        if found.is_empty() {
            self.say(
                "The database is larger than it may be, and all that is left of its events is needed."
                    .to_owned(),
            );
            return Ok(None);
        }
        let sizes = size::of_events(&core.db, &found).await?;
        let (ids, bytes) = enough(found, &sizes, left);
        let Some(last) = ids.last().copied() else {
            return Ok(None);
        };
        let mut done: u64 = 0;
        for (workspace, own) in by_workspace(core, &ids).await? {
            let gone = batch::events(self.place(core, due, workspace), &own, dead).await?;
            done += gone.events;
            self.note(workspace, gone, "event");
        }
        // What somebody took up meanwhile is still there.
        let all = i64::try_from(ids.len()).unwrap_or(1).max(1);
        let done = bytes / all * i64::try_from(done).unwrap_or(0);
        Ok(Some(Phase::Size {
            left: Some((left - done).max(0)),
            dead,
            after: last,
        }))
    }

    fn say(&mut self, notice: String) {
        tracing::warn!("{notice}");
        self.notice = Some(notice);
    }

    /// The oldest events of all that may go.
    async fn oldest(&self, core: &Core, after: Uuid, dead: i64) -> Result<Vec<Uuid>, DbErr> {
        let of = vec![after.into(), dead.into(), self.rows()];
        ids(core, queries::oldest_events(), of).await
    }
}

/// What has to go, so that the database is small enough.
enum Surplus {
    /// So many bytes of events, with all that was made of them.
    Bytes(i64),
    /// Without any event it would be too large still: so many bytes.
    NotEvents(i64),
}

async fn surplus(core: &Core) -> Result<Surplus, DbErr> {
    let cap = i64::try_from(core.settings.retention_max_mb)
        .unwrap_or(i64::MAX)
        .saturating_mul(1 << 20);
    if cap == 0 {
        return Ok(Surplus::Bytes(0));
    }
    let used = size::used(&core.db).await?;
    if used <= cap {
        return Ok(Surplus::Bytes(0));
    }
    let target = cap / 100 * DOWN_TO;
    let rest = size::rest(&core.db).await?;
    Ok(if rest >= target {
        Surplus::NotEvents(rest)
    } else {
        Surplus::Bytes(used - target)
    })
}

/// The first of these events that take so many bytes together, and how many they take.
fn enough(found: Vec<Uuid>, sizes: &HashMap<Uuid, i64>, left: i64) -> (Vec<Uuid>, i64) {
    let mut ids = Vec::with_capacity(found.len());
    let mut bytes = 0;
    for id in found {
        if bytes >= left {
            break;
        }
        bytes += sizes.get(&id).copied().unwrap_or(0);
        ids.push(id);
    }
    (ids, bytes)
}

async fn by_workspace(core: &Core, ids: &[Uuid]) -> Result<BTreeMap<Uuid, Vec<Uuid>>, DbErr> {
    let mut marks = Values::of(core.db.read());
    for id in ids {
        marks.row([(*id).into()]);
    }
    let query = format!(
        "WITH v(id) AS (VALUES {}) SELECT e.id AS id, e.workspace_id AS workspace_id FROM v \
         JOIN event e ON e.id = v.id ORDER BY e.id",
        marks.text
    );
    let mut found: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    for row in sql::rows(core.db.read(), query, marks.values).await? {
        let workspace = row.try_get("", "workspace_id")?;
        found
            .entry(workspace)
            .or_default()
            .push(row.try_get("", "id")?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_events_go_than_make_the_database_small_enough() {
        let found: Vec<Uuid> = (1..=3).map(Uuid::from_u128).collect();
        let sizes: HashMap<Uuid, i64> = found.iter().copied().zip([6, 4, 5]).collect();
        let count = |left| {
            let (ids, bytes) = enough(found.clone(), &sizes, left);
            (ids.len(), bytes)
        };
        assert_eq!(count(0), (0, 0));
        assert_eq!((count(1), count(6)), ((1, 6), (1, 6)));
        assert_eq!(count(7), (2, 10));
        assert_eq!(count(100), (3, 15), "all that was found");
    }
}
