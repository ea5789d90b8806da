//! Builders of configuration files. JSON is YAML, so a file is built as a value.

use serde_json::{Map, Value, json};

/// A configuration file in the making.
#[derive(Clone, Debug, Default)]
pub struct File {
    connections: Vec<Value>,
    sources: Vec<Value>,
    rules: Vec<Value>,
    maintenance: Vec<Value>,
}

impl File {
    /// An empty file.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a connection of any kind; `more` joins its keys.
    #[must_use]
    pub fn connection(mut self, name: &str, connector: &str, more: Value) -> Self {
        let own = json!({ "name": name, "connector": connector });
        self.connections.push(joined(own, more));
        self
    }

    /// With a sandbox.
    #[must_use]
    pub fn sandbox(self, name: &str, settings: Value) -> Self {
        self.connection(name, "sandbox", json!({ "settings": settings }))
    }

    /// With an `http` connection to an address on this machine that retries soon.
    #[must_use]
    pub fn http(self, name: &str, url: &str) -> Self {
        self.http_with(name, url, json!({}))
    }

    /// The same; `more` joins its keys.
    #[must_use]
    pub fn http_with(self, name: &str, url: &str, more: Value) -> Self {
        let own = json!({
            "allow_private": true,
            "settings": { "url": url },
            "retry": quick(),
        });
        self.connection(name, "http", joined(own, more))
    }

    /// With a ConnectWise connection to a fake on this machine that retries soon. Its keys are the
    /// variables `CW_PUBLIC` and `CW_PRIVATE`.
    #[must_use]
    pub fn connectwise(self, name: &str, base_url: &str) -> Self {
        self.connectwise_with(name, base_url, json!({}))
    }

    /// The same; `more` joins its keys.
    #[must_use]
    pub fn connectwise_with(self, name: &str, base_url: &str, more: Value) -> Self {
        let own = json!({
            "allow_private": true,
            "settings": {
                "base_url": base_url,
                "company": "acme",
                "client_id": "00000000-0000-4000-8000-000000000000",
                "default_company": "DEF",
            },
            "secrets": { "public_key": { "env": "CW_PUBLIC" }, "private_key": { "env": "CW_PRIVATE" } },
            "retry": quick(),
        });
        self.connection(name, "connectwise", joined(own, more))
    }

    /// With an open source.
    #[must_use]
    pub fn source(self, slug: &str) -> Self {
        self.source_with(slug, json!({}))
    }

    /// The same; `more` joins its keys.
    #[must_use]
    pub fn source_with(mut self, slug: &str, more: Value) -> Self {
        let own = json!({ "name": slug, "slug": slug, "auth": { "type": "none" } });
        self.sources.push(joined(own, more));
        self
    }

    /// With a rule for every source, after the ones before it.
    #[must_use]
    pub fn rule(self, name: &str, when: Value, then: Value) -> Self {
        self.any_rule(json!({ "name": name, "when": when, "then": then }))
    }

    /// With a rule for one source, after the ones before it.
    #[must_use]
    pub fn rule_of(self, source: &str, name: &str, when: Value, then: Value) -> Self {
        self.any_rule(json!({ "name": name, "source": source, "when": when, "then": then }))
    }

    /// With a maintenance window.
    #[must_use]
    pub fn window(mut self, name: &str, more: Value) -> Self {
        let own = json!({ "name": name, "zone": "UTC" });
        self.maintenance.push(joined(own, more));
        self
    }

    fn any_rule(mut self, rule: Value) -> Self {
        let priority = 10 * (self.rules.len() + 1);
        self.rules
            .push(joined(rule, json!({ "priority": priority })));
        self
    }

    /// The file.
    pub fn text(&self) -> String {
        json!({
            "version": 1,
            "connections": self.connections,
            "sources": self.sources,
            "rules": self.rules,
            "maintenance": self.maintenance,
        })
        .to_string()
    }
}

/// A step that posts the whole event.
pub fn copy_to(connection: &str) -> Value {
    json!({ "deliver": {
        "connection": connection,
        "operation": "http.request",
        "map": { "body": { "path": "$" } },
    }})
}

/// A condition that a value equals a text.
pub fn is(path: &str, value: &str) -> Value {
    json!([{ "path": path, "op": "equals", "value": value }])
}

/// Waits of tests: the second attempt after 50 ms, never more than half a second.
pub fn quick() -> Value {
    json!({ "first_seconds": 0.05, "factor": 2, "max_seconds": 0.5, "horizon_seconds": 600 })
}

/// The keys of both; where both have an object it is joined too, else `more` wins.
fn joined(own: Value, more: Value) -> Value {
    match (own, more) {
        (Value::Object(mut own), Value::Object(more)) => {
            for (key, value) in more {
                let old = own.remove(&key).unwrap_or(Value::Object(Map::new()));
                own.insert(key, joined(old, value));
            }
            Value::Object(own)
        }
        (_, more) => more,
    }
}
