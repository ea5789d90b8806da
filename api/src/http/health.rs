//! Whether the server lives and is ready, and its numbers.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, web};
use migration::MigratorTrait as _;
use serde::Serialize;
use utoipa::ToSchema;

use super::scrapers;
use crate::auth::Authenticator;
use crate::core::Core;
use crate::http::doc::Guarded;
use crate::http::problem::{ApiError, ApiResult};
use crate::journal::sql;

/// How long a dependency may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// One part that readiness depends on.
#[derive(Debug, Serialize, ToSchema)]
pub struct Check {
    /// `ok`, `failed`, `degraded` or `not used`.
    #[schema(example = "ok")]
    state: &'static str,
}

/// Whether requests can be taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// `ready`, `degraded` (works, but something optional is missing) or `not ready`.
    #[schema(example = "ready")]
    status: &'static str,
    /// The database.
    database: Check,
    /// The database takes writes: `failed` when its disk is full.
    writes: Check,
    /// The schema of the database is that of this version.
    migrations: Check,
    /// Redis.
    redis: Check,
}

/// Whether the process lives
#[utoipa::path(tag = "operation", security(()), responses((status = 200, description = "It does", body = String)))]
#[get("/livez")]
pub async fn livez() -> HttpResponse {
    alive().await
}

/// The same for those who ask without wanting a body, as some load balancers do.
pub fn heads(config: &mut web::ServiceConfig) {
    config
        .route("/livez", web::head().to(alive))
        .route("/readyz", web::head().to(ready));
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header(("cache-control", "no-store"))
        .body("ok\n")
}

/// Whether requests can be taken
#[utoipa::path(tag = "operation", security(()), responses(
    (status = 200, description = "Ready, perhaps degraded", body = Readiness),
    (status = 503, description = "Not ready", body = Readiness)))]
#[get("/readyz")]
pub async fn readyz(core: web::Data<Core>) -> HttpResponse {
    ready(core).await
}

async fn ready(core: web::Data<Core>) -> HttpResponse {
    let database = within(core.db.ping()).await.is_some_and(|r| r.is_ok());
    let migrated = database && within(migrated(&core)).await.unwrap_or(false);
    let writes = core.db.trouble().is_none();
    let redis = core.redis.answers().await;
    let ready = database && migrated && writes;
    let readiness = Readiness {
        status: match (ready, redis) {
            (false, _) => "not ready",
            (true, Some(false)) => "degraded",
            (true, _) => "ready",
        },
        database: check(database),
        writes: check(writes),
        migrations: check(migrated),
        redis: Check {
            state: match redis {
                None => "not used",
                Some(true) => "ok",
                Some(false) => "degraded",
            },
        },
    };
    let mut response = if ready {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    response
        .insert_header(("cache-control", "no-store"))
        .json(readiness)
}

/// Read the numbers for Prometheus
///
/// Needs the scope `metrics:read`, unless the setting `metrics_public` opens it. The numbers of each
/// workspace and its connections are those of all workspaces for a caller of the first one, and of the
/// caller's own for others.
#[utoipa::path(tag = "operation", responses(
    (status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text"), Guarded))]
#[get("/metrics")]
pub async fn metrics(
    req: HttpRequest,
    core: web::Data<Core>,
    authenticator: web::Data<Authenticator>,
) -> ApiResult<HttpResponse> {
    let mut only = None;
    if !core.settings.metrics_public {
        let own = scrapers::workspace(&core, &authenticator, &req).await?;
        let snapshot = core.snapshots.current();
        if snapshot
            .first_workspace()
            .is_none_or(|first| first.id != own)
        {
            let slug = snapshot.workspace(own).map(|own| own.slug.clone());
            only = Some(slug.unwrap_or_default());
        }
    }
    if let Err(error) = crate::metrics::gather(&core).await {
        // The process's own numbers are what one wants to see just then.
        crate::db::noted(&error);
        tracing::warn!(%error, "The numbers of the database could not be read.");
    }
    let text = core
        .metrics
        .text()
        .map_err(|error| ApiError::internal("metrics", &error))?;
    let text = match only {
        None => text,
        Some(slug) => of_workspace(&text, &slug),
    };
    Ok(HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(text))
}

/// How families begin that tell of the whole installation and what it stores.
const OF_ALL: [&str; 3] = ["signalbox_db_", "signalbox_redis_", "signalbox_clean_up"];

/// The lines that tell of no workspace, or of this one. A slug needs no escapes.
fn of_workspace(text: &str, slug: &str) -> String {
    let own = format!("workspace=\"{slug}\"");
    text.split_inclusive('\n')
        .filter(|line| {
            let family = ["# HELP ", "# TYPE ", "# UNIT "]
                .iter()
                .find_map(|word| line.strip_prefix(word))
                .unwrap_or(line);
            if OF_ALL.iter().any(|start| family.starts_with(start)) {
                return false;
            }
            line.starts_with('#') || !line.contains("workspace=\"") || line.contains(&own)
        })
        .collect()
}

fn check(fine: bool) -> Check {
    Check {
        state: if fine { "ok" } else { "failed" },
    }
}

async fn within<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(PATIENCE, work).await.ok()
}

/// Only reads: to ask the migrator would write, and could wait for a disk that is full.
async fn migrated(core: &Core) -> bool {
    let query = "SELECT version FROM seaql_migrations";
    let Ok(rows) = sql::rows(core.db.read(), query, Vec::new()).await else {
        return false;
    };
    let done: Vec<String> = rows
        .iter()
        .filter_map(|row| row.try_get("", "version").ok())
        .collect();
    migration::Migrator::migrations()
        .iter()
        .all(|migration| done.iter().any(|name| name == migration.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_sees_no_numbers_of_another() {
        let text = "# HELP a Of workspaces\na{workspace=\"main\"} 1\n\
                    a{workspace=\"other\",connection=\"x\"} 2\nb 3\n# EOF\n";
        assert_eq!(
            of_workspace(text, "other"),
            "# HELP a Of workspaces\na{workspace=\"other\",connection=\"x\"} 2\nb 3\n# EOF\n"
        );
    }

    #[test]
    fn only_the_first_workspace_sees_how_the_installation_does() {
        let text = "# HELP signalbox_db_size_bytes Size\n# TYPE signalbox_db_size_bytes gauge\n\
                    # UNIT signalbox_db_size_bytes bytes\nsignalbox_db_size_bytes 7\n\
                    signalbox_db_connections{state=\"used\"} 1\n\
                    # TYPE signalbox_redis_calls_failed counter\n\
                    signalbox_redis_calls_failed_total 0\n\
                    signalbox_clean_ups_total{outcome=\"done\"} 1\n\
                    signalbox_clean_up_done_timestamp_seconds 0\n\
                    # TYPE signalbox_streams_open gauge\nsignalbox_streams_open 2\n# EOF\n";
        assert_eq!(
            of_workspace(text, "other"),
            "# TYPE signalbox_streams_open gauge\nsignalbox_streams_open 2\n# EOF\n"
        );
    }
}
