//! Examples, made from the types themselves, so that they always have their form.

mod people;

use std::collections::HashMap;

use serde_json::{Map, Value, json};

const ID: &str = "01993a5c-7c1e-7a60-9f3b-2d2a8f0c4e11";
const EVENT: &str = "01993a5c-7c1e-7a60-9f3b-2d2a8f0c4e12";
const RULE: &str = "01993a5c-7c1e-7a60-9f3b-2d2a8f0c4e13";
const CONNECTION: &str = "01993a5c-7c1e-7a60-9f3b-2d2a8f0c4e14";
const SOURCE: &str = "01993a5c-7c1e-7a60-9f3b-2d2a8f0c4e15";
const TIME: &str = "2026-01-01T12:00:00Z";

/// Gives every body of every operation its example.
pub fn add(document: &mut Value) {
    let examples = all();
    let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) else {
        return;
    };
    let operations = paths
        .values_mut()
        .filter_map(Value::as_object_mut)
        .flat_map(Map::values_mut);
    for operation in operations {
        if let Some(body) = operation.get_mut("requestBody") {
            add_to_content(body, &examples);
        }
        let responses = operation
            .get_mut("responses")
            .and_then(Value::as_object_mut);
        for response in responses.into_iter().flat_map(Map::values_mut) {
            add_to_content(response, &examples);
        }
    }
}

fn add_to_content(holder: &mut Value, examples: &HashMap<&str, Value>) {
    let Some(media) = holder.pointer_mut("/content/application~1json") else {
        return;
    };
    let Some(name) = media.get("schema").and_then(schema_name) else {
        return;
    };
    let example = match name.strip_prefix("Page_") {
        None => examples.get(name.as_str()).cloned(),
        Some(item) => examples.get(item).map(|item| json!({"items": [item]})),
    };
    if let (Some(example), Some(media)) = (example, media.as_object_mut()) {
        media.insert("example".to_owned(), example);
    }
}

/// The name of a schema that is referred to, alone or as one of `null` and it.
fn schema_name(schema: &Value) -> Option<String> {
    let reference = schema.get("$ref").or_else(|| {
        schema
            .get("oneOf")?
            .as_array()?
            .iter()
            .find_map(|one| one.get("$ref"))
    })?;
    reference
        .as_str()?
        .strip_prefix("#/components/schemas/")
        .map(str::to_owned)
}

