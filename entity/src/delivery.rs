//! One event, one rule, one step, with its state.

use sea_orm::entity::prelude::*;

/// One event, one rule, one step, with its state.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "delivery")]
pub struct Model {
    /// Time-ordered id; also the order within a lane.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// The event.
    pub event_id: Uuid,
    /// Source of the event; none: written by an earlier version.
    pub source_id: Option<Uuid>,
    /// That of the event.
    #[sea_orm(column_type = "Text")]
    pub correlation_id: String,
    /// When the event was received; milliseconds since 1970.
    pub received_at: i64,
    /// The rule; none: the source's default target.
    pub rule_id: Option<Uuid>,
    /// Name of the rule then.
    #[sea_orm(column_type = "Text")]
    pub rule_name: String,
    /// Revision of the rule then.
    pub rule_revision: i64,
    /// Place of the step in the rule, from 0.
    pub step: i32,
    /// Where it goes.
    pub connection_id: Uuid,
    /// What the connector does.
    #[sea_orm(column_type = "Text")]
    pub operation: String,
    /// Key of the lane and of the link; none: no order.
    #[sea_orm(column_type = "Text")]
    pub lane: Option<String>,
    /// `open`, `close`, `note` or `ignore`.
    #[sea_orm(column_type = "Text")]
    pub action: Option<String>,
    /// JSON of the rendered fields.
    #[sea_orm(column_type = "Text")]
    pub fields: String,
    /// Stays the same over all repeats of this delivery.
    #[sea_orm(column_type = "Text")]
    pub message_id: String,
    /// One of the closed list of delivery states.
    #[sea_orm(column_type = "Text")]
    pub state: String,
    /// True: waits for an earlier delivery of its lane.
    pub behind: bool,
    /// Not before; milliseconds since 1970. Below zero: its lane is being set aside, and it goes last.
    pub due_at: i64,
    /// Node that holds it.
    pub lease_owner: Option<Uuid>,
    /// Grows with every lease; a late settle carries an old one.
    pub fence: i64,
    /// Attempts that were settled.
    pub attempts: i32,
    /// Start of the first attempt; the horizon counts from it; milliseconds since 1970.
    pub tried_at: Option<i64>,
    /// True: an earlier attempt may have reached the upstream.
    pub unsure: bool,
    /// Stable code of the last fault.
    #[sea_orm(column_type = "Text")]
    pub error_code: Option<String>,
    /// Text of the last fault, cut to 500 characters.
    #[sea_orm(column_type = "Text")]
    pub error: Option<String>,
    /// What it did upstream: `created`, `updated`, `noted`, `closed`, `sent`, `none`.
    #[sea_orm(column_type = "Text")]
    pub effect: Option<String>,
    /// Upstream record.
    #[sea_orm(column_type = "Text")]
    pub record_id: Option<String>,
    /// Address of the upstream record for people.
    #[sea_orm(column_type = "Text")]
    pub record_url: Option<String>,
    /// The delivery that this one repeats.
    pub replay_of: Option<Uuid>,
    /// The delivery that repeats this one.
    pub replayed_as: Option<Uuid>,
    /// When it was written; milliseconds since 1970.
    pub created_at: i64,
    /// Last change of state; milliseconds since 1970.
    pub updated_at: i64,
    /// When the state became final; milliseconds since 1970.
    pub finished_at: Option<i64>,
    /// How many notes it stands for, itself included.
    pub repeats: i32,
    /// The delivery that it became part of.
    pub coalesced_into: Option<Uuid>,
    /// True: set aside with its lane, as the connection's policy for failures says.
    pub lane_parked: bool,
    /// Its place in its lane, that of the delivery in whose place it stands; none: its id.
    pub place: Option<Uuid>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
