//! The routes of the API. Handlers are thin: extract, call a service, answer.
//!
//! What a caller needs stands beside the path of each route, and is checked before anything of the
//! request is read.

pub mod audit;
pub mod auth;
pub mod connections;
pub mod credentials;
pub mod dead_letters;
pub mod deliveries;
pub mod events;
pub mod jobs;
pub mod mail;
pub mod maintenance;
pub mod me;
pub mod members;
pub mod notices;
pub mod parked;
pub mod passkeys;
pub mod providers;
pub mod retention;
pub mod roles;
pub mod rules;
pub mod sources;
pub mod stream;
pub mod workspaces;

use actix_web::web;
use openapi::page::Page;
use serde::Deserialize;
use utoipa::IntoParams;

use super::problem::ApiResult;
use crate::services::cursor::Window;

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
}

impl PageQuery {
    fn window(&self) -> ApiResult<Window> {
        Window::parse(self.cursor.as_deref(), self.limit)
    }
}

/// A list that is short enough for one page.
fn whole<T>(items: Vec<T>) -> web::Json<Page<T>> {
    web::Json(Page {
        items,
        next_cursor: None,
    })
}
