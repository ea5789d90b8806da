//! Masking for eyes: what looks like a secret is not shown. Stored bytes are never touched.
//!
//! A name is taken apart into words (`apiKey`, `API-KEY` and `api_key` are the same two words), and
//! only whole words count: `author`, `keyboard` and `monkey` stay.

mod put_back;

use serde_json::Value;

pub use put_back::put_back;

/// What stands in place of a masked value.
pub const MASK: &str = "***";

/// Words that make a name secret wherever they stand in it.
const WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "secrets",
    "token",
    "tokens",
    "authorization",
    "credential",
    "credentials",
    "cookie",
    "cookies",
    "apikey",
    "bearer",
    "signature",
    "otp",
    "pin",
];

/// Ends that do so where words are run together: `accesstoken`, `webhooksecret`.
const ENDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "secretkey",
    "signingkey",
    "signature",
];

/// Names that are secret when nothing else stands in them.
const WHOLE: &[&str] = &["auth", "pass"];

/// The same in a query or a form only: short names that carry credentials there and mean other
/// things in JSON.
const QUERY_WHOLE: &[&str] = &["key", "code", "sig"];

/// Pairs of words that do so together.
const PAIRS: &[(&str, &str)] = &[
    ("api", "key"),
    ("access", "key"),
    ("private", "key"),
    ("signing", "key"),
    ("encryption", "key"),
    ("master", "key"),
    ("session", "id"),
    ("auth", "key"),
    ("client", "key"),
];

/// Words that turn the name into one about a secret: `token_count`, `password_changed_at`.
const HARMLESS_LAST: &[&str] = &[
    "count", "at", "type", "length", "expires", "expiry", "required", "enabled",
];

/// Whether a value of this name should not be shown.
pub fn is_secret(name: &str) -> bool {
    may_be_secret(name) && is_secret_by_words(name)
}

/// False for most names that are not, without taking them apart: no part of a word that makes a name
/// secret is in it. Letters beyond ASCII may become some of those, so such names are taken apart.
fn may_be_secret(name: &str) -> bool {
    if !name.is_ascii() {
        return true;
    }
    let mut rest = name.as_bytes();
    while let [first, after @ ..] = rest {
        let begins = |part: &&str| {
            rest.get(..part.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(part.as_bytes()))
        };
        if parts(*first).iter().any(begins) {
            return true;
        }
        rest = after;
    }
    false
}

/// By their first letter: one of these is part of every name that is secret.
const fn parts(first: u8) -> &'static [&'static str] {
    match first.to_ascii_lowercase() {
        b'a' => &["auth"],
        b'b' => &["bearer"],
        b'c' => &["cred", "cookie"],
        b'k' => &["key"],
        b'o' => &["otp"],
        b'p' => &["pass", "pin", "pwd"],
        b's' => &["secret", "session", "sign"],
        b't' => &["token"],
        _ => &[],
    }
}

fn is_secret_by_words(name: &str) -> bool {
    let words = words(name);
    if words
        .last()
        .is_some_and(|last| words.len() > 1 && HARMLESS_LAST.contains(&last.as_str()))
    {
        return false;
    }
    words
        .iter()
        .any(|word| WORDS.contains(&word.as_str()) || ENDS.iter().any(|end| word.ends_with(end)))
        || matches!(words.as_slice(), [word] if WHOLE.contains(&word.as_str()))
        || words
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if PAIRS.contains(&(a.as_str(), b.as_str()))))
}

/// The same for a name in a query.
pub fn is_secret_in_query(name: &str) -> bool {
    is_secret(name) || QUERY_WHOLE.contains(&name.to_ascii_lowercase().as_str())
}

