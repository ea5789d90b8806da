//! Timers, jobs with their progress, and the log of what people and keys changed.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000005_schedule"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.create_table(
            table("timer")
                .col(required("kind").text())
                .col(required("key").text())
                .col(required("due_at").big_integer())
                .col(optional("owner").uuid())
                .col(required("fence").big_integer())
                .col(required("failures").integer())
                .primary_key(&mut primary(&["kind", "key"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("job")
                .col(required("id").uuid())
                .col(required("workspace_id").uuid())
                .col(required("kind").text())
                .col(required("state").text())
                .col(required("params").text())
                .col(required("cursor").text())
                .col(required("total").big_integer())
                .col(required("done").big_integer())
                .col(required("failed").big_integer())
                .col(optional("error").text())
                .col(required("actor").text())
                .col(required("created_at").big_integer())
                .col(required("updated_at").big_integer())
                .col(optional("finished_at").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("audit")
                .col(required("id").uuid())
                .col(required("workspace_id").uuid())
                .col(required("at").big_integer())
                .col(required("actor_kind").text())
                .col(required("actor").text())
                .col(required("remote_addr").text())
                .col(required("action").text())
                .col(required("subject_kind").text())
                .col(optional("subject_id").uuid())
                .col(required("subject").text())
                .col(required("before").text())
                .col(required("after").text())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        run(
            m,
            &[
                "CREATE INDEX timer_due ON timer (due_at)",
                "CREATE INDEX job_workspace ON job (workspace_id, id)",
                "CREATE INDEX audit_workspace ON audit (workspace_id, id)",
            ],
        )
        .await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(m, &["audit", "job", "timer"]).await
    }
}
