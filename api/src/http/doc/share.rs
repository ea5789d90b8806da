//! Answers that many operations have alike, written once.

use serde_json::{Map, Value, json};

use crate::http::problem::MEDIA_TYPE;

/// Moves the problems of operations to the components and refers to them.
pub fn problems(document: &mut Value) {
    let mut shared: Vec<(String, Value)> = Vec::new();
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    let operations = paths
        .into_iter()
        .flat_map(Map::values_mut)
        .filter_map(Value::as_object_mut)
        .flat_map(Map::values_mut);
    for operation in operations {
        let responses = operation
            .get_mut("responses")
            .and_then(Value::as_object_mut);
        for (status, response) in responses.into_iter().flatten() {
            let is_problem = response
                .get("content")
                .is_some_and(|content| content.get(MEDIA_TYPE).is_some());
            if !is_problem {
                continue;
            }
            let known = shared.iter().find(|(_, value)| value == response);
            let name = match known {
                Some((name, _)) => name.clone(),
                None => {
                    let name = name(&shared, status);
                    shared.push((name.clone(), response.take()));
                    name
                }
            };
            *response = json!({ "$ref": format!("#/components/responses/{name}") });
        }
    }
    let components = document
        .get_mut("components")
        .and_then(Value::as_object_mut);
    if let Some(components) = components {
        components.insert(
            "responses".to_owned(),
            shared.into_iter().collect::<Map<_, _>>().into(),
        );
    }
}

/// `problem_400`, `problem_400_2` …
fn name(shared: &[(String, Value)], status: &str) -> String {
    let base = format!("problem_{status}");
    let taken = shared
        .iter()
        .filter(|(name, _)| *name == base || name.starts_with(&format!("{base}_")))
        .count();
    match taken {
        0 => base,
        n => format!("{base}_{}", n + 1),
    }
}
