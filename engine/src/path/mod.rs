//! JSONPath (RFC 9535) behind a guard.
//!
//! A path is checked for length and nesting before the parser sees it, because a hostile path
//! can make a parser overflow its stack or run for hours. `serde_json_path` judges the syntax; the
//! path is then followed by code of our own, which pays for every node it looks at, because a
//! short path (`$[*,*][*,*]…`, `$..*..*`) can yield more nodes than there are atoms. Plain paths
//! (`$.a.b['c'][0]`) are walked directly and cost a look-up per name.

mod follow;
mod guard;
mod plain;
mod query;

use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

use crate::fault::{Fault, FaultCode, echo};
use crate::fuel::Fuel;
use crate::limits;

/// A compiled JSONPath.
#[derive(Clone)]
pub struct JsonPath {
    text: String,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Plain(Vec<plain::Key>),
    Full(query::Query),
}

impl JsonPath {
    /// Reads a path. `$` may be left out: `monitor.name` means `$.monitor.name`.
    ///
    /// # Errors
    /// `path_too_long`, `path_too_deep` or `path_syntax`, with the byte offset.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let trimmed = text.trim();
        let lead = text.len() - text.trim_start().len();
        if trimmed.is_empty() {
            return Err(Fault::new(FaultCode::PathSyntax, "the path is empty"));
        }
        if trimmed.len() > limits::PATH_LENGTH {
            return Err(Fault::new(
                FaultCode::PathTooLong,
                format!("the path is longer than {} bytes", limits::PATH_LENGTH),
            ));
        }
        let (full, added) = match trimmed.as_bytes().first() {
            Some(b'$') => (trimmed.to_owned(), 0),
            Some(b'[') => (format!("${trimmed}"), 1),
            _ => (format!("$.{trimmed}"), 2),
        };
        // Offsets are reported in the text as it was written.
        let shift = |at: usize| at.saturating_sub(added) + lead;
        let kind = match plain::parse(&full) {
            Some(keys) => Kind::Plain(keys),
            None => {
                guard::check(&full).map_err(|fault| match fault.offset {
                    Some(at) => fault.offset(shift(at)),
                    None => fault,
                })?;
                if let Err(error) = serde_json_path::JsonPath::parse(&full) {
                    let message =
                        format!("`{}` is not a JSONPath: {}", echo(trimmed), error.message());
                    return Err(
                        Fault::new(FaultCode::PathSyntax, message).offset(shift(error.position()))
                    );
                }
                Kind::Full(query::read(&full).ok_or_else(|| {
                    Fault::new(
                        FaultCode::PathSyntax,
                        format!("`{}` is a JSONPath we cannot follow", echo(trimmed)),
                    )
                })?)
            }
        };
        Ok(Self {
            text: trimmed.to_owned(),
            kind,
        })
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path with its leading `$`, whether written or not.
    pub fn canonical(&self) -> Cow<'_, str> {
        match self.text.as_bytes().first() {
            Some(b'$') => Cow::Borrowed(&self.text),
            Some(b'[') => Cow::Owned(format!("${}", self.text)),
            _ => Cow::Owned(format!("$.{}", self.text)),
        }
    }

    /// Whether it is a plain path, which yields one node at most.
    pub fn is_plain(&self) -> bool {
        matches!(self.kind, Kind::Plain(_))
    }

    /// The first node, if there is one within the limits.
    pub fn first<'v>(&self, root: &'v Value) -> Option<&'v Value> {
        self.all(root).into_iter().next()
    }

    /// Every node in document order, none if the path costs more than the limits allow.
    pub fn all<'v>(&self, root: &'v Value) -> Vec<&'v Value> {
        self.nodes(root, &mut Fuel::new(limits::PATH_VISITS))
            .unwrap_or_default()
    }

    /// Every node in document order, paid with fuel.
    ///
    /// # Errors
    /// `fuel_exhausted`, or `too_many_nodes` beyond [`limits::PATH_NODES`].
    pub fn nodes<'v>(&self, root: &'v Value, fuel: &mut Fuel) -> Result<Vec<&'v Value>, Fault> {
        match &self.kind {
            Kind::Plain(keys) => {
                fuel.spend(keys.len() as u64 + 1)?;
                Ok(plain::walk(keys, root).into_iter().collect())
            }
            Kind::Full(query) => follow::follow(query, root, fuel),
        }
    }
}

impl fmt::Debug for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JsonPath").field(&self.text).finish()
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for JsonPath {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for JsonPath {}
