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
        run(m, REVISIONS).await?;
        build(m, INDEXES).await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        drop_indexes(m, OTHERS).await?;
        drop_tables(m, &["rule_revision"]).await
    }

    /// Builds indexes beside the work.
    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }
}

const REVISIONS: &[&str] = &[
    "CREATE UNIQUE INDEX IF NOT EXISTS rule_revision_number ON rule_revision (rule_id, revision)",
    "CREATE INDEX IF NOT EXISTS rule_revision_list ON rule_revision (rule_id, id)",
    "CREATE INDEX IF NOT EXISTS rule_revision_saved ON rule_revision (workspace_id, saved_at)",
    "CREATE INDEX IF NOT EXISTS rule_revision_ended ON rule_revision (workspace_id, ended_at)",
    // What there is today is the first version that is known. Its id is the rule's own: older than
    // all that follow. (`WHERE`: without it SQLite reads a join.)
    "INSERT INTO rule_revision (id, workspace_id, rule_id, revision, name, source_id, priority, seq, \
     enabled, spec, connections, actor, created_at, saved_at, ended_at) \
     SELECT id, workspace_id, id, revision, name, source_id, priority, seq, enabled, spec, '{}', '', \
     created_at, CASE WHEN revision = 1 THEN created_at ELSE updated_at END, NULL FROM rule \
     WHERE TRUE ON CONFLICT DO NOTHING",
];

/// Indexes of tables that were there before.
const INDEXES: &[BesideWork] = &[
    index(
        "delivery_dead_list",
        "delivery (workspace_id, id) WHERE state = 'dead'",
    ),
    index(
        "delivery_dead_connection",
        "delivery (workspace_id, connection_id, id) WHERE state = 'dead'",
    ),
    index(
        "delivery_dead_rule",
        "delivery (workspace_id, rule_id, id) WHERE state = 'dead'",
    ),
    index(
        "delivery_parked_rule",
        "delivery (workspace_id, rule_id, id) WHERE state = 'parked'",
    ),
    index("job_state", "job (workspace_id, state, id)"),
    index("audit_action", "audit (workspace_id, action, id)"),
    index("audit_actor", "audit (workspace_id, actor, id)"),
    index("audit_subject", "audit (workspace_id, subject_id, id)"),
];

/// Their names, the last one first.
const OTHERS: &[&str] = &[
    "audit_subject",
    "audit_actor",
    "audit_action",
    "job_state",
    "delivery_parked_rule",
    "delivery_dead_rule",
    "delivery_dead_connection",
    "delivery_dead_list",
];
