//! The live stream: server-sent events.

use std::time::Duration;

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, get, web};
use futures_util::stream;
use openapi::problem::Code;
use openapi::stream::Message;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::auth::{Authenticator, Caller, Permission, needs};
use crate::core::Core;
use crate::http::doc::Guarded;
use crate::http::problem::{ApiError, ApiResult};
use crate::live::{Item, Place, Subscription};
use crate::metrics::Metrics;

/// Between two comments that keep the connection alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Between two looks whether the session goes on.
const LOOK: Duration = Duration::from_secs(5);
/// How long one stream lasts. The browser opens the next at its last place, and with it proves
/// again that it may.
const LIFETIME: Duration = Duration::from_secs(600);
/// What the browser waits before it opens the next, in milliseconds.
const RETRY_MS: u32 = 1000;

/// Tells that the server stops, so that open streams end.
#[derive(Clone, Debug)]
pub struct Stopping(pub CancellationToken);

/// Follow what happens
///
/// Server-sent events; `data` is a `Message`, `event` its type, `id` the place to go on from with
/// `Last-Event-ID`. A `reset` says that messages were lost: read the lists again. A stream ends
/// after ten minutes, or when it does not keep up; open the next one at the last place.
#[utoipa::path(tag = "live",
    params(("Last-Event-ID" = Option<String>, Header, description = "The place to go on from")),
    responses((status = 200, description = "The stream", body = String, content_type = "text/event-stream"), Guarded))]
#[get("/stream", wrap = "needs(Permission::EventsRead)")]
pub async fn follow(
    req: HttpRequest,
    core: web::Data<Core>,
    stopping: web::Data<Stopping>,
    authenticator: web::Data<Authenticator>,
    caller: Caller,
) -> ApiResult<HttpResponse> {
    // What cannot be read is an unknown place: the watcher is told that messages may be lost.
    let unknown = Place {
        epoch: 0,
        number: u64::MAX,
    };
    let last = req.headers().get("last-event-id").map(|value| {
        value
            .to_str()
            .ok()
            .and_then(Place::parse)
            .unwrap_or(unknown)
    });
    let subscription = core
        .live
        .subscribe(caller.scope.workspace(), last)
        .map_err(|_| {
            ApiError::new(Code::Unavailable)
                .detail("Too many streams of this workspace are open.")
                .retry_after(30)
        })?;
    let now = Instant::now();
    let watcher = Watcher {
        subscription,
        stopping: stopping.0.clone(),
        authenticator,
        caller,
        greeted: false,
        look: now + LOOK,
        heartbeat: now + HEARTBEAT,
        end: now + LIFETIME,
        _counted: Counted::new(core.metrics.clone()),
    };
    let body = stream::unfold(watcher, |mut watcher| async move {
        let bytes = watcher.next().await?;
        Some((Ok::<_, actix_web::Error>(bytes), watcher))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // Neither we nor a proxy may hold messages back to pack them.
        .insert_header((header::CONTENT_ENCODING, "identity"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(Box::pin(body)))
}

struct Watcher {
    subscription: Subscription,
    stopping: CancellationToken,
    authenticator: web::Data<Authenticator>,
    caller: Caller,
    greeted: bool,
    look: Instant,
    heartbeat: Instant,
    end: Instant,
    _counted: Counted,
}

impl Watcher {
    async fn next(&mut self) -> Option<Bytes> {
        if !self.greeted {
            self.greeted = true;
            return Some(Bytes::from(format!("retry: {RETRY_MS}\n\n")));
        }
        loop {
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return None,
                () = tokio::time::sleep_until(self.end) => return None,
                () = tokio::time::sleep_until(self.look) => {
                    if !self.still_may().await {
                        return None;
                    }
                }
                item = self.subscription.next() => {
                    let item = item?;
                    // People and their roles are changed like the configuration.
                    let changed = matches!(*item.message, Message::Configuration { .. });
                    if changed && !self.still_may().await {
                        return None;
                    }
                    return Some(message(&item));
                }
                () = tokio::time::sleep_until(self.heartbeat) => {
                    self.heartbeat = Instant::now() + HEARTBEAT;
                    return Some(Bytes::from_static(b": alive\n\n"));
                }
            }
        }
    }

    /// Whether the watcher may go on; one that cannot be asked about may not.
    async fn still_may(&mut self) -> bool {
        self.look = Instant::now() + LOOK;
        let may = self
            .authenticator
            .still_may(&self.caller, Permission::EventsRead)
            .await;
        may.unwrap_or(false)
    }
}

fn message(item: &Item) -> Bytes {
    let name = match &*item.message {
        Message::Event(_) => "event",
        Message::Delivery(_) => "delivery",
        Message::Refusal(_) => "refusal",
        Message::Connection(_) => "connection",
        Message::Configuration { .. } => "configuration",
        Message::Job(_) => "job",
        Message::Reset => "reset",
    };
    // JSON has no line ends of its own, so it is one line of data.
    let data = serde_json::to_string(&*item.message).unwrap_or_default();
    Bytes::from(format!(
        "id: {}\nevent: {name}\ndata: {data}\n\n",
        item.place
    ))
}

struct Counted(Metrics);

impl Counted {
    fn new(metrics: Metrics) -> Self {
        metrics.stream(1);
        Self(metrics)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.stream(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_message_is_three_lines() {
        let item = Item {
            place: Place {
                epoch: 7,
                number: 3,
            },
            message: Arc::new(Message::Configuration { revision: 12 }),
        };
        assert_eq!(
            message(&item),
            "id: 7-3\nevent: configuration\ndata: {\"type\":\"configuration\",\"revision\":12}\n\n"
        );
    }
}
