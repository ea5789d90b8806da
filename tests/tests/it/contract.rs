//! The published document against the running server.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tests::yaml::{File, copy_to};
use tests::{Client, Database, Server};
use uuid::Uuid;

use crate::support::settled;

struct Operation {
    method: Method,
    path: String,
    described: Value,
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, described) in operations.as_object().unwrap() {
            all.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                described: described.clone(),
            });
        }
    }
    assert!(all.len() > 40, "{} operations", all.len());
    all
}

impl Operation {
    fn path(&self, id: Uuid) -> String {
        self.path
            .replace("{id}", &id.to_string())
            .replace("{list}", "boards")
    }

    fn documents(&self, status: u16) -> bool {
        !self.described["responses"][status.to_string()].is_null()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_answers_as_documented() {
    let server = Server::start(Database::Sqlite).await;
    let file = File::new()
        .sandbox("box", json!({}))
        .sandbox("never", json!({ "answer": "permanent" }))
        .source_with("a", json!({ "match": "all" }))
        .rule(
            "r",
            json!([{ "path": "$.msg", "op": "exists" }]),
            json!([copy_to("box")]),
        )
        .rule("s", json!([]), json!([copy_to("never")]));
    server.apply(&file.text()).await;
    let client = server.client();
    let sent = server
        .anonymous()
        .hook("a", &json!({ "msg": "hello" }))
        .await;
    let event = settled(&client, sent.event_ids[0]).await;
    let document: Value = server.anonymous().read("/api/openapi.json").await;
    let ids = Ids {
        source: event.summary.source_id,
        event: event.summary.id,
        delivery: event.deliveries[0].id,
        connection: event.deliveries[0].connection_id,
        rule: event.deliveries[0].rule_id.unwrap(),
        workspace: client.read::<Value>("/api/v1/workspaces").await["items"][0]["id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap(),
    };
    let (mut checked, mut right) = (0, 0);
    for operation in operations(&document) {
        // A stream does not end, and a session is not what this client has.
        if operation.path == "/api/v1/stream" || operation.path.starts_with("/api/v1/auth/") {
            continue;
        }
        for id in [Uuid::nil(), ids.of(&operation.path)] {
            let answer = call(&client, &operation, id).await;
            let status = answer.status.as_u16();
            let what = format!("{} {} answers {status}", operation.method, operation.path);
            assert!(
                operation.documents(status),
                "{what}, which it does not document: {}",
                answer.text()
            );
            checked += 1;
            if !answer.status.is_success() {
                let problem: openapi::problem::Problem = answer.json();
                answer.problem(problem.code);
                continue;
            }
            let schema = &operation.described["responses"][status.to_string()]["content"]["application/json"]
                ["schema"];
            if !schema.is_null() {
                let mut faults = Vec::new();
                check(&document, schema, &answer.json(), "$", &mut faults);
                assert!(
                    faults.is_empty(),
                    "{what}\n{}\n{}",
                    faults.join("\n"),
                    answer.text()
                );
                right += 1;
            }
        }
    }
    assert!(
        checked > 80 && right > 40,
        "{checked} answers, {right} of them with a body to check"
    );
}

struct Ids {
    source: Uuid,
    event: Uuid,
    delivery: Uuid,
    connection: Uuid,
    rule: Uuid,
    workspace: Uuid,
}

impl Ids {
    fn of(&self, path: &str) -> Uuid {
        match path.split('/').nth(3) {
            Some("sources") => self.source,
            Some("events") => self.event,
            Some("deliveries") => self.delivery,
            Some("connections") => self.connection,
            Some("rules") => self.rule,
            Some("workspaces") => self.workspace,
            _ => Uuid::nil(),
        }
    }
}

async fn call(client: &Client, operation: &Operation, id: Uuid) -> tests::Answer {
    let call = client.call(operation.method.clone(), &operation.path(id));
    if operation.method == Method::GET {
        return call.send().await;
    }
    // A revision that nothing has: writes are refused before they would take the examples away.
    call.revision(1_000_000).json(&json!({})).send().await
}

/// Whether a value has the form of a schema; what differs is added to `faults`.
fn check(document: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let schema = resolved(document, schema);
    check_form(document, schema, value, at, faults);
    // What no part of the schema names is not documented.
    let mut known = BTreeSet::new();
    let open = names(document, schema, &mut known);
    for name in value.as_object().into_iter().flat_map(|o| o.keys()) {
        if !open && !known.is_empty() && !known.contains(name.as_str()) {
            faults.push(format!("{at}.{name}: not documented"));
        }
    }
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

/// Collects the members that a schema or one of its parts names; true if there may be others.
fn names<'a>(document: &'a Value, schema: &'a Value, known: &mut BTreeSet<&'a str>) -> bool {
    let schema = resolved(document, schema);
    known.extend(
        schema["properties"]
            .as_object()
            .into_iter()
            .flat_map(|p| p.keys().map(String::as_str)),
    );
    let mut open =
        !(schema["additionalProperties"].is_null() || schema["additionalProperties"] == false);
    for key in ["allOf", "oneOf", "anyOf"] {
        for part in schema[key].as_array().into_iter().flatten() {
            open |= names(document, part, known);
        }
    }
    open
}

fn check_form(document: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let schema = resolved(document, schema);
    for key in ["oneOf", "anyOf"] {
        let Some(options) = schema[key].as_array() else {
            continue;
        };
        let tries: Vec<Vec<String>> = options
            .iter()
            .map(|option| {
                let mut own = Vec::new();
                check_form(document, option, value, at, &mut own);
                own
            })
            .collect();
        if !tries.iter().any(Vec::is_empty) {
            faults.push(format!("{at}: fits none of {key}: {tries:?}"));
        }
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        check_form(document, part, value, at, faults);
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|t| is_of(value, t)) {
        faults.push(format!("{at}: {types:?} expected, found {value}"));
        return;
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(value)
    {
        faults.push(format!("{at}: {value} is not listed"));
    }
    if let Some(object) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten() {
            if !object.contains_key(name.as_str().unwrap()) {
                faults.push(format!("{at}.{}: missing", name.as_str().unwrap()));
            }
        }
        for (name, own) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(member) = object.get(name) {
                check(document, own, member, &format!("{at}.{name}"), faults);
            }
        }
    }
    if let (Some(items), Some(rows)) = (schema.get("items"), value.as_array()) {
        for (index, row) in rows.iter().enumerate() {
            check(document, items, row, &format!("{at}[{index}]"), faults);
        }
    }
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}
