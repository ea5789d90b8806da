//! The routes of the tenant.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Json, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::conditions::{Condition, parse};
use super::state::{Refusal, State, missing};
use super::{ROOT, Shared};
use crate::fakes::faults::{Effect, Fault, cut};

/// Rows on a page unless the caller says otherwise.
const PAGE: usize = 25;
/// Most rows on a page.
const LARGEST_PAGE: usize = 1000;

pub(super) fn routes(config: &mut ServiceConfig, shared: &Arc<Shared>) {
    config
        .app_data(Data::from(Arc::clone(shared)))
        .route("/_fake/state", web::get().to(state))
        .route(
            "/_fake/tickets",
            web::get().to(async |shared: Data<Shared>| {
                Json(
                    shared
                        .state
                        .lock()
                        .tickets
                        .values()
                        .cloned()
                        .collect::<Vec<_>>(),
                )
            }),
        )
        .route(
            "/_fake/notes",
            web::get().to(async |shared: Data<Shared>| Json(shared.state.lock().notes.clone())),
        )
        .route(
            "/_fake/calls",
            web::get().to(async |shared: Data<Shared>| Json(shared.calls.lock().clone())),
        )
        .route(
            "/_fake/faults",
            web::get().to(async |shared: Data<Shared>| Json(shared.faults.list())),
        )
        .route("/_fake/faults", web::post().to(add_faults))
        .route(
            "/_fake/faults",
            web::delete().to(async |shared: Data<Shared>| {
                shared.faults.clear();
                HttpResponse::NoContent().finish()
            }),
        )
        .route(
            "/_fake/reset",
            web::post().to(async |shared: Data<Shared>| {
                shared.reset();
                HttpResponse::NoContent().finish()
            }),
        )
        .route(
            "/_fake/tickets/{id}",
            web::delete().to(async |shared: Data<Shared>, id: web::Path<i64>| {
                shared.delete(*id);
                HttpResponse::NoContent().finish()
            }),
        )
        .route(
            "/_fake/tickets/{id}/status/{name}",
            web::post().to(set_status),
        )
        .default_service(web::to(api));
}

/// Now, in the vendor's form.
pub(super) fn now() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "a fake tenant lives in real time"
    )]
    Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true)
}

async fn state(shared: Data<Shared>) -> Json<Value> {
    let state = shared.state.lock();
    Json(json!({
        "tickets": state.tickets.values().collect::<Vec<_>>(),
        "notes": state.notes,
        "calls": *shared.calls.lock(),
    }))
}

async fn add_faults(shared: Data<Shared>, faults: Json<Vec<Fault>>) -> HttpResponse {
    for fault in faults.into_inner() {
        shared.faults.add(fault);
    }
    HttpResponse::NoContent().finish()
}

async fn set_status(shared: Data<Shared>, path: web::Path<(i64, String)>) -> HttpResponse {
    let (id, name) = path.into_inner();
    let change = json!([{"op": "replace", "path": "status", "value": {"name": name}}]);
    let changed = shared.state.lock().patch(id, &change, false, &now());
    match changed {
        Ok(ticket) => HttpResponse::Ok().json(ticket),
        Err(refusal) => refused(refusal),
    }
}

/// Every call of the API: count, authenticate, script, work.
async fn api(shared: Data<Shared>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let Some(path) = request.path().strip_prefix(ROOT) else {
        return refused(missing("page"));
    };
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let plain: Vec<&str> = segments
        .iter()
        .map(|part| {
            if part.parse::<i64>().is_ok() {
                "{id}"
            } else {
                *part
            }
        })
        .collect();
    let name = format!("{} /{}", request.method(), plain.join("/"));
    *shared.calls.lock().entry(name).or_default() += 1;
    let (effect, late) = shared.faults.take(&request).await;
    let lost = match effect {
        Effect::Delay | Effect::LateReply => false,
        Effect::LoseReply => true,
        Effect::Status {
            status,
            retry_after,
        } => return scripted(status, retry_after),
        Effect::Cut => {
            cut(&request);
            return HttpResponse::ServiceUnavailable().finish();
        }
        Effect::Hang => std::future::pending().await,
    };
    let answer = match refuse_caller(&shared, &request) {
        Some(refusal) => refused(refusal),
        None => work(&shared, &request, &segments, &body),
    };
    if lost {
        cut(&request);
    }
    if !late.is_zero() {
        actix_web::rt::time::sleep(late).await;
    }
    answer
}

