//! The schema, one migration per change, up and down on SQLite and PostgreSQL.
//!
//! A released migration is never edited. A change that an older server could not live with is made
//! in two releases: first add, later remove.

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
mod m20261121_000113_sign_in;

/// All migrations, oldest first.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_people::Migration),
            Box::new(m20261121_000002_configuration::Migration),
            Box::new(m20261121_000003_events::Migration),
            Box::new(m20261121_000004_sandbox::Migration),
            Box::new(m20261121_000005_schedule::Migration),
            Box::new(m20261121_000006_lanes::Migration),
            Box::new(m20261121_000007_revisions::Migration),
            Box::new(m20261121_000008_windows::Migration),
            Box::new(m20261121_000009_outward::Migration),
            Box::new(m20261121_000010_credentials::Migration),
            Box::new(m20261121_000011_audit_chain::Migration),
            Box::new(m20261121_000012_accounts::Migration),
            Box::new(m20261121_000013_mail::Migration),
            Box::new(m20261121_000014_roles::Migration),
            Box::new(m20261121_000015_source_secrets::Migration),
            Box::new(m20261121_000113_sign_in::Migration),
            // Younger than the one before, whatever their numbers say.
            Box::new(m20261121_000016_registration::Migration),
            Box::new(m20261121_000017_removal::Migration),
        ]
    }
}
