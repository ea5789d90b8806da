//! The audit log.

use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use openapi::DateTime;
use openapi::audit::{AuditEntry, AuditVerification, ComplianceReport};
use openapi::page::Page;
use openapi::problem::Code;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::auth::{Caller, Permission, needs};
use crate::chain::Kept;
use crate::core::Core;
use crate::http::doc::{BadQuery, Guarded};
use crate::http::extract::Query;
use crate::http::problem::{ApiError, ApiResult};
use crate::services::audit::{self, Actor, AuditFilter, Form};
use crate::services::cursor::Window;

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// What was done.
    #[param(example = "rule.change")]
    action: Option<String>,
    /// E-mail, client id or name of the part.
    #[param(example = "admin@localhost")]
    actor: Option<String>,
    /// Kind of what was changed.
    #[param(example = "rule")]
    subject_kind: Option<String>,
    /// Id of what was changed.
    subject_id: Option<Uuid>,
    /// Words in its name, the action, or what it was before and after.
    #[param(example = "uptime")]
    q: Option<String>,
    /// Not before this moment.
    from: Option<DateTime>,
    /// Before this moment.
    to: Option<DateTime>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
}

/// Read the audit log
///
/// What people and keys changed, with what it was before and after. Secrets are masked.
#[utoipa::path(tag = "audit", params(AuditQuery), responses(
    (status = 200, description = "Lines, newest first", body = Page<AuditEntry>), Guarded, BadQuery))]
#[get("/audit", wrap = "needs(Permission::AuditRead)")]
pub async fn read_audit(
    core: web::Data<Core>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> ApiResult<web::Json<Page<AuditEntry>>> {
    let window = Window::parse(query.cursor.as_deref(), query.limit)?;
    let filter = AuditFilter {
        action: query.action,
        actor: query.actor,
        kind: query.subject_kind,
        subject: query.subject_id,
        text: query.q.filter(|text| !text.is_empty()),
        from: query.from.map(|at| at.timestamp_millis()),
        to: query.to.map(|at| at.timestamp_millis()),
    };
    Ok(web::Json(
        audit::list(&core, caller.scope, filter, window).await?,
    ))
}

/// Which lines, and in what form.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditExportQuery {
    /// `jsonl`: one JSON object on each line; `csv`: for spreadsheets.
    #[serde(default)]
    #[param(inline)]
    format: AuditFormat,
    /// What was done.
    #[param(example = "rule.change")]
    action: Option<String>,
    /// E-mail, client id or name of the part.
    #[param(example = "admin@localhost")]
    actor: Option<String>,
    /// Kind of what was changed.
    #[param(example = "rule")]
    subject_kind: Option<String>,
    /// Id of what was changed.
    subject_id: Option<Uuid>,
    /// Words in its name, the action, or what it was before and after.
    #[param(example = "uptime")]
    q: Option<String>,
    /// Not before this moment.
    from: Option<DateTime>,
    /// Before this moment.
    to: Option<DateTime>,
}

/// The form of a file.
#[derive(Clone, Copy, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditFormat {
    /// One JSON object on each line.
    #[default]
    Jsonl,
    /// Comma-separated values.
    Csv,
}

/// Export the audit log
///
/// All lines that the filter takes, newest first, as JSON Lines or as comma-separated values. That
/// it was exported is a line of the log, too.
#[utoipa::path(tag = "audit", params(AuditExportQuery), responses(
    (status = 200, description = "The file", content(
        (String = "application/x-ndjson"), (String = "text/csv"))), Guarded, BadQuery))]
#[get("/audit/export", wrap = "needs(Permission::AuditRead)")]
pub async fn export_audit(
    core: web::Data<Core>,
    caller: Caller,
    Query(query): Query<AuditExportQuery>,
) -> ApiResult<HttpResponse> {
    let filter = AuditFilter {
        action: query.action,
        actor: query.actor,
        kind: query.subject_kind,
        subject: query.subject_id,
        text: query.q.filter(|text| !text.is_empty()),
        from: query.from.map(|at| at.timestamp_millis()),
        to: query.to.map(|at| at.timestamp_millis()),
    };
    let (form, kind, name) = match query.format {
        AuditFormat::Jsonl => (Form::JsonLines, "application/x-ndjson", "audit.jsonl"),
        AuditFormat::Csv => (
            Form::Csv,
            "text/csv; charset=utf-8; header=present",
            "audit.csv",
        ),
    };
    let by = Actor::of(&caller);
    let lines = audit::export(&core, caller.scope, &by, filter, form).await?;
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header((
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ))
        .streaming(Box::pin(lines)))
}

/// Look whether the audit log is as it was written
///
/// Reads the chain of the workspace from its first line to its last. With `seq` and `hash` of an end
/// that was kept elsewhere, it also says whether the log was written anew since.
#[utoipa::path(tag = "audit", params(KeptEnd), responses(
    (status = 200, description = "What was found", body = AuditVerification), Guarded, BadQuery))]
#[get("/audit/verification", wrap = "needs(Permission::AuditRead)")]
pub async fn verify_audit(
    core: web::Data<Core>,
    caller: Caller,
    Query(kept): Query<KeptEnd>,
) -> ApiResult<web::Json<AuditVerification>> {
    let kept = match (kept.seq, kept.hash) {
        (None, None) => None,
        (Some(seq), Some(hash)) => Some(Kept { seq, hash }),
        _ => {
            return Err(ApiError::new(Code::InvalidParameter)
                .detail("`seq` and `hash` go together, as an answer of this route had them."));
        }
    };
    Ok(web::Json(
        audit::verification(&core, caller.scope, kept).await?,
    ))
}

/// The end of the chain, as it was once.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct KeptEnd {
    /// Its number.
    #[param(minimum = 1, example = 42)]
    seq: Option<i64>,
    /// Its hash.
    #[param(example = "5f2b1c9be0a84f5d7c1e2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f")]
    hash: Option<String>,
}

/// A period.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditPeriod {
    /// Its first moment.
    #[param(example = "2026-10-01T00:00:00Z")]
    from: DateTime,
    /// The moment after it.
    #[param(example = "2027-01-01T00:00:00Z")]
    to: DateTime,
}

/// Report on a period
///
/// For an auditor: sign-ins and members, changes, secrets that were shown or replaced, exports and
/// clean-ups, counted by who did what, with who may get in now and whether the log holds. That it was
/// made is a line of the log, too.
#[utoipa::path(tag = "audit", params(AuditPeriod), responses(
    (status = 200, description = "The report", body = ComplianceReport), Guarded, BadQuery))]
#[get("/audit/report", wrap = "needs(Permission::AuditRead)")]
pub async fn report_audit(
    core: web::Data<Core>,
    caller: Caller,
    Query(period): Query<AuditPeriod>,
) -> ApiResult<web::Json<ComplianceReport>> {
    let by = Actor::of(&caller);
    let period = (period.from, period.to);
    Ok(web::Json(
        audit::report(&core, caller.scope, &by, period).await?,
    ))
}
