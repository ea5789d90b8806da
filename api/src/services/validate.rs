//! One validation for everything that people write: the API, the console and the workspace file.
//!
//! Nothing here reads the database; what must be unique is left to it.

mod connection;
mod parts;
mod retention;
mod rule;
mod source;
mod window;

pub use connection::{ConnectionInput, validate_connection};
pub use parts::{Kinds, check_name, check_networks, check_slug, error, field_error, within};
pub use retention::validate_retention;
pub use rule::{validate_rule, validate_rule_name};
pub use source::{SourceInput, validate_source, validate_source_secret};
pub use window::validate_window;

#[cfg(test)]
mod tests {
    use engine::model::{NoMatch, RuleSpec};
    use engine::signature::Scheme;
    use openapi::connections::RetrySettings;
    use openapi::problem::FieldError;
    use serde_json::Value;

    use super::*;
    use crate::connectors::Registry;

    fn source<'a>(
        slug: &'a str,
        auth: &'a Scheme,
        cidrs: &'a [String],
        no_match: &'a NoMatch,
    ) -> SourceInput<'a> {
        SourceInput {
            name: "Kuma",
            slug,
            auth,
            allow_cidrs: cidrs,
            rate_per_minute: None,
            body_limit: Some(0),
            retention_days: Some(90),
            on_no_match: no_match,
            event_id_path: Some("$..["),
            split: None,
            heartbeat: None,
            rotate_days: None,
        }
    }

    fn fields(errors: &[FieldError]) -> Vec<&str> {
        errors.iter().map(|e| e.field.as_str()).collect()
    }

    #[test]
    fn every_fault_of_a_source_is_named() {
        let registry = Registry::new(Vec::new());
        let cidrs = ["10.0.0.0/8".to_owned(), "ten".to_owned()];
        let auth = Scheme::Basic {
            username: "a:b".to_owned(),
        };
        let errors = validate_source(
            &registry,
            &Kinds::new(),
            source("-Kuma", &auth, &cidrs, &NoMatch::Keep),
        );
        assert_eq!(
            fields(&errors),
            [
                "slug",
                "auth.username",
                "allow_cidrs[1]",
                "body_limit",
                "event_id_path"
            ]
        );
    }

    #[test]
    fn a_rule_must_name_a_connection_that_is_there() {
        let registry = Registry::new(Vec::new());
        let spec: RuleSpec = serde_json::from_value(serde_json::json!({
            "when": {"path": "$.a", "op": "regex", "value": "("},
            "then": ["drop", {"hold": {"connection": "psa", "operation": "x"}}],
        }))
        .unwrap();
        let errors = validate_rule(&registry, &Kinds::new(), &spec);
        assert!(fields(&errors).contains(&"when[0].value"), "{errors:?}");
        assert!(
            fields(&errors).contains(&"then[1].hold.connection"),
            "{errors:?}"
        );
    }

    #[test]
    fn a_connection_needs_a_connector_and_sane_numbers() {
        let retry = RetrySettings {
            factor: Some(0.5),
            horizon_seconds: Some(f64::NAN),
            waits_seconds: vec![5.0, -1.0],
            jitter: Some(2.0),
            permanent: vec!["404".to_owned(), "many".to_owned()],
            ..RetrySettings::default()
        };
        let errors = validate_connection(
            &Registry::new(Vec::new()),
            ConnectionInput {
                name: " psa",
                connector: "telex",
                settings: &Value::Null,
                secrets: &[],
                concurrency: Some(0),
                rate_per_minute: Some(u32::MAX),
                retry: &retry,
            },
        );
        assert_eq!(
            fields(&errors),
            [
                "name",
                "connector",
                "concurrency",
                "rate_per_minute",
                "retry.factor",
                "retry.horizon_seconds",
                "retry.jitter",
                "retry.waits_seconds[1]",
                "retry.waits_seconds",
                "retry.permanent[1]"
            ]
        );
    }
}
