//! Records of the sandbox connector.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000004_sandbox"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.create_table(
            table("sandbox_record")
                .col(required("id").uuid())
                .col(required("workspace_id").uuid())
                .col(required("connection_id").uuid())
                .col(required("number").big_integer())
                .col(optional("key").text())
                .col(required("message_id").text())
                .col(required("operation").text())
                .col(required("state").text())
                .col(required("title").text())
                .col(required("fields").text())
                .col(required("notes").text())
                .col(required("created_at").big_integer())
                .col(required("updated_at").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        run(m, INDEXES).await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(m, &["sandbox_record"]).await
    }
}

/// Written by hand: the builder knows no partial indexes.
const INDEXES: &[&str] = &[
    "CREATE UNIQUE INDEX sandbox_record_number ON sandbox_record (connection_id, number)",
    "CREATE INDEX sandbox_record_key ON sandbox_record (connection_id, key)",
];
