//! Opening what a command works on.

use std::path::Path;

use anyhow::Context as _;

use crate::clock::Clock;
use crate::config_file::Store;
use crate::connectors;
use crate::db::{Db, Location};
use crate::egress::{Egress, EgressOptions};
use crate::secrets::{KeySource, Keyring};
use crate::settings::Settings;

/// Connections that a command needs beside the server.
const FEW: u32 = 2;

/// Makes the data folder, readable by its owner only.
///
/// # Errors
/// It cannot be made.
pub(super) fn make_data_folder(data: &Path) -> anyhow::Result<()> {
    crate::db::make_folder(data)
        .with_context(|| format!("the data folder {} cannot be made", data.display()))
}

/// Opens the database without migrating it. A database file that is not there is not made.
///
/// # Errors
/// It is not there or cannot be opened.
pub(super) async fn open_existing(settings: &Settings) -> anyhow::Result<Db> {
    if let Location::Sqlite(path) = settings.location()
        && !path.is_file()
    {
        anyhow::bail!(
            "there is no database at {}; `signalbox serve` or `signalbox bootstrap` makes one",
            path.display()
        );
    }
    open(settings, FEW).await
}

/// Opens the database and brings its schema up to date; makes folder and file where needed.
///
/// # Errors
/// It cannot be opened or migrated.
pub(super) async fn open_new(settings: &Settings) -> anyhow::Result<Db> {
    make_data_folder(&settings.data)?;
    let db = open(settings, FEW).await?;
    migrate(&db).await?;
    Ok(db)
}

/// Opens the database.
///
/// # Errors
/// It cannot be opened.
pub(super) async fn open(settings: &Settings, connections: u32) -> anyhow::Result<Db> {
    Db::open(&settings.location(), connections)
        .await
        .context("the database cannot be opened")
}

/// Brings the schema up to date.
///
/// # Errors
/// A migration failed.
pub(super) async fn migrate(db: &Db) -> anyhow::Result<()> {
    db.migrate()
        .await
        .context("the database schema cannot be brought up to date")
}

/// What a workspace file is applied to.
///
/// # Errors
/// The database or the key ring cannot be opened.
pub(super) async fn open_store(settings: &Settings) -> anyhow::Result<Store> {
    let db = open_existing(settings).await?;
    let clock = Clock::system();
    let egress = Egress::new(EgressOptions::default())?;
    Ok(Store {
        registry: connectors::standard(egress, db.clone(), clock.clone()),
        keyring: Keyring::open_source(KeySource::of(settings))?,
        clock,
        db,
    })
}
