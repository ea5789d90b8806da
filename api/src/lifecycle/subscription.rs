//! Who wants to be told what.

use std::collections::BTreeSet;

use openapi::webhooks::Kind;
use uuid::Uuid;

use crate::connectors::{self, webhook};

/// A subscription, ready to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its connection.
    pub connection: Uuid,
    /// True: messages carry all that is known, not only ids.
    pub full: bool,
    kinds: BTreeSet<Kind>,
    sources: BTreeSet<String>,
}

impl Subscription {
    /// The subscription of a connection; none if it is of another connector, or asks for nothing.
    pub fn of(connection: &connectors::Connection) -> Option<Self> {
        if connection.connector != webhook::KIND {
            return None;
        }
        let settings = webhook::settings(connection).ok()?;
        let kinds: BTreeSet<Kind> = Kind::ALL
            .iter()
            .copied()
            .filter(|kind| settings.types.iter().any(|p| matches(p, kind.word())))
            .collect();
        (!kinds.is_empty()).then(|| Self {
            connection: connection.id,
            full: settings.detail == webhook::Detail::Full,
            kinds,
            sources: settings.sources.into_iter().collect(),
        })
    }

    /// Whether it wants messages of this kind. What has no source is wanted whatever the sources.
    pub fn wants(&self, kind: Kind, source: Option<&str>) -> bool {
        self.kinds.contains(&kind)
            && (self.sources.is_empty() || source.is_none_or(|slug| self.sources.contains(slug)))
    }
}

/// Whether a type is meant by a pattern: the type itself, `delivery.*` or `*`.
pub fn matches(pattern: &str, kind: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(head) => kind.starts_with(head),
        None => pattern == kind,
    }
}
