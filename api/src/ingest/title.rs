//! A line for people, made from a payload.

use serde_json::Value;

const LONGEST: usize = 200;

/// Places where senders put a line for people, best first.
const PLACES: &[&[&str]] = &[
    &["title"],
    &["msg"],
    &["commonAnnotations", "summary"],
    &["annotations", "summary"],
    &["labels", "alertname"],
    &["alert", "title"],
    &["issue", "title"],
    &["issue", "fields", "summary"],
    &["pull_request", "title"],
    &["message"],
    &["text"],
    &["summary"],
    &["subject"],
    &["event_name"],
    &["monitor", "name"],
    &["monitor"],
    &["name"],
    &["action"],
    &["type"],
];

/// The first text found, on one line and cut; empty if there is none.
pub fn title_of(payload: &Value) -> String {
    PLACES
        .iter()
        .filter_map(|place| {
            place
                .iter()
                .try_fold(payload, |value, key| value.get(key))?
                .as_str()
        })
        .map(one_line)
        .find(|line| !line.is_empty())
        .unwrap_or_default()
}

fn one_line(text: &str) -> String {
    if is_line(text) {
        return text.to_owned();
    }
    let mut line = String::new();
    // What is far beyond the cut need not be looked at.
    let start: String = text.chars().take(LONGEST * 4).collect();
    for word in start.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if line.chars().count() > LONGEST {
        line = line.chars().take(LONGEST - 1).collect();
        line.push('…');
    }
    line
}

/// Whether nothing is to be done: most texts are short lines of plain letters.
fn is_line(text: &str) -> bool {
    let mut before = b' ';
    let mut fits = |byte: u8| {
        let fits = byte.is_ascii_graphic() || (byte == b' ' && before != b' ');
        before = byte;
        fits
    };
    text.len() <= LONGEST && text.bytes().all(&mut fits) && before != b' '
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn takes_the_best_place_and_cuts() {
        assert_eq!(
            title_of(&json!({"msg": " web1\n is  down ", "name": "x"})),
            "web1 is down"
        );
        assert_eq!(title_of(&json!({"monitor": {"name": "web1"}})), "web1");
        assert_eq!(title_of(&json!({"msg": "", "text": "t"})), "t");
        assert_eq!(title_of(&json!([1, 2])), "");
        for (text, line) in [
            ("a b", "a b"),
            (" a", "a"),
            ("a ", "a"),
            ("a  b", "a b"),
            ("é a", "é a"),
        ] {
            assert_eq!(title_of(&json!({ "msg": text })), line);
        }
        let long = title_of(&json!({"msg": "é".repeat(1000)}));
        assert_eq!(long.chars().count(), LONGEST);
        assert!(long.ends_with('…'));
    }
}
