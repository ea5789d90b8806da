//! How values compare: the one comparison behind conditions, lifecycles, value maps and filters.
//!
//! Text forms are compared (`0` equals `"0"`, `true` equals `"true"`), two numbers compare as
//! numbers, and the order operators read numbers and RFC 3339 dates.

use chrono::{DateTime, Utc};
use ipnet::{IpNet, Ipv4Net};
use regex::{Regex, RegexBuilder};
use serde_json::{Number, Value};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;

use crate::fault::{Fault, FaultCode, echo};
use crate::fuel::Fuel;
use crate::limits;
use crate::text::{scalar_text, text_form};

/// A value to compare with, prepared once.
#[derive(Debug, Clone)]
pub struct Expected {
    value: Value,
    text: String,
    ignore_case: bool,
}

impl Expected {
    /// Prepares a value. With `ignore_case` texts are compared in lower case.
    ///
    /// # Errors
    /// `output_too_long` or `payload_too_deep` for a container beyond the limits.
    pub fn new(value: &Value, ignore_case: bool) -> Result<Self, Fault> {
        let text = text_form(value, limits::LITERAL_LENGTH)?;
        Ok(Self {
            text: fold(&text, ignore_case).into_owned(),
            value: value.clone(),
            ignore_case,
        })
    }

    /// The text compared with, already in lower case if case is ignored.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value as it was written.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Whether case counts.
    pub const fn is_exact(&self) -> bool {
        !self.ignore_case
    }

    /// Whether a node equals it.
    pub fn equals(&self, node: &Value, fuel: &mut Fuel) -> Result<bool, Fault> {
        if let (Value::Number(a), Value::Number(b)) = (node, &self.value) {
            return Ok(compare_numbers(a, b) == Some(Ordering::Equal));
        }
        if is_container(node) {
            // A container can only equal another one, or a text that spells one.
            if !(self.text.starts_with('[') || self.text.starts_with('{')) {
                return Ok(false);
            }
        }
        Ok(node_text(node, self.ignore_case, fuel)? == self.text)
    }

    /// Whether a node contains it: an array has an item that equals it, a text has it as a part.
    pub fn contained_in(&self, node: &Value, fuel: &mut Fuel) -> Result<bool, Fault> {
        if let Value::Array(items) = node {
            for item in items {
                fuel.spend(1)?;
                if self.equals(item, fuel)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        Ok(node_text(node, self.ignore_case, fuel)?.contains(&self.text))
    }

    /// Whether the text of a node starts with it.
    pub fn starts(&self, node: &Value, fuel: &mut Fuel) -> Result<bool, Fault> {
        Ok(node_text(node, self.ignore_case, fuel)?.starts_with(&self.text))
    }

    /// Whether the text of a node ends with it.
    pub fn ends(&self, node: &Value, fuel: &mut Fuel) -> Result<bool, Fault> {
        Ok(node_text(node, self.ignore_case, fuel)?.ends_with(&self.text))
    }
}

/// The text of a node, paid with fuel.
pub(crate) fn node_text<'v>(
    node: &'v Value,
    ignore_case: bool,
    fuel: &mut Fuel,
) -> Result<Cow<'v, str>, Fault> {
    let text = text_form(node, limits::TEMPLATE_OUTPUT)?;
    fuel.spend_bytes(text.len())?;
    Ok(match text {
        Cow::Borrowed(text) => fold(text, ignore_case),
        Cow::Owned(text) if ignore_case => Cow::Owned(text.to_lowercase()),
        owned => owned,
    })
}

