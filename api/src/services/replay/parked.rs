//! Letting go what a quarantined rule has parked, once the rule is mended.

use entity::{job, rule};
use openapi::deliveries::{DeadResult, ReplayRules};
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::dead::do_or_start;
use super::piece::{self, Deed, Errand};
use super::query::{conflict, parked_query};
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::schedule::job::{Params, Step, Worker};
use crate::scope::Scope;
use crate::services::audit::Actor;
use crate::services::rules;

/// The kind of these jobs.
const RELEASE: &str = "rules.release_parked";

#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    rule_id: Uuid,
}

/// Routes the events of a rule's parked deliveries again, by today's rules. What is made replaces
/// what was parked; where they make nothing, it stays parked.
///
/// # Errors
/// 404; 409 while the rule is in quarantine.
pub async fn release(core: &Core, scope: Scope, by: &Actor, id: Uuid) -> ApiResult<DeadResult> {
    let row = rule::Entity::find_by_id(id)
        .filter(rule::Column::WorkspaceId.eq(scope.workspace()))
        .one(core.db.read())
        .await?
        .ok_or_else(ApiError::not_found)?;
    if rules::get(core, scope, id).await?.validity != "valid" {
        return Err(conflict("The rule is in quarantine; mend it first."));
    }
    let errand = |last| errand(scope, id, last);
    let asked = Asked { rule_id: id };
    do_or_start(core, by, RELEASE, (Some(id), &row.name), &asked, errand).await
}

fn errand(scope: Scope, rule: Uuid, last: Uuid) -> Errand {
    Errand {
        scope,
        query: parked_query(scope, rule),
        whole: parked_query(scope, rule),
        last,
        deed: Deed::Rules(ReplayRules::Today),
        pace: None,
    }
}

/// Does the pieces of these jobs.
#[derive(Debug)]
pub struct ReleaseWorker;

#[async_trait::async_trait]
impl Worker for ReleaseWorker {
    fn kind(&self) -> &'static str {
        RELEASE
    }

    async fn step(&self, core: &Core, job: &job::Model) -> Result<Step, DbErr> {
        let params: Params<Asked> = Params::read(job)?;
        let scope = Scope::granted(job.workspace_id);
        let errand = errand(scope, params.asked.rule_id, params.last);
        piece::step(core, &errand, job).await
    }
}
