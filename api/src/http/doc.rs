//! The OpenAPI document: what is common to all operations.

mod examples;
mod parts;
mod responses;
mod share;

use std::sync::OnceLock;

use serde_json::Value;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

pub use responses::{
    BadBody, BadQuery, Conflict, Fresh, Full, Guarded, Linked, Missing, NoMail, NotSignedIn,
    PasskeyFailed, ProviderFailed, Refused, Revised, Throttled, Upstream, WrongProof,
};

/// The document of the API, complete: every operation with its examples and problems.
pub fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut document = serde_json::to_value(super::app::collect()).unwrap_or_default();
        // The names of what is shared must not depend on which features other crates switch on.
        document.sort_all_objects();
        parts::name(&mut document);
        examples::add(&mut document);
        share::problems(&mut document);
        document
    })
}

/// The frame of the document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Signalbox",
        description = "Events come in, rules decide, tickets, tasks and messages go out, and \
                       nothing is lost.\n\nA browser signs in and sends the session's cookie; its \
                       writes carry `X-CSRF-Token`. A program signs its requests, or sends \
                       `Authorization: Bearer`. \
                       `X-Workspace` picks one of the caller's workspaces; the query parameter \
                       `workspace` does where no header can be sent. What can be changed has \
                       an `ETag`; a change sends it back as `If-Match`. Lists are paged: hand \
                       `next_cursor` back as `cursor`. Failures are problem documents (RFC 9457) \
                       with a stable `code`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(hook),
    servers((url = "/", description = "This server")),
    components(schemas(
        openapi::problem::Problem, openapi::stream::Message, openapi::webhooks::Kind,
        openapi::webhooks::WebhookMessage, openapi::webhooks::WebhookEvent,
        openapi::webhooks::WebhookDelivery, openapi::webhooks::WebhookSource,
        openapi::webhooks::WebhookConnection,
    )),
    security(("session" = []), ("bearer" = []), ("hmac" = [])),
    modifiers(&Schemes),
    tags(
        (name = "auth", description = "Signing in and out"),
        (name = "account", description = "One's own account"),
        (name = "workspaces", description = "Tenants"),
        (name = "people", description = "Who is in a workspace, and who is invited"),
        (name = "roles", description = "What members may do"),
        (name = "credentials", description = "What API clients authenticate with"),
        (name = "sources", description = "Where events come from"),
        (name = "connections", description = "Upstreams"),
        (name = "rules", description = "Firewall lines"),
        (name = "events", description = "What happened"),
        (name = "deliveries", description = "What goes out"),
        (name = "maintenance", description = "Times in which deliveries wait or are not made"),
        (name = "dead letters", description = "What was given up"),
        (name = "jobs", description = "Long work in the background"),
        (name = "audit", description = "What people and keys changed"),
        (name = "live", description = "What happens now"),
        (name = "retention", description = "How long things are kept"),
        (name = "operation", description = "Health and numbers"),
    ),
)]
pub struct Frame;

/// Send an event
///
/// What a source's authentication asks for, and any JSON, form or query. The answer is given once
/// the event is on disk; a delivery id that was accepted before gets the first answer's ids. The
/// first workspace also answers at `/hooks/{slug}`, and all of them at `/w/…` and `/webhook/…`.
#[utoipa::path(
    post, path = "/hooks/{workspace}/{slug}", operation_id = "send_event", tag = "events", security(()),
    params(
        ("workspace" = String, Path, description = "Slug of the workspace"),
        ("slug" = String, Path, description = "Slug of the source"),
    ),
    request_body(content = Object, description = "The event", example = json!({"msg": "[web-1] [Down] timeout", "monitor": {"id": 7, "name": "web-1"}})),
    responses((status = 202, description = "On disk", body = openapi::sources::Accepted), Refused))]
#[expect(
    dead_code,
    reason = "the handler belongs to the ingest; this describes it"
)]
const fn hook() {}

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(
            "session",
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
                crate::auth::COOKIE,
                "Set by `POST /api/v1/auth/login`; over HTTPS its name begins with `__Host-`. \
                 Writes also carry `X-CSRF-Token`.",
            ))),
        );
        components.add_security_scheme(
            "bearer",
            SecurityScheme::Http(
                HttpBuilder::new()
                    .scheme(HttpAuthScheme::Bearer)
                    .bearer_format("sbb_<client>_<random><checksum>")
                    .build(),
            ),
        );
        components.add_security_scheme(
            "hmac",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
                "X-Signature",
                "`v1=` and the lower-hex HMAC-SHA256 of these lines, joined by LF: \
                 `SB1-HMAC-SHA256`, client id, method, path as on the wire, raw query without `?`, \
                 unix seconds, nonce, lower-hex SHA-256 of the body. Beside it go `X-Client-Id`, \
                 `X-Timestamp` and `X-Nonce` (16 to 128 of `A-Z a-z 0-9 _ -`, a new one each time).",
            ))),
        );
    }
}
