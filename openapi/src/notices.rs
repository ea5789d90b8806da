//! What wants the attention of whoever looks at the console.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::DateTime;

/// Something that wants attention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Notice {
    /// `connection`, `source`, `credential`, `maintenance` or `redis`.
    #[cfg_attr(feature = "schema", schema(example = "connection"))]
    pub kind: String,
    /// `red` (something does not work) or `amber` (something is not as usual).
    #[cfg_attr(feature = "schema", schema(example = "red"))]
    pub colour: String,
    /// The connection, source or credential.
    pub id: Option<Uuid>,
    /// Its name.
    pub name: String,
    /// What is the matter, for people.
    pub text: String,
    /// Since when.
    pub since: Option<DateTime>,
}
