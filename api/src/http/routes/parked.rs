//! Lanes of a connection that wait for a person.

use actix_web::{post, web};
use openapi::connections::RetryParked;
use openapi::deliveries::DeadResult;
use uuid::Uuid;

use crate::auth::{Caller, Permission, needs};
use crate::core::Core;
use crate::http::doc::{BadBody, Guarded, Missing};
use crate::http::extract::JsonOrDefault;
use crate::http::problem::ApiResult;
use crate::services::audit::Actor;
use crate::services::replay;

/// Try the lanes of a connection again that wait for a person
///
/// With `on_failure: block` a lane waits when its head fails for good. This makes all such heads of
/// the connection due again, or those of one cause, each in its place and with a new horizon; what
/// waits behind them follows. A few are done at once; many become a job.
#[utoipa::path(tag = "connections", request_body = Option<RetryParked>, responses(
    (status = 200, description = "They are due, or the job that makes them so", body = DeadResult), Guarded, Missing, BadBody))]
#[post(
    "/connections/{id}/retry-parked",
    wrap = "needs(Permission::DeliveriesWrite)"
)]
pub async fn retry_parked(
    core: web::Data<Core>,
    caller: Caller,
    id: web::Path<Uuid>,
    JsonOrDefault(filter): JsonOrDefault<RetryParked>,
) -> ApiResult<web::Json<DeadResult>> {
    let by = Actor::of(&caller);
    Ok(web::Json(
        replay::retry_heads(&core, caller.scope, &by, *id, filter).await?,
    ))
}
