//! A key of a secret in HashiCorp Vault, over its HTTP API: both versions of the key/value engine.
//!
//! Where it is and who asks is said by the variables that Vault's own command reads: `VAULT_ADDR`,
//! `VAULT_TOKEN` and `VAULT_NAMESPACE`
//! (<https://developer.hashicorp.com/vault/docs/commands#configure-environment-variables>).

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;
use url::Url;

use super::Surroundings;
use crate::egress::{Egress, EgressOptions, Request};

/// Where Vault listens unless something else is said.
const USUAL: &str = "https://127.0.0.1:8200";
/// Longest call.
const PATIENCE: Duration = Duration::from_secs(10);

impl Surroundings {
    /// Reads a key. Blocks its thread meanwhile: references are read one after the other, before
    /// anything is changed.
    ///
    /// # Errors
    /// Why not, for people.
    pub(super) fn vault(&self, reference: &str) -> Result<String, String> {
        let (path, key) = parts(reference)?;
        let request = self.request(path)?;
        // A runtime of its own: the caller's must not be entered again.
        let body = std::thread::scope(|scope| {
            let asked = scope.spawn(|| ask(request));
            asked
                .join()
                .unwrap_or_else(|_| Err("Vault cannot be asked".to_owned()))
        })?;
        value_of(&body, key)
    }

    fn request(&self, path: &str) -> Result<Request, String> {
        let variable = |name: &str| self.env.get(name).filter(|text| !text.is_empty());
        let address = variable("VAULT_ADDR").map_or(USUAL, String::as_str);
        let text = format!("{}/v1/{path}", address.trim_end_matches('/'));
        let url = Url::parse(&text).map_err(|e| format!("VAULT_ADDR is no address: {e}"))?;
        let token = variable("VAULT_TOKEN").ok_or("the variable VAULT_TOKEN is not set")?;
        let mut headers = HeaderMap::new();
        let mut header = |name: &'static str, text: &str| {
            let mut value = HeaderValue::from_str(text)
                .map_err(|_| "VAULT_TOKEN or VAULT_NAMESPACE has a character that no header has")?;
            value.set_sensitive(true);
            headers.insert(name, value);
            Ok::<(), String>(())
        };
        header("x-vault-token", token)?;
        // Agents that stand in for Vault ask for it, against requests that were forged.
        header("x-vault-request", "true")?;
        if let Some(namespace) = variable("VAULT_NAMESPACE") {
            header("x-vault-namespace", namespace)?;
        }
        Ok(Request {
            method: Method::GET,
            url,
            headers,
            body: Bytes::new(),
            timeout: Some(PATIENCE),
            allow_private: true,
        })
    }
}

/// The path and the key of a reference.
///
/// # Errors
/// It has not both, or the path leaves its place.
pub(super) fn parts(reference: &str) -> Result<(&str, &str), String> {
    let form = || "expected PATH#KEY, as in secret/data/psa#private_key".to_owned();
    let (path, key) = reference.rsplit_once('#').ok_or_else(form)?;
    let path = path.trim_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~/@:+ ".contains(c);
    let sound = !path.is_empty() && path.chars().all(plain);
    if key.is_empty() || !sound || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(form());
    }
    Ok((path, key))
}

fn ask(request: Request) -> Result<Bytes, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("Vault cannot be asked: {e}"))?;
    let egress = Egress::new(EgressOptions::default()).map_err(|e| e.to_string())?;
    let answer = runtime
        .block_on(egress.send(request))
        .map_err(|e| format!("Vault does not answer: {e}"))?;
    match answer.status {
        200 => Ok(answer.body),
        403 => Err("Vault refuses the token, or the token may not read this path".to_owned()),
        404 => Err("Vault has nothing at this path".to_owned()),
        status => Err(format!("Vault answers {status}")),
    }
}

/// The value of a key in an answer. The second version of the engine wraps what the first one has.
fn value_of(body: &[u8], key: &str) -> Result<String, String> {
    let answer: Value =
        serde_json::from_slice(body).map_err(|_| "Vault answers something that is no JSON")?;
    let data = answer.get("data").unwrap_or(&Value::Null);
    let second = data.get("metadata").is_some_and(Value::is_object);
    let data = match data.get("data").filter(|inner| second && inner.is_object()) {
        Some(inner) => inner,
        None => data,
    };
    match data.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err("what Vault has under this key is no text".to_owned()),
        None => Err("Vault has no such key at this path".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_a_path_and_a_key() {
        assert_eq!(
            parts("secret/data/psa#private_key"),
            Ok(("secret/data/psa", "private_key"))
        );
        assert_eq!(parts("/kv/psa/#a"), Ok(("kv/psa", "a")));
        for wrong in [
            "secret/data/psa",
            "#a",
            "a#",
            "a/../b#c",
            "a//b#c",
            "a?b#c",
            "a%2fb#c",
            "a\n#c",
        ] {
            assert!(parts(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn both_versions_of_the_engine_are_understood() {
        let second = br#"{"data": {"data": {"a": "hush"}, "metadata": {"version": 2}}}"#;
        assert_eq!(value_of(second, "a").unwrap(), "hush");
        let first = br#"{"data": {"a": "hush", "n": 1, "data": "plain"}}"#;
        assert_eq!(value_of(first, "a").unwrap(), "hush");
        assert_eq!(value_of(first, "data").unwrap(), "plain");
        for (body, key) in [(&first[..], "n"), (first, "b"), (b"{}", "a"), (b"no", "a")] {
            let why = value_of(body, key).unwrap_err();
            assert!(!why.contains("hush"), "{why}");
        }
    }
}
