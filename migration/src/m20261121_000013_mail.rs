//! Mails to people, until they are sent.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000013_mail"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.create_table(
            table("mail")
                .col(required("id").uuid())
                .col(required("state").text())
                .col(required("recipient").text())
                .col(required("subject").text())
                .col(required("key_id").text())
                .col(required("sealed").blob())
                .col(required("attempts").integer())
                .col(required("created_at").big_integer())
                .col(required("due_at").big_integer())
                .col(optional("claimed_until").big_integer())
                .col(optional("error").text())
                .col(optional("ended_at").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        run(
            m,
            &[
                "CREATE INDEX mail_waiting ON mail (due_at) WHERE state = 'waiting'",
                "CREATE INDEX mail_ended ON mail (ended_at) WHERE state <> 'waiting'",
            ],
        )
        .await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(m, &["mail"]).await?;
        run(m, &["DELETE FROM timer WHERE kind = 'mail'"]).await
    }
}
