//! Rules.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use openapi::deliveries::DeadResult;
use openapi::page::Page;
use openapi::rules::{
    ChangeRule, ExplainRequest, ExplainResponse, NewRule, Reorder, RestoreRule, Rule, RuleDiff,
    RuleRevision,
};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{PageQuery, whole};
use crate::auth::{Caller, Permission, needs};
use crate::core::Core;
use crate::http::doc::{BadBody, BadQuery, Conflict, Guarded, Missing, Revised};
use crate::http::extract::{IfMatch, Json, Query, etag};
use crate::http::problem::ApiResult;
use crate::services::audit::Actor;
use crate::services::{explain, replay, rules};

/// List rules
#[utoipa::path(tag = "rules", responses(
    (status = 200, description = "All rules in the order in which they are asked", body = Page<Rule>), Guarded))]
#[get("/rules", wrap = "needs(Permission::RulesRead)")]
pub async fn list_rules(core: web::Data<Core>, caller: Caller) -> ApiResult<web::Json<Page<Rule>>> {
    Ok(whole(rules::list(&core, caller.scope).await?))
}

/// Make a rule
///
/// It is compiled first; faults are refused with their place.
#[utoipa::path(tag = "rules", responses(
    (status = 201, description = "Made", body = Rule), Guarded, BadBody, Conflict))]
#[post("/rules", wrap = "needs(Permission::RulesWrite)")]
pub async fn create_rule(
    core: web::Data<Core>,
    caller: Caller,
    Json(body): Json<NewRule>,
) -> ApiResult<HttpResponse> {
    Ok(made(
        rules::create(&core, caller.scope, &Actor::of(&caller), body).await?,
    ))
}

/// Give the rules a new order
#[utoipa::path(tag = "rules", responses(
    (status = 200, description = "All rules in their new order", body = Page<Rule>), Guarded, BadBody, Conflict))]
#[post("/rules/reorder", wrap = "needs(Permission::RulesWrite)")]
pub async fn reorder_rules(
    core: web::Data<Core>,
    caller: Caller,
    Json(body): Json<Reorder>,
) -> ApiResult<web::Json<Page<Rule>>> {
    Ok(whole(
        rules::reorder(&core, caller.scope, &Actor::of(&caller), body).await?,
    ))
}

/// Explain
///
/// What the rules would do with a payload or a past event, why, and the requests that would be
/// sent. Nothing is sent or stored.
#[utoipa::path(tag = "rules", responses(
    (status = 200, description = "The explanation", body = ExplainResponse), Guarded, Missing, BadBody))]
#[post("/rules/explain", wrap = "needs(Permission::RulesRead)")]
pub async fn explain_rules(
    core: web::Data<Core>,
    caller: Caller,
    Json(body): Json<ExplainRequest>,
) -> ApiResult<web::Json<ExplainResponse>> {
    if body.event_id.is_some() {
        // Its values would be shown.
        caller.must(Permission::EventsRead)?;
    }
    Ok(web::Json(
        explain::explain(&core, caller.scope, body).await?,
    ))
}

/// Read a rule
#[utoipa::path(tag = "rules", responses(
    (status = 200, description = "The rule", body = Rule, headers(("etag" = String, description = "Its revision"))),
    Guarded, Missing))]
#[get("/rules/{id}", wrap = "needs(Permission::RulesRead)")]
pub async fn get_rule(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<HttpResponse> {
    Ok(answer(rules::get(&core, caller.scope, *id).await?))
}

/// Change a rule
#[utoipa::path(tag = "rules",
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 200, description = "Changed", body = Rule, headers(("etag" = String, description = "Its revision"))),
    Guarded, Missing, BadBody, Conflict, Revised))]
#[patch("/rules/{id}", wrap = "needs(Permission::RulesWrite)")]
pub async fn change_rule(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
    Json(body): Json<ChangeRule>,
) -> ApiResult<HttpResponse> {
    Ok(answer(
        rules::change(
            &core,
            caller.scope,
            &Actor::of(&caller),
            *id,
            revision,
            body,
        )
        .await?,
    ))
}

