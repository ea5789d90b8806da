//! Since when a connection only fails; how long things are kept, and what was archived of them.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000009_outward"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.create_table(
            table("retention")
                .col(required("workspace_id").uuid())
                .col(required("spec").text())
                .col(required("revision").big_integer())
                .col(required("updated_at").big_integer())
                .primary_key(&mut primary(&["workspace_id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("retention_run")
                .col(required("workspace_id").uuid())
                .col(required("started_at").big_integer())
                .col(optional("finished_at").big_integer())
                .col(required("deleted").text())
                .col(required("archived").big_integer())
                .col(optional("error").text())
                .primary_key(&mut primary(&["workspace_id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("archive_file")
                .col(required("workspace_id").uuid())
                .col(required("name").text())
                .col(required("day").text())
                .col(required("bytes").big_integer())
                .col(required("rows").big_integer())
                .col(required("updated_at").big_integer())
                .primary_key(&mut primary(&["workspace_id", "name", "day"]))
                .to_owned(),
        )
        .await?;
        for (name, column) in [
            ("connection", "failing_since"),
            ("source", "retention_days"),
        ] {
            let mut column = optional(column);
            if name == "source" {
                column.integer();
            } else {
                column.big_integer();
            }
            m.alter_table(
                Table::alter()
                    .table(Alias::new(name))
                    .add_column(column)
                    .to_owned(),
            )
            .await?;
        }
        Ok(())
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        for (name, column) in [
            ("source", "retention_days"),
            ("connection", "failing_since"),
        ] {
            m.alter_table(
                Table::alter()
                    .table(Alias::new(name))
                    .drop_column(Alias::new(column))
                    .to_owned(),
            )
            .await?;
        }
        drop_tables(m, &["archive_file", "retention_run", "retention"]).await
    }
}
