//! One immutable thing that happened.

use sea_orm::entity::prelude::*;

/// One immutable thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event")]
pub struct Model {
    /// Time-ordered id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// Where it came from.
    pub source_id: Uuid,
    /// When the request was read; milliseconds since 1970.
    pub received_at: i64,
    /// Follows the event through logs, attempts and upstream calls.
    #[sea_orm(column_type = "Text")]
    pub correlation_id: String,
    /// Delivery id of the sender; unique in the source.
    #[sea_orm(column_type = "Text")]
    pub idempotency_key: Option<String>,
    /// `routed`, `unmatched`, `dropped` or `unrouted`.
    #[sea_orm(column_type = "Text")]
    pub disposition: String,
    /// Stable code of the disposition.
    #[sea_orm(column_type = "Text")]
    pub reason: String,
    /// HTTP method of the request.
    #[sea_orm(column_type = "Text")]
    pub method: String,
    /// Content type as received.
    #[sea_orm(column_type = "Text")]
    pub content_type: String,
    /// Raw query string.
    #[sea_orm(column_type = "Text")]
    pub query: String,
    /// Address of the sender.
    #[sea_orm(column_type = "Text")]
    pub remote_addr: String,
    /// JSON list of name and value; authentication headers left out.
    #[sea_orm(column_type = "Text")]
    pub headers: String,
    /// The bytes as received; of a request that carried many events, those of this one.
    pub body: Vec<u8>,
    /// JSON of what stood around the list that the event was an item of, as received.
    pub envelope: Option<Vec<u8>>,
    /// True: sent by a person from the console or the API.
    pub test: bool,
    /// A line for people, made from the payload; cut to 200 characters.
    #[sea_orm(column_type = "Text")]
    pub title: String,
    /// JSON list of the rules that took it: id, name, revision.
    #[sea_orm(column_type = "Text")]
    pub matched: String,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
