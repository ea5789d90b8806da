//! Workspaces, people, sessions, credentials.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000001_people"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.create_table(
            table("workspace")
                .col(required("id").uuid())
                .col(required("slug").text())
                .col(required("name").text())
                .col(required("created_at").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("user")
                .col(required("id").uuid())
                .col(required("email").text())
                .col(required("name").text())
                .col(required("password_hash").text())
                .col(required("created_at").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("member")
                .col(required("workspace_id").uuid())
                .col(required("user_id").uuid())
                .col(required("role").text())
                .primary_key(&mut primary(&["workspace_id", "user_id"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("session")
                .col(required("token_hash").text())
                .col(required("user_id").uuid())
                .col(required("csrf_hash").text())
                .col(required("remote_addr").text())
                .col(required("user_agent").text())
                .col(required("created_at").big_integer())
                .col(required("seen_at").big_integer())
                .col(required("expires_at").big_integer())
                .primary_key(&mut primary(&["token_hash"]))
                .to_owned(),
        )
        .await?;
        m.create_table(
            table("credential")
                .col(required("id").uuid())
                .col(required("workspace_id").uuid())
                .col(required("client_id").text())
                .col(required("name").text())
                .col(required("kind").text())
                .col(required("scopes").text())
                .col(required("secret_hash").text())
                .col(required("allow_cidrs").text())
                .col(required("enabled").boolean())
                .col(required("created_at").big_integer())
                .col(optional("expires_at").big_integer())
                .col(optional("last_used_at").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        run(m, INDEXES).await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(m, &["credential", "session", "member", "user", "workspace"]).await
    }
}

/// Written by hand: the builder knows no partial indexes.
const INDEXES: &[&str] = &[
    "CREATE UNIQUE INDEX workspace_slug ON workspace (slug)",
    r#"CREATE UNIQUE INDEX user_email ON "user" (email)"#,
    "CREATE INDEX member_by_user ON member (user_id)",
    "CREATE INDEX session_by_user ON session (user_id)",
    "CREATE UNIQUE INDEX credential_client ON credential (client_id)",
    "CREATE INDEX credential_workspace ON credential (workspace_id, id)",
];
