//! Whether JSON has something to hide, without building what it says.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::mask::is_secret;

/// The names of the members of JSON, at every depth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    /// One of them looks secret.
    pub(super) secret: bool,
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secret = deserializer.deserialize_any(Looking)?;
        Ok(Self { secret })
    }
}

/// The name of one member.
struct Name {
    secret: bool,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secret = deserializer.deserialize_str(LookingAtName)?;
        Ok(Self { secret })
    }
}

struct LookingAtName;

impl Visitor<'_> for LookingAtName {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(is_secret(name))
    }
}

struct Looking;

impl<'de> Visitor<'de> for Looking {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E>(self, _: &str) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<bool, A::Error> {
        let mut secret = false;
        while let Some(names) = all.next_element::<Names>()? {
            secret |= names.secret;
        }
        Ok(secret)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<bool, A::Error> {
        let mut secret = false;
        while let Some(name) = members.next_key::<Name>()? {
            secret |= name.secret;
            if secret {
                // What else there is does not matter, but that it is JSON.
                members.next_value::<IgnoredAny>()?;
            } else {
                secret |= members.next_value::<Names>()?.secret;
            }
        }
        Ok(secret)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn secret(text: &str) -> Option<bool> {
        serde_json::from_str::<Names>(text).ok().map(|n| n.secret)
    }

    #[test]
    fn finds_what_would_be_hidden() {
        for value in [
            json!({"a": 1, "b": [{"author": null, "monkey": -2.5}], "c": "token", "d": true}),
            json!({"b": [{"x": {"apiKey": "s"}}]}),
            json!({"to\u{0}ken": 1, "password": {"x": [1, 2]}, "z": [3]}),
            json!([1, "two", null]),
            json!(18_446_744_073_709_551_615_u64),
        ] {
            let hidden = crate::mask::value(value.clone()) != value;
            assert_eq!(secret(&value.to_string()), Some(hidden), "{value}");
        }
        assert_eq!(secret(r#"{"\u0074oken": 1}"#), Some(true), "as it is read");
    }

    #[test]
    fn is_as_strict_as_reading_it_all() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\" 1}",
            "nul",
            "1 2",
            "{\"password\": [}",
        ] {
            assert_eq!(secret(text), None, "{text}");
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
        }
    }
}
