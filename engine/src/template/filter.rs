//! The filters of a template.

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, FixedOffset, Utc};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt::Write;

use super::Piped;
use super::parse::Argument;
use crate::compare::read_date;
use crate::fault::{Fault, FaultCode, echo};
use crate::fuel::Fuel;
use crate::limits;
use crate::text::{is_empty, json_text, text_form, too_long};

/// The names of the filters.
pub const FILTERS: &[&str] = &[
    "default", "lower", "upper", "trim", "truncate", "replace", "date", "join", "json",
];

/// A filter with its arguments, checked.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    /// `default: 'text'`: instead of a missing, null or empty value.
    Default(String),
    Lower,
    Upper,
    Trim,
    /// `truncate: 100` or `truncate: 100, '…'`: at most so many characters, mark included.
    Truncate {
        length: usize,
        mark: String,
    },
    /// `replace: 'from', 'to'`, every occurrence.
    Replace {
        from: String,
        to: String,
    },
    /// `date: '%d.%m.%Y'` or `date: '%H:%M', '+02:00'`; what is no date stays as it is.
    Date {
        format: String,
        zone: FixedOffset,
    },
    /// `join: ', '`: all nodes, or all items of an array.
    Join(String),
    /// JSON of the value; of all of them, as an array, if there are several.
    Json,
}

impl Filter {
    pub(super) fn new(name: &str, arguments: Vec<Argument>) -> Result<Self, Fault> {
        use Argument::{Integer, Text};
        let arguments = arguments.as_slice();
        Ok(match (name, arguments) {
            ("default", [Text(text)]) => Self::Default(text.clone()),
            ("default", [Integer(number)]) => Self::Default(number.to_string()),
            ("lower", []) => Self::Lower,
            ("upper", []) => Self::Upper,
            ("trim", []) => Self::Trim,
            ("truncate", [Integer(length)]) => Self::truncate(*length, ""),
            ("truncate", [Integer(length), Text(mark)]) => Self::truncate(*length, mark),
            ("replace", [Text(from), Text(to)]) if !from.is_empty() => Self::Replace {
                from: from.clone(),
                to: to.clone(),
            },
            ("date", [Text(format)]) => Self::date(format, "+00:00")?,
            ("date", [Text(format), Text(zone)]) => Self::date(format, zone)?,
            ("join", []) => Self::Join(", ".to_owned()),
            ("join", [Text(separator)]) => Self::Join(separator.clone()),
            ("json", []) => Self::Json,
            (name, _) if FILTERS.contains(&name) => {
                return Err(argument(format!("`{name}` {}", usage(name))));
            }
            (name, _) => {
                return Err(Fault::new(
                    FaultCode::UnknownFilter,
                    format!(
                        "`{}` is no filter; there are {}",
                        echo(name),
                        FILTERS.join(", ")
                    ),
                ));
            }
        })
    }

    fn truncate(length: u64, mark: &str) -> Self {
        Self::Truncate {
            length: usize::try_from(length).unwrap_or(usize::MAX),
            mark: mark.to_owned(),
        }
    }

    fn date(format: &str, zone: &str) -> Result<Self, Fault> {
        if StrftimeItems::new(format).any(|item| matches!(item, Item::Error)) {
            return Err(argument(format!("`{}` is no date format", echo(format))));
        }
        let zone = zone
            .parse()
            .map_err(|_| argument(format!("`{}` is no offset like +02:00", echo(zone))))?;
        Ok(Self::Date {
            format: format.to_owned(),
            zone,
        })
    }

    pub(super) fn apply<'v>(
        &'v self,
        piped: Piped<'v>,
        fuel: &mut Fuel,
    ) -> Result<Piped<'v>, Fault> {
        fuel.spend(1)?;
        match self {
            Self::Default(text) => {
                let empty = match &piped {
                    Piped::Text(text) => text.is_empty(),
                    Piped::Nodes(nodes) => nodes.first().is_none_or(|node| is_empty(node)),
                };
                return Ok(if empty {
                    Piped::Text(Cow::Borrowed(text))
                } else {
                    piped
                });
            }
            Self::Join(separator) => return join(piped, separator, fuel),
            Self::Json => return json(piped, fuel),
            _ => {}
        }
        let date = match (self, &piped) {
            (Self::Date { .. }, Piped::Nodes(nodes)) => nodes.first().and_then(|node| moment(node)),
            (Self::Date { .. }, Piped::Text(text)) => read_date(text.trim()),
            _ => None,
        };
        let text = piped.into_text(fuel)?;
        fuel.spend_bytes(text.len())?;
        Ok(Piped::Text(match self {
            Self::Lower => Cow::Owned(text.to_lowercase()),
            Self::Upper => Cow::Owned(text.to_uppercase()),
            Self::Trim => trim(text),
            Self::Truncate { length, mark } => truncate(text, *length, mark),
            Self::Replace { from, to } => replace(text, from, to, fuel)?,
            Self::Date { format, zone } => match date {
                Some(date) => written(date, format, *zone).map_or(text, Cow::Owned),
                None => text,
            },
            Self::Default(_) | Self::Join(_) | Self::Json => text,
        }))
    }
}

