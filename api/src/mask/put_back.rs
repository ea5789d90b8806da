//! What was masked comes back edited: a person changes a masked view, and what they could not see
//! stays as it is stored.
//!
//! A mask stands for the stored value of its own place. In a list, an item that is exactly what was
//! shown of a stored item is that item, wherever it stands now; any other belongs to the one in its
//! place, as long as the list is as long as before and that one is not another's. A mask that
//! stands for nothing is a fault, never a value.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{MASK, is_secret};

/// The edited view with every mask replaced by what is `stored` there. What comes back as it was
/// shown is exactly what is stored.
///
/// # Errors
/// The places of masks that stand for nothing, as `a.b[0].token`.
pub fn put_back(
    edited: Map<String, Value>,
    stored: &Map<String, Value>,
) -> Result<Map<String, Value>, Vec<String>> {
    let mut faults = Vec::new();
    let whole = object(edited, Some(stored), "", &mut faults);
    if faults.is_empty() {
        Ok(whole)
    } else {
        Err(faults)
    }
}

fn object(
    edited: Map<String, Value>,
    stored: Option<&Map<String, Value>>,
    at: &str,
    faults: &mut Vec<String>,
) -> Map<String, Value> {
    edited
        .into_iter()
        .map(|(name, inner)| {
            let before = stored.and_then(|stored| stored.get(&name));
            let at = if at.is_empty() {
                name.clone()
            } else {
                format!("{at}.{name}")
            };
            let inner = match before {
                // Its mask stands for the whole of it; a null is shown as it is.
                Some(before) if is_secret(&name) && !before.is_null() => {
                    if is_mask(&inner) {
                        before.clone()
                    } else {
                        value(inner, None, &at, faults)
                    }
                }
                before => value(inner, before, &at, faults),
            };
            (name, inner)
        })
        .collect()
}

/// A value that is not masked as a whole.
fn value(edited: Value, stored: Option<&Value>, at: &str, faults: &mut Vec<String>) -> Value {
    match edited {
        Value::Object(map) => {
            let stored = stored.and_then(Value::as_object);
            Value::Object(object(map, stored, at, faults))
        }
        Value::Array(items) => {
            let stored = stored.and_then(Value::as_array);
            Value::Array(list(items, stored.map_or(&[], Vec::as_slice), at, faults))
        }
        // The same three asterisks may be what is stored.
        edited if is_mask(&edited) && stored != Some(&edited) => {
            faults.push(at.to_owned());
            edited
        }
        edited => edited,
    }
}

fn list(items: Vec<Value>, stored: &[Value], at: &str, faults: &mut Vec<String>) -> Vec<Value> {
    let shown: Vec<Value> = stored.iter().cloned().map(super::value).collect();
    let mut places: HashMap<&Value, Vec<usize>> = HashMap::new();
    for (place, shown) in shown.iter().enumerate() {
        places.entry(shown).or_default().push(place);
    }
    let partners: Vec<Partner> = items
        .iter()
        .enumerate()
        .map(|(place, item)| Partner::of(places.get(item).map(Vec::as_slice), place, stored))
        .collect();
    let mut taken = vec![false; stored.len()];
    for partner in &partners {
        if let Partner::Same(place) = partner
            && let Some(taken) = taken.get_mut(*place)
        {
            *taken = true;
        }
    }
    let as_long = items.len() == stored.len();
    let mut out = Vec::with_capacity(items.len());
    for ((place, item), partner) in items.into_iter().enumerate().zip(partners) {
        let before = match partner {
            Partner::Same(place) => stored.get(place),
            Partner::Unclear => None,
            Partner::Changed => stored
                .get(place)
                .filter(|_| as_long && taken.get(place) == Some(&false)),
        };
        out.push(match (before, partner) {
            (Some(before), Partner::Same(_)) => before.clone(),
            (before, _) => value(item, before, &format!("{at}[{place}]"), faults),
        });
    }
    out
}

/// Which item of the stored list an item of the edited one is.
#[derive(Clone, Copy)]
enum Partner {
    /// It is as that one was shown.
    Same(usize),
    /// It is as several were shown that differ in what is masked.
    Unclear,
    /// It is as none was shown.
    Changed,
}

impl Partner {
    fn of(places: Option<&[usize]>, own: usize, stored: &[Value]) -> Self {
        let Some(places) = places else {
            return Self::Changed;
        };
        if places.contains(&own) {
            return Self::Same(own);
        }
        match places.split_first() {
            Some((first, others)) => {
                let alike = |other: &usize| stored.get(*other) == stored.get(*first);
                if others.iter().all(alike) {
                    Self::Same(*first)
                } else {
                    Self::Unclear
                }
            }
            None => Self::Changed,
        }
    }
}

