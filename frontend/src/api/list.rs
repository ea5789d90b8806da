//! A list that comes whole.

use serde::Deserialize;

/// All rows, whether the answer is a bare list or a page.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum List<T> {
    /// `[…]`
    Bare(Vec<T>),
    /// `{"items": […]}`
    Page {
        /// The rows.
        items: Vec<T>,
    },
}

impl<T> List<T> {
    /// The rows.
    pub fn rows(self) -> Vec<T> {
        match self {
            Self::Bare(items) | Self::Page { items } => items,
        }
    }
}
