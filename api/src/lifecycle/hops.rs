//! The way that a message has come: what ends circles.
//!
//! Two things go on from one hook to another: lifecycle messages, which name the workspace that told
//! them, and what rules send on by the `http` connector, which is only counted, since a rule may
//! well send to another hook of its own workspace. Both stand in the header [`HOPS`], as
//! `0199…, 0199…, 3`. A workspace refuses at once what it has told of itself, and everybody refuses
//! what has come further than [`MOST`]. The header is kept with the event, and stands among the
//! fields of a delivery only if the event had it: an event that comes from elsewhere costs nothing.

use std::fmt;

use serde_json::{Map, Value};
use uuid::Uuid;

/// The header.
pub const HOPS: &str = "signalbox-hops";
/// Its name among the fields of a delivery, where no rule can map anything to.
pub const FIELD: &str = "hops";
/// Hops that are taken; what has more is refused.
pub const MOST: u32 = 10;

/// Workspaces that are remembered by name: more are only counted.
const NAMED: usize = 16;

/// Where something has been. Empty without allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hops {
    /// Workspaces that told it.
    told: Vec<Uuid>,
    /// How often a rule sent it on.
    sent_on: u32,
}

impl Hops {
    /// From the values of the header; what is neither a workspace nor a number is passed over.
    pub fn read<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hops = Self::default();
        for text in values.into_iter().flat_map(|value| value.split(',')) {
            let text = text.trim();
            if let Ok(workspace) = text.parse() {
                hops.tell(workspace);
            } else if let Ok(more) = text.parse() {
                hops.sent_on = hops.sent_on.saturating_add(more);
            }
        }
        hops
    }

    /// From the headers that were kept of an event.
    pub fn of_event(headers: &str) -> Self {
        if !headers.contains(HOPS) {
            return Self::default();
        }
        let list: Vec<(String, String)> = serde_json::from_str(headers).unwrap_or_default();
        let values = list.iter().filter(|(name, _)| name == HOPS);
        Self::read(values.map(|(_, value)| value.as_str()))
    }

    /// From the fields of a delivery.
    pub fn of_fields(fields: &Map<String, Value>) -> Self {
        let mut hops = Self::default();
        let list = fields.get(FIELD).and_then(Value::as_array);
        for one in list.into_iter().flatten() {
            match one {
                Value::String(text) => {
                    if let Ok(workspace) = text.parse() {
                        hops.tell(workspace);
                    }
                }
                other => {
                    let more = other.as_u64().and_then(|n| u32::try_from(n).ok());
                    hops.sent_on = hops.sent_on.saturating_add(more.unwrap_or(0));
                }
            }
        }
        hops
    }

    /// For the fields of a delivery; none if there is nothing to say.
    pub fn to_field(&self) -> Option<Value> {
        let told = self.told.iter().map(|one| Value::String(one.to_string()));
        let count = (self.sent_on > 0).then(|| Value::from(self.sent_on));
        let list: Vec<Value> = told.chain(count).collect();
        (!list.is_empty()).then_some(Value::Array(list))
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        let told = u32::try_from(self.told.len()).unwrap_or(u32::MAX);
        told.saturating_add(self.sent_on)
    }

    /// Whether this workspace told it.
    pub fn has_told(&self, workspace: Uuid) -> bool {
        self.told.contains(&workspace)
    }

    /// After a workspace has told of it.
    #[must_use]
    pub fn told_by(mut self, workspace: Uuid) -> Self {
        self.tell(workspace);
        self
    }

    /// After a rule has sent it on.
    #[must_use]
    pub fn and_on(mut self) -> Self {
        self.sent_on = self.sent_on.saturating_add(1);
        self
    }

    fn tell(&mut self, workspace: Uuid) {
        if self.told.len() < NAMED {
            self.told.push(workspace);
        } else {
            self.sent_on = self.sent_on.saturating_add(1);
        }
    }
}

/// As the header has it.
impl fmt::Display for Hops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for workspace in &self.told {
            write!(f, "{between}{workspace}")?;
            between = ", ";
        }
        if self.sent_on > 0 {
            write!(f, "{between}{}", self.sent_on)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn they_are_read_from_kept_headers() {
        let [one, two] = [1, 2].map(Uuid::from_u128);
        let headers = json!([
            ["accept", "*/*"],
            ["signalbox-hops", format!("{one}, junk,{two}")],
            ["signalbox-hops", "3"]
        ]);
        let hops = Hops::of_event(&headers.to_string());
        assert_eq!(
            hops,
            Hops {
                told: vec![one, two],
                sent_on: 3
            }
        );
        assert_eq!(hops.count(), 5);
        assert!(hops.has_told(two) && !hops.has_told(Uuid::nil()));
        assert_eq!(Hops::of_event("[]"), Hops::default());
        assert_eq!(Hops::of_event("signalbox-hops"), Hops::default());
        assert_eq!(Hops::default().to_field(), None);
    }

    proptest! {
        #[test]
        fn they_survive_the_header_and_the_fields(told in prop::collection::vec(any::<u128>(), 0..40), sent_on in 0_u32..100) {
            let mut hops = Hops::default();
            for workspace in &told {
                hops = hops.told_by(Uuid::from_u128(*workspace));
            }
            for _ in 0..sent_on {
                hops = hops.and_on();
            }
            let all = u32::try_from(told.len()).unwrap() + sent_on;
            prop_assert_eq!(hops.count(), all);
            prop_assert_eq!(&Hops::read([hops.to_string().as_str()]), &hops);
            let fields: Map<String, Value> = hops.to_field().map(|value| (FIELD.to_owned(), value)).into_iter().collect();
            prop_assert_eq!(&Hops::of_fields(&fields), &hops);
        }

        #[test]
        fn whatever_stands_there_is_read(text in "\\PC{0,200}") {
            let _read = Hops::read([text.as_str()]).count();
        }
    }
}