fn is_mask(value: &Value) -> bool {
    value.as_str() == Some(MASK)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("an object is expected, not {other}"),
        }
    }

    fn back(edited: Value, stored: Value) -> Result<Value, Vec<String>> {
        put_back(map(edited), &map(stored)).map(Value::Object)
    }

    #[test]
    fn a_mask_keeps_what_is_stored_and_a_new_secret_takes_its_place() {
        let stored = json!({
            "note": "a", "pin": 4711, "user": {"name": "b", "tokens": ["x", "y"]}, "token": null,
        });
        assert_eq!(
            back(
                json!({"note": "c", "pin": MASK, "user": {"name": "b", "tokens": MASK}}),
                stored.clone(),
            ),
            Ok(json!({"note": "c", "pin": 4711, "user": {"name": "b", "tokens": ["x", "y"]}}))
        );
        assert_eq!(
            back(json!({"pin": 1, "user": {"tokens": []}}), stored),
            Ok(json!({"pin": 1, "user": {"tokens": []}}))
        );
    }

    #[test]
    fn a_mask_that_stands_for_nothing_is_refused() {
        let stored = json!({
            "note": "a", "pin": 1, "token": null, "secret": {"a": 1}, "rule": MASK,
        });
        for (edited, at) in [
            (json!({ "note": MASK }), "note"),
            (json!({ "password": MASK }), "password"),
            (json!({ "token": MASK }), "token"),
            (json!({"user": {"pin": MASK}}), "user.pin"),
            (json!({"secret": {"a": MASK}}), "secret.a"),
            (json!({"pin": [MASK]}), "pin[0]"),
            (json!({"list": [{"pin": MASK}]}), "list[0].pin"),
        ] {
            assert_eq!(back(edited, stored.clone()), Err(vec![at.to_owned()]));
        }
        // What is no secret may look like a mask.
        assert_eq!(
            back(json!({ "rule": MASK }), stored),
            Ok(json!({ "rule": MASK }))
        );
    }

    #[test]
    fn items_of_lists_keep_their_own_secrets() {
        let item = |name: &str, pin: Value| json!({ "name": name, "pin": pin });
        let stored =
            json!({"list": [item("a", 1.into()), item("b", 2.into()), item("c", 3.into())]});
        let seen = |name: &str| item(name, MASK.into());
        let with = |items: &[Value]| back(json!({ "list": items }), stored.clone());
        let pins = |pins: &[(&str, i64)]| {
            let items = pins.iter().map(|(name, pin)| item(name, (*pin).into()));
            Ok(json!({"list": items.collect::<Vec<_>>()}))
        };
        // One changed, in its place.
        assert_eq!(
            with(&[seen("a"), seen("x"), seen("c")]),
            pins(&[("a", 1), ("x", 2), ("c", 3)])
        );
        // Taken away, moved, added.
        assert_eq!(with(&[seen("b"), seen("c")]), pins(&[("b", 2), ("c", 3)]));
        assert_eq!(
            with(&[seen("c"), seen("a"), seen("b")]),
            pins(&[("c", 3), ("a", 1), ("b", 2)])
        );
        assert_eq!(
            with(&[seen("a"), item("n", 9.into()), seen("b"), seen("c")]),
            pins(&[("a", 1), ("n", 9), ("b", 2), ("c", 3)])
        );
        // Changed in a list of another length, or in the place of one that moved: nobody knows
        // whose secret it was.
        assert_eq!(
            with(&[seen("x"), seen("c")]),
            Err(vec!["list[0].pin".to_owned()])
        );
        assert_eq!(
            with(&[seen("b"), seen("x"), seen("c")]),
            Err(vec!["list[1].pin".to_owned()])
        );
        // As two were shown that differ in what is masked.
        let twins = json!({"list": [item("a", 1.into()), item("a", 2.into()), 7]});
        assert_eq!(
            back(json!({"list": [seen("a"), seen("a"), 8]}), twins.clone()),
            Ok(json!({"list": [item("a", 1.into()), item("a", 2.into()), 8]}))
        );
        assert_eq!(
            back(json!({"list": [7, 7, seen("a")]}), twins),
            Err(vec!["list[2].pin".to_owned()])
        );
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
            Just(Value::from(MASK)),
        ];
        let name = prop_oneof![
            Just("token"),
            Just("pin"),
            Just("user"),
            Just("list"),
            Just("note"),
            Just("apiKey"),
        ];
        leaf.prop_recursive(5, 60, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((name.clone(), inner), 0..5).prop_map(|members| {
                    let members = members.into_iter().map(|(k, v)| (k.to_owned(), v));
                    Value::Object(members.collect())
                }),
            ]
        })
    }

    /// Whether anything in it is the mask.
    fn holds_mask(value: &Value) -> bool {
        match value {
            Value::Object(map) => map.values().any(holds_mask),
            Value::Array(items) => items.iter().any(holds_mask),
            other => is_mask(other),
        }
    }

    proptest! {
        #[test]
        fn what_comes_back_as_it_was_shown_is_what_is_stored(stored in values()) {
            let stored = map(json!({ "all": stored.clone(), "token": stored }));
            let shown = map(super::super::value(Value::Object(stored.clone())));
            prop_assert_eq!(put_back(shown, &stored), Ok(stored));
        }

        #[test]
        fn whatever_is_edited_no_mask_is_sent_that_was_not_stored(stored in values(), edited in values()) {
            let text = json!({ "all": stored }).to_string().replace(MASK, "x");
            let stored = map(serde_json::from_str(&text).unwrap());
            if let Ok(kept) = put_back(map(json!({ "all": edited })), &stored) {
                prop_assert!(!holds_mask(&Value::Object(kept)));
            }
        }
    }
}
