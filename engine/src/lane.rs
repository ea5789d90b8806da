//! What becomes of a lane whose head fails for good.

use serde::{Deserialize, Serialize};

/// What becomes of a lane whose head fails for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The head becomes a dead letter; the next one goes on.
    #[default]
    Skip,
    /// The head and all that wait behind it become dead letters, and so does what comes later,
    /// until they are replayed or discarded.
    Park,
    /// The head stays where it is, and the lane waits until a person tries it again or discards it.
    Block,
}

impl OnFailure {
    /// Every policy.
    pub const ALL: &'static [OnFailure] = &[OnFailure::Skip, OnFailure::Park, OnFailure::Block];

    /// The word in the database and in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            OnFailure::Skip => "skip",
            OnFailure::Park => "park",
            OnFailure::Block => "block",
        }
    }

    /// The policy of this word.
    pub fn parse(word: &str) -> Option<OnFailure> {
        Self::ALL.iter().copied().find(|p| p.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_configuration() {
        for policy in OnFailure::ALL {
            let word = serde_json::to_value(policy).unwrap();
            assert_eq!(word, policy.as_str());
            assert_eq!(OnFailure::parse(policy.as_str()), Some(*policy));
        }
        assert_eq!(OnFailure::parse("stop"), None);
    }
}
