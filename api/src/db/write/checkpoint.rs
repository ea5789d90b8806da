//! Moving what was committed from the WAL into the database file, beside those who write.
//!
//! A commit that did it, as SQLite does by default, would make everybody wait for thousands of pages:
//! the slowest accept in a hundred was that one.
//!
//! Invariant: it waits for no reader, and nobody waits for most of it. It runs while others write; for
//! the few pages that came meanwhile it takes its turn in the line, so that all is moved at that
//! moment and the next commit begins the WAL anew. A reader that still looks at it puts that off to
//! the next round. Failure: the WAL grows; from [`BACKSTOP`] pages on a commit moves them itself. A crash leaves
//! a WAL that the next open replays.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use sea_orm::{DbErr, RuntimeErr};
use tokio_util::sync::CancellationToken;

use super::direct::connect;
use super::direct_error as fault;
use super::sqlite::Writer;
use crate::db::Outage;

/// Pages in the WAL from which a commit does it, for want of anybody else: while a command works on
/// the file, or if this fails.
pub const BACKSTOP: &str = "40000";
/// Pages that are worth it: fewer would write pages that change all the time too often, and many at
/// once hold up the commits beside it by milliseconds. Where much comes, [`LOOK`] makes them more.
pub(super) const ENOUGH: i64 = 1_000;
/// Pages that others may be kept waiting for.
const FEW: i64 = 200;
/// Rounds beside the others until there are so few.
const ROUNDS: usize = 4;
/// How often somebody looks.
const LOOK: Duration = Duration::from_millis(100);

/// Who does it.
#[derive(Debug)]
pub struct Checkpoints {
    path: PathBuf,
    line: Writer,
}

impl Checkpoints {
    /// For this file, in this line.
    pub fn new(path: &Path, line: Writer) -> Self {
        Self {
            path: path.to_owned(),
            line,
        }
    }

    /// Works until `shutdown`. What is left is moved when the last connection closes.
    pub async fn keep(self, shutdown: CancellationToken) {
        let mut connection = None;
        let mut outage = Outage::default();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = shutdown.cancelled() => return,
            }
            match self.look(connection.take()).await {
                Ok(made) => {
                    outage.over();
                    connection = Some(made);
                }
                Err(error) => outage.failed("The WAL could not be moved on.", &error),
            }
        }
    }

    async fn look(&self, connection: Option<Connection>) -> Result<Connection, DbErr> {
        let mut connection = match connection {
            Some(connection) => connection,
            None => connect(&self.path)?,
        };
        // Looks at memory only.
        let mut left = run(&connection, "PRAGMA wal_checkpoint(NOOP)")?;
        if left < ENOUGH {
            return Ok(connection);
        }
        for _ in 0..ROUNDS {
            (connection, left) = step(connection).await?;
            if left <= FEW {
                break;
            }
        }
        let turn = self.line.turn().await?;
        (connection, _) = step(connection).await?;
        drop(turn);
        Ok(connection)
    }
}

/// Moves what can be moved now; tells what came since.
async fn step(connection: Connection) -> Result<(Connection, i64), DbErr> {
    let moved = tokio::task::spawn_blocking(move || {
        run(&connection, "PRAGMA wal_checkpoint(PASSIVE)")?;
        let left = run(&connection, "PRAGMA wal_checkpoint(NOOP)")?;
        Ok((connection, left))
    });
    moved
        .await
        .map_err(|error| DbErr::Conn(RuntimeErr::Internal(error.to_string())))?
}

/// Returns how many pages of the WAL are not in the file yet.
fn run(connection: &Connection, pragma: &str) -> Result<i64, DbErr> {
    let left = connection.query_row(pragma, [], |row| {
        let (all, moved): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(all - moved)
    });
    left.map_err(fault::exec)
}