fn usage(name: &str) -> &'static str {
    match name {
        "default" => "takes one text, as in `default: 'none'`",
        "truncate" => "takes a length and perhaps a mark, as in `truncate: 100, '...'`",
        "replace" => "takes two texts, the first not empty, as in `replace: 'a', 'b'`",
        "date" => "takes a format and perhaps an offset, as in `date: '%H:%M', '+02:00'`",
        "join" => "takes one text, as in `join: ', '`",
        _ => "takes no argument",
    }
}

fn argument(message: String) -> Fault {
    Fault::new(FaultCode::FilterArgument, message)
}

fn trim(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

fn truncate<'v>(text: Cow<'v, str>, length: usize, mark: &str) -> Cow<'v, str> {
    if text.chars().nth(length).is_none() {
        return text;
    }
    let mark_length = mark.chars().count();
    if mark_length >= length {
        return Cow::Owned(text.chars().take(length).collect());
    }
    let mut short: String = text.chars().take(length - mark_length).collect();
    short.push_str(mark);
    Cow::Owned(short)
}

fn replace<'v>(
    text: Cow<'v, str>,
    from: &str,
    to: &str,
    fuel: &mut Fuel,
) -> Result<Cow<'v, str>, Fault> {
    let found = text.matches(from).count();
    if found == 0 {
        return Ok(text);
    }
    // The size is known before a byte is written.
    let length = (text.len() - found * from.len()).saturating_add(found.saturating_mul(to.len()));
    if length > limits::TEMPLATE_OUTPUT {
        return Err(too_long(limits::TEMPLATE_OUTPUT));
    }
    fuel.spend_bytes(length)?;
    Ok(Cow::Owned(text.replace(from, to)))
}

/// A point in time: an RFC 3339 text, or a number of seconds or milliseconds since 1970.
fn moment(node: &Value) -> Option<DateTime<Utc>> {
    match node {
        Value::String(text) => read_date(text.trim()),
        Value::Number(number) => {
            let number = number.as_i64().or_else(|| {
                let float = number.as_f64().filter(|f| f.abs() < 1e15)?;
                #[expect(clippy::cast_possible_truncation, reason = "checked just above")]
                Some(float as i64)
            })?;
            // Seconds reach the year 5138 before they look like milliseconds.
            if number.unsigned_abs() < 100_000_000_000 {
                DateTime::from_timestamp(number, 0)
            } else {
                DateTime::from_timestamp_millis(number)
            }
        }
        _ => None,
    }
}

fn written(date: DateTime<Utc>, format: &str, zone: FixedOffset) -> Option<String> {
    let mut out = String::new();
    write!(out, "{}", date.with_timezone(&zone).format(format)).ok()?;
    Some(out)
}

fn join<'v>(piped: Piped<'v>, separator: &str, fuel: &mut Fuel) -> Result<Piped<'v>, Fault> {
    let Piped::Nodes(nodes) = piped else {
        return Ok(piped);
    };
    let items: Vec<&Value> = match nodes.as_slice() {
        [Value::Array(items)] => items.iter().collect(),
        _ => nodes,
    };
    let mut out = String::new();
    let mut first = true;
    for item in items.into_iter().filter(|item| !item.is_null()) {
        let text = text_form(item, limits::TEMPLATE_OUTPUT)?;
        fuel.spend_bytes(text.len() + separator.len())?;
        if text.len() + separator.len() > limits::TEMPLATE_OUTPUT.saturating_sub(out.len()) {
            return Err(too_long(limits::TEMPLATE_OUTPUT));
        }
        if !first {
            out.push_str(separator);
        }
        first = false;
        out.push_str(&text);
    }
    Ok(Piped::Text(Cow::Owned(out)))
}

fn json<'v>(piped: Piped<'v>, fuel: &mut Fuel) -> Result<Piped<'v>, Fault> {
    let text = match piped {
        Piped::Text(text) => json_text(&Value::String(text.into_owned()), limits::TEMPLATE_OUTPUT)?,
        Piped::Nodes(nodes) => match nodes.as_slice() {
            [] => "null".to_owned(),
            [node] => json_text(node, limits::TEMPLATE_OUTPUT)?,
            several => {
                let mut out = String::from("[");
                for (index, node) in several.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    let left = limits::TEMPLATE_OUTPUT.saturating_sub(out.len() + 1);
                    out.push_str(&json_text(node, left)?);
                }
                out.push(']');
                out
            }
        },
    };
    fuel.spend_bytes(text.len())?;
    Ok(Piped::Text(Cow::Owned(text)))
}
