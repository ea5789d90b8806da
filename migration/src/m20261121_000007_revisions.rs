//! Every version of a rule that was saved, and indexes for dead letters and the audit log.

use sea_orm_migration::prelude::*;

use crate::columns::*;

/// See the module.
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000007_revisions"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.create_table(
            table("rule_revision")
                .col(required("id").uuid())
                .col(required("workspace_id").uuid())
                .col(required("rule_id").uuid())
                .col(required("revision").big_integer())
                .col(required("name").text())
                .col(optional("source_id").uuid())
                .col(required("priority").integer())
                .col(required("seq").big_integer())
                .col(required("enabled").boolean())
                .col(required("spec").text())
                .col(required("connections").text())
                .col(required("actor").text())
                .col(required("created_at").big_integer())
                .col(required("saved_at").big_integer())
                .col(optional("ended_at").big_integer())
                .primary_key(&mut primary(&["id"]))
                .to_owned(),
        )
        .await?;
        run(m, UP).await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        run(m, DOWN).await?;
        drop_tables(m, &["rule_revision"]).await
    }
}

const UP: &[&str] = &[
    "CREATE UNIQUE INDEX rule_revision_number ON rule_revision (rule_id, revision)",
    "CREATE INDEX rule_revision_list ON rule_revision (rule_id, id)",
    "CREATE INDEX rule_revision_saved ON rule_revision (workspace_id, saved_at)",
    "CREATE INDEX rule_revision_ended ON rule_revision (workspace_id, ended_at)",
    // What there is today is the first version that is known. Its id is the rule's own: older than
    // all that follow.
    "INSERT INTO rule_revision (id, workspace_id, rule_id, revision, name, source_id, priority, seq, \
     enabled, spec, connections, actor, created_at, saved_at, ended_at) \
     SELECT id, workspace_id, id, revision, name, source_id, priority, seq, enabled, spec, '{}', '', \
     created_at, CASE WHEN revision = 1 THEN created_at ELSE updated_at END, NULL FROM rule",
    "CREATE INDEX delivery_dead_list ON delivery (workspace_id, id) WHERE state = 'dead'",
    "CREATE INDEX delivery_dead_connection ON delivery (workspace_id, connection_id, id) WHERE state = 'dead'",
    "CREATE INDEX delivery_dead_rule ON delivery (workspace_id, rule_id, id) WHERE state = 'dead'",
    "CREATE INDEX delivery_parked_rule ON delivery (workspace_id, rule_id, id) WHERE state = 'parked'",
    "CREATE INDEX job_state ON job (workspace_id, state, id)",
    "CREATE INDEX audit_action ON audit (workspace_id, action, id)",
    "CREATE INDEX audit_actor ON audit (workspace_id, actor, id)",
    "CREATE INDEX audit_subject ON audit (workspace_id, subject_id, id)",
];

const DOWN: &[&str] = &[
    "DROP INDEX audit_subject",
    "DROP INDEX audit_actor",
    "DROP INDEX audit_action",
    "DROP INDEX job_state",
    "DROP INDEX delivery_parked_rule",
    "DROP INDEX delivery_dead_rule",
    "DROP INDEX delivery_dead_connection",
    "DROP INDEX delivery_dead_list",
];
