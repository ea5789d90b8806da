//! What may be shown of a request: never a credential, never without end.

use serde_json::Value;
use url::Url;

use crate::mask::{MASK, is_secret_in_query};

/// The same JSON with secret-looking members hidden.
pub(in crate::connectors) fn mask_json(value: &Value) -> Value {
    crate::mask::value(value.clone())
}

/// The same address with secret-looking query values hidden.
pub(in crate::connectors) fn mask_url(url: &Url) -> String {
    if !url.query_pairs().any(|(name, _)| is_secret_in_query(&name)) {
        return url.to_string();
    }
    let mut shown = url.clone();
    shown
        .query_pairs_mut()
        .clear()
        .extend_pairs(url.query_pairs().map(|(name, value)| {
            let value = if is_secret_in_query(&name) {
                MASK.into()
            } else {
                value
            };
            (name, value)
        }));
    shown.to_string()
}

/// At most so many bytes, cut at a character, with an ellipsis when something is missing.
pub(in crate::connectors) fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    const ELLIPSIS: &str = "…";
    let end = text.floor_char_boundary(limit.saturating_sub(ELLIPSIS.len()));
    let mut short = text.get(..end).unwrap_or_default().to_owned();
    short.push_str(ELLIPSIS);
    short
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hides_what_looks_secret_and_nothing_else() {
        let shown = mask_json(&json!({
            "api_key": "a", "Password": "b", "nested": [{"access-token": "c", "author": "d"}],
            "monkey": "e", "keyboard": "f", "key": "kuma:7", "code": 3, "webhookSecret": {"x": 1},
            "token": null,
        }));
        assert_eq!(
            shown,
            json!({
                "api_key": "***", "Password": "***", "nested": [{"access-token": "***", "author": "d"}],
                "monkey": "e", "keyboard": "f", "key": "kuma:7", "code": 3, "webhookSecret": "***",
                "token": null,
            })
        );
    }

    #[test]
    fn hides_secrets_in_the_query() {
        let url = Url::parse("https://x.test/a?page=2&key=abc&access_token=def").unwrap();
        assert_eq!(
            mask_url(&url),
            "https://x.test/a?page=2&key=***&access_token=***"
        );
        let url = Url::parse("https://x.test/a?conditions=a%3D%22b%22").unwrap();
        assert_eq!(mask_url(&url), url.as_str());
    }

    #[test]
    fn cuts_at_a_character() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("ääääää", 8), "ää…");
        assert!(cut(&"ü".repeat(5000), 4096).len() <= 4096);
    }
}
