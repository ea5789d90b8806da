//! Sets of statuses, as a person writes them: `200`, `"2xx"`, `"500-504"`.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;

/// A set of statuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses(Vec<(u16, u16)>);

impl Statuses {
    /// The set of these ranges, both ends included.
    pub const fn of(ranges: Vec<(u16, u16)>) -> Self {
        Self(ranges)
    }

    /// The set that these words describe.
    ///
    /// # Errors
    /// The place of the first word that describes none.
    pub fn parse<S: AsRef<str>>(words: &[S]) -> Result<Self, usize> {
        words
            .iter()
            .enumerate()
            .map(|(at, word)| of_text(word.as_ref()).ok_or(at))
            .collect::<Result<Vec<_>, _>>()
            .map(Self)
    }

    /// Whether the status is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&status))
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<Value>::deserialize(deserializer)?
            .iter()
            .map(|entry| {
                range(entry).ok_or_else(|| {
                    D::Error::custom("a status is a number from 100 to 599, `2xx` or `500-504`")
                })
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Self)
    }
}

fn range(entry: &Value) -> Option<(u16, u16)> {
    match entry {
        Value::Number(number) => {
            let status = u16::try_from(number.as_u64()?).ok()?;
            within((status, status))
        }
        Value::String(text) => of_text(text),
        _ => None,
    }
}

fn of_text(text: &str) -> Option<(u16, u16)> {
    let text = text.trim();
    if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
        let class: u16 = class.parse().ok().filter(|class| *class < 10)?;
        return within((class * 100, class * 100 + 99));
    }
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    within((from.trim().parse().ok()?, to.trim().parse().ok()?))
}

fn within((from, to): (u16, u16)) -> Option<(u16, u16)> {
    (from >= 100 && from <= to && to <= 599).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_numbers_classes_and_ranges() {
        let set: Statuses = serde_json::from_value(json!([409, "2xx", "500-504", "429"])).unwrap();
        for status in [200, 299, 409, 429, 500, 504] {
            assert!(set.contains(status), "{status}");
        }
        for status in [199, 300, 408, 410, 499, 505] {
            assert!(!set.contains(status), "{status}");
        }
    }

    #[test]
    fn names_the_word_that_is_none() {
        let set = Statuses::parse(&["404", "5xx"]).unwrap();
        assert!(set.contains(404) && set.contains(503) && !set.contains(400));
        assert_eq!(Statuses::parse(&["404", "many"]), Err(1));
    }

    #[test]
    fn refuses_the_rest() {
        for wrong in [
            json!([99]),
            json!([600]),
            json!(["9xx"]),
            json!(["504-500"]),
            json!(["x"]),
            json!([true]),
            json!(200),
        ] {
            assert!(
                serde_json::from_value::<Statuses>(wrong.clone()).is_err(),
                "{wrong}"
            );
        }
    }
}
