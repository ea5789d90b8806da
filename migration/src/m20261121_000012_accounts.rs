//! What people need beyond a password: invitations, links to a new password, a second factor;
//! members that are switched off; sessions that confirm who they are.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000012_accounts"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        run(m, ADDED).await?;
        m.create_table(
            table("invitation")
                .col(required("id").uuid())
                .col(required("workspace_id").uuid())
                .col(required("email").text())
                .col(required("role").text())
                .col(required("token_hash").text())
                .col(required("invited_by").text())
                .col(required("created_at").big_integer())
                .col(required("expires_at").big_integer())
                .col(required("revision").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("user_token")
                .col(required("token_hash").text())
                .col(required("user_id").uuid())
                .col(required("purpose").text())
                .col(required("created_at").big_integer())
                .col(required("expires_at").big_integer())
                .primary_key(&mut primary(&["token_hash"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("recovery_code")
                .col(required("user_id").uuid())
                .col(required("code_hash").text())
                .primary_key(&mut primary(&["user_id", "code_hash"]))
                .to_owned(),
        )
        .await?;
        run(m, INDEXES).await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(m, &["recovery_code", "user_token", "invitation"]).await?;
        run(m, REMOVED).await
    }
}

/// All of them may be left out: an earlier version writes rows without them.
const ADDED: &[&str] = &[
    r#"ALTER TABLE "user" ADD COLUMN password_at BIGINT NOT NULL DEFAULT 0"#,
    r#"ALTER TABLE "user" ADD COLUMN disabled_at BIGINT"#,
    r#"ALTER TABLE "user" ADD COLUMN totp_at BIGINT"#,
    r#"ALTER TABLE "user" ADD COLUMN totp_step BIGINT NOT NULL DEFAULT 0"#,
    "ALTER TABLE member ADD COLUMN enabled BOOLEAN NOT NULL DEFAULT TRUE",
    "ALTER TABLE member ADD COLUMN created_at BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE member ADD COLUMN seen_at BIGINT",
    "ALTER TABLE member ADD COLUMN revision BIGINT NOT NULL DEFAULT 1",
    "ALTER TABLE session ADD COLUMN proved_at BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE workspace ADD COLUMN require_second_factor BOOLEAN NOT NULL DEFAULT FALSE",
];

const INDEXES: &[&str] = &[
    "CREATE UNIQUE INDEX invitation_token ON invitation (token_hash)",
    "CREATE UNIQUE INDEX invitation_email ON invitation (workspace_id, email)",
    "CREATE INDEX user_token_by_user ON user_token (user_id, purpose)",
    "CREATE INDEX user_token_expiry ON user_token (expires_at)",
];

/// The version before asks for a password only, and lets in whoever is a member.
const REMOVED: &[&str] = &[
    "DELETE FROM sealed_secret WHERE owner_kind = 'user'",
    "DELETE FROM member WHERE NOT enabled",
    "ALTER TABLE workspace DROP COLUMN require_second_factor",
    "ALTER TABLE session DROP COLUMN proved_at",
    "ALTER TABLE member DROP COLUMN revision",
    "ALTER TABLE member DROP COLUMN seen_at",
    "ALTER TABLE member DROP COLUMN created_at",
    "ALTER TABLE member DROP COLUMN enabled",
    r#"ALTER TABLE "user" DROP COLUMN totp_step"#,
    r#"ALTER TABLE "user" DROP COLUMN totp_at"#,
    r#"ALTER TABLE "user" DROP COLUMN disabled_at"#,
    r#"ALTER TABLE "user" DROP COLUMN password_at"#,
];
