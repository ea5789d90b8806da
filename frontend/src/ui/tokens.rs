//! Cuts JSON text into tokens for colouring. Anything that is no JSON comes out as plain text:
//! colour is help, and must never hide a byte.

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// Punctuation, space, or no JSON.
    Plain,
    /// A name before a colon.
    Key,
    /// A text.
    Text,
    /// A number.
    Number,
    /// `true`, `false`, `null`.
    Word,
}

impl Token {
    /// Its class.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Key => "tok-key",
            Self::Text => "tok-string",
            Self::Number => "tok-number",
            Self::Word => "tok-word",
        }
    }
}

/// Cuts `text`; the pieces put together are `text` again.
pub fn cut(text: &str) -> Vec<(Token, &str)> {
    let mut out: Vec<(Token, &str)> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '"' => {
                let length = text_length(rest);
                let after = rest.get(length..).unwrap_or_default().trim_start();
                let token = if after.starts_with(':') {
                    Token::Key
                } else {
                    Token::Text
                };
                (token, length)
            }
            '-' | '0'..='9' => (
                Token::Number,
                run(rest, |c| c.is_ascii_alphanumeric() || "+-.".contains(c)),
            ),
            c if c.is_ascii_alphabetic() => {
                let length = run(rest, |c| c.is_ascii_alphanumeric());
                let word = rest.get(..length).unwrap_or_default();
                let known = matches!(word, "true" | "false" | "null");
                (if known { Token::Word } else { Token::Plain }, length)
            }
            _ => (
                Token::Plain,
                run(rest, |c| c != '"' && c != '-' && !c.is_ascii_alphanumeric()),
            ),
        };
        let (piece, tail) = rest.split_at_checked(length.max(1)).unwrap_or((rest, ""));
        out.push((token, piece));
        rest = tail;
    }
    out
}

/// Length of the text that starts at the quote; to the end when it is not closed.
fn text_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn run(text: &str, wanted: impl Fn(char) -> bool) -> usize {
    text.find(|c| !wanted(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Token, &str)> {
        cut(text)
            .into_iter()
            .filter(|(token, _)| *token != Token::Plain)
            .collect()
    }

    #[test]
    fn names_and_values_are_told_apart() {
        assert_eq!(
            kinds(r#"{"a" : "b", "n": -1.5e3, "t": true, "z": null}"#),
            [
                (Token::Key, r#""a""#),
                (Token::Text, r#""b""#),
                (Token::Key, r#""n""#),
                (Token::Number, "-1.5e3"),
                (Token::Key, r#""t""#),
                (Token::Word, "true"),
                (Token::Key, r#""z""#),
                (Token::Word, "null"),
            ]
        );
    }

    #[test]
    fn a_quote_inside_a_text_does_not_end_it() {
        assert_eq!(kinds(r#"["a\"b\\"]"#), [(Token::Text, r#""a\"b\\""#)]);
    }

    #[test]
    fn nothing_is_lost_whatever_the_text() {
        for text in [
            "",
            "plain words, no JSON",
            "{\"open: 1",
            "é\"ü\\",
            "[1,2",
            "-",
            "\"\\",
        ] {
            let whole: String = cut(text).into_iter().map(|(_, piece)| piece).collect();
            assert_eq!(whole, text);
        }
    }
}
