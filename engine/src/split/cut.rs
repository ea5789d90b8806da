//! The cutting itself, in the sender's own bytes.

use indexmap::IndexMap;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::SplitSpec;
use crate::fault::{Fault, FaultCode};
use crate::path::JsonPath;

/// The key under which an event's view has what stood around the array.
pub const ENVELOPE: &str = "_envelope";
/// The key under which a view has an item that is no object.
pub const VALUE: &str = "value";
/// Most items that a source may allow in one request.
pub const MOST: u32 = 1000;
/// Items of one request unless the source says otherwise.
const USUAL: u32 = 500;
/// Paths that may make up a key.
const KEYS: usize = 8;

/// A compiled [`SplitSpec`].
#[derive(Debug, Clone)]
pub struct Split {
    names: Vec<String>,
    key: Vec<JsonPath>,
    limit: usize,
}

/// One event of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// What rules see.
    pub view: Value,
    /// The item as it was sent.
    pub body: Vec<u8>,
    /// The values of its key, if it has all of them.
    pub key: Option<String>,
}

/// What a request came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Parts {
    /// There is no such array, or it is empty: the request is one event.
    Whole(Value),
    /// Its items, and the envelope they share as it was sent; none: the request is the array.
    Items(Vec<Item>, Option<Vec<u8>>),
    /// More than the limit; the request as it is.
    TooMany(Value),
}

impl Split {
    /// Compiles.
    ///
    /// # Errors
    /// Every fault with its place.
    pub fn compile(spec: &SplitSpec) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut add = |at: &str, code, message: String| {
            faults.push(Fault::new(code, message).within(at));
        };
        let known = ["$.fingerprint", "$.status", "$.startsAt"];
        let (path, keys): (&str, Vec<&str>) = match (&spec.preset, &spec.path) {
            (Some(_), None) if spec.key.is_empty() => ("$.alerts[*]", known.to_vec()),
            (None, Some(path)) => (path, spec.key.iter().map(String::as_str).collect()),
            (None, None) => {
                add(
                    "path",
                    FaultCode::Empty,
                    "a preset or a path is expected".into(),
                );
                ("$[*]", Vec::new())
            }
            (Some(_), _) => {
                let message = "a preset has its own path and key";
                add("preset", FaultCode::Conflict, message.into());
                ("$[*]", Vec::new())
            }
        };
        let names = names(path).unwrap_or_else(|| {
            let message = "names and then [*] are expected, as in $.alerts[*]";
            add("path", FaultCode::PathSyntax, message.into());
            Vec::new()
        });
        if keys.len() > KEYS {
            add("key", FaultCode::TooMany, format!("at most {KEYS} paths"));
        }
        let limit = spec.limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            add(
                "limit",
                FaultCode::TooMany,
                format!("1 to {MOST} are expected"),
            );
        }
        let mut key = Vec::new();
        for (n, path) in keys.into_iter().enumerate() {
            match JsonPath::parse(path) {
                Ok(path) => key.push(path),
                Err(fault) => faults.push(fault.within(&format!("key[{n}]"))),
            }
        }
        if faults.is_empty() {
            Ok(Self {
                names,
                key,
                limit: usize::try_from(limit).unwrap_or(1),
            })
        } else {
            Err(faults)
        }
    }

    /// Cuts a parsed request. `sent` is its text, if it was sent as JSON.
    pub fn apply(&self, mut whole: Value, sent: Option<&[u8]>) -> Parts {
        let count = self.list(&mut whole).map_or(0, |list| list.len());
        if count == 0 {
            return Parts::Whole(whole);
        }
        if count > self.limit {
            return Parts::TooMany(whole);
        }
        let (bodies, envelope) = self.bytes(sent, &mut whole, count);
        let items = self.take(&mut whole);
        let around = (!self.names.is_empty()).then_some(whole);
        let items = items
            .into_iter()
            .zip(bodies)
            .map(|(item, body)| Item {
                key: self.key_of(&item),
                view: view(item, around.clone()),
                body,
            })
            .collect();
        Parts::Items(items, envelope)
    }

    /// The bytes of each item and of the envelope: as sent, or as we write them where the request
    /// was no JSON text.
    fn bytes(
        &self,
        sent: Option<&[u8]>,
        whole: &mut Value,
        count: usize,
    ) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
        let raw = sent.and_then(|sent| cut(sent, &self.names));
        if let Some((items, envelope)) = raw.filter(|(items, _)| items.len() == count) {
            return (items, envelope);
        }
        let written = |value: &Value| serde_json::to_vec(value).unwrap_or_default();
        let items = self
            .list(whole)
            .map(|list| list.iter().map(written).collect())
            .unwrap_or_default();
        let envelope = (!self.names.is_empty()).then(|| {
            let mut around = whole.clone();
            self.take(&mut around);
            written(&around)
        });
        (items, envelope)
    }

    fn list<'v>(&self, whole: &'v mut Value) -> Option<&'v mut Vec<Value>> {
        let mut node = whole;
        for name in &self.names {
            node = node.get_mut(name.as_str())?;
        }
        node.as_array_mut()
    }

    /// Takes the items; the array's own name goes with them.
    fn take(&self, whole: &mut Value) -> Vec<Value> {
        let Some((last, outer)) = self.names.split_last() else {
            return match whole.take() {
                Value::Array(items) => items,
                _ => Vec::new(),
            };
        };
        let mut node = whole;
        for name in outer {
            match node.get_mut(name.as_str()) {
                Some(inner) => node = inner,
                None => return Vec::new(),
            }
        }
        match node.as_object_mut().and_then(|map| map.remove(last)) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        }
    }

    fn key_of(&self, item: &Value) -> Option<String> {
        if self.key.is_empty() {
            return None;
        }
        let values: Option<Vec<String>> = self
            .key
            .iter()
            .map(|path| match path.first(item)? {
                Value::String(text) if !text.is_empty() => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                Value::Bool(yes) => Some(yes.to_string()),
                _ => None,
            })
            .collect();
        values.map(|values| values.join("|"))
    }
}

