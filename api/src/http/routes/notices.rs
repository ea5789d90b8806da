//! What wants attention.

use actix_web::{get, web};
use openapi::notices::Notice;
use openapi::page::Page;

use super::whole;
use crate::auth::{Caller, Permission, needs};
use crate::core::Core;
use crate::http::doc::Guarded;
use crate::http::problem::ApiResult;
use crate::services::notices;

/// List notices
///
/// Connections that need attention, sources that are silent, maintenance, and parts of the server
/// that do not work as they should; for who may read credentials, what is due there. Empty when all
/// is well.
#[utoipa::path(tag = "operation", responses(
    (status = 200, description = "What wants attention, the worst first", body = Page<Notice>), Guarded))]
#[get("/notices", wrap = "needs(Permission::SettingsRead)")]
pub async fn list_notices(
    core: web::Data<Core>,
    caller: Caller,
) -> ApiResult<web::Json<Page<Notice>>> {
    Ok(whole(notices::list(&core, &caller).await?))
}
