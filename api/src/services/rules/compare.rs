//! Where two versions of a rule differ.

use openapi::rules::RuleChange;
use serde_json::Value;

/// Each place that differs, dotted, in the order of the first and then of the second.
pub fn changes(before: &Value, after: &Value) -> Vec<RuleChange> {
    let mut found = Vec::new();
    walk(String::new(), Some(before), Some(after), &mut found);
    found
}

fn walk(path: String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<RuleChange>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|name| !old.contains_key(*name));
            for name in old.keys().chain(added) {
                let place = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                walk(place, old.get(name), new.get(name), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for n in 0..old.len().max(new.len()) {
                walk(format!("{path}[{n}]"), old.get(n), new.get(n), found);
            }
        }
        _ => found.push(RuleChange {
            path,
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_named() {
        let old = json!({"name": "a", "spec": {"then": [{"deliver": {"map": {"x": 1, "y": 2}}}]}});
        let new = json!({"name": "a", "spec": {"then": [{"deliver": {"map": {"x": 3, "z": 2}}}, "drop"]}});
        let found: Vec<(String, Option<Value>, Option<Value>)> = changes(&old, &new)
            .into_iter()
            .map(|c| (c.path, c.before, c.after))
            .collect();
        assert_eq!(
            found,
            [
                (
                    "spec.then[0].deliver.map.x".to_owned(),
                    Some(json!(1)),
                    Some(json!(3))
                ),
                (
                    "spec.then[0].deliver.map.y".to_owned(),
                    Some(json!(2)),
                    None
                ),
                (
                    "spec.then[0].deliver.map.z".to_owned(),
                    None,
                    Some(json!(2))
                ),
                ("spec.then[1]".to_owned(), None, Some(json!("drop"))),
            ]
        );
        assert!(changes(&old, &old).is_empty());
    }
}
