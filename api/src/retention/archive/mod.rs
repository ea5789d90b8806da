//! The archive: JSON Lines in a folder, a bucket, or both.
//!
//! Invariant: a piece is written once, under a name that nobody else can take, and is never changed.
//! Its name has the installation, the claim of the clean-up that wrote it (which grows), its number
//! within that, and something random, which keeps apart what goes on from two copies of a database.
//! A piece is on disk, or in the bucket, before its rows are deleted; the transaction that deletes
//! them looks whether the claim still holds. A crash or a lost claim between the two leaves a piece
//! whose rows are still there: they are written once more, into a later piece, whose lines count.
//! `archive_file` counts the lines and bytes of the pieces of a day, without those of which no row was
//! deleted. A row that somebody took up after it was written is a line there, and one more later.

mod bucket;
mod folder;
pub mod line;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use crate::core::Core;
use crate::ids;
use crate::journal::sql;
use crate::schedule::Due;
use crate::settings::Settings;

pub use bucket::{Bucket, BucketError};
pub use folder::is_part;
pub use line::Line;

/// Why a piece is not in the archive.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The folder cannot be written.
    #[error("the archive's folder cannot be written: {0}")]
    Folder(#[from] std::io::Error),
    /// The bucket did not take it.
    #[error("the archive's bucket did not take a piece: {0}")]
    Bucket(String),
    /// This server must not go on: it may have been taken for dead.
    #[error("the lease of this server has ended")]
    Lapsed,
}

/// Where rows go before they are deleted.
#[derive(Debug)]
pub struct Archive {
    folder: Option<std::path::PathBuf>,
    bucket: Option<Bucket>,
    gzip: bool,
    /// Pieces that were begun.
    pieces: AtomicU32,
}

/// Whose rows are written.
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    /// The workspace.
    pub workspace: Uuid,
    /// Its folder in the archive.
    pub slug: &'a str,
    /// The claim of the clean-up.
    pub due: &'a Due,
}

/// What was written, until its rows are deleted.
#[derive(Debug)]
pub struct Piece {
    workspace: Uuid,
    table: &'static str,
    day: String,
    bytes: i64,
    /// Lines.
    rows: i64,
}

impl Archive {
    /// The archive of this server's settings; none: there is none.
    ///
    /// # Errors
    /// The settings of the bucket do not go together.
    pub fn of(settings: &Settings) -> Result<Option<Self>, BucketError> {
        let bucket = Bucket::of(settings)?;
        let folder = settings.archive_folder.clone();
        Ok((folder.is_some() || bucket.is_some()).then_some(Self {
            folder,
            bucket,
            gzip: settings.archive_gzip,
            pieces: AtomicU32::new(0),
        }))
    }

    /// The kinds of places it has.
    pub fn places(settings: &Settings) -> Vec<String> {
        let folder = settings.archive_folder.as_ref().map(|_| "folder");
        let bucket = (!settings.archive_bucket.is_empty()).then_some("bucket");
        folder
            .into_iter()
            .chain(bucket)
            .map(str::to_owned)
            .collect()
    }

    /// Writes lines, each to a piece of its table and day.
    ///
    /// # Errors
    /// Nothing may be deleted.
    pub async fn write(
        &self,
        core: &Core,
        whose: Whose<'_>,
        lines: Vec<Line>,
    ) -> Result<Vec<Piece>, Fault> {
        let mut days: BTreeMap<(&'static str, String), Vec<Line>> = BTreeMap::new();
        for line in lines {
            let day = line.day();
            days.entry((line.table, day)).or_default().push(line);
        }
        let mut pieces = Vec::with_capacity(days.len());
        for ((table, day), mut lines) in days {
            lines.sort_by_key(|line| line.id);
            let bytes = self.encode(&lines)?;
            let piece = Piece {
                workspace: whose.workspace,
                table,
                bytes: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
                rows: i64::try_from(lines.len()).unwrap_or(i64::MAX),
                day,
            };
            self.put(core, whose, &piece, bytes).await?;
            pieces.push(piece);
        }
        Ok(pieces)
    }

    fn encode(&self, lines: &[Line]) -> std::io::Result<Bytes> {
        let mut text = Vec::new();
        for line in lines {
            text.extend_from_slice(line.json.to_string().as_bytes());
            text.push(b'\n');
        }
        if !self.gzip {
            return Ok(text.into());
        }
        // Members of gzip that follow each other are one stream.
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&text)?;
        Ok(encoder.finish()?.into())
    }

    /// The name of the next piece. Of one installation they are in the order of the alphabet.
    fn name(&self, installation: &str, due: &Due) -> String {
        let number = self.pieces.fetch_add(1, Ordering::Relaxed);
        let random = u32::from_be_bytes(ids::random());
        let end = if self.gzip { "jsonl.gz" } else { "jsonl" };
        format!(
            "{installation}-{:010}-{number:06}-{random:08x}.{end}",
            due.fence()
        )
    }

    async fn put(
        &self,
        core: &Core,
        whose: Whose<'_>,
        piece: &Piece,
        bytes: Bytes,
    ) -> Result<(), Fault> {
        let own = self.name(&core.installation, whose.due);
        let name = format!("{}/{}/{}/{own}", whose.slug, piece.table, piece.day);
        if let Some(folder) = &self.folder {
            must_live(core)?;
            folder::create(folder.join(&name), bytes.clone()).await?;
        }
        if let Some(bucket) = &self.bucket {
            must_live(core)?;
            bucket
                .put(&core.egress, &name, bytes)
                .await
                .map_err(Fault::Bucket)?;
        }
        Ok(())
    }
}

/// Whoever may have been taken for dead writes nothing: another one does.
fn must_live(core: &Core) -> Result<(), Fault> {
    if core.nodes.lease().holds() {
        Ok(())
    } else {
        Err(Fault::Lapsed)
    }
}

impl Piece {
    /// Its length.
    pub fn bytes(&self) -> u64 {
        u64::try_from(self.bytes).unwrap_or(0)
    }

    /// Counts it, within the transaction that deletes its rows. Its lines count, also those whose
    /// rows stay: so much is in the archive.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn count(&self, txn: &impl ConnectionTrait, now: i64) -> Result<(), DbErr> {
        let values = vec![
            self.workspace.into(),
            self.table.into(),
            self.day.as_str().into(),
            self.bytes.into(),
            self.rows.into(),
            now.into(),
        ];
        let query = "INSERT INTO archive_file (workspace_id, name, day, bytes, rows, updated_at) \
                     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (workspace_id, name, day) \
                     DO UPDATE SET bytes = archive_file.bytes + excluded.bytes, \
                     rows = archive_file.rows + excluded.rows, updated_at = excluded.updated_at";
        sql::execute(txn, query, values).await?;
        Ok(())
    }
}
