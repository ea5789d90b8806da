//! What every route answers to whom, one entry for each.

use super::row::Least::{Admin, Operator, Owner, Viewer};
use super::row::{Row, known, open, route, session};
use openapi::problem::Code::{
    AlreadyDelivered, Conflict, LinkInvalid, MailNotConfigured, NotFound, PasskeyRefused,
    RevisionStale, ScopeMissing, Unauthenticated, UpstreamFailed, ValidationFailed,
};

/// A step that changes nothing that matters, on the connection of the world.
const QUIET_RULE: &str = r#"{"name": "$n", "enabled": false, "spec": {"when": [], "then": [
    {"deliver": {"connection": "box", "operation": "http.request", "map": {"body": {"path": "$"}}}}]}}"#;
const WINDOW: &str = r#"{"name": "$n", "zone": "UTC", "enabled": false,
    "schedule": {"kind": "daily", "start": "01:00", "end": "02:00"}}"#;
const NAME: &str = r#"{"name": "$n"}"#;

/// The table. A change of what needs `If-Match` is sent with a revision that nothing has: that it
/// is told from the one of today shows that the caller was let through, and the world stays as it is.
pub const TABLE: &[Row] = &[
    // Open to all.
    open("GET /livez"),
    open("GET /readyz"),
    open("POST /hooks/{workspace}/{slug}")
        .body(r#"{"msg": "hello"}"#)
        .gives(202),
    open("POST /api/v1/auth/login").body(r#"{"email": "$email", "password": "$password"}"#),
    // Without a first step there is no second, and nobody has these links.
    open("POST /api/v1/auth/second-factor")
        .body(r#"{"code": "000000"}"#)
        .refused(Unauthenticated),
    open("POST /api/v1/auth/password-strength").body(r#"{"password": "$n"}"#),
    // This server sends no mail.
    open("POST /api/v1/auth/password-reset")
        .body(r#"{"email": "$email"}"#)
        .refused(MailNotConfigured),
    open("POST /api/v1/auth/password-reset/accept")
        .body(r#"{"token": "$n", "password": "$password"}"#)
        .refused(LinkInvalid),
    open("POST /api/v1/auth/invitation")
        .body(r#"{"token": "$n"}"#)
        .refused(LinkInvalid),
    open("POST /api/v1/auth/invitation/accept")
        .body(r#"{"token": "$n", "name": "$n", "password": "$password"}"#)
        .refused(LinkInvalid),
    // Nobody registers here, since no workspace says so.
    open("GET /api/v1/auth/registration"),
    open("POST /api/v1/auth/registration")
        .body(r#"{"email": "$n@example.org"}"#)
        .refused(NotFound),
    open("POST /api/v1/auth/registration/show")
        .body(r#"{"token": "$n"}"#)
        .refused(LinkInvalid),
    open("POST /api/v1/auth/registration/accept")
        .body(r#"{"token": "$n", "name": "$n", "password": "$password"}"#)
        .refused(LinkInvalid),
    open("POST /api/v1/auth/new-email")
        .body(r#"{"token": "$n"}"#)
        .refused(LinkInvalid),
    open("GET /api/v1/auth/providers"),
    open("GET /api/v1/auth/providers/{name}/start").refused(NotFound),
    open("GET /api/v1/auth/providers/{name}/callback").refused(NotFound),
    open("POST /api/v1/auth/passkey-sign-in/start"),
    open("POST /api/v1/auth/passkey-sign-in")
        .body(r#"{"token": "x", "credential": {}}"#)
        .refused(PasskeyRefused),
    // For whoever has a session, in no workspace.
    session("POST /api/v1/auth/confirm")
        .body("{}")
        .refused(ValidationFailed),
    session("GET /api/v1/me"),
    session("PATCH /api/v1/me").body(NAME),
    session("POST /api/v1/me/email")
        .body(r#"{"email": "$n@example.org"}"#)
        .refused(MailNotConfigured),
    session("POST /api/v1/me/password")
        .body(r#"{"new_password": "$n"}"#)
        .refused(ValidationFailed),
    session("GET /api/v1/me/sessions"),
    session("DELETE /api/v1/me/sessions/{id}").refused(NotFound),
    session("POST /api/v1/me/sessions/end-others").gives(204),
    session("POST /api/v1/me/second-factor/confirm")
        .body(r#"{"code": "000000"}"#)
        .refused(Conflict),
    session("POST /api/v1/me/second-factor").gives(201),
    session("DELETE /api/v1/me/second-factor").refused(Conflict),
    session("POST /api/v1/me/second-factor/recovery-codes").refused(Conflict),
    session("POST /api/v1/me/invitations/accept")
        .body(r#"{"token": "$n"}"#)
        .refused(LinkInvalid),
    session("GET /api/v1/me/passkeys"),
    session("POST /api/v1/me/passkeys/start"),
    session("POST /api/v1/me/passkeys")
        .body(r#"{"token": "x", "name": "Laptop", "credential": {}}"#)
        .refused(ValidationFailed),
    session("PATCH /api/v1/me/passkeys/{passkey}")
        .body(r#"{"name": "Laptop"}"#)
        .refused(NotFound),
    session("DELETE /api/v1/me/passkeys/{passkey}").refused(NotFound),
    session("POST /api/v1/auth/passkey-confirmation/start"),
    session("POST /api/v1/auth/passkey-confirmation")
        .body(r#"{"token": "x", "credential": {}}"#)
        .refused(PasskeyRefused),
    session("GET /api/v1/auth/session"),
    session("POST /api/v1/auth/logout").gives(204),
    // For whoever is known.
    known("GET /api/v1/debug/whoami"),
    route("GET /metrics", "metrics:read", Viewer),
    route("GET /api/v1/audit", "audit:read", Admin),
    route("GET /api/v1/audit/export", "audit:read", Admin),
    route("GET /api/v1/audit/report", "audit:read", Admin)
        .query("from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z"),
    route("GET /api/v1/audit/verification", "audit:read", Admin),
    route("GET /api/v1/members", "users:read", Admin),
    route("PATCH /api/v1/members/{id}", "users:write", Admin)
        .body(r#"{"enabled": false}"#)
        .refused(RevisionStale),
    route("DELETE /api/v1/members/{id}", "users:write", Admin).refused(RevisionStale),
    route("GET /api/v1/member-policy", "users:read", Admin),
    route("PATCH /api/v1/member-policy", "users:write", Admin)
        .body(r#"{"require_second_factor": false}"#),
    route("GET /api/v1/invitations", "users:read", Admin),
    // Nobody hands out more than they have: a credential with this scope alone invites nobody.
    route("POST /api/v1/invitations", "users:write", Admin)
        .body(r#"{"email": "$n@example.org", "role": "viewer"}"#)
        .gives(201)
        .scope_alone_gets(ScopeMissing),
    route("POST /api/v1/invitations/{id}/resend", "users:write", Admin)
        .scope_alone_gets(ScopeMissing),
    route("DELETE /api/v1/invitations/{id}", "users:write", Admin).refused(RevisionStale),
    route("GET /api/v1/registrations", "users:read", Admin),
    // Nobody waits for an answer.
    route(
        "POST /api/v1/registrations/{id}/approve",
        "users:write",
        Admin,
    )
    .body("{}")
    .refused(NotFound),
    route(
        "POST /api/v1/registrations/{id}/refuse",
        "users:write",
        Admin,
    )
    .refused(NotFound),
    route("GET /api/v1/connections", "connections:read", Viewer),
    route("POST /api/v1/connections", "connections:write", Admin)
        .body(r#"{"name": "$n", "connector": "sandbox"}"#)
        .gives(201),
    route(
        "DELETE /api/v1/connections/{id}",
        "connections:write",
        Admin,
    )
    .refused(RevisionStale),
    route("GET /api/v1/connections/{id}", "connections:read", Viewer),
    route("PATCH /api/v1/connections/{id}", "connections:write", Admin)
        .body(NAME)
        .refused(RevisionStale),
    route(
        "POST /api/v1/connections/{id}/discard-waiting",
        "deliveries:write",
        Operator,
    ),
    route(
        "GET /api/v1/connections/{id}/metadata/{list}",
        "connections:read",
        Viewer,
    )
    .refused(UpstreamFailed),
    route(
        "GET /api/v1/connections/{id}/records",
        "connections:read",
        Viewer,
    ),
    route(
        "POST /api/v1/connections/{id}/resume",
        "connections:write",
        Admin,
    )
    .refused(Conflict),
    route(
        "POST /api/v1/connections/{id}/retire-secret",
        "connections:write",
        Admin,
    )
    .refused(Conflict),
    route(
        "POST /api/v1/connections/{id}/retry-parked",
        "deliveries:write",
        Operator,
    ),
    route(
        "POST /api/v1/connections/{id}/rotate-secret",
        "connections:write",
        Admin,
    )
    .refused(Conflict),
    route(
        "POST /api/v1/connections/{id}/test",
        "connections:write",
        Admin,
    ),
    route(
        "GET /api/v1/connections/{id}/waiting",
        "connections:read",
        Viewer,
    ),
    route("GET /api/v1/connectors", "connections:read", Viewer),
    route("GET /api/v1/credentials", "credentials:read", Admin),
    route("POST /api/v1/credentials", "credentials:write", Admin)
        .body(r#"{"name": "$n", "kind": "hmac", "scopes": ["credentials:write"]}"#)
        .gives(201),
    route(
        "DELETE /api/v1/credentials/{id}",
        "credentials:write",
        Admin,
    )
    .refused(RevisionStale),
    route("GET /api/v1/credentials/{id}", "credentials:read", Admin),
    route("PATCH /api/v1/credentials/{id}", "credentials:write", Admin)
        .body(NAME)
        .refused(RevisionStale),
    route(
        "POST /api/v1/credentials/{id}/promote",
        "credentials:write",
        Admin,
    )
    .refused(Conflict),
    route(
        "POST /api/v1/credentials/{id}/retire",
        "credentials:write",
        Admin,
    )
    .refused(Conflict),
    route(
        "POST /api/v1/credentials/{id}/revoke",
        "credentials:write",
        Admin,
    ),
    route(
        "POST /api/v1/credentials/{id}/secrets",
        "credentials:write",
        Admin,
    )
    .refused(Conflict),
    route("GET /api/v1/dead-letters", "dlq:read", Viewer),
    route("POST /api/v1/dead-letters/discard", "dlq:replay", Operator)
        .body(r#"{"error_code": "none_such"}"#),
    route("GET /api/v1/dead-letters/export", "dlq:read", Viewer).also("events:read"),
    route("GET /api/v1/dead-letters/list", "dlq:read", Viewer),
    route("POST /api/v1/dead-letters/preview", "dlq:read", Viewer),
    route("POST /api/v1/dead-letters/replay", "dlq:replay", Operator)
        .body(r#"{"error_code": "none_such"}"#),
    route("GET /api/v1/deliveries", "deliveries:read", Viewer),
    route("GET /api/v1/deliveries/{id}", "deliveries:read", Viewer),
    route(
        "PATCH /api/v1/deliveries/{id}",
        "deliveries:write",
        Operator,
    )
    .body(r#"{"fields": {}}"#)
    .refused(Conflict),
    route(
        "POST /api/v1/deliveries/{id}/discard",
        "deliveries:write",
        Operator,
    )
    .refused(Conflict),
    route(
        "POST /api/v1/deliveries/{id}/release",
        "deliveries:write",
        Operator,
    )
    .refused(Conflict),
    route(
        "POST /api/v1/deliveries/{id}/replay",
        "deliveries:write",
        Operator,
    )
    .refused(AlreadyDelivered),
    route(
        "POST /api/v1/deliveries/{id}/retry",
        "deliveries:write",
        Operator,
    )
    .refused(Conflict),
    route("GET /api/v1/events", "events:read", Viewer),
    route("GET /api/v1/events/{id}", "events:read", Viewer),
    route("GET /api/v1/events/{id}/body", "events:read", Viewer),
    route("POST /api/v1/events/{id}/replay", "events:replay", Operator),
    route("GET /api/v1/jobs", "jobs:read", Viewer),
    route("GET /api/v1/jobs/{id}", "jobs:read", Viewer),
    route("POST /api/v1/jobs/{id}/cancel", "jobs:cancel", Operator).refused(Conflict),
    route("GET /api/v1/mail", "settings:write", Admin),
    route("POST /api/v1/mail/test", "settings:write", Admin)
        .body(r#"{"to": "ann@example.com"}"#)
        .refused(MailNotConfigured),
    route("GET /api/v1/mail/messages", "settings:write", Admin),
    route(
        "POST /api/v1/mail/messages/{id}/retry",
        "settings:write",
        Admin,
    )
    .refused(NotFound),
    route("GET /api/v1/maintenance", "maintenance:read", Viewer),
    route("PATCH /api/v1/maintenance", "maintenance:write", Operator)
        .body(r#"{"on": false}"#)
        .refused(RevisionStale),
    route(
        "GET /api/v1/maintenance/windows",
        "maintenance:read",
        Viewer,
    ),
    route(
        "POST /api/v1/maintenance/windows",
        "maintenance:write",
        Operator,
    )
    .body(WINDOW)
    .gives(201),
    route(
        "DELETE /api/v1/maintenance/windows/{id}",
        "maintenance:write",
        Operator,
    )
    .refused(RevisionStale),
    route(
        "GET /api/v1/maintenance/windows/{id}",
        "maintenance:read",
        Viewer,
    ),
    route(
        "PATCH /api/v1/maintenance/windows/{id}",
        "maintenance:write",
        Operator,
    )
    .body(NAME)
    .refused(RevisionStale),
    route("GET /api/v1/notices", "settings:read", Viewer),
    route("GET /api/v1/retention", "settings:read", Viewer),
    route("PATCH /api/v1/retention", "settings:write", Admin)
        .body(r#"{"events": 30}"#)
        .refused(RevisionStale),
    route("GET /api/v1/retention/preview", "settings:read", Viewer),
    route("POST /api/v1/retention/run", "settings:write", Admin).gives(202),
    route("GET /api/v1/retention/sizes", "settings:read", Viewer),
    route("GET /api/v1/roles", "roles:read", Admin),
    route("POST /api/v1/roles", "roles:write", Admin)
        .body(r#"{"name": "$n", "scopes": ["events:read"]}"#)
        .gives(201)
        // Nobody makes a role that may do more than they.
        .scope_alone_gets(ScopeMissing),
    route("DELETE /api/v1/roles/{id}", "roles:write", Admin).refused(RevisionStale),
    route("GET /api/v1/roles/{id}", "roles:read", Admin),
    route("PATCH /api/v1/roles/{id}", "roles:write", Admin)
        .body(NAME)
        .refused(RevisionStale),
    route("GET /api/v1/rules", "rules:read", Viewer),
    route("POST /api/v1/rules", "rules:write", Admin)
        .body(QUIET_RULE)
        .gives(201),
    route("POST /api/v1/rules/explain", "rules:read", Viewer)
        .body(r#"{"source": "a", "payload": {"msg": "hello"}}"#),
    route("POST /api/v1/rules/reorder", "rules:write", Admin)
        .body(r#"{"ids": []}"#)
        .refused(Conflict),
    route("DELETE /api/v1/rules/{id}", "rules:write", Admin).refused(RevisionStale),
    route("GET /api/v1/rules/{id}", "rules:read", Viewer),
    route("PATCH /api/v1/rules/{id}", "rules:write", Admin)
        .body(NAME)
        .refused(RevisionStale),
    route("POST /api/v1/rules/{id}/duplicate", "rules:write", Admin).gives(201),
    route(
        "POST /api/v1/rules/{id}/release-parked",
        "deliveries:write",
        Operator,
    ),
    route("POST /api/v1/rules/{id}/restore", "rules:write", Admin)
        .body(r#"{"revision": 1}"#)
        .refused(RevisionStale),
    route("GET /api/v1/rules/{id}/revisions", "rules:read", Viewer),
    route(
        "GET /api/v1/rules/{id}/revisions/diff",
        "rules:read",
        Viewer,
    )
    .query("from=1&to=1"),
    route("GET /api/v1/sources", "sources:read", Viewer),
    route("POST /api/v1/sources", "sources:write", Admin)
        .body(r#"{"name": "$n", "slug": "$n", "auth": {"type": "none"}}"#)
        .gives(201),
    route("GET /api/v1/sources/samples", "sources:read", Viewer),
    route("DELETE /api/v1/sources/{id}", "sources:write", Admin).refused(RevisionStale),
    route("GET /api/v1/sources/{id}", "sources:read", Viewer),
    route("PATCH /api/v1/sources/{id}", "sources:write", Admin)
        .body(NAME)
        .refused(RevisionStale),
    route("GET /api/v1/sources/{id}/refusals", "sources:read", Viewer),
    route(
        "POST /api/v1/sources/{id}/rotate-secret",
        "sources:write",
        Admin,
    )
    .refused(RevisionStale),
    route(
        "POST /api/v1/sources/{id}/retire-secret",
        "sources:write",
        Admin,
    )
    .refused(RevisionStale),
    route("POST /api/v1/sources/{id}/test", "sources:write", Admin)
        .body(r#"{"payload": {"msg": "hello"}}"#)
        .gives(202),
    route("GET /api/v1/stats", "events:read", Viewer),
    route("GET /api/v1/stream", "events:read", Viewer).endless(),
    route("GET /api/v1/workspaces", "workspaces:read", Viewer),
    route("POST /api/v1/workspaces", "workspaces:write", Admin)
        .body(r#"{"slug": "$n", "name": "$n"}"#)
        .gives(201)
        .credentials_get(ScopeMissing),
    route("GET /api/v1/workspaces/{id}", "workspaces:read", Viewer),
    route("PATCH /api/v1/workspaces/{id}", "workspaces:own", Owner).body(r#"{"name": "Main"}"#),
    route(
        "PATCH /api/v1/workspaces/{id}/quotas",
        "workspaces:own",
        Owner,
    )
    .body(r#"{"sources": null}"#)
    .refused(RevisionStale),
    route(
        "GET /api/v1/workspaces/{id}/removal",
        "workspaces:own",
        Owner,
    ),
    // That of the world is the first of the installation.
    route(
        "POST /api/v1/workspaces/{id}/removal",
        "workspaces:own",
        Owner,
    )
    .body(r#"{"slug": "main"}"#)
    .refused(Conflict),
    route(
        "GET /api/v1/workspaces/{id}/usage",
        "workspaces:read",
        Viewer,
    ),
];
