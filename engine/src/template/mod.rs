//! Templates: `Alert: {{ monitor.name | default: 'unknown' | upper }}`, compiled once.
//!
//! A part is a JSONPath (`$` optional), a variable of the event (`@event_id`, `@correlation_id`,
//! `@received_at`, `@source`, `@rule`, `@now`) or a quoted text, followed by filters. A missing
//! path and a null render as nothing; strings render plain, everything else in JSON spelling.
//! Of several nodes the first one renders, unless `join` or `json` takes them all.

mod filter;
mod parse;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use std::borrow::Cow;

use crate::fault::Fault;
use crate::fuel::Fuel;
use crate::limits;
use crate::path::JsonPath;
use crate::text::{text_form, too_long};
use filter::Filter;

pub use filter::FILTERS;
pub use parse::VARIABLES;

/// A compiled template.
#[derive(Debug, Clone)]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Part { start: Start, filters: Vec<Filter> },
}

#[derive(Debug, Clone)]
enum Start {
    Path(JsonPath),
    Variable(Variable),
    Literal(String),
}

/// A variable of the event, written with a leading `@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    EventId,
    CorrelationId,
    ReceivedAt,
    Source,
    Rule,
    Now,
}

/// What a template is rendered with.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The parsed event.
    pub payload: &'a Value,
    /// `@event_id`
    pub event_id: &'a str,
    /// `@correlation_id`
    pub correlation_id: &'a str,
    /// `@received_at`
    pub received_at: DateTime<Utc>,
    /// `@source`
    pub source: &'a str,
    /// `@rule`
    pub rule: &'a str,
    /// `@now`
    pub now: DateTime<Utc>,
}

/// What flows from one filter to the next.
#[derive(Debug, Clone)]
enum Piped<'v> {
    Nodes(Vec<&'v Value>),
    Text(Cow<'v, str>),
}

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// `template_syntax`, `template_too_long`, `unknown_filter`, `unknown_variable`,
    /// `filter_argument` or a fault of a path, with the byte offset in the template.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        Ok(Self {
            text: text.to_owned(),
            pieces: parse::parse(text)?,
        })
    }

    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it has no `{{ … }}` part and always renders the same text.
    pub fn is_constant(&self) -> bool {
        self.pieces.iter().all(|p| matches!(p, Piece::Text(_)))
    }

    /// The paths it reads, in order.
    pub fn paths(&self) -> impl Iterator<Item = &JsonPath> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Part {
                start: Start::Path(path),
                ..
            } => Some(path),
            _ => None,
        })
    }

    /// Renders the text.
    ///
    /// # Errors
    /// `output_too_long`, `payload_too_deep`, `too_many_nodes` or `fuel_exhausted`.
    pub fn render(&self, context: &Context<'_>, fuel: &mut Fuel) -> Result<String, Fault> {
        let mut out = String::new();
        for piece in &self.pieces {
            let text = match piece {
                Piece::Text(text) => Cow::Borrowed(text.as_str()),
                Piece::Part { start, filters } => {
                    let mut piped = start.read(context, fuel)?;
                    for filter in filters {
                        piped = filter.apply(piped, fuel)?;
                    }
                    piped.into_text(fuel)?
                }
            };
            fuel.spend_bytes(text.len())?;
            if text.len() > limits::TEMPLATE_OUTPUT.saturating_sub(out.len()) {
                return Err(too_long(limits::TEMPLATE_OUTPUT));
            }
            out.push_str(&text);
        }
        Ok(out)
    }
}

impl Start {
    fn read<'v>(&'v self, context: &Context<'v>, fuel: &mut Fuel) -> Result<Piped<'v>, Fault> {
        Ok(match self {
            Self::Path(path) => Piped::Nodes(path.nodes(context.payload, fuel)?),
            Self::Literal(text) => Piped::Text(Cow::Borrowed(text)),
            Self::Variable(variable) => Piped::Text(match variable {
                Variable::EventId => Cow::Borrowed(context.event_id),
                Variable::CorrelationId => Cow::Borrowed(context.correlation_id),
                Variable::ReceivedAt => Cow::Owned(stamp(context.received_at)),
                Variable::Source => Cow::Borrowed(context.source),
                Variable::Rule => Cow::Borrowed(context.rule),
                Variable::Now => Cow::Owned(stamp(context.now)),
            }),
        })
    }
}

/// RFC 3339 in UTC, with as many decimals as needed.
fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

impl<'v> Piped<'v> {
    /// The first node as text; nothing for a missing or null one.
    fn into_text(self, fuel: &mut Fuel) -> Result<Cow<'v, str>, Fault> {
        let nodes = match self {
            Self::Text(text) => return Ok(text),
            Self::Nodes(nodes) => nodes,
        };
        match nodes.first() {
            None | Some(Value::Null) => Ok(Cow::Borrowed("")),
            Some(node) => {
                let text = text_form(node, limits::TEMPLATE_OUTPUT)?;
                fuel.spend_bytes(text.len())?;
                Ok(text)
            }
        }
    }
}
