//! Text that both databases can hold.

/// Longest fault text that is kept, in characters.
const FAULT_CHARS: usize = 500;

/// PostgreSQL has no NUL in text.
pub fn text(mut value: String) -> String {
    in_place(&mut value);
    value
}

/// The same where the text lies.
pub fn in_place(value: &mut String) {
    if value.contains('\0') {
        *value = value.replace('\0', "\u{fffd}");
    }
}

/// A fault text, cut.
pub fn fault(value: &str) -> String {
    text(value.chars().take(FAULT_CHARS).collect())
}