/// An example by the name of each schema that stands in a body.
pub fn all() -> HashMap<&'static str, Value> {
    let workspace = json!({"id": ID, "slug": "main", "name": "Main", "created_at": TIME});
    let source = source();
    let connection = connection();
    let rule = rule();
    let delivery = delivery();
    let mut event = event();
    let summary = event.clone();
    extend(
        &mut event,
        json!({
            "method": "POST", "query": "", "content_type": "application/json",
            "remote_addr": "192.0.2.10", "idempotency_key": null,
            "headers": [["user-agent", "axios/1.7"]],
            "payload": {"msg": "[web-1] [Down] timeout", "monitor": {"id": 7, "name": "web-1"}},
            "deliveries": [delivery]
        }),
    );
    let mut all = people::all();
    all.extend([
        (
            "LoginRequest",
            json!({"email": "admin@localhost", "password": "correct horse battery staple"}),
        ),
        (
            "Session",
            json!({
                "user": {"id": ID, "email": "admin@localhost", "name": "Admin"},
                "workspaces": [{"workspace": workspace, "role": "owner"}],
                "csrf_token": "xw2m0cQ3Jw0aQK2dYt0m1mJ3c7n0N9m3cM2b6q1lq3E"
            }),
        ),
        (
            "WhoAmI",
            json!({
                "kind": "hmac", "name": "Deployment", "client_id": "5f0c1c2e2f0e",
                "slot": "primary", "workspace": workspace, "scopes": ["events:read"],
                "remote_addr": "192.0.2.10", "matched_cidr": "192.0.2.0/24", "server_time": TIME,
                "skew_seconds": 0, "request_id": ID
            }),
        ),
        (
            "WorkspaceRemoval",
            json!({
                "events": 1200, "deliveries": 1300, "open_deliveries": 2, "sources": 3, "rules": 5,
                "connections": 2, "credentials": 1, "members": 4, "members_only_here": 1
            }),
        ),
        ("RemoveWorkspace", json!({"slug": "acme"})),
        ("Credential", credential()),
        (
            "CredentialRevealed",
            json!({"credential": credential(), "secret": "sbs_shown-once-in-this-answer"}),
        ),
        (
            "NewCredential",
            json!({
                "name": "Deployment", "kind": "hmac", "scopes": ["rules:read", "rules:write"],
                "allow_cidrs": ["192.0.2.0/24"], "rotation": {"every_days": 90, "overlap_days": 7}
            }),
        ),
        (
            "ChangeCredential",
            json!({"scopes": ["rules:read"], "expires_at": null}),
        ),
        ("NewCredentialSecret", json!({"retire_old_at": TIME})),
        (
            "RetireCredentialSecret",
            json!({"slot": "secondary", "at": TIME}),
        ),
        (
            "Waiting",
            json!({
                "ready": 0, "behind": 2, "retrying": 1, "paused": 0, "parked": 2, "oldest_at": TIME,
                "parked_causes": [{"error_code": "http_400", "count": 2}],
                "next": [{
                    "delivery_id": ID, "key": "kuma:7", "attempts": 3, "at": TIME,
                    "error_code": "http_503"
                }]
            }),
        ),
        ("RetryParked", json!({"error_code": "http_400"})),
        ("NewWorkspace", json!({"slug": "acme", "name": "Acme"})),
        ("RenameWorkspace", json!({"name": "Acme Ltd"})),
        ("Workspace", workspace),
        ("Usage", usage()),
        (
            "ChangeQuotas",
            json!({"sources": 20, "events_per_day": null}),
        ),
        ("Role", role()),
        (
            "NewRole",
            json!({"name": "Night shift", "scopes": ["events:read", "dlq:replay"]}),
        ),
        ("ChangeRole", json!({"scopes": ["events:read"]})),
        (
            "SourceCreated",
            json!({"source": source, "secret": "4kW0hH8vX2uYw3n5o7q9s1u3w5y7A9C1E3G5I7K9M1O"}),
        ),
        ("Source", source),
        (
            "NewSource",
            json!({"name": "Uptime Kuma", "slug": "kuma", "auth": {"type": "bearer"}}),
        ),
        ("ChangeSource", json!({"enabled": false})),
        (
            "Sample",
            json!({"name": "uptime-kuma-down", "payload": {"msg": "[web-1] [Down] timeout"}}),
        ),
        ("TestEvent", json!({"sample": "uptime-kuma-down"})),
        ("RotateSourceSecret", json!({"overlap_seconds": 86400})),
        (
            "Accepted",
            json!({"event_ids": [EVENT], "correlation_id": EVENT, "duplicate": false}),
        ),
        (
            "Refusal",
            json!({
                "id": ID, "source_id": SOURCE, "at": TIME, "status": 401, "reason": "signature_invalid",
                "remote_addr": "192.0.2.10", "content_type": "application/json", "size": 512
            }),
        ),
        ("Connector", connector()),
        ("ConnectionCreated", connection.clone()),
        ("Connection", connection),
        (
            "NewSigningSecret",
            json!({"secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "revision": 2}),
        ),
        ("Retention", retention()),
        (
            "ChangeRetention",
            json!({"events": 30, "deliveries": 30, "attempts": 14}),
        ),
        (
            "RetentionPreview",
            json!({
                "would_delete": {
                    "events": 120, "deliveries": 4, "attempts": 300, "refusals": 0, "audit": 0,
                    "jobs": 1, "stats": 0, "links": 0, "sandbox": 0
                },
                "at_least": false
            }),
        ),
        (
            "StorageSizes",
            json!({
                "all_workspaces": true, "bytes": 73_400_320, "used_bytes": 68_157_440,
                "tables": [{"table": "event", "rows": 51_200, "bytes": 41_943_040, "oldest_at": TIME}]
            }),
        ),
        (
            "NewConnection",
            json!({"name": "psa", "connector": "sandbox"}),
        ),
        (
            "ChangeConnection",
            json!({"name": "service desk", "enabled": true}),
        ),
        (
            "TestResult",
            json!({"ok": true, "message": "The upstream answers.", "duration_ms": 84}),
        ),
        (
            "Metadata",
            json!({"items": [{"value": "Service Board", "label": "Service Board"}], "fetched_at": TIME}),
        ),
        (
            "SandboxRecord",
            json!({
                "id": ID, "connection_id": CONNECTION, "number": 1, "key": "kuma:7",
                "operation": "ticket.upsert", "state": "open", "title": "Alert: web-1",
                "fields": {"summary": "Alert: web-1"}, "notes": [], "created_at": TIME, "updated_at": TIME
            }),
        ),
        ("Rule", rule),
        (
            "NewRule",
            json!({"name": "down and up to the service desk", "source": "kuma", "priority": 10, "spec": spec()}),
        ),
        ("ChangeRule", json!({"enabled": false})),
        ("Reorder", json!({"ids": [RULE]})),
        (
            "ExplainRequest",
            json!({"source": "kuma", "payload": {"monitor": {"id": 7, "name": "web-1"}}}),
        ),
        ("ExplainResponse", explained()),
        ("EventSummary", summary),
        ("EventDetail", event),
        (
            "Replayed",
            json!({"event_id": EVENT, "disposition": "routed", "delivery_ids": [ID]}),
        ),
        ("Delivery", delivery),
        (
            "EditFields",
            json!({"fields": {"summary": "Alert: web-1 (edited)"}}),
        ),
        (
            "Release",
            json!({"fields": {"summary": "Alert: web-1 (edited)"}}),
        ),
        ("ReplayDelivery", json!({"repeat_delivered": true})),
        ("ReplayedDelivery", json!({"delivery_id": ID, "count": 1})),
        (
            "DeadGroup",
            json!({
                "error_code": "http_400", "connection_id": CONNECTION, "connection": "psa",
                "error": "the upstream refuses the board", "count": 3, "oldest_at": TIME, "newest_at": TIME
            }),
        ),
        (
            "DeadFilter",
            json!({"error_code": "http_400", "connection_id": CONNECTION}),
        ),
        (
            "DeadReplay",
            json!({"error_code": "http_400", "rules": "today", "per_second": 10}),
        ),
        (
            "DeadResult",
            json!({"count": 250, "failed": 0, "job": job()}),
        ),
        ("DeadPreview", preview()),
        ("Job", job()),
        ("AuditEntry", audit()),
        ("AuditVerification", audit_verification()),
        ("ComplianceReport", compliance_report()),
        ("ReplayEvent", json!({"rules": "then"})),
        ("RuleRevision", revision()),
        ("RestoreRule", json!({"revision": 1})),
        (
            "RuleDiff",
            json!({
                "from": 1, "to": 2,
                "changes": [{"path": "spec.then[0].deliver.map.summary", "before": "Alert", "after": "Alert: {{ monitor.name }}"}]
            }),
        ),
        ("Stats", stats()),
        ("Maintenance", maintenance()),
        ("ChangeMaintenance", json!({"on": true, "until": TIME})),
        ("MaintenanceWindow", window()),
        (
            "NewMaintenanceWindow",
            json!({
                "name": "Patch night", "zone": "Europe/Madrid",
                "schedule": {"kind": "weekly", "days": ["mon"], "start": "22:00", "end": "06:00"}
            }),
        ),
        ("ChangeMaintenanceWindow", json!({"enabled": false})),
        (
            "Notice",
            json!({
                "kind": "connection", "colour": "red", "id": CONNECTION, "name": "psa",
                "text": "The upstream refuses its credentials.", "since": TIME
            }),
        ),
        (
            "MailState",
            json!({
                "configured": true, "from": "Signalbox <signalbox@example.com>", "waiting": 0,
                "failed": 0, "last_error": null, "last_sent_at": TIME
            }),
        ),
        (
            "Passkey",
            json!({"id": ID, "name": "Laptop", "created_at": TIME, "last_used_at": TIME}),
        ),
        (
            "PasskeyBegun",
            json!({"token": "…", "options": {"challenge": "…", "rpId": "localhost"}}),
        ),
        (
            "PasskeyShown",
            json!({"token": "…", "credential": {"id": "…", "type": "public-key", "response": {}}}),
        ),
        (
            "NewPasskey",
            json!({
                "token": "…", "name": "Laptop",
                "credential": {"id": "…", "type": "public-key", "response": {}}
            }),
        ),
        ("RenamePasskey", json!({"name": "Laptop"})),
        (
            "SignInProvider",
            json!({"name": "corp", "title": "Example Corp"}),
        ),
        ("TestMail", json!({"to": "ann@example.com"})),
        ("TestMailSent", json!({"id": ID})),
        (
            "Readiness",
            json!({
                "status": "ready", "database": {"state": "ok"}, "migrations": {"state": "ok"},
                "redis": {"state": "not used"}
            }),
        ),
    ]);
    all
}

fn extend(value: &mut Value, more: Value) {
    if let (Value::Object(map), Value::Object(more)) = (value, more) {
        map.extend(more);
    }
}

fn spec() -> Value {
    json!({
        "when": [{"path": "$.monitor.tags[*].name", "op": "in", "value": ["prod", "core"]}],
        "then": [{"deliver": {
            "connection": "psa", "operation": "ticket.upsert", "key": "kuma:{{ monitor.id }}",
            "lifecycle": {"path": "$.heartbeat.status", "open": ["0"], "close": ["1"], "otherwise": "note"},
            "map": {"summary": "Alert: {{ monitor.name }}"}
        }}]
    })
}

fn source() -> Value {
    json!({
        "id": SOURCE, "name": "Uptime Kuma", "slug": "kuma", "kind": "webhook", "enabled": true,
        "auth": {"type": "bearer"}, "has_secret": true, "allow_cidrs": [], "rate_per_minute": null,
        "body_limit": null, "retention_days": null, "match": "first", "on_no_match": "keep", "event_id_path": null,
        "split": null, "heartbeat": {"after": 900}, "silent_since": null,
        "url": "http://localhost:8080/hooks/main/kuma", "last_event_at": TIME, "revision": 1,
        "created_at": TIME, "updated_at": TIME
    })
}

fn connection() -> Value {
    json!({
        "id": CONNECTION, "name": "psa", "connector": "sandbox", "settings": {}, "secrets": [],
        "allow_private": false, "enabled": true, "concurrency": null, "rate_per_minute": null,
        "retry": {}, "on_failure": "skip", "coalesce": true, "state": "ok", "state_code": null,
        "state_reason": null, "state_at": TIME, "failing_since": null, "revision": 1, "created_at": TIME,
        "updated_at": TIME,
        "breaker": {"state": "closed", "failures": 0, "opened_at": null, "next_probe_at": null,
                    "asked_until": null, "pace": null}
    })
}

fn credential() -> Value {
    json!({
        "id": ID, "client_id": "5f0c1c2e2f0e", "name": "Deployment", "kind": "hmac",
        "status": "active", "scopes": ["rules:read", "rules:write"],
        "allow_cidrs": ["192.0.2.0/24"], "legacy": false, "expires_at": null,
        "rotation": {"every_days": 90, "overlap_days": 7}, "rotation_due_at": TIME,
        "secrets": [{
            "slot": "primary", "created_at": TIME, "retires_at": null, "last_used_at": TIME,
            "last_used_addr": "192.0.2.10"
        }],
        "last_used_at": TIME, "last_used_addr": "192.0.2.10", "rate_per_minute": null, "revoked_at": null, "warnings": [],
        "revision": 1, "created_at": TIME, "updated_at": TIME
    })
}

fn retention() -> Value {
    json!({
        "days": {
            "events": 90, "deliveries": 90, "attempts": 30, "dead_letters": 90, "refusals": 90,
            "audit": 365, "jobs": 30, "stats": 400, "links": 365, "sandbox": 90,
            "archive": true
        },
        "sources": [{"source": "kuma", "days": 14}],
        "max_mb": null, "archive": [],
        "last_run": {
            "started_at": TIME, "finished_at": TIME,
            "deleted": {
                "events": 120, "deliveries": 124, "attempts": 310, "refusals": 0, "audit": 0,
                "jobs": 0, "stats": 0, "links": 0, "sandbox": 0
            },
            "archived_bytes": 0, "error": null
        },
        "next_run_at": TIME, "revision": 1
    })
}

fn connector() -> Value {
    json!({
        "kind": "sandbox", "title": "Sandbox", "summary": "Records what would have been sent.",
        "settings": [], "secrets": [], "metadata": [],
        "operations": []
    })
}

fn rule() -> Value {
    json!({
        "id": RULE, "name": "down and up to the service desk", "source": "kuma", "priority": 10,
        "enabled": true, "spec": spec(), "validity": "valid", "revision": 1, "created_at": TIME,
        "updated_at": TIME
    })
}

fn event() -> Value {
    json!({
        "id": EVENT, "source_id": SOURCE, "source": "kuma", "received_at": TIME,
        "correlation_id": EVENT, "disposition": "routed", "reason": "matched",
        "rules": [{"id": RULE, "name": "down and up to the service desk", "revision": 1}],
        "title": "[web-1] [Down] timeout", "size": 512, "test": false
    })
}

fn delivery() -> Value {
    json!({
        "id": ID, "event_id": EVENT, "rule_id": RULE, "rule": "down and up to the service desk",
        "step": 0, "connection_id": CONNECTION, "connection": "psa", "connector": "sandbox",
        "operation": "ticket.upsert", "key": "kuma:7", "action": "open",
        "fields": {"summary": "Alert: web-1"}, "message_id": "msg_01993a5c7c1e7a60",
        "state": "delivered", "behind": false, "due_at": null, "attempts": 1, "error_code": null,
        "error": null, "effect": "created", "record_id": "1", "record_url": null, "replay_of": null,
        "replayed_as": null, "repeats": 1, "coalesced_into": null, "lane_parked": false,
        "created_at": TIME, "finished_at": TIME,
        "attempt_log": [{
            "id": ID, "number": 1, "started_at": TIME, "duration_ms": 12, "outcome": "delivered",
            "status": null, "error_code": null, "error": null, "exchanges": []
        }]
    })
}

fn maintenance() -> Value {
    json!({
        "on": false, "until": null, "waiting": 0, "revision": 0,
        "windows": [{"id": ID, "name": "Patch night", "mode": "queue", "until": TIME}]
    })
}

fn role() -> Value {
    json!({
        "id": ID, "word": format!("custom:{ID}"), "name": "Night shift",
        "scopes": ["events:read", "dlq:replay"], "members": 2, "revision": 1, "created_at": TIME,
        "updated_at": TIME
    })
}

fn usage() -> Value {
    json!({
        "quotas": [
            {"what": "events_per_day", "used": 1200, "limit": 100_000},
            {"what": "sources", "used": 3, "limit": null}
        ],
        "day_ends_at": TIME, "revision": 1
    })
}

fn window() -> Value {
    json!({
        "id": ID, "name": "Patch night", "enabled": true, "mode": "queue", "zone": "Europe/Madrid",
        "schedule": {"kind": "weekly", "days": ["mon"], "start": "22:00", "end": "06:00"},
        "scope": {"kind": "workspace"}, "open": false, "open_until": null, "next_opening": TIME,
        "next_change_local": "Mon 2026-01-05 22:00 CET", "revision": 1, "created_at": TIME,
        "updated_at": TIME
    })
}

fn job() -> Value {
    json!({
        "id": ID, "kind": "dead_letters.replay", "state": "running",
        "params": {"error_code": "http_400", "per_second": 10, "last": ID}, "total": 250, "done": 40,
        "failed": 1, "reasons": {"no_rule": 1}, "error": null, "actor": "admin@localhost",
        "created_at": TIME, "updated_at": TIME, "finished_at": null
    })
}

fn audit() -> Value {
    json!({
        "id": ID, "at": TIME, "actor_kind": "user", "actor": "admin@localhost",
        "remote_addr": "192.0.2.10", "request_id": ID, "seq": 42, "action": "rule.change", "subject_kind": "rule",
        "subject_id": RULE, "subject": "down and up to the service desk",
        "before": {"enabled": true, "revision": 1}, "after": {"enabled": false, "revision": 2}
    })
}

fn audit_verification() -> Value {
    json!({
        "intact": true, "checked": 42, "waiting": 0, "first_seq": 1, "seq": 42,
        "hash": "5f2b1c9be0a84f5d7c1e2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f", "broken": null
    })
}

fn revision() -> Value {
    json!({
        "rule_id": RULE, "revision": 1, "name": "down and up to the service desk", "source": "kuma",
        "priority": 10, "enabled": true, "spec": spec(), "actor": "admin@localhost",
        "saved_at": TIME, "ended_at": null
    })
}

fn compliance_report() -> Value {
    let counted = |action: &str| {
        json!([{
            "action": action, "actor_kind": "user", "actor": "ada@example.com", "count": 3,
            "first_at": TIME, "last_at": TIME
        }])
    };
    json!({
        "workspace": "main", "from": TIME, "to": "2027-02-21T12:00:00.000Z",
        "made_at": "2027-02-21T12:00:00.000Z", "complete": true, "log": audit_verification(),
        "access": counted("sign_in"), "secrets": counted("credential.create"),
        "changes": counted("rule.change"), "operations": counted("dead_letters.replay"),
        "exports": counted("audit.export"), "retention": counted("retention.change"),
        "deleted": {
            "events": 1200, "deliveries": 1300, "attempts": 1500, "refusals": 0, "audit": 0,
            "jobs": 2, "stats": 0, "links": 0, "sandbox": 0
        },
        "limits": {}, "more": false, "members": [], "credentials": []
    })
}

fn preview() -> Value {
    let share = |name: &str, id: Value| json!([{"name": name, "id": id, "count": 3}]);
    let planned = json!({
        "reason": null,
        "operations": [{
            "rule": "down and up to the service desk", "revision": 2, "connection": "psa",
            "operation": "ticket.upsert", "key": "kuma:7", "action": "open",
            "fields": {"summary": "Alert: web-1"}
        }]
    });
    json!({
        "count": 3, "with_lanes": 0, "oldest_at": TIME, "newest_at": TIME,
        "connections": share("psa", json!(CONNECTION)),
        "causes": share("http_400", Value::Null),
        "rules": share("down and up to the service desk", json!(RULE)),
        "samples": [{
            "delivery": delivery(), "again": planned, "today": planned,
            "then": {"reason": "no_rule", "operations": []}, "differ": true
        }]
    })
}

fn explained() -> Value {
    json!({
        "explanation": {"disposition": "unmatched", "reason": "no_match_keep", "rules": [], "matches": []},
        "requests": []
    })
}

fn stats() -> Value {
    json!({
        "hours": [{"hour": TIME, "accepted": 12, "refused": 1, "delivered": 11, "dead": 0}],
        "today": {
            "accepted": 12, "unmatched": 1, "dropped": 0, "created": 4, "updated": 3, "closed": 4,
            "delivered": 11, "failed": 0, "mean_latency_ms": 38.5
        },
        "queue": {"depth": 0, "held": 0, "oldest_seconds": null, "dead": 0},
        "lights": [{"kind": "database", "name": "SQLite", "id": null, "colour": "green", "detail": null}]
    })
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::*;

    fn reads<T: DeserializeOwned>(name: &str) {
        let example = all().remove(name).unwrap();
        serde_json::from_value::<T>(example).unwrap_or_else(|e| panic!("{name}: {e}"));
    }

    #[test]
    fn examples_have_the_form_of_their_types() {
        reads::<openapi::auth::LoginRequest>("LoginRequest");
        reads::<openapi::auth::Session>("Session");
        reads::<openapi::auth::WhoAmI>("WhoAmI");
        reads::<openapi::workspaces::Workspace>("Workspace");
        reads::<openapi::workspaces::WorkspaceRemoval>("WorkspaceRemoval");
        reads::<openapi::workspaces::RemoveWorkspace>("RemoveWorkspace");
        reads::<openapi::sources::NewSource>("NewSource");
        reads::<openapi::sources::ChangeSource>("ChangeSource");
        reads::<openapi::sources::SourceCreated>("SourceCreated");
        reads::<openapi::sources::Refusal>("Refusal");
        reads::<openapi::sources::Accepted>("Accepted");
        reads::<openapi::connections::Connection>("Connection");
        reads::<openapi::connections::NewConnection>("NewConnection");
        reads::<openapi::connections::Waiting>("Waiting");
        reads::<openapi::connections::Connector>("Connector");
        reads::<openapi::connections::SandboxRecord>("SandboxRecord");
        reads::<openapi::connections::Metadata>("Metadata");
        reads::<openapi::rules::Rule>("Rule");
        reads::<openapi::rules::NewRule>("NewRule");
        reads::<openapi::rules::ExplainRequest>("ExplainRequest");
        reads::<openapi::rules::ExplainResponse>("ExplainResponse");
        reads::<openapi::events::EventSummary>("EventSummary");
        reads::<openapi::events::EventDetail>("EventDetail");
        reads::<openapi::deliveries::Delivery>("Delivery");
        reads::<openapi::deliveries::DeadGroup>("DeadGroup");
        reads::<openapi::deliveries::DeadReplay>("DeadReplay");
        reads::<openapi::deliveries::DeadResult>("DeadResult");
        reads::<openapi::deliveries::DeadPreview>("DeadPreview");
        reads::<openapi::jobs::Job>("Job");
        reads::<openapi::audit::AuditEntry>("AuditEntry");
        reads::<openapi::audit::AuditVerification>("AuditVerification");
        reads::<openapi::audit::ComplianceReport>("ComplianceReport");
        reads::<openapi::events::ReplayEvent>("ReplayEvent");
        reads::<openapi::rules::RuleRevision>("RuleRevision");
        reads::<openapi::rules::RuleDiff>("RuleDiff");
        reads::<openapi::stats::Stats>("Stats");
        reads::<openapi::connections::ConnectionCreated>("ConnectionCreated");
        reads::<openapi::webhooks::NewSigningSecret>("NewSigningSecret");
        reads::<openapi::credentials::Credential>("Credential");
        reads::<openapi::credentials::CredentialRevealed>("CredentialRevealed");
        reads::<openapi::credentials::NewCredential>("NewCredential");
        reads::<openapi::credentials::ChangeCredential>("ChangeCredential");
        reads::<openapi::credentials::NewCredentialSecret>("NewCredentialSecret");
        reads::<openapi::credentials::RetireCredentialSecret>("RetireCredentialSecret");
        reads::<openapi::roles::Role>("Role");
        reads::<openapi::roles::NewRole>("NewRole");
        reads::<openapi::roles::ChangeRole>("ChangeRole");
        reads::<openapi::quotas::Usage>("Usage");
        reads::<openapi::quotas::ChangeQuotas>("ChangeQuotas");
        reads::<openapi::retention::Retention>("Retention");
        reads::<openapi::retention::ChangeRetention>("ChangeRetention");
        reads::<openapi::retention::RetentionPreview>("RetentionPreview");
        reads::<openapi::retention::StorageSizes>("StorageSizes");
        reads::<openapi::sources::Source>("Source");
        reads::<openapi::maintenance::Maintenance>("Maintenance");
        reads::<openapi::maintenance::ChangeMaintenance>("ChangeMaintenance");
        reads::<openapi::maintenance::MaintenanceWindow>("MaintenanceWindow");
        reads::<openapi::maintenance::NewMaintenanceWindow>("NewMaintenanceWindow");
        reads::<openapi::maintenance::ChangeMaintenanceWindow>("ChangeMaintenanceWindow");
        reads::<openapi::notices::Notice>("Notice");
    }

    #[test]
    fn every_json_body_of_the_document_has_one() {
        let document = crate::http::document();
        let paths = document["paths"].as_object().unwrap();
        assert!(paths.len() > 30, "{}", paths.len());
        for (path, item) in paths {
            for (method, operation) in item.as_object().unwrap() {
                let bodies = operation["responses"].as_object().unwrap().values();
                for body in bodies.chain([&operation["requestBody"]]) {
                    if let Some(json) = body.pointer("/content/application~1json") {
                        assert!(json.get("example").is_some(), "{method} {path}: {json}");
                    }
                }
            }
        }
    }
}
