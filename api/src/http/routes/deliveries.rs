//! Deliveries.

use actix_web::{HttpResponse, get, patch, post, web};
use openapi::deliveries::{Delivery, EditFields, Release, ReplayDelivery, ReplayedDelivery};
use openapi::page::Page;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::auth::{Caller, Permission, needs};
use crate::core::Core;
use crate::http::doc::{BadBody, BadQuery, Conflict, Guarded, Missing};
use crate::http::extract::{Json, JsonOrDefault, Query};
use crate::http::problem::ApiResult;
use crate::services::actions;
use crate::services::audit::Actor;
use crate::services::cursor::Window;
use crate::services::deliveries::{self, DeliveryFilter};
use crate::services::lanes;

/// Which deliveries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliveryQuery {
    /// States, separated by commas.
    #[param(example = "ready,retrying")]
    state: Option<String>,
    /// Id or name of the connection.
    #[param(example = "psa")]
    connection: Option<String>,
    /// The event.
    event: Option<Uuid>,
    /// The rule.
    rule: Option<Uuid>,
    /// Record key.
    #[param(example = "kuma:7")]
    key: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
}

/// List deliveries
#[utoipa::path(tag = "deliveries", params(DeliveryQuery), responses(
    (status = 200, description = "Deliveries, newest first", body = Page<Delivery>), Guarded, BadQuery))]
#[get("/deliveries", wrap = "needs(Permission::DeliveriesRead)")]
pub async fn list_deliveries(
    core: web::Data<Core>,
    caller: Caller,
    Query(query): Query<DeliveryQuery>,
) -> ApiResult<web::Json<Page<Delivery>>> {
    let window = Window::parse(query.cursor.as_deref(), query.limit)?;
    let filter = DeliveryFilter {
        states: deliveries::states(query.state.as_deref())?,
        connection: query.connection,
        event: query.event,
        rule: query.rule,
        key: query.key,
        error_code: None,
    };
    Ok(web::Json(
        deliveries::list(&core, caller.scope, filter, window).await?,
    ))
}

/// Read a delivery
///
/// With its attempts.
#[utoipa::path(tag = "deliveries", responses(
    (status = 200, description = "The delivery", body = Delivery), Guarded, Missing))]
#[get("/deliveries/{id}", wrap = "needs(Permission::DeliveriesRead)")]
pub async fn get_delivery(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<web::Json<Delivery>> {
    answer(&core, &caller, *id).await
}

/// Edit the fields of a held delivery
///
/// It stays held.
#[utoipa::path(tag = "deliveries", responses(
    (status = 200, description = "Edited", body = Delivery), Guarded, Missing, BadBody, Conflict))]
#[patch("/deliveries/{id}", wrap = "needs(Permission::DeliveriesWrite)")]
pub async fn edit_delivery(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    Json(body): Json<EditFields>,
) -> ApiResult<web::Json<Delivery>> {
    actions::edit(&core, caller.scope, &Actor::of(&caller), *id, body.fields).await?;
    answer(&core, &caller, *id).await
}

/// Release a held delivery
///
/// As rendered, or with other fields.
#[utoipa::path(tag = "deliveries", request_body = Option<Release>, responses(
    (status = 200, description = "Released", body = Delivery), Guarded, Missing, BadBody, Conflict))]
#[post(
    "/deliveries/{id}/release",
    wrap = "needs(Permission::DeliveriesWrite)"
)]
pub async fn release_delivery(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    JsonOrDefault(body): JsonOrDefault<Release>,
) -> ApiResult<web::Json<Delivery>> {
    actions::release(&core, caller.scope, &Actor::of(&caller), *id, body.fields).await?;
    answer(&core, &caller, *id).await
}

/// Try a delivery again now
///
/// The failed head of a lane that waits for a person, or a delivery that waits for its next attempt.
/// It stays the same delivery and keeps its place.
#[utoipa::path(tag = "deliveries", responses(
    (status = 200, description = "It is due", body = Delivery), Guarded, Missing, Conflict))]
#[post("/deliveries/{id}/retry", wrap = "needs(Permission::DeliveriesWrite)")]
pub async fn retry_delivery(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<web::Json<Delivery>> {
    lanes::retry(&core, caller.scope, &Actor::of(&caller), *id).await?;
    answer(&core, &caller, *id).await
}

/// Discard a delivery
///
/// A person decides against it; it is kept as `discarded`.
#[utoipa::path(tag = "deliveries", responses(
    (status = 200, description = "Discarded", body = Delivery), Guarded, Missing, Conflict))]
#[post(
    "/deliveries/{id}/discard",
    wrap = "needs(Permission::DeliveriesWrite)"
)]
pub async fn discard_delivery(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
) -> ApiResult<web::Json<Delivery>> {
    actions::discard(&core, caller.scope, &Actor::of(&caller), *id).await?;
    answer(&core, &caller, *id).await
}

/// Replay a delivery
///
/// A new delivery with the same fields; the two point at each other. Dead letters, discarded
/// deliveries and messages of webhooks can be replayed, and what was delivered if `repeat_delivered`
/// confirms that it shall be done once more. One that was set aside with its lane is replayed with all
/// of the lane, in order.
#[utoipa::path(tag = "deliveries", request_body = Option<ReplayDelivery>, responses(
    (status = 201, description = "Replayed", body = ReplayedDelivery), Guarded, Missing, BadBody, Conflict))]
#[post("/deliveries/{id}/replay", wrap = "needs(Permission::DeliveriesWrite)")]
pub async fn replay_delivery(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    JsonOrDefault(asked): JsonOrDefault<ReplayDelivery>,
) -> ApiResult<HttpResponse> {
    let by = Actor::of(&caller);
    let made = actions::replay(&core, caller.scope, &by, *id, &asked).await?;
    let location = format!("/api/v1/deliveries/{}", made.delivery_id);
    Ok(HttpResponse::Created()
        .insert_header(("location", location))
        .json(made))
}

/// The delivery as it is now, with its attempts.
async fn answer(core: &Core, caller: &Caller, id: Uuid) -> ApiResult<web::Json<Delivery>> {
    Ok(web::Json(deliveries::get(core, caller.scope, id).await?))
}
