//! Something that a person or a key changed.

use sea_orm::entity::prelude::*;

/// Something that a person or a key changed.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// When; milliseconds since 1970.
    pub at: i64,
    /// `user`, `credential` or `system`.
    #[sea_orm(column_type = "Text")]
    pub actor_kind: String,
    /// E-mail, client id or name of the part.
    #[sea_orm(column_type = "Text")]
    pub actor: String,
    /// Address of the request; empty: none.
    #[sea_orm(column_type = "Text")]
    pub remote_addr: String,
    /// Stable word, `dead_letters.replay`.
    #[sea_orm(column_type = "Text")]
    pub action: String,
    /// Kind of what was changed.
    #[sea_orm(column_type = "Text")]
    pub subject_kind: String,
    /// Its id.
    pub subject_id: Option<Uuid>,
    /// Its name then.
    #[sea_orm(column_type = "Text")]
    pub subject: String,
    /// JSON before, secrets masked; `null`: there was nothing.
    #[sea_orm(column_type = "Text")]
    pub before: String,
    /// JSON after, secrets masked; `null`: there is nothing.
    #[sea_orm(column_type = "Text")]
    pub after: String,
    /// Id of the request; empty: there was none.
    #[sea_orm(column_type = "Text")]
    pub request_id: String,
    /// Its number in the chain of its workspace; none: it has not joined yet.
    pub seq: Option<i64>,
    /// Hash of it and of the line before it, in hexadecimal digits.
    #[sea_orm(column_type = "Text", nullable)]
    pub hash: Option<String>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
