//! Roles that a workspace makes itself, quotas of a workspace, and the rate of a credential.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000014_roles"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.create_table(
            table("role")
                .col(required("id").uuid())
                .col(required("workspace_id").uuid())
                .col(required("name").text())
                .col(required("permissions").text())
                .col(required("revision").big_integer())
                .col(required("created_at").big_integer())
                .col(required("updated_at").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("workspace_quota")
                .col(required("workspace_id").uuid())
                .col(required("spec").text())
                .col(required("revision").big_integer())
                .col(required("updated_at").big_integer())
                .primary_key(&mut primary(&["workspace_id"]))
                .to_owned(),
        )
        .await?;
        run(
            m,
            &[
                "CREATE UNIQUE INDEX role_name ON role (workspace_id, name)",
                "ALTER TABLE credential ADD COLUMN rate_per_minute INTEGER",
            ],
        )
        .await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        // Members keep the word of their role: the version before knows none of it, and it permits
        // nothing there.
        run(m, &["ALTER TABLE credential DROP COLUMN rate_per_minute"]).await?;
        drop_tables(m, &["workspace_quota", "role"]).await
    }
}