/// The words of a name, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut lower_before = false;
    for c in name.chars() {
        if !c.is_alphanumeric() {
            words.push(std::mem::take(&mut word));
            lower_before = false;
            continue;
        }
        if c.is_uppercase() && lower_before {
            words.push(std::mem::take(&mut word));
        }
        lower_before = c.is_lowercase() || c.is_numeric();
        word.extend(c.to_lowercase());
    }
    words.push(word);
    words.retain(|w| !w.is_empty());
    words
}

/// The same value with secret-looking parts replaced. Numbers, booleans and empty values of such
/// names are replaced too, objects and lists wholly.
pub fn value(mut value: Value) -> Value {
    hide(&mut value);
    value
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                if inner.is_null() || !is_secret(name) {
                    hide(inner);
                } else {
                    *inner = Value::String(MASK.to_owned());
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(hide),
        _ => {}
    }
}

/// The same query string with the values of secret-looking names replaced; the rest stays as it was
/// on the wire.
pub fn query(query: &str) -> String {
    query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_secret_in_query(&decoded(name)) => format!("{name}={MASK}"),
            _ => pair.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("&")
}

fn decoded(name: &str) -> String {
    percent_encoding::percent_decode_str(name)
        .decode_utf8_lossy()
        .into_owned()
}

/// The same headers with the values of secret-looking names replaced.
pub fn headers(headers: Vec<(String, String)>) -> Vec<(String, String)> {
    headers
        .into_iter()
        .map(|(name, value)| {
            let shown = if is_secret(&name) {
                MASK.to_owned()
            } else {
                value
            };
            (name, shown)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whole_words_count() {
        for name in [
            "password",
            "Password",
            "db_password",
            "apiKey",
            "API_KEY",
            "x-api-key",
            "authToken",
            "Authorization",
            "client_secret",
            "private-key",
            "Set-Cookie",
            "X-Hub-Signature",
            "accesstoken",
            "webhooksecret",
            "auth",
            "pass",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "author",
            "keyboard",
            "monkey",
            "key",
            "tokenizer",
            "secretary",
            "authority",
            "auth_type",
            "code",
            "passes",
            "id",
            "token_count",
            "password_changed_at",
            "",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    proptest::proptest! {
        /// Words and parts of words, put together in any way.
        #[test]
        fn the_short_way_finds_what_the_long_one_does(
            pieces in proptest::collection::vec(
                (proptest::sample::select([WORDS, ENDS, WHOLE, HARMLESS_LAST, &[
                    "api", "access", "private", "signing", "encryption", "master", "session", "auth",
                    "client", "key", "id", "_", "-", ".", "X", "ä", "\u{212a}ey", "pa", "ss", "n", "",
                ]].concat()), 0..3_u8),
                0..5,
            ),
        ) {
            let name: String = pieces
                .into_iter()
                .map(|(piece, case)| match case {
                    0 => piece.to_owned(),
                    1 => piece.to_uppercase(),
                    _ => piece.chars().enumerate().map(|(n, c)| {
                        if n == 0 { c.to_ascii_uppercase() } else { c }
                    }).collect(),
                })
                .collect();
            proptest::prop_assert_eq!(is_secret(&name), is_secret_by_words(&name), "{}", name);
        }
    }

    #[test]
    fn values_are_replaced_at_any_depth() {
        let shown = value(json!({
            "user": {"name": "a", "password": "p", "tokens": ["x"]},
            "list": [{"secret": 7}],
            "author": "b", "token": null,
        }));
        assert_eq!(
            shown,
            json!({
                "user": {"name": "a", "password": MASK, "tokens": MASK},
                "list": [{"secret": MASK}],
                "author": "b", "token": null,
            })
        );
    }

    #[test]
    fn queries_keep_their_form() {
        assert_eq!(query("a=1&token=abc&b=%20x&c"), "a=1&token=***&b=%20x&c");
        assert_eq!(query("api%5Fkey=1"), "api%5Fkey=***");
        assert_eq!(query("key=1&code=2&keys=3"), "key=***&code=***&keys=3");
        assert_eq!(query(""), "");
    }
}
