//! The id of the request that is worked on, for those far below its handler.

tokio::task_local! {
    static ID: String;
}

/// Works on a request; whatever it awaits itself finds its id.
pub async fn within<F: Future>(id: String, work: F) -> F::Output {
    ID.scope(id, work).await
}

/// The id of the request; empty: this is none, or work that was handed to another task.
pub fn id() -> String {
    ID.try_with(Clone::clone).unwrap_or_default()
}
