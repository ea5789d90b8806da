//! A change of configuration: one transaction, one new revision, served before it is answered.

use crate::core::Core;
use crate::db::{Transaction, bump_configuration};
use crate::http::problem::ApiResult;

/// A change under way. Dropped without [`Change::commit`], nothing has happened.
#[derive(Debug)]
pub struct Change<'a> {
    core: &'a Core,
    /// What the statements run on.
    pub txn: Transaction,
    /// When the change is made, in milliseconds since 1970.
    pub now: i64,
}

impl<'a> Change<'a> {
    /// Begins. Raising the revision first makes changes wait for each other on either database, so
    /// that what is read within one cannot change under it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn begin(core: &'a Core) -> ApiResult<Self> {
        let txn = core.db.begin().await?;
        bump_configuration(&txn).await?;
        Ok(Self {
            core,
            txn,
            now: core.clock.now_ms(),
        })
    }

    /// Makes it durable, and has this node serve it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn commit(self) -> ApiResult<()> {
        self.txn.commit().await?;
        if let Err(error) = self.core.snapshots.refresh().await {
            // It is on disk; the node takes it up at its next look.
            tracing::warn!(%error, "a change is not served yet");
        }
        Ok(())
    }
}
