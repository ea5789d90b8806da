//! The conditions of list queries: `a/b = "text" and (c != 1 or d contains 'x')`.
//!
//! Texts compare without case and without blanks at their end, as the database of the real one
//! does: a caller that needs more must look again at what it gets.

use serde_json::Value;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Symbol(&'static str),
}

/// A condition that can be put to rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Test {
        field: String,
        op: String,
        negated: bool,
        values: Vec<Value>,
    },
}

/// Reads a condition.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Condition, String> {
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens, at: 0 };
    let condition = reader.any()?;
    if reader.at < reader.tokens.len() {
        return Err("there is something behind the condition".to_owned());
    }
    Ok(condition)
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    const SYMBOLS: [&str; 9] = ["!=", "<=", ">=", "=", "<", ">", "(", ")", ","];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if matches!(first, '"' | '\'') {
            let (value, length) = quoted(rest, first)?;
            tokens.push(Token::Text(value));
            rest = rest[length..].trim_start();
        } else if first == '[' {
            let (date, behind) = rest[1..].split_once(']').ok_or("a date is not closed")?;
            tokens.push(Token::Text(date.to_owned()));
            rest = behind.trim_start();
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            tokens.push(Token::Symbol(symbol));
            rest = rest[symbol.len()..].trim_start();
        } else {
            let end = rest
                .find(|c: char| c.is_whitespace() || "=!<>(),\"'".contains(c))
                .unwrap_or(rest.len());
            if end == 0 {
                return Err(format!("`{first}` is not expected"));
            }
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = rest[end..].trim_start();
        }
    }
    Ok(tokens)
}

/// The text within quotes, and how long it was with them. A quote in it is doubled or escaped.
fn quoted(text: &str, quote: char) -> Result<(String, usize), String> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            let (_, escaped) = chars.next().ok_or("a text is not closed")?;
            value.push(escaped);
        } else if c == quote {
            if chars.peek().is_some_and(|(_, next)| *next == quote) {
                chars.next();
                value.push(quote);
            } else {
                return Ok((value, at + c.len_utf8()));
            }
        } else {
            value.push(c);
        }
    }
    Err("a text is not closed".to_owned())
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Word(word)) if word.eq_ignore_ascii_case(wanted));
        self.at += usize::from(found);
        found
    }

    fn symbol(&mut self, wanted: &str) -> bool {
        let found =
            matches!(self.tokens.get(self.at), Some(Token::Symbol(symbol)) if *symbol == wanted);
        self.at += usize::from(found);
        found
    }

    fn any(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.all()?];
        while self.word("or") {
            parts.push(self.all()?);
        }
        Ok(Condition::Any(parts))
    }

    fn all(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.one()?];
        while self.word("and") {
            parts.push(self.one()?);
        }
        Ok(Condition::All(parts))
    }

    fn one(&mut self) -> Result<Condition, String> {
        if self.symbol("(") {
            let inner = self.any()?;
            return if self.symbol(")") {
                Ok(inner)
            } else {
                Err("a bracket is not closed".to_owned())
            };
        }
        let Some(Token::Word(field)) = self.next() else {
            return Err("a field is expected".to_owned());
        };
        let negated = self.word("not");
        let op = match self.next() {
            Some(Token::Symbol(op)) => op.to_owned(),
            Some(Token::Word(word)) => word.to_ascii_lowercase(),
            _ => return Err("a comparison is expected".to_owned()),
        };
        let values = match op.as_str() {
            "in" => {
                if !self.symbol("(") {
                    return Err("`in` needs a list".to_owned());
                }
                let mut values = vec![self.value()?];
                while self.symbol(",") {
                    values.push(self.value()?);
                }
                if !self.symbol(")") {
                    return Err("a list is not closed".to_owned());
                }
                values
            }
            "=" | "!=" | "<" | "<=" | ">" | ">=" | "contains" | "like" => vec![self.value()?],
            other => return Err(format!("`{other}` is not a comparison")),
        };
        Ok(Condition::Test {
            field,
            op,
            negated,
            values,
        })
    }

    fn value(&mut self) -> Result<Value, String> {
        match self.next() {
            Some(Token::Text(text)) => Ok(Value::String(text)),
            Some(Token::Word(word)) => match word.to_ascii_lowercase().as_str() {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                "null" => Ok(Value::Null),
                number => number
                    .parse::<f64>()
                    .map(Value::from)
                    .map_err(|_| "a text needs quotes".to_owned()),
            },
            _ => Err("a value is expected".to_owned()),
        }
    }
}

impl Condition {
    /// Whether it holds for a row.
    pub fn holds(&self, row: &Value) -> bool {
        match self {
            Condition::All(parts) => parts.iter().all(|part| part.holds(row)),
            Condition::Any(parts) => parts.iter().any(|part| part.holds(row)),
            Condition::Test {
                field,
                op,
                negated,
                values,
            } => {
                let seen = row.pointer(&format!("/{field}")).unwrap_or(&Value::Null);
                values.iter().any(|value| test(seen, op, value)) != *negated
            }
        }
    }
}

fn test(seen: &Value, op: &str, value: &Value) -> bool {
    let seen_text = folded(seen);
    let wanted = folded(value);
    let order = match (seen.as_f64(), value.as_f64()) {
        (Some(left), Some(right)) => left.partial_cmp(&right),
        _ => Some(seen_text.cmp(&wanted)),
    };
    match op {
        "=" | "in" => order.is_some_and(std::cmp::Ordering::is_eq),
        "!=" => !order.is_some_and(std::cmp::Ordering::is_eq),
        "<" => order.is_some_and(std::cmp::Ordering::is_lt),
        "<=" => order.is_some_and(std::cmp::Ordering::is_le),
        ">" => order.is_some_and(std::cmp::Ordering::is_gt),
        ">=" => order.is_some_and(std::cmp::Ordering::is_ge),
        "contains" => seen_text.contains(&wanted),
        "like" => like(&seen_text, &wanted),
        _ => false,
    }
}

fn folded(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.trim_end().to_lowercase(),
        other => other.to_string(),
    }
}

fn like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('%');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_hold() {
        let row = json!({"id": 7, "summary": "Web1 \"down\"", "closedFlag": false, "status": {"name": "New"}});
        for (text, holds) in [
            ("id = 7", true),
            ("id != 7", false),
            ("id > 6 and id <= 7", true),
            ("id in (1, 7)", true),
            ("id not in (1, 7)", false),
            (r#"summary = "web1 \"down\"  ""#, true),
            ("summary = 'Web1 \"down\"'", true),
            (r#"summary = "web1 ""down""""#, true),
            (r#"summary contains "web1""#, true),
            (r#"summary like "web%""#, true),
            (r#"summary like "%web""#, false),
            (r#"status/name="new" and closedFlag=false"#, true),
            (
                r#"(id=1 or status/name = 'New') and closedFlag = false"#,
                true,
            ),
            (r#"id=1 or id=2"#, false),
            ("missing = null", true),
        ] {
            assert_eq!(parse(text).unwrap().holds(&row), holds, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "id",
            "id =",
            "id = 7 or",
            "(id = 7",
            "summary = web",
            "summary = \"a",
            "id is 7",
            "id = 7 id = 8",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
