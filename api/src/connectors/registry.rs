//! The connectors of this server, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Connector;

/// The connectors of this server. Cheap to clone.
#[derive(Clone)]
pub struct Registry(Arc<BTreeMap<String, Arc<dyn Connector>>>);

impl Registry {
    /// A registry of these connectors, each under the name that it describes itself with.
    pub fn new(connectors: Vec<Arc<dyn Connector>>) -> Self {
        Self(Arc::new(
            connectors
                .into_iter()
                .map(|c| (c.describe().kind, c))
                .collect(),
        ))
    }

    /// The connector of this name.
    pub fn get(&self, kind: &str) -> Option<&Arc<dyn Connector>> {
        self.0.get(kind)
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Connector>> {
        self.0.values()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}
