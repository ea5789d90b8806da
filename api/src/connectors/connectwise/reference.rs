//! What ties a ticket to a key, and a note to a message.

use sha2::{Digest as _, Sha256};

use super::settings::XrefField;

/// The reference of a key: the key itself, or a stable short form of it where it is too long for
/// the field or has a character whose quoting in conditions tenants are known to differ on.
pub(super) fn xref(key: &str, field: XrefField) -> String {
    let plain = key.trim() == key
        && !key.is_empty()
        && key.chars().count() <= field.length()
        && !key
            .chars()
            .any(|c| c.is_control() || matches!(c, '"' | '\\'));
    if plain {
        key.to_owned()
    } else {
        format!("sb:{}", digest(key, 20))
    }
}

/// The last line of a text that a message wrote, by which a repeat of the message finds it.
pub(super) fn signed(text: &str, step: Step, message_id: &str, correlation_id: &str) -> String {
    let line = format!("[{} · {correlation_id}]", mark(step, message_id));
    if text.trim().is_empty() {
        line
    } else {
        format!("{}\n\n{line}", text.trim_end())
    }
}

/// What a message did to a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Opened,
    Noted,
    Closed,
}

/// The part of that line that is looked for.
pub(super) fn mark(step: Step, message_id: &str) -> String {
    let word = match step {
        Step::Opened => "opened",
        Step::Noted => "noted",
        Step::Closed => "closed",
    };
    format!("Signalbox {word} {}", digest(message_id, 8))
}

fn digest(text: &str, bytes: usize) -> String {
    let hash = Sha256::digest(text.as_bytes());
    hex::encode(hash.get(..bytes).unwrap_or(&hash))
}

/// A text inside a condition.
pub(super) fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_fits_is_its_own_reference() {
        for key in ["kuma:1", "it's", "ä".repeat(100).as_str()] {
            assert_eq!(xref(key, XrefField::ExternalXRef), key);
        }
    }

    #[test]
    fn others_get_a_short_form_that_stays_the_same() {
        let long = "x".repeat(101);
        for key in [long.as_str(), "a\"b", "a\\b", " a", "a\n", ""] {
            let short = xref(key, XrefField::ExternalXRef);
            assert!(short.starts_with("sb:") && short.len() == 43, "{short}");
            assert_eq!(short, xref(key, XrefField::PoNumber));
        }
        assert_ne!(
            xref(&long, XrefField::ExternalXRef),
            xref(&format!("{long}x"), XrefField::ExternalXRef)
        );
        assert_eq!(xref(&"k".repeat(51), XrefField::PoNumber).len(), 43);
    }

    #[test]
    fn quotes_cannot_end_a_condition() {
        assert_eq!(
            quoted(r#"a" or closedFlag=true or b=""#),
            r#""a\" or closedFlag=true or b=\"""#
        );
        assert_eq!(quoted(r"a\"), r#""a\\""#);
    }

    #[test]
    fn marks_differ_by_message_and_step() {
        let text = signed("down ", Step::Noted, "m1", "c1");
        assert!(
            text.starts_with("down\n\n[Signalbox noted ") && text.ends_with(" · c1]"),
            "{text}"
        );
        assert!(text.contains(&mark(Step::Noted, "m1")));
        assert!(!text.contains(&mark(Step::Noted, "m2")));
        assert!(!text.contains(&mark(Step::Opened, "m1")));
    }
}
