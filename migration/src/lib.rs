//! The schema, one migration per change, up and down on SQLite and PostgreSQL.
//!
//! A released migration is never edited. A change that an older server could not live with is made
//! in two releases: first add, later remove.
//!
//! Servers of the version before go on reading and writing while a migration runs. On PostgreSQL a
//! change of a table locks out everybody, so it must be short, and so must be the wait for it: who
//! runs migrations sets a `lock_timeout` and tries again. So most migrations are one transaction,
//! whole or not at all, and do nothing that takes long. An index of a table with rows takes long:
//! a migration that builds one is none, can be repeated after it broke off anywhere, and builds it
//! beside the work ([`columns::build`]).

pub use sea_orm_migration::prelude::*;

mod columns;
mod m20261121_000001_people;
mod m20261121_000002_configuration;
mod m20261121_000003_events;
mod m20261121_000004_sandbox;
mod m20261121_000005_schedule;
mod m20261121_000006_lanes;
mod m20261121_000007_revisions;
mod m20261121_000008_windows;
mod m20261121_000009_outward;
mod m20261121_000010_credentials;
mod m20261121_000011_audit_chain;
mod m20261121_000012_accounts;
mod m20261121_000013_mail;
mod m20261121_000014_roles;
mod m20261121_000015_source_secrets;
mod m20261121_000016_registration;
mod m20261121_000017_removal;
mod m20261121_000018_places;
mod m20261121_000019_waits;
mod m20261121_000020_open;
mod m20261121_000113_sign_in;

/// All migrations, oldest first.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            whole(m20261121_000001_people::Migration),
            whole(m20261121_000002_configuration::Migration),
            whole(m20261121_000003_events::Migration),
            whole(m20261121_000004_sandbox::Migration),
            whole(m20261121_000005_schedule::Migration),
            Box::new(m20261121_000006_lanes::Migration),
            Box::new(m20261121_000007_revisions::Migration),
            Box::new(m20261121_000008_windows::Migration),
            whole(m20261121_000009_outward::Migration),
            whole(m20261121_000010_credentials::Migration),
            Box::new(m20261121_000011_audit_chain::Migration),
            whole(m20261121_000012_accounts::Migration),
            whole(m20261121_000013_mail::Migration),
            whole(m20261121_000014_roles::Migration),
            whole(m20261121_000015_source_secrets::Migration),
            whole(m20261121_000113_sign_in::Migration),
            // Younger than the one before, whatever their numbers say.
            whole(m20261121_000016_registration::Migration),
            whole(m20261121_000017_removal::Migration),
            Box::new(m20261121_000018_places::Migration),
            whole(m20261121_000019_waits::Migration),
            whole(m20261121_000020_open::Migration),
        ]
    }
}

/// A migration in one transaction, on both databases.
struct Whole<M>(M);

fn whole(migration: impl MigrationTrait + 'static) -> Box<dyn MigrationTrait> {
    Box::new(Whole(migration))
}

impl<M: MigrationTrait> MigrationName for Whole<M> {
    fn name(&self) -> &str {
        self.0.name()
    }
}

#[async_trait::async_trait]
impl<M: MigrationTrait> MigrationTrait for Whole<M> {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        self.0.up(m).await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        self.0.down(m).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
