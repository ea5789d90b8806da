//! Plain paths: names and indices only, so at most one node.

use serde_json::Value;

/// One step of a plain path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Name(String),
    Index(i64),
}

/// Reads `$.a.b['c'][0]`; `None` when the path is anything else, which the full parser judges.
pub(super) fn parse(path: &str) -> Option<Vec<Key>> {
    let mut rest = path.strip_prefix('$')?;
    let mut keys = Vec::new();
    while !rest.is_empty() {
        let (key, after) = if let Some(tail) = rest.strip_prefix('.') {
            name(tail)?
        } else {
            bracket(rest.strip_prefix('[')?)?
        };
        keys.push(key);
        rest = after;
    }
    Some(keys)
}

fn name(text: &str) -> Option<(Key, &str)> {
    let first = text.chars().next()?;
    if !name_start(first) {
        return None;
    }
    let end = text
        .find(|c: char| !name_start(c) && !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    Some((Key::Name(name.to_owned()), rest))
}

fn name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn bracket(text: &str) -> Option<(Key, &str)> {
    let quote = text.chars().next()?;
    if quote == '\'' || quote == '"' {
        let inner = text.get(1..)?;
        let end = inner.find(quote)?;
        let (name, rest) = inner.split_at_checked(end)?;
        if name.chars().any(|c| c == '\\' || c < ' ') {
            return None;
        }
        let rest = rest.get(1..)?.strip_prefix(']')?;
        return Some((Key::Name(name.to_owned()), rest));
    }
    let end = text.find(']')?;
    let (digits, rest) = text.split_at_checked(end)?;
    let unsigned = digits.strip_prefix('-').unwrap_or(digits);
    let canonical = digits == "0"
        || (unsigned.len() <= 15
            && unsigned.bytes().all(|b| b.is_ascii_digit())
            && !unsigned.starts_with('0'));
    if !canonical {
        return None;
    }
    Some((Key::Index(digits.parse().ok()?), rest.get(1..)?))
}

/// Follows the keys from `root`.
pub(super) fn walk<'v>(keys: &[Key], root: &'v Value) -> Option<&'v Value> {
    keys.iter().try_fold(root, |node, key| match (key, node) {
        (Key::Name(name), Value::Object(members)) => members.get(name),
        (Key::Index(index), Value::Array(items)) => at(items, *index),
        _ => None,
    })
}

/// The item at an index; negative ones count from the end.
pub(super) fn at(items: &[Value], index: i64) -> Option<&Value> {
    let position = if index < 0 {
        items
            .len()
            .checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
    } else {
        usize::try_from(index).ok()?
    };
    items.get(position)
}