fn refuse_caller(shared: &Shared, request: &HttpRequest) -> Option<Refusal> {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let refusal = |status: u16, code: &str, message: &str| {
        Some(Refusal {
            status,
            body: json!({"code": code, "message": message, "errors": null}),
        })
    };
    // This one answers anybody.
    if request.path().ends_with("/system/info") {
        return None;
    }
    if header("authorization") != Some(shared.authorization.as_str()) {
        if shared.options.hides {
            return Some(missing("page"));
        }
        return refusal(
            401,
            "Unauthorized",
            "The public and private key combination is not valid.",
        );
    }
    if header("clientid").is_none_or(str::is_empty) {
        return refusal(403, "Forbidden", "A clientId is required.");
    }
    None
}

fn work(shared: &Shared, request: &HttpRequest, segments: &[&str], body: &[u8]) -> HttpResponse {
    let method = request.method().as_str();
    let mut state = shared.state.lock();
    let number = |text: &str| text.parse::<i64>().unwrap_or(-1);
    let sent = || serde_json::from_slice::<Value>(body).unwrap_or_default();
    let done = |status: StatusCode, result: Result<Value, Refusal>| match result {
        Ok(value) => HttpResponse::build(status).json(value),
        Err(refusal) => refused(refusal),
    };
    if let ["service", "tickets", id, ..] = segments
        && state.hidden.contains(&number(id))
    {
        return refused(missing("ticket"));
    }
    match (method, segments) {
        ("GET", ["system", "info"]) => HttpResponse::Ok()
            .json(json!({"version": "v2026.1.1", "isCloud": true, "serverTimeZone": "UTC"})),
        ("GET", ["service", "boards"]) => list(shared, request, state.boards.clone()),
        ("GET", ["service", "boards", id, kind]) => match of_board(&state, number(id), kind) {
            Some(rows) => list(shared, request, rows),
            None => refused(missing("board")),
        },
        ("GET", ["service", "priorities"]) => list(shared, request, state.priorities.clone()),
        ("GET", ["company", "companies"]) => list(shared, request, state.companies.clone()),
        ("GET", ["service", "tickets"]) => {
            let seen =
                |(id, ticket): (&i64, &Value)| (!state.hidden.contains(id)).then(|| ticket.clone());
            let rows = state.tickets.iter().filter_map(seen).collect();
            list(shared, request, rows)
        }
        ("POST", ["service", "tickets"]) => {
            done(StatusCode::CREATED, state.create(&sent(), &now()))
        }
        ("GET", ["service", "tickets", id]) => {
            let found = state.tickets.get(&number(id)).cloned();
            done(StatusCode::OK, found.ok_or_else(|| missing("ticket")))
        }
        ("PATCH", ["service", "tickets", id]) => done(
            StatusCode::OK,
            state.patch(number(id), &sent(), shared.options.deaf, &now()),
        ),
        ("GET", ["service", "tickets", id, "notes"]) => {
            if !state.tickets.contains_key(&number(id)) {
                return refused(missing("ticket"));
            }
            list(
                shared,
                request,
                state.notes.get(&number(id)).cloned().unwrap_or_default(),
            )
        }
        ("POST", ["service", "tickets", id, "notes"]) => {
            done(StatusCode::CREATED, state.note(number(id), &sent(), &now()))
        }
        _ => refused(missing("page")),
    }
}

fn of_board(state: &State, board: i64, kind: &str) -> Option<Vec<Value>> {
    let lists = match kind {
        "statuses" => &state.statuses,
        "types" => &state.types,
        "subtypes" => &state.subtypes,
        "items" => &state.items,
        _ => return None,
    };
    lists.get(&board).cloned()
}

