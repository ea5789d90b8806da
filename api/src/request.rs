//! The id of the request that is worked on, for those far below its handler.

tokio::task_local! {
    static ID: String;
}

/// Works on a request; whatever it awaits itself finds its id.
pub fn within<F: Future>(id: String, work: F) -> impl Future<Output = F::Output> {
    ID.scope(id, work)
}

/// Says something of a request. Where its layers have opened no span, as for hooks, which say next to
/// nothing, it gets one here, so that its lines bear its id.
pub fn say(what: impl FnOnce()) {
    let id = id();
    if id.is_empty() || !tracing::Span::current().is_none() {
        return what();
    }
    tracing::info_span!("request", request_id = %id).in_scope(what);
}

/// The id of the request; empty: this is none, or work that was handed to another task.
pub fn id() -> String {
    ID.try_with(Clone::clone).unwrap_or_default()
}
