//! Other ways to sign in: providers and passkeys.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000113_sign_in"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.create_table(
            table("ceremony")
                .col(required("token_hash").text())
                .col(required("kind").text())
                .col(optional("user_id").uuid())
                .col(required("data").text())
                .col(required("created_at").big_integer())
                .col(required("expires_at").big_integer())
                .primary_key(&mut primary(&["token_hash"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("identity")
                .col(required("issuer").text())
                .col(required("subject").text())
                .col(required("user_id").uuid())
                .col(required("created_at").big_integer())
                .col(required("last_used_at").big_integer())
                .primary_key(&mut primary(&["issuer", "subject"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("passkey")
                .col(required("id").uuid())
                .col(required("user_id").uuid())
                .col(required("name").text())
                .col(required("credential_id").text())
                .col(required("fixed").blob())
                .col(required("state").blob())
                .col(required("created_at").big_integer())
                .col(optional("last_used_at").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        run(
            m,
            &[
                "ALTER TABLE session ADD COLUMN strong BOOLEAN NOT NULL DEFAULT FALSE",
                "CREATE INDEX ceremony_expiry ON ceremony (expires_at)",
                "CREATE INDEX identity_by_user ON identity (user_id)",
                "CREATE UNIQUE INDEX passkey_credential ON passkey (credential_id)",
                "CREATE INDEX passkey_by_user ON passkey (user_id)",
            ],
        )
        .await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(m, &["passkey", "identity", "ceremony"]).await?;
        run(m, &["ALTER TABLE session DROP COLUMN strong"]).await
    }
}