/// A page of a list.
fn list(shared: &Shared, request: &HttpRequest, mut rows: Vec<Value>) -> HttpResponse {
    let query: Vec<(String, String)> = form_urlencoded::parse(request.query_string().as_bytes())
        .into_owned()
        .collect();
    let value = |name: &str| {
        query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    if let Some(text) = value("conditions").filter(|text| !text.is_empty()) {
        match parse(text) {
            Ok(condition) => {
                let condition = if shared.options.sloppy {
                    sloppy(condition)
                } else {
                    condition
                };
                rows.retain(|row| condition.holds(row));
            }
            Err(why) => {
                return refused(Refusal {
                    status: 400,
                    body: json!({"code": "InvalidConditions", "message": why, "errors": null}),
                });
            }
        }
    }
    if let Some(order) = value("orderBy") {
        sort(&mut rows, order);
    }
    let number = |name: &str, plain: usize| {
        value(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(plain)
    };
    let size = number("pageSize", PAGE).clamp(1, LARGEST_PAGE);
    let page = number("page", 1).max(1);
    let last = rows.len().div_ceil(size).max(1);
    let shown: Vec<Value> = rows
        .into_iter()
        .skip((page - 1) * size)
        .take(size)
        .collect();
    let mut answer = HttpResponse::Ok();
    if !shared.options.no_links && last > 1 {
        answer.insert_header(("link", links(request, &query, page, last)));
    }
    answer.json(shown)
}

/// What an upstream does that reads equality as "contains".
fn sloppy(condition: Condition) -> Condition {
    match condition {
        Condition::All(parts) => Condition::All(parts.into_iter().map(sloppy).collect()),
        Condition::Any(parts) => Condition::Any(parts.into_iter().map(sloppy).collect()),
        // It forgets about the customer and the state, too.
        Condition::Test { field, .. } if field.starts_with("company") || field == "closedFlag" => {
            Condition::All(Vec::new())
        }
        Condition::Test {
            field,
            op,
            negated,
            values,
        } => Condition::Test {
            field,
            op: if op == "=" { "contains".to_owned() } else { op },
            negated,
            values,
        },
    }
}

fn sort(rows: &mut [Value], order: &str) {
    let (field, direction) = order.split_once(' ').unwrap_or((order, "asc"));
    let pointer = format!("/{field}");
    rows.sort_by_key(|row| {
        row.pointer(&pointer)
            .and_then(Value::as_i64)
            .unwrap_or_default()
    });
    if direction.eq_ignore_ascii_case("desc") {
        rows.reverse();
    }
}

fn links(request: &HttpRequest, query: &[(String, String)], page: usize, last: usize) -> String {
    let connection = request.connection_info();
    let link = |page: usize, relation: &str| {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(query.iter().filter(|(key, _)| key != "page"));
        form.append_pair("page", &page.to_string());
        format!(
            "<http://{}{}?{}>; rel=\"{relation}\"",
            connection.host(),
            request.path(),
            form.finish()
        )
    };
    let mut all = Vec::new();
    if page < last {
        all.push(link(page + 1, "next"));
        all.push(link(last, "last"));
    }
    if page > 1 {
        all.push(link(page - 1, "prev"));
        all.push(link(1, "first"));
    }
    all.join(", ")
}

fn scripted(status: u16, retry_after: Option<String>) -> HttpResponse {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = HttpResponse::build(code);
    if let Some(seconds) = retry_after {
        answer.insert_header(("retry-after", seconds));
    }
    let reason = code.canonical_reason().unwrap_or_default();
    if status == 429 {
        return answer.json(json!({"error": reason, "message": "The rate limit was reached."}));
    }
    answer.json(json!({"code": reason, "message": format!("a scripted {status}"), "errors": null}))
}

fn refused(refusal: Refusal) -> HttpResponse {
    HttpResponse::build(StatusCode::from_u16(refusal.status).unwrap_or_default()).json(refusal.body)
}