/// Delete a rule
#[utoipa::path(tag = "rules",
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 204, description = "Deleted"), Guarded, Missing, Revised))]
#[delete("/rules/{id}", wrap = "needs(Permission::RulesWrite)")]
pub async fn delete_rule(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
) -> ApiResult<HttpResponse> {
    rules::delete(&core, caller.scope, &Actor::of(&caller), *id, revision).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Duplicate a rule
///
/// The copy stands right after the original and is switched off.
#[utoipa::path(tag = "rules", responses(
    (status = 201, description = "The copy", body = Rule), Guarded, Missing, Conflict))]
#[post("/rules/{id}/duplicate", wrap = "needs(Permission::RulesWrite)")]
pub async fn duplicate_rule(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<HttpResponse> {
    Ok(made(
        rules::duplicate(&core, caller.scope, &Actor::of(&caller), *id).await?,
    ))
}

/// Which two versions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DiffQuery {
    /// The version that is compared.
    #[param(example = 1)]
    from: i64,
    /// The version it is compared with.
    #[param(example = 2)]
    to: i64,
}

/// List the versions of a rule
///
/// Every version that was saved; those of a deleted rule stay.
#[utoipa::path(tag = "rules", params(PageQuery), responses(
    (status = 200, description = "Versions, newest first", body = Page<RuleRevision>), Guarded, Missing, BadQuery))]
#[get("/rules/{id}/revisions", wrap = "needs(Permission::RulesRead)")]
pub async fn list_rule_revisions(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> ApiResult<web::Json<Page<RuleRevision>>> {
    let window = query.window()?;
    Ok(web::Json(
        rules::revisions(&core, caller.scope, *id, window).await?,
    ))
}

/// Compare two versions of a rule
#[utoipa::path(tag = "rules", params(DiffQuery), responses(
    (status = 200, description = "Where they differ", body = RuleDiff), Guarded, Missing, BadQuery))]
#[get("/rules/{id}/revisions/diff", wrap = "needs(Permission::RulesRead)")]
pub async fn compare_rule_revisions(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    Query(query): Query<DiffQuery>,
) -> ApiResult<web::Json<RuleDiff>> {
    let (from, to) = (query.from, query.to);
    Ok(web::Json(
        rules::difference(&core, caller.scope, *id, from, to).await?,
    ))
}

/// Restore a version of a rule
///
/// It becomes the newest version. A deleted rule comes back; its ETag is that of its last version.
#[utoipa::path(tag = "rules",
    params(("If-Match" = String, Header, description = "The ETag as it was read")),
    responses((status = 200, description = "Restored", body = Rule, headers(("etag" = String, description = "Its revision"))),
    Guarded, Missing, BadBody, Conflict, Revised))]
#[post("/rules/{id}/restore", wrap = "needs(Permission::RulesWrite)")]
pub async fn restore_rule(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    revision: IfMatch,
    Json(body): Json<RestoreRule>,
) -> ApiResult<HttpResponse> {
    let by = Actor::of(&caller);
    Ok(answer(
        rules::restore(&core, caller.scope, &by, *id, revision, body.revision).await?,
    ))
}

/// Release what a rule parked
///
/// While a rule is in quarantine, what it takes is parked. Once it is mended, this routes those
/// events again, by today's rules; what is made replaces what was parked.
#[utoipa::path(tag = "rules", responses(
    (status = 200, description = "Released, or the job that does it", body = DeadResult), Guarded, Missing, Conflict))]
#[post(
    "/rules/{id}/release-parked",
    wrap = "needs(Permission::DeliveriesWrite)"
)]
pub async fn release_parked(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<web::Json<DeadResult>> {
    let by = Actor::of(&caller);
    Ok(web::Json(
        replay::release(&core, caller.scope, &by, *id).await?,
    ))
}

fn made(rule: Rule) -> HttpResponse {
    HttpResponse::Created()
        .insert_header(("location", format!("/api/v1/rules/{}", rule.id)))
        .insert_header(etag(rule.revision))
        .json(rule)
}

fn answer(rule: Rule) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(etag(rule.revision))
        .json(rule)
}
