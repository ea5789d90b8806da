//! What the measured server is told: two sources, one connection, a dozen rules.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// Source whose events a rule drops.
pub const DROPPED: &str = "dropped";
/// Source whose events are delivered.
pub const DELIVERED: &str = "delivered";
/// Variable that holds the senders' token while the file is applied.
pub const TOKEN: &str = "SIGNALBOX_BENCH_SENDER_TOKEN";

/// The file for `signalbox apply`; JSON is YAML, too. With `carry` false the connection is off, and
/// deliveries wait in the database.
pub fn file(sink: SocketAddr, carry: bool) -> Value {
    let source = |slug: &str| {
        json!({
            "name": slug, "slug": slug,
            "auth": {"type": "bearer", "token": {"env": TOKEN}},
        })
    };
    json!({
        "version": 1,
        "connections": [{
            "name": "sink", "connector": "http", "allow_private": true, "enabled": carry,
            "settings": {"url": format!("http://{sink}/in"), "method": "POST"},
        }],
        "sources": [source(DROPPED), source(DELIVERED)],
        "rules": rules(),
    })
}

/// Ten rules that look at the alert and do not take it, then one for each source that does.
fn rules() -> Value {
    let other_host = |n: usize| {
        vec![
            json!({"path": "$.monitor.name", "op": "equals", "value": format!("db-{n}.example.com")}),
        ]
    };
    let conditions = [
        other_host(1),
        other_host(2),
        other_host(3),
        other_host(4),
        vec![json!({"path": "$.monitor.tags[*].name", "op": "in", "value": ["staging", "test"]})],
        vec![
            json!({"path": "$.msg", "op": "contains", "value": "maintenance", "ignore_case": true}),
        ],
        vec![json!({"path": "$.msg", "op": "regex", "value": "timeout after [0-9]+ s"})],
        vec![json!({"path": "$.monitor.weight", "op": "gte", "value": 900})],
        vec![json!({"path": "$.heartbeat.status", "op": "equals", "value": 1})],
        vec![
            json!({"path": "$.monitor.type", "op": "equals", "value": "http"}),
            json!({"path": "$.heartbeat.retries", "op": "gt", "value": 10}),
        ],
    ];
    let mut rules: Vec<Value> = conditions
        .into_iter()
        .enumerate()
        .map(|(n, when)| {
            json!({"name": format!("other {n}"), "priority": 10 + n, "when": when, "then": "drop"})
        })
        .collect();
    let down = json!([
        {"path": "$.heartbeat.status", "op": "equals", "value": 0},
        {"path": "$.monitor.tags[*].name", "op": "in", "value": ["prod", "core"]},
    ]);
    rules.push(json!({
        "name": "drop", "source": DROPPED, "priority": 100, "when": down, "then": "drop",
    }));
    rules.push(json!({
        "name": "deliver", "source": DELIVERED, "priority": 100, "when": down,
        "then": [{"deliver": {"connection": "sink", "operation": "http.request", "map": {
            "body.number": {"path": "$.number"},
            "body.summary": "Alert: {{ monitor.name }} is down",
            "body.text": "{{ msg | default: 'no message' | truncate: 200 }}",
            "body.priority": {"cases": [{
                "when": {"path": "$.monitor.weight", "op": "gte", "value": 100},
                "value": "high",
            }], "else": "low"},
            "body.tags": {"path": "$.monitor.tags"},
        }}}],
    }));
    rules.into()
}
