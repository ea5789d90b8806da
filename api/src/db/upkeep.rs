//! What a database wants done while a server runs.

use tokio_util::sync::CancellationToken;

use super::statistics::Statistics;
use super::write::Checkpoints;

/// Who does it.
#[derive(Debug)]
pub enum Upkeep {
    /// Moves the WAL on.
    Sqlite(Checkpoints),
    /// Lets tables be read anew that have grown.
    Postgres(Statistics),
}

impl Upkeep {
    /// Works until `shutdown`.
    pub async fn keep(self, shutdown: CancellationToken) {
        match self {
            Self::Sqlite(checkpoints) => checkpoints.keep(shutdown).await,
            Self::Postgres(statistics) => statistics.keep(shutdown).await,
        }
    }
}
