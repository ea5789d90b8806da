//! What is wrong with something a person wrote, and where.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::limits;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident => $text:literal,)*) => {
        /// The stable code of a fault. New codes may be added, none changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        #[non_exhaustive]
        pub enum FaultCode {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl FaultCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as it appears in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

codes! {
    /// A JSONPath that cannot be read.
    PathSyntax => "path_syntax",
    /// A JSONPath longer than the limit.
    PathTooLong => "path_too_long",
    /// A JSONPath nested deeper than the limit.
    PathTooDeep => "path_too_deep",
    /// A JSONPath that yields more nodes than the limit.
    TooManyNodes => "too_many_nodes",
    /// A template that cannot be read.
    TemplateSyntax => "template_syntax",
    /// A template longer than the limit, or with too many parts.
    TemplateTooLong => "template_too_long",
    /// A template names a filter that does not exist.
    UnknownFilter => "unknown_filter",
    /// A template names a variable that does not exist.
    UnknownVariable => "unknown_variable",
    /// A filter has the wrong number or kind of arguments.
    FilterArgument => "filter_argument",
    /// A rendered text is longer than the limit.
    OutputTooLong => "output_too_long",
    /// A payload is nested deeper than the limit.
    PayloadTooDeep => "payload_too_deep",
    /// A regular expression that cannot be read.
    RegexSyntax => "regex_syntax",
    /// A regular expression that is too long or compiles to something too large.
    RegexTooLarge => "regex_too_large",
    /// An address range that cannot be read.
    BadCidr => "bad_cidr",
    /// A condition lacks its value.
    ValueMissing => "value_missing",
    /// A value of the wrong kind for where it stands.
    ValueKind => "value_kind",
    /// A required text or list is empty.
    Empty => "empty",
    /// More entries than the limit, or a value that is too large.
    TooMany => "too_many",
    /// A field nested deeper than the limit.
    TooDeep => "too_deep",
    /// A text longer than the limit.
    TooLong => "too_long",
    /// Two entries that exclude each other.
    Conflict => "conflict",
    /// Steps after a `drop` never run.
    Unreachable => "unreachable",
    /// The rendered record key is empty.
    KeyEmpty => "key_empty",
    /// The rendered record key is longer than the limit.
    KeyTooLong => "key_too_long",
    /// Two rules of a set share an id.
    DuplicateRule => "duplicate_rule",
    /// The set has more rules than the limit.
    TooManyRules => "too_many_rules",
    /// More rules matched than the limit.
    TooManyMatches => "too_many_matches",
    /// A name that the time zone database does not have.
    UnknownZone => "unknown_zone",
    /// A time that cannot be read.
    TimeSyntax => "time_syntax",
    /// A cron expression that cannot be read, or never comes true.
    CronSyntax => "cron_syntax",
    /// The event cost more than the fuel it was given.
    FuelExhausted => "fuel_exhausted",
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One fault: a stable code, where it is, and a sentence for people.
///
/// The message never repeats more than a few characters of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Fault {
    /// The stable code.
    pub code: FaultCode,
    /// Dotted location in the rule, such as `then[0].deliver.map.summary`; empty for the whole.
    #[serde(default)]
    pub at: String,
    /// Byte offset of the fault inside the text at that location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
    /// A sentence for people.
    pub message: String,
}

impl Fault {
    /// A fault without a location yet; see [`Fault::within`].
    pub fn new(code: FaultCode, message: impl Into<String>) -> Self {
        Self {
            code,
            at: String::new(),
            offset: None,
            message: message.into(),
        }
    }

    /// The same fault at a byte offset of the text it is about.
    #[must_use]
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = Some(offset);
        self
    }

    /// The same fault, its location moved below `outer`.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        self.at = match (outer, self.at.as_str()) {
            ("", _) => self.at,
            (_, "") => outer.to_owned(),
            (_, inner) if inner.starts_with('[') => format!("{outer}{inner}"),
            (_, inner) => format!("{outer}.{inner}"),
        };
        self
    }

    pub(crate) fn fuel() -> Self {
        Self::new(
            FaultCode::FuelExhausted,
            "the event cost more than the fuel it was given",
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.at.is_empty() {
            write!(f, "{}: ", self.at)?;
        }
        f.write_str(&self.message)?;
        if let Some(offset) = self.offset {
            write!(f, " (at byte {offset})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

/// A short, printable piece of input for a message.
pub(crate) fn echo(input: &str) -> String {
    let mut short: String = input
        .chars()
        .take(limits::ECHO_LENGTH)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if input.chars().nth(limits::ECHO_LENGTH).is_some() {
        short.push('…');
    }
    short
}

/// Faults collected while checking one rule, at most [`limits::FAULTS`].
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn push(&mut self, at: &str, fault: Fault) {
        if self.0.len() < limits::FAULTS {
            self.0.push(fault.within(at));
        }
    }

    pub(crate) fn add(&mut self, at: &str, code: FaultCode, message: impl Into<String>) {
        self.push(at, Fault::new(code, message));
    }

    /// Keeps the fault of a failed result and passes on the value of a good one.
    pub(crate) fn keep<T>(&mut self, at: &str, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.push(at, fault)).ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_vec(self) -> Vec<Fault> {
        self.0
    }
}
