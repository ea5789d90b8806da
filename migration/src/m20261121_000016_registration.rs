//! People who register themselves; which workspace a mail is of, and what kind of mail it is.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000016_registration"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.create_table(
            table("self_registration")
                .col(required("workspace_id").uuid())
                .col(required("enabled").boolean())
                .col(required("email_domains").text())
                .col(required("role").text())
                .col(required("automatic").boolean())
                .primary_key(&mut primary(&["workspace_id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("registration")
                .col(required("id").uuid())
                .col(required("workspace_id").uuid())
                .col(required("state").text())
                .col(required("email").text())
                .col(required("name").text())
                .col(required("password_hash").text())
                .col(required("token_hash").text())
                .col(required("created_at").big_integer())
                .col(required("expires_at").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        // The version before writes mails without either.
        for column in [
            optional("workspace_id").uuid().to_owned(),
            required("kind").text().default("").to_owned(),
        ] {
            let change = Table::alter()
                .table(Alias::new("mail"))
                .add_column(column)
                .to_owned();
            m.alter_table(change).await?;
        }
        run(m, INDEXES).await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(m, &["registration", "self_registration"]).await?;
        run(
            m,
            &[
                "DROP INDEX mail_of_workspace",
                "ALTER TABLE mail DROP COLUMN kind",
                "ALTER TABLE mail DROP COLUMN workspace_id",
                // The version before knows no change of an address.
                "DELETE FROM ceremony WHERE kind = 'new_email'",
            ],
        )
        .await
    }
}

const INDEXES: &[&str] = &[
    "CREATE UNIQUE INDEX registration_email ON registration (workspace_id, email)",
    "CREATE INDEX registration_token ON registration (token_hash)",
    "CREATE INDEX registration_expiry ON registration (expires_at)",
    "CREATE INDEX mail_of_workspace ON mail (workspace_id)",
];
