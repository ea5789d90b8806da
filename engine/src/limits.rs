//! The limits of everything a person can write and everything an event can cost.
//!
//! Lengths are bytes unless the name says otherwise.

/// Longest JSONPath.
pub const PATH_LENGTH: usize = 1024;
/// Deepest nesting of filters (`[?`) in a JSONPath.
pub const PATH_FILTERS: usize = 4;
/// Deepest nesting of brackets and parentheses in a JSONPath.
pub const PATH_NESTING: usize = 32;
/// Most nodes one path may return.
pub const PATH_NODES: usize = 100_000;
/// Most nodes one path may look at when no fuel is handed in.
pub const PATH_VISITS: u64 = 2_000_000;
/// Deepest nesting of a payload that is rendered or compared as JSON text.
pub const PAYLOAD_DEPTH: usize = 128;

/// Longest regular expression.
pub const PATTERN_LENGTH: usize = 1024;
/// Largest compiled regular expression.
pub const PATTERN_SIZE: usize = 1 << 20;
/// Deepest nesting of a regular expression.
pub const PATTERN_NESTING: u32 = 32;

/// Longest template.
pub const TEMPLATE_LENGTH: usize = 16 * 1024;
/// Most `{{ … }}` parts in a template.
pub const TEMPLATE_PARTS: usize = 256;
/// Most filters in one `{{ … }}` part.
pub const TEMPLATE_FILTERS: usize = 16;
/// Longest text a template may render.
pub const TEMPLATE_OUTPUT: usize = 256 * 1024;
/// Longest record key a template may render.
pub const KEY_LENGTH: usize = 1024;

/// Most conditions in one rule, and in one `when` of a case.
pub const CONDITIONS: usize = 100;
/// Most values in the list of an `in`, `not_in` or `cidr` condition.
pub const CONDITION_VALUES: usize = 1000;
/// Most steps in one rule.
pub const STEPS: usize = 20;
/// Most mapped fields in one operation.
pub const FIELDS: usize = 200;
/// Most cases in one conditional field.
pub const CASES: usize = 100;
/// Most entries in one value map.
pub const MAP_ENTRIES: usize = 1000;
/// Deepest nesting of `else`, `default` and cases in one field.
pub const FIELD_DEPTH: usize = 8;
/// Most values in one list of a lifecycle.
pub const LIFECYCLE_VALUES: usize = 100;
/// Longest name of a field, a connection or an operation.
pub const NAME_LENGTH: usize = 200;
/// Longest literal (as JSON) in a condition or a field.
pub const LITERAL_LENGTH: usize = 64 * 1024;
/// Deepest nesting of a literal.
pub const LITERAL_DEPTH: usize = 32;

/// Most rules in one set.
pub const RULES: usize = 20_000;
/// Most matches one event may have in the mode `all`.
pub const MATCHES: usize = 1_000;
/// Fuel for one event when the caller has no better figure.
pub const FUEL: u64 = 10_000_000;

/// Most faults reported for one rule.
pub const FAULTS: usize = 50;
/// Most values shown for one condition in an explanation.
pub const SEEN_VALUES: usize = 10;
/// Longest value shown in an explanation, in characters.
pub const SEEN_LENGTH: usize = 500;
/// Longest piece of input repeated in a message, in characters.
pub const ECHO_LENGTH: usize = 40;
