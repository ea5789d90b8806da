//! What changed, field by field.

use leptos::prelude::*;
use serde_json::Value;

use crate::api::to_text;

/// A field that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Changed {
    /// Where it stands, `spec.when[0].value`.
    at: String,
    before: Option<String>,
    after: Option<String>,
}

/// A table of the fields that differ; nothing if none does.
pub fn diff(before: &Value, after: &Value) -> Option<AnyView> {
    let mut changed = Vec::new();
    compare("", Some(before), Some(after), &mut changed);
    if changed.is_empty() {
        return None;
    }
    let cell = |text: Option<String>, kind: &'static str| match text {
        None => view! { <td class="faint">"–"</td> }.into_any(),
        Some(text) => view! {
            <td>
                <code class=format!("diff-{kind}") data-testid=format!("audit-{kind}")>{text}</code>
            </td>
        }
        .into_any(),
    };
    let rows = changed
        .into_iter()
        .map(|field| {
            view! {
                <tr>
                    <th scope="row" class="mono small">{field.at}</th>
                    {cell(field.before, "before")}
                    {cell(field.after, "after")}
                </tr>
            }
        })
        .collect_view();
    let table = view! {
        <div class="table-wrap" tabindex="0" role="group" aria-label="What changed">
            <table class="table diff">
                <thead>
                    <tr>
                        <th scope="col">"Field"</th>
                        <th scope="col">"Before"</th>
                        <th scope="col">"After"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    };
    Some(table.into_any())
}

fn compare(at: &str, before: Option<&Value>, after: Option<&Value>, out: &mut Vec<Changed>) {
    let there = |value: Option<&Value>| value.is_some_and(|v| !v.is_null());
    if before == after || (!there(before) && !there(after)) {
        return;
    }
    let inner = |name: &str| {
        if at.is_empty() {
            name.to_owned()
        } else {
            format!("{at}.{name}")
        }
    };
    match (before, after) {
        (Some(Value::Object(_)), _) | (_, Some(Value::Object(_)))
            if is_object_or_nothing(before) && is_object_or_nothing(after) =>
        {
            let get = |side: Option<&Value>| side.and_then(Value::as_object).cloned();
            let (old, new) = (
                get(before).unwrap_or_default(),
                get(after).unwrap_or_default(),
            );
            let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                compare(&inner(name), old.get(name), new.get(name), out);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for place in 0..old.len().max(new.len()) {
                let at = format!("{at}[{place}]");
                compare(&at, old.get(place), new.get(place), out);
            }
        }
        _ => out.push(Changed {
            at: if at.is_empty() {
                "all of it".to_owned()
            } else {
                at.to_owned()
            },
            before: before.and_then(shown),
            after: after.and_then(shown),
        }),
    }
}

fn is_object_or_nothing(value: Option<&Value>) -> bool {
    value.is_none_or(|v| v.is_object() || v.is_null())
}

fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => to_text(other).ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changes(before: Value, after: Value) -> Vec<(String, Option<String>, Option<String>)> {
        let mut out = Vec::new();
        compare("", Some(&before), Some(&after), &mut out);
        out.into_iter().map(|c| (c.at, c.before, c.after)).collect()
    }

    #[test]
    fn only_what_differs_is_shown() {
        let text = |t: &str| Some(t.to_owned());
        assert_eq!(
            changes(
                json!({"name": "a", "spec": {"when": [{"value": 1}], "then": []}}),
                json!({"name": "a", "spec": {"when": [{"value": 2}, {"op": "exists"}], "then": []}}),
            ),
            [
                ("spec.when[0].value".to_owned(), text("1"), text("2")),
                ("spec.when[1].op".to_owned(), None, text("exists")),
            ]
        );
        assert_eq!(
            changes(Value::Null, json!({"name": "a", "note": null})),
            [("name".to_owned(), None, text("a"))]
        );
        assert_eq!(changes(json!({"a": 1}), json!({"a": 1})), []);
    }
}
