//! What all parts of the editor share.

use engine::Fault;
use leptos::prelude::*;
use leptos::reactive::owner::WeakOwner;
use openapi::connections::{Connection, Connector, Operation};

use super::model::Parts;
use crate::ui::{Choice, Faults};

/// What all parts of the editor share.
#[derive(Clone, Copy)]
pub struct Editor {
    /// Conditions and steps.
    pub parts: Parts,
    /// Connections to deliver to.
    pub connections: Signal<Vec<Connection>>,
    /// What their connectors can do.
    pub connectors: Signal<Vec<Connector>>,
    /// Paths of the chosen event.
    pub paths: Signal<Vec<Choice>>,
    /// What the engine finds wrong, once a person tried to save.
    pub found: Signal<Vec<Fault>>,
    /// What the server finds wrong.
    pub faults: Faults,
    /// Owner of the whole editor.
    pub owner: StoredValue<Option<WeakOwner>>,
}

/// Makes signals that live as long as the editor. What an effect or a handler makes otherwise ends
/// with the part of the page that it stands in, for example when that is drawn anew.
pub fn keep<T>(make: impl FnOnce() -> T) -> T {
    let owner = editor().and_then(|editor| {
        editor
            .owner
            .with_value(|owner| owner.as_ref().and_then(WeakOwner::upgrade))
    });
    match owner {
        Some(owner) => owner.with(make),
        None => make(),
    }
}

/// The editor of the page.
pub fn editor() -> Option<Editor> {
    use_context()
}

impl Editor {
    /// The operation of a connection, from its connector's catalogue.
    pub fn operation(self, connection: &str, operation: &str) -> Option<Operation> {
        let kind = self.connections.with(|list| {
            list.iter()
                .find(|c| c.name == connection)
                .map(|c| c.connector.clone())
        })?;
        self.connectors.with(|list| {
            let connector = list.iter().find(|c| c.kind == kind)?;
            connector
                .operations
                .iter()
                .find(|o| o.name == operation)
                .cloned()
        })
    }

    /// The first fault at a place of the rule, such as `when[0]`, or below it.
    pub fn fault_at(self, at: &str) -> Option<String> {
        let below = |place: &str| {
            place
                .strip_prefix(at)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let server = self.faults.with(|list| {
            list.iter()
                .find(|f| below(f.field.strip_prefix("spec.").unwrap_or(&f.field)))
                .map(|f| f.message.clone())
        });
        server.or_else(|| {
            self.found.with(|list| {
                list.iter()
                    .find(|f| below(&f.at))
                    .map(|f| f.message.clone())
            })
        })
    }
}

/// The fault at a place that is computed, below the row it is about.
pub fn fault_line(at: impl Fn() -> Option<String> + Send + Sync + 'static) -> AnyView {
    let Some(editor) = editor() else {
        return ().into_any();
    };
    (move || {
        at().and_then(|at| editor.fault_at(&at))
            .map(|text| view! { <p class="fault" data-testid="field-fault">{text}</p> })
    })
    .into_any()
}
