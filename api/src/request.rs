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

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_is_said_of_a_request_bears_its_id_once() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().with_writer(move || writer.clone());
        let _log = tracing::subscriber::set_default(log.with_ansi(false).finish());
        let speak = || say(|| tracing::warn!("it failed"));
        within("hook-1".to_owned(), async { speak() }).await;
        within("api-2".to_owned(), async {
            tracing::info_span!("request", request_id = "api-2").in_scope(speak);
        })
        .await;
        speak();
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let times = |line: usize, word: &str| lines[line].matches(word).count();
        assert_eq!(
            (lines.len(), times(0, "hook-1"), times(1, "api-2")),
            (3, 1, 1),
            "{text}"
        );
        assert_eq!(times(2, "request{"), 0, "{text}");
    }
}
