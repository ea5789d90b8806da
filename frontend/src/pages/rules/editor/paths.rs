//! Paths into a payload, to choose from.

use serde_json::Value;

use crate::api::to_text;
use crate::ui::Choice;

/// Most paths offered.
const MOST: usize = 300;
/// Letters of a sample value.
const SAMPLE: usize = 60;

/// Every leaf of the payload as a path, with a sample value. Items of a list share one path.
pub fn paths(payload: &Value) -> Vec<Choice> {
    let mut out = Vec::new();
    walk(payload, "$", &mut out);
    out
}

fn walk(value: &Value, path: &str, out: &mut Vec<Choice>) {
    if out.len() >= MOST {
        return;
    }
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (name, inner) in map {
                walk(inner, &format!("{path}{}", segment(name)), out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for inner in items.iter().take(5) {
                walk(inner, &format!("{path}[*]"), out);
            }
        }
        leaf => {
            if !out.iter().any(|choice| choice.value == path) {
                let text = leaf
                    .as_str()
                    .map_or_else(|| to_text(leaf).unwrap_or_default(), str::to_owned);
                out.push(Choice {
                    value: path.to_owned(),
                    label: path.to_owned(),
                    detail: text.chars().take(SAMPLE).collect(),
                });
            }
        }
    }
}

/// `.name`, or `['name']` for a name that is no word.
fn segment(name: &str) -> String {
    let mut letters = name.chars();
    let word = letters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if word {
        format!(".{name}")
    } else {
        format!("['{}']", name.replace('\\', "\\\\").replace('\'', "\\'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_has_a_path_that_the_engine_reads() {
        let payload = serde_json::json!({
            "monitor": {"tags": [{"name": "a"}, {"name": "b"}], "it's": 1},
            "empty": [],
        });
        let mut found: Vec<String> = paths(&payload).into_iter().map(|c| c.value).collect();
        // The order of keys is that of the document or of the alphabet, as serde_json is built.
        found.sort();
        assert_eq!(
            found,
            ["$.empty", "$.monitor.tags[*].name", "$.monitor['it\\'s']"]
        );
        for path in found {
            assert!(engine::path::JsonPath::parse(&path).is_ok(), "{path}");
        }
    }
}
