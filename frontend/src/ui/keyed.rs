//! A list whose rows stay what they are while others come, go or move.

use std::sync::Arc;

use leptos::prelude::*;

/// A row that is made when it appears.
struct Row {
    key: String,
    make: Box<dyn FnOnce() -> AnyView + Send>,
}

/// Shows `items`; `view` is called once for each key.
pub fn keyed<T, K>(
    items: impl Fn() -> Vec<T> + Send + Sync + 'static,
    key: impl Fn(&T) -> K + Send + Sync + 'static,
    view: impl Fn(T) -> AnyView + Send + Sync + 'static,
) -> AnyView
where
    T: Send + 'static,
    K: ToString,
{
    let view = Arc::new(view);
    rows(Box::new(move || {
        items()
            .into_iter()
            .map(|item| {
                let view = Arc::clone(&view);
                Row {
                    key: key(&item).to_string(),
                    make: Box::new(move || view(item)),
                }
            })
            .collect()
    }))
}

// One for all types: the component brings its own way of comparing, moving and dropping rows.
fn rows(rows: Box<dyn Fn() -> Vec<Row> + Send + Sync>) -> AnyView {
    view! { <For each=rows key=|row| row.key.clone() children=|row: Row| (row.make)() /> }
        .into_any()
}
