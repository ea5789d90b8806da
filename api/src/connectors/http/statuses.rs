//! Sets of statuses, as a person writes them: `200`, `"2xx"`, `"500-504"`.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;

/// A set of statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statuses(Vec<(u16, u16)>);

impl Statuses {
    /// The set of these ranges, both ends included.
    pub(super) const fn of(ranges: Vec<(u16, u16)>) -> Self {
        Self(ranges)
    }

    /// Whether the status is one of them.
    pub(super) fn contains(&self, status: u16) -> bool {
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
    let (from, to) = match entry {
        Value::Number(number) => {
            let status = u16::try_from(number.as_u64()?).ok()?;
            (status, status)
        }
        Value::String(text) => {
            let text = text.trim();
            if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
                let class: u16 = class.parse().ok().filter(|class| *class < 10)?;
                (class * 100, class * 100 + 99)
            } else {
                let (from, to) = text.split_once('-').unwrap_or((text, text));
                (from.trim().parse().ok()?, to.trim().parse().ok()?)
            }
        }
        _ => return None,
    };
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