/// What rules see of an item and its envelope; without one, it is the item.
pub fn view(item: Value, envelope: Option<Value>) -> Value {
    let Some(envelope) = envelope else {
        return item;
    };
    let mut view = match item {
        Value::Object(map) => map,
        other => Map::from_iter([(VALUE.to_owned(), other)]),
    };
    view.insert(ENVELOPE.to_owned(), envelope);
    Value::Object(view)
}

/// Reads `$.a.b[*]`.
fn names(path: &str) -> Option<Vec<String>> {
    let path = path.trim();
    let path = path.strip_prefix('$').unwrap_or(path).strip_suffix("[*]")?;
    let path = path.strip_prefix('.').unwrap_or(path);
    if path.is_empty() {
        return Some(Vec::new());
    }
    let fine = |name: &str| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
    };
    path.split('.')
        .map(|name| fine(name).then(|| name.to_owned()))
        .collect()
}

type Cut = (Vec<Vec<u8>>, Option<Vec<u8>>);

/// Cuts the text itself.
fn cut(sent: &[u8], names: &[String]) -> Option<Cut> {
    let Some((first, inner)) = names.split_first() else {
        let items: Vec<&RawValue> = serde_json::from_slice(sent).ok()?;
        let bytes = |item: &&RawValue| item.get().as_bytes().to_vec();
        return Some((items.iter().map(bytes).collect(), None));
    };
    let members: IndexMap<String, &RawValue> = serde_json::from_slice(sent).ok()?;
    let mut envelope = vec![b'{'];
    let mut items = None;
    let mut member = |name: &str, value: &[u8]| -> Option<()> {
        if envelope.len() > 1 {
            envelope.push(b',');
        }
        envelope.extend(serde_json::to_vec(name).ok()?);
        envelope.push(b':');
        envelope.extend_from_slice(value);
        Some(())
    };
    for (name, value) in &members {
        if name != first {
            member(name, value.get().as_bytes())?;
            continue;
        }
        let (found, around) = cut(value.get().as_bytes(), inner)?;
        if let Some(around) = around {
            member(name, &around)?;
        }
        items = Some(found);
    }
    envelope.push(b'}');
    Some((items?, Some(envelope)))
}
