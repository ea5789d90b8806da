//! Who sends to a connection. Rules and sources name it, so a new name is written into them.

use engine::model::{NoMatch, OperationSpec, RuleSpec, StepSpec, Then};
use entity::{delivery, rule, source};
use openapi::problem::FieldError;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, Select,
};
use uuid::Uuid;

use crate::core::Core;
use crate::http::problem::{ApiResult, field_error};
use crate::journal::open_states;
use crate::scope::Scope;
use crate::services::audit::{self, Actor};
use crate::services::change::Change;
use crate::services::rules::record;
use crate::services::sources::{store, stored};

/// The operations of a rule.
pub fn operations_mut(spec: &mut RuleSpec) -> impl Iterator<Item = &mut OperationSpec> {
    let steps = match &mut spec.then {
        Then::Drop => &mut [][..],
        Then::Steps(steps) => steps.as_mut_slice(),
    };
    steps.iter_mut().filter_map(|step| match step {
        StepSpec::Drop => None,
        StepSpec::Deliver(operation) | StepSpec::Hold(operation) => Some(operation),
    })
}

/// What waits for a connection: it cannot go while something does.
pub fn open(scope: Scope, connection: Uuid) -> Select<delivery::Entity> {
    delivery::Entity::find()
        .filter(delivery::Column::WorkspaceId.eq(scope.workspace()))
        .filter(delivery::Column::ConnectionId.eq(connection))
        .filter(open_states())
}

/// Every rule and source that sends to a connection of this name.
pub async fn users(change: &Change<'_>, scope: Scope, name: &str) -> ApiResult<Vec<FieldError>> {
    let mut users = Vec::new();
    for row in rules(change, scope).await? {
        let mut spec: RuleSpec = stored("rule.spec", &row.spec)?;
        if operations_mut(&mut spec).any(|operation| operation.connection == name) {
            users.push(field_error(
                "rule",
                "in_use",
                format!("The rule \"{}\".", row.name),
            ));
        }
    }
    for row in sources(change, scope).await? {
        let policy: NoMatch = stored("source.on_no_match", &row.on_no_match)?;
        if matches!(&policy, NoMatch::Deliver(operation) if operation.connection == name) {
            users.push(field_error(
                "source",
                "in_use",
                format!("The source \"{}\".", row.name),
            ));
        }
    }
    Ok(users)
}

/// Writes the new name of a connection into every rule and source that sends to it.
pub async fn rename(
    core: &Core,
    change: &Change<'_>,
    scope: Scope,
    by: &Actor,
    (old, new): (&str, &str),
) -> ApiResult<()> {
    for row in rules(change, scope).await? {
        let mut spec: RuleSpec = stored("rule.spec", &row.spec)?;
        let mut touched = false;
        for operation in operations_mut(&mut spec).filter(|o| o.connection == old) {
            new.clone_into(&mut operation.connection);
            touched = true;
        }
        if touched {
            let changed = rule::Model {
                spec: store(&spec)?,
                revision: row.revision + 1,
                updated_at: change.now,
                ..row.clone()
            };
            rule::Entity::update(changed.clone().into_active_model().reset_all())
                .exec(&change.txn)
                .await?;
            let (old, new) = (Some(&row), Some(&changed));
            record(&change.txn, &core.clock, scope, by, old, new).await?;
        }
    }
    for row in sources(change, scope).await? {
        let mut policy: NoMatch = stored("source.on_no_match", &row.on_no_match)?;
        let NoMatch::Deliver(operation) = &mut policy else {
            continue;
        };
        if operation.connection != old {
            continue;
        }
        new.clone_into(&mut operation.connection);
        let changed = source::Model {
            on_no_match: store(&policy)?,
            revision: row.revision + 1,
            updated_at: change.now,
            ..row.clone()
        };
        source::Entity::update(changed.clone().into_active_model().reset_all())
            .exec(&change.txn)
            .await?;
        let subject = (row.id, row.name.as_str());
        let rows = (Some(&row), Some(&changed));
        audit::note_row(&change.txn, &core.clock, scope, by, subject, rows, &[]).await?;
    }
    Ok(())
}

async fn rules(change: &Change<'_>, scope: Scope) -> ApiResult<Vec<rule::Model>> {
    Ok(rule::Entity::find()
        .filter(rule::Column::WorkspaceId.eq(scope.workspace()))
        .all(&change.txn)
        .await?)
}

async fn sources(change: &Change<'_>, scope: Scope) -> ApiResult<Vec<source::Model>> {
    Ok(source::Entity::find()
        .filter(source::Column::WorkspaceId.eq(scope.workspace()))
        .all(&change.txn)
        .await?)
}
