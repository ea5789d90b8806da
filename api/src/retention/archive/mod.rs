//! The archive: JSON Lines in a folder, a bucket, or both.
//!
//! Invariant: there is one file for each workspace, table and day, and `archive_file` says how far
//! it counts; that number moves in the transaction that deletes the rows. Before a piece is
//! appended, the file is cut to the number: a piece whose rows were not deleted is written again to
//! the same place. In a bucket a piece is an object named after its place in the file, so that
//! writing it again replaces it. A folder is synchronised before a row is deleted.

mod bucket;
mod folder;
pub mod line;

use std::collections::BTreeMap;
use std::io::Write as _;

use bytes::Bytes;
use entity::archive_file;
use flate2::Compression;
use flate2::write::GzEncoder;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait as _};
use uuid::Uuid;

use crate::core::Core;
use crate::journal::sql;
use crate::settings::Settings;

pub use bucket::{Bucket, BucketError};
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
    /// The database failed.
    #[error("the place in the archive could not be read: {0}")]
    Database(#[from] DbErr),
}

/// Where rows go before they are deleted.
#[derive(Debug)]
pub struct Archive {
    folder: Option<std::path::PathBuf>,
    bucket: Option<Bucket>,
    gzip: bool,
}

/// What was written, until its rows are deleted.
#[derive(Debug)]
pub struct Piece {
    workspace: Uuid,
    table: &'static str,
    day: String,
    from: i64,
    known: bool,
    bytes: i64,
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

    /// Writes lines, each to the file of its table and day.
    ///
    /// # Errors
    /// Nothing may be deleted.
    pub async fn write(
        &self,
        core: &Core,
        workspace: Uuid,
        slug: &str,
        lines: Vec<Line>,
    ) -> Result<Vec<Piece>, Fault> {
        let mut files: BTreeMap<(&'static str, String), Vec<Line>> = BTreeMap::new();
        for line in lines {
            let day = line.day();
            files.entry((line.table, day)).or_default().push(line);
        }
        let mut pieces = Vec::with_capacity(files.len());
        for ((table, day), mut lines) in files {
            // The same rows always make the same bytes.
            lines.sort_by_key(|line| line.id);
            let known =
                archive_file::Entity::find_by_id((workspace, table.to_owned(), day.clone()))
                    .one(core.db.read())
                    .await?;
            let bytes = self.encode(&lines)?;
            let piece = Piece {
                workspace,
                table,
                from: known.as_ref().map_or(0, |row| row.bytes),
                known: known.is_some(),
                bytes: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
                rows: i64::try_from(lines.len()).unwrap_or(i64::MAX),
                day,
            };
            self.put(core, slug, &piece, bytes).await?;
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

    async fn put(&self, core: &Core, slug: &str, piece: &Piece, bytes: Bytes) -> Result<(), Fault> {
        let end = if self.gzip { "jsonl.gz" } else { "jsonl" };
        if let Some(folder) = &self.folder {
            let path = folder
                .join(slug)
                .join(piece.table)
                .join(format!("{}.{end}", piece.day));
            folder::append(path, piece.from, bytes.clone()).await?;
        }
        if let Some(bucket) = &self.bucket {
            let name = format!(
                "{slug}/{}/{}/{:012}.{end}",
                piece.table, piece.day, piece.from
            );
            bucket
                .put(&core.egress, &name, bytes)
                .await
                .map_err(Fault::Bucket)?;
        }
        Ok(())
    }
}

impl Piece {
    /// Its length.
    pub fn bytes(&self) -> u64 {
        u64::try_from(self.bytes).unwrap_or(0)
    }

    /// Counts it, within the transaction that deletes its rows. False: it was counted meanwhile.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn count(&self, txn: &impl ConnectionTrait, now: i64) -> Result<bool, DbErr> {
        let mut values = vec![
            self.workspace.into(),
            self.table.into(),
            self.day.as_str().into(),
            self.bytes.into(),
            self.rows.into(),
            now.into(),
        ];
        let query = if self.known {
            values.push(self.from.into());
            "UPDATE archive_file SET bytes = bytes + $4, rows = rows + $5, updated_at = $6 \
             WHERE workspace_id = $1 AND name = $2 AND day = $3 AND bytes = $7"
        } else {
            "INSERT INTO archive_file (workspace_id, name, day, bytes, rows, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (workspace_id, name, day) DO NOTHING"
        };
        Ok(sql::execute(txn, query, values).await? > 0)
    }
}