/// A text as it is compared.
pub(crate) fn fold(text: &str, ignore_case: bool) -> Cow<'_, str> {
    if ignore_case {
        Cow::Owned(text.to_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

fn is_container(value: &Value) -> bool {
    matches!(value, Value::Array(_) | Value::Object(_))
}

/// Compares two JSON numbers; exact for integers.
pub fn compare_numbers(left: &Number, right: &Number) -> Option<Ordering> {
    match (integer(left), integer(right)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

fn integer(number: &Number) -> Option<i128> {
    number
        .as_i64()
        .map(i128::from)
        .or_else(|| number.as_u64().map(i128::from))
}

/// Something with an order: a number or a point in time.
#[derive(Debug, Clone, PartialEq)]
pub enum Ordered {
    /// A JSON number, or a text that spells one.
    Number(Number),
    /// An RFC 3339 date and time.
    Date(DateTime<Utc>),
}

impl Ordered {
    /// Reads a number or an RFC 3339 date; `None` for everything else.
    pub fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => Some(Self::Number(number.clone())),
            Value::String(text) => {
                let text = text.trim();
                read_number(text)
                    .map(Self::Number)
                    .or_else(|| read_date(text).map(Self::Date))
            }
            _ => None,
        }
    }

    /// The order of two values of the same kind.
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => compare_numbers(a, b),
            (Self::Date(a), Self::Date(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

pub(crate) fn read_number(text: &str) -> Option<Number> {
    // Rust also reads `inf` and `nan`; a number here has digits and is finite.
    if text.len() > 64 || !text.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    if let Ok(integer) = text.parse::<i64>() {
        return Some(integer.into());
    }
    if let Ok(integer) = text.parse::<u64>() {
        return Some(integer.into());
    }
    Number::from_f64(text.parse().ok()?)
}

/// Reads an RFC 3339 date and time.
pub fn read_date(text: &str) -> Option<DateTime<Utc>> {
    if text.len() > 64 {
        return None;
    }
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|date| date.with_timezone(&Utc))
}

/// Compiles an unanchored, linear-time pattern under our limits.
///
/// # Errors
/// `regex_too_large` or `regex_syntax`.
pub fn pattern(text: &str, ignore_case: bool) -> Result<Regex, Fault> {
    if text.len() > limits::PATTERN_LENGTH {
        return Err(Fault::new(
            FaultCode::RegexTooLarge,
            format!(
                "the pattern is longer than {} bytes",
                limits::PATTERN_LENGTH
            ),
        ));
    }
    RegexBuilder::new(text)
        .case_insensitive(ignore_case)
        .size_limit(limits::PATTERN_SIZE)
        .dfa_size_limit(limits::PATTERN_SIZE)
        .nest_limit(limits::PATTERN_NESTING)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => Fault::new(
                FaultCode::RegexTooLarge,
                "the pattern compiles to something too large",
            ),
            other => Fault::new(
                FaultCode::RegexSyntax,
                format!("`{}` is not a pattern: {}", echo(text), last_line(&other)),
            ),
        })
}

/// A pattern of JSONPath's `match` (the whole text) or `search` (a part of it); `None` if it is
/// no pattern or goes beyond our limits.
pub(crate) fn whole_or_part(text: &str, whole: bool) -> Option<Regex> {
    if text.len() > limits::PATTERN_LENGTH {
        return None;
    }
    let build = |text: &str| {
        RegexBuilder::new(text)
            .crlf(true)
            .size_limit(limits::PATTERN_SIZE)
            .dfa_size_limit(limits::PATTERN_SIZE)
            .nest_limit(limits::PATTERN_NESTING)
            .build()
            .ok()
    };
    // Alone first: `a)|(b` must not become a pattern by being wrapped.
    let part = build(text)?;
    if whole {
        build(&format!(r"\A(?:{text})\z"))
    } else {
        Some(part)
    }
}

/// The regex crate draws the pattern over several lines; the reason is the last one.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    line.chars().take(200).collect()
}

/// A list of address ranges; IPv4-mapped IPv6 addresses count as IPv4.
#[derive(Debug, Clone)]
pub struct Ranges(Vec<IpNet>);

impl Ranges {
    /// Reads one range or address, or a list of them.
    ///
    /// # Errors
    /// `bad_cidr` names what cannot be read; `value_kind` if it is no text.
    pub fn read(value: &Value) -> Result<Self, Fault> {
        let one = std::slice::from_ref(value);
        let list = match value {
            Value::Array(items) => items.as_slice(),
            _ => one,
        };
        let mut ranges = Vec::with_capacity(list.len());
        for item in list {
            let Value::String(text) = item else {
                return Err(Fault::new(
                    FaultCode::ValueKind,
                    "an address range is a text such as `10.0.0.0/8`",
                ));
            };
            ranges.push(read_range(text).ok_or_else(|| {
                Fault::new(
                    FaultCode::BadCidr,
                    format!("`{}` is not an address range", echo(text)),
                )
            })?);
        }
        Ok(Self(ranges))
    }

    /// Whether the node is the text of an address inside one of the ranges.
    pub fn contain(&self, node: &Value) -> bool {
        let Value::String(text) = node else {
            return false;
        };
        text.trim()
            .parse::<IpAddr>()
            .is_ok_and(|address| self.contain_address(address))
    }

    /// Whether the address is inside one of the ranges.
    pub fn contain_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|range| range.contains(&address))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn read_range(text: &str) -> Option<IpNet> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(IpNet::from(address.to_canonical()));
    }
    let range = text.parse::<IpNet>().ok()?.trunc();
    if let IpNet::V6(v6) = range
        && let Some(v4) = v6.network().to_ipv4_mapped()
        && let Some(prefix) = v6.prefix_len().checked_sub(96)
    {
        return Ipv4Net::new(v4, prefix).ok().map(IpNet::V4);
    }
    Some(range)
}

/// Entries found by text form: the list of a lifecycle, the keys of a value map.
///
/// A boolean node also finds the spelling with a capital (`True`), which other systems write.
pub fn spelled_like(node: &Value, entry: &str) -> bool {
    match (node, scalar_text(node)) {
        (Value::Bool(_), Some(text)) => text.eq_ignore_ascii_case(entry),
        (_, Some(text)) => text == entry,
        (_, None) => false,
    }
}
