//! Lanes that were set aside with a failed head: a replay takes them whole, oldest first.
//!
//! Invariant: what a replay takes of a lane is the first that is still aside. A repeat keeps the
//! place of what it stands in the place of, so one that failed again is seen as the first of its lane
//! and nothing of the lane is sent past it; the journal, which holds the lane's lock, sets aside what
//! would be in between. What comes in meanwhile joins the end and is taken, too, until nothing is
//! left. A lane that is still being set aside is left alone: its oldest are not here yet. Failure: a
//! piece that is begun anew after a crash finds what is still aside.

use sea_orm::DbErr;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::make::Maker;
use super::piece::{self, Errand, Progress};
use super::query;
use crate::core::Core;
use crate::journal::{Lane, place_of};
use crate::schedule::batches::Found;

/// Lanes under way at once: many are short, and share commits.
const AT_ONCE: u64 = 50;
/// Why the rest of a lane stays: an earlier one failed again, could not be replayed, or is still to be
/// set aside.
const STOPPED: &str = "lane_stopped";

/// How far a replay is with the lanes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Lanes {
    /// The last that was begun, in the order of connection and key.
    begun: Option<Lane>,
    under_way: Vec<UnderWay>,
}

/// A lane that is not known to be empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct UnderWay {
    lane: Lane,
    /// The place of the last that was taken of it.
    upto: Option<Uuid>,
}

/// Takes up to `most` rows in one commit.
///
/// # Errors
/// The database failed or the journal was full; nothing is known to be done.
pub async fn rows(
    core: &Core,
    errand: &Errand,
    maker: &mut Maker<'_>,
    progress: &mut Progress,
    most: u64,
) -> Result<Found, DbErr> {
    let scope = errand.scope;
    let mut next = progress.clone();
    let mut lanes = next.lanes.take().unwrap_or_default();
    if lanes.under_way.is_empty() {
        let begun = lanes.begun.as_ref();
        let more = query::lanes(core, &errand.query, begun, errand.last, AT_ONCE).await?;
        let Some(last) = more.last() else {
            return Ok(Found::END);
        };
        lanes.begun = Some(last.clone());
        let fresh = more.into_iter().map(|lane| UnderWay { lane, upto: None });
        lanes.under_way = fresh.collect();
    }
    let (mut rows, mut looked) = (Vec::new(), 0);
    let mut left = Vec::new();
    for mut one in lanes.under_way {
        if looked == most {
            left.push(one);
            continue;
        }
        let found = query::next_of_lane(core, scope, &one.lane, most - looked).await?;
        let Some(first) = found.first().and_then(place_of) else {
            // All of it was replayed, unless it is not all here yet.
            if query::is_under_way(core, &one.lane).await? {
                let aside = query::behind(core, scope, &one.lane, Uuid::nil()).await?;
                next.fail(STOPPED, aside);
            }
            continue;
        };
        if let Some(upto) = one.upto
            && first <= upto
        {
            next.fail(STOPPED, query::behind(core, scope, &one.lane, upto).await?);
            continue;
        }
        looked += u64::try_from(found.len()).unwrap_or(0);
        one.upto = found.last().and_then(place_of);
        rows.extend(found);
        left.push(one);
    }
    let stopped = piece::replace(core, errand.deed, rows, maker, &mut next).await?;
    lanes.under_way = Vec::with_capacity(left.len());
    for one in left {
        match stopped.get(&one.lane) {
            Some(place) => next.fail(
                STOPPED,
                query::behind(core, scope, &one.lane, *place).await?,
            ),
            None => lanes.under_way.push(one),
        }
    }
    next.lanes = Some(lanes);
    *progress = next;
    Ok(Found {
        looked,
        ended: false,
    })
}
