//! A mail to a person, waiting to be sent or done with.

use sea_orm::entity::prelude::*;

/// A mail to a person, waiting to be sent or done with.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mail")]
pub struct Model {
    /// Time-ordered id; it is the message id too.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// `waiting`, `sent` or `failed`.
    #[sea_orm(column_type = "Text")]
    pub state: String,
    /// Address.
    #[sea_orm(column_type = "Text")]
    pub recipient: String,
    /// Subject.
    #[sea_orm(column_type = "Text")]
    pub subject: String,
    /// Key of the ring that sealed the text; empty when it is wiped.
    #[sea_orm(column_type = "Text")]
    pub key_id: String,
    /// The sealed text; empty when it is wiped: once it was taken, or a day after it was given up.
    pub sealed: Vec<u8>,
    /// How often it was handed to the server.
    pub attempts: i32,
    /// When it was written; milliseconds since 1970.
    pub created_at: i64,
    /// Not before.
    pub due_at: i64,
    /// A node hands it over until then.
    pub claimed_until: Option<i64>,
    /// Why it was not taken the last time.
    #[sea_orm(column_type = "Text", nullable)]
    pub error: Option<String>,
    /// When it was taken or given up.
    pub ended_at: Option<i64>,
    /// The workspace that it is about; none: an account.
    pub workspace_id: Option<Uuid>,
    /// What it is, as `invitation`; empty: before that was noted.
    #[sea_orm(column_type = "Text")]
    pub kind: String,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
