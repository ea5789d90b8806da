//! Statements that go to SQLite in one message.
//!
//! Every message wakes the connection's thread and the task that waits for it, which costs more
//! than a small statement does. A script holds several, with their values in one list.

use sea_orm::Value;

/// Values of a script that holds more than one statement. Longer statements go alone: each text is
/// kept prepared, and the number of different texts must stay small.
const JOINED: usize = 160;

/// Statements in order.
#[derive(Debug, Default)]
pub struct Script {
    /// Their texts.
    pub text: String,
    /// Their values, in order.
    pub values: Vec<Value>,
    /// Whether a text has numbered marks, which count from the begin of the list.
    numbered: bool,
}

impl Script {
    /// Whether a statement fits behind those that are here.
    pub fn takes(&self, text: &str, values: usize) -> bool {
        // What has no values has no marks either.
        self.values.is_empty()
            || values == 0
            || (!self.numbered && !is_numbered(text) && self.values.len() + values <= JOINED)
    }

    /// Adds a statement.
    pub fn add(&mut self, text: &str, values: Vec<Value>) {
        if !self.text.is_empty() {
            self.text.push_str(";\n");
        }
        self.text.push_str(text);
        self.numbered |= !values.is_empty() && is_numbered(text);
        if self.values.is_empty() {
            self.values = values;
        } else {
            self.values.extend(values);
        }
    }
}

/// Whether a text has marks like `$7`. A text that only looks like it goes alone, which does no harm.
fn is_numbered(text: &str) -> bool {
    text.contains('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize) -> Vec<Value> {
        (0..count).map(|n| (n as i64).into()).collect()
    }

    #[test]
    fn small_statements_share_a_script() {
        let mut script = Script::default();
        for text in ["BEGIN", "INSERT ?", "UPDATE ?", "COMMIT"] {
            let count = text.matches('?').count();
            assert!(script.takes(text, count));
            script.add(text, values(count));
        }
        assert_eq!(script.text, "BEGIN;\nINSERT ?;\nUPDATE ?;\nCOMMIT");
        assert_eq!(script.values.len(), 2);
    }

    #[test]
    fn long_and_numbered_ones_go_alone_but_for_what_has_no_values() {
        let mut script = Script::default();
        script.add("BEGIN", Vec::new());
        assert!(script.takes("UPDATE $1", 1) && script.takes("INSERT ?", 9_999));
        script.add("UPDATE $1", values(1));
        assert!(!script.takes("INSERT ?", 1));
        assert!(script.takes("COMMIT", 0));
        let mut script = Script::default();
        script.add("INSERT ?", values(1));
        assert!(!script.takes("UPDATE $1", 1));
        assert!(!script.takes("INSERT ?", JOINED));
        assert!(script.takes("INSERT ?", JOINED - 1));
    }
}
