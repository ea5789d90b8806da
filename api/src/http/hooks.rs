//! The way in for events.
//!
//! Every event comes this way, so it has no layers: what those of the API do for a request would cost
//! more than all that is done for an event. Each answer gets the same from here: the id of its request,
//! the safety headers, its place in the metrics and, if it is a problem, the document. Its span is
//! opened when somebody listens at debug level; without one, a line about a request gets the id by
//! [`request::say`].

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::{Condition, Next, from_fn};
use actix_web::{Error, HttpRequest, HttpResponse, web};
use tracing::Instrument as _;

use super::{finish, server, trace};
use crate::core::Core;
use crate::ids;
use crate::ingest::{self, Budget, HOOK_PREFIXES};
use crate::request;
use crate::settings::Settings;

/// What the numbers call every hook.
const ROUTE: &str = "/hooks/{slug}";

/// The hooks. Pages of other origins may send to them if they may use the API.
pub fn configure(config: &mut web::ServiceConfig, settings: &Settings) {
    for prefix in HOOK_PREFIXES {
        let across = !settings.cors_origins.is_empty();
        let cors = Condition::new(across, server::cors(settings));
        let hooks = web::scope(prefix)
            .wrap(cors)
            .wrap(Condition::new(across, from_fn(preflight)));
        config.service(hooks.default_service(web::to(hook)));
    }
}

async fn hook(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    budget: web::Data<Budget>,
) -> HttpResponse {
    let started = Instant::now();
    let id = request_id();
    let span = trace::of_hook(&request, &id);
    let work = ingest::hook(&request, payload, &core, &budget).instrument(span.clone());
    let mut answer = request::within(id.clone(), work)
        .await
        .unwrap_or_else(|error| error.response(&id));
    dress(&core, &id, started, request.method(), &mut answer);
    trace::answered(&span, answer.status().as_u16());
    answer
}

fn dress<B>(core: &Core, id: &str, started: Instant, by: &Method, answer: &mut HttpResponse<B>) {
    finish::dress(answer.headers_mut(), id, finish::is_secure(core));
    let (method, status) = (finish::method(by), answer.status().as_u16());
    let seconds = started.elapsed().as_secs_f64();
    core.metrics.http(method, ROUTE.to_owned(), status, seconds);
}

/// What browsers ask before they send across origins is answered on the way; its answer is dressed
/// like the others.
async fn preflight<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let started = Instant::now();
    let core = request.app_data::<web::Data<Core>>().cloned();
    let mut response = next.call(request).await?;
    if !response.headers().contains_key(finish::REQUEST_ID)
        && let Some(core) = core
    {
        let id = request_id();
        let by = response.request().method().clone();
        dress(&core, &id, started, &by, response.response_mut());
    }
    Ok(response)
}

fn request_id() -> String {
    let id = uuid::Builder::from_random_bytes(ids::random()).into_uuid();
    id.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The future of a request is moved more than once on its way; what is rare has a box of its own.
    #[test]
    fn the_future_of_a_hook_is_small() {
        fn size<A, B, C, D, F>(_: fn(A, B, C, D) -> F) -> usize {
            size_of::<F>()
        }
        let size = size(hook);
        assert!(size <= 2048, "{size}");
    }
}
