//! The records of the sandbox.
//!
//! Invariant: numbers of a connection are 1, 2, 3 … without a repeat, and one message makes at most
//! one record or one note. Each operation is one transaction; on PostgreSQL it holds an advisory
//! lock of its connection, on SQLite the write lock. A crash leaves all of an operation or nothing.

use ::entity::sandbox_record::{ActiveModel, Column, Entity, Model};
use openapi::connections::SandboxNote;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait as _, DbErr,
    EntityTrait as _, IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    Statement,
};
use uuid::Uuid;

use crate::clock::{Clock, from_ms};
use crate::connectors::{Connection, Job};
use crate::db::{Db, Transaction};

/// How many records of one key are looked at, newest first.
const LOOKED_AT: u64 = 100;

/// The word of the database for a record that is open, or closed.
pub(super) const OPEN: &str = "open";
pub(super) const CLOSED: &str = "closed";

pub(super) struct Store<'a> {
    txn: Transaction,
    connection: &'a Connection,
    job: &'a Job,
    id: Uuid,
    now_ms: i64,
}

impl<'a> Store<'a> {
    pub(super) async fn begin(
        db: &Db,
        clock: &Clock,
        connection: &'a Connection,
        job: &'a Job,
    ) -> Result<Self, DbErr> {
        let txn = db.begin().await?;
        if db.is_postgres() {
            let (high, low) = connection.id.as_u64_pair();
            txn.execute_raw(Statement::from_sql_and_values(
                db.backend(),
                "SELECT pg_advisory_xact_lock($1)",
                [i64::from_ne_bytes((high ^ low).to_ne_bytes()).into()],
            ))
            .await?;
        }
        Ok(Self {
            txn,
            connection,
            job,
            id: crate::ids::new(clock),
            now_ms: clock.now_ms(),
        })
    }

    /// The record that this message made.
    pub(super) async fn made(&self) -> Result<Option<Model>, DbErr> {
        Entity::find()
            .filter(Column::ConnectionId.eq(self.connection.id))
            .filter(Column::MessageId.eq(&self.job.message_id))
            .one(&self.txn)
            .await
    }

    /// The records of the job's key, newest first.
    pub(super) async fn of_key(&self) -> Result<Vec<Model>, DbErr> {
        let Some(key) = &self.job.key else {
            return Ok(Vec::new());
        };
        Entity::find()
            .filter(Column::ConnectionId.eq(self.connection.id))
            .filter(Column::Key.eq(key))
            .filter(Column::Operation.eq(&self.job.operation))
            .order_by_desc(Column::Number)
            .limit(LOOKED_AT)
            .all(&self.txn)
            .await
    }

    /// Makes a record.
    pub(super) async fn insert(&self, state: &str, title: String) -> Result<Model, DbErr> {
        let last = Entity::find()
            .filter(Column::ConnectionId.eq(self.connection.id))
            .order_by_desc(Column::Number)
            .one(&self.txn)
            .await?;
        let model = Model {
            id: self.id,
            workspace_id: self.connection.workspace_id,
            connection_id: self.connection.id,
            number: last.map_or(0, |record| record.number) + 1,
            key: self.job.key.clone(),
            message_id: self.job.message_id.clone(),
            operation: self.job.operation.clone(),
            state: state.to_owned(),
            title,
            fields: serde_json::Value::Object(self.job.fields.clone()).to_string(),
            notes: "[]".to_owned(),
            created_at: self.now_ms,
            updated_at: self.now_ms,
        };
        Entity::insert(model.clone().into_active_model())
            .exec_without_returning(&self.txn)
            .await?;
        Ok(model)
    }

    /// Adds a note, and closes the record if told to.
    pub(super) async fn note(&self, record: Model, text: String, close: bool) -> Result<(), DbErr> {
        let mut notes = notes(&record);
        notes.push(SandboxNote {
            message_id: self.job.message_id.clone(),
            text,
            at: from_ms(self.now_ms),
        });
        let notes =
            serde_json::to_string(&notes).map_err(|error| DbErr::Json(error.to_string()))?;
        let mut change: ActiveModel = record.into_active_model();
        change.notes = Set(notes);
        change.updated_at = Set(self.now_ms);
        if close {
            change.state = Set(CLOSED.to_owned());
        }
        change.update(&self.txn).await.map(drop)
    }

    pub(super) async fn commit(self) -> Result<(), DbErr> {
        self.txn.commit().await
    }
}

/// The notes of a record.
pub(super) fn notes(record: &Model) -> Vec<SandboxNote> {
    serde_json::from_str(&record.notes).unwrap_or_default()
}
