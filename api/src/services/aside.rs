//! Goes on setting aside lanes that were too long for the transaction in which their heads failed.
//!
//! Each batch is a transaction under the lane's lock that looks whether the lane is still stopped; a
//! crash repeats none of them.

use entity::delivery;
use openapi::deliveries::State;
use sea_orm::{DbErr, EntityTrait as _};
use uuid::Uuid;

use super::actions::commit;
use crate::core::Core;
use crate::journal::{self, ASIDE};
use crate::schedule::batches::{self, Found};
use crate::schedule::{Due, Next, Task};

/// Deliveries of one transaction: some milliseconds of the writer.
const FEW: u64 = 500;

/// The task.
#[derive(Debug)]
pub struct Aside;

#[async_trait::async_trait]
impl Task for Aside {
    fn kind(&self) -> &'static str {
        ASIDE
    }

    async fn run(&self, core: &Core, due: &Due) -> Result<Next, DbErr> {
        let Ok(head) = Uuid::parse_str(&due.key) else {
            return Ok(Next::Done);
        };
        let head = delivery::Entity::find_by_id(head);
        let Some(head) = head.one(core.db.read()).await? else {
            return Ok(Next::Done);
        };
        // Its time alone bounds a piece.
        let ((), found) = batches::piece((), u64::MAX, |(), _| few(core, &head)).await?;
        Ok(if found.ended {
            Next::Done
        } else {
            Next::At(core.clock.now_ms())
        })
    }
}

async fn few(core: &Core, head: &delivery::Model) -> Result<((), Found), DbErr> {
    let now = core.clock.now_ms();
    let txn = core.db.begin().await?;
    let aside = journal::aside_more(&txn, &core.dispatch, head, FEW, now).await?;
    commit(core, txn, aside.next).await?;
    core.metrics.ended(State::Dead, aside.count);
    let (looked, ended) = (aside.count, aside.ended);
    Ok(((), Found { looked, ended }))
}
