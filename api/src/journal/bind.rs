//! Rows of the journal's tables as SQLite binds them: column by column where they lie. The ORM would
//! copy each value first, the bodies among them.

use entity::{attempt, delivery, event, refusal};
use rusqlite::types::{ToSqlOutput, ValueRef};
use uuid::Uuid;

/// A row that is bound without a copy.
pub trait Bind {
    /// The names of its columns.
    const COLUMNS: &'static [&'static str];

    /// Its values, in the same order, in the forms of the ORM.
    fn values(&self) -> impl Iterator<Item = ToSqlOutput<'_>>;
}

/// A value as the ORM stores it in SQLite.
trait Cell {
    fn cell(&self) -> ValueRef<'_>;
}

impl Cell for Uuid {
    fn cell(&self) -> ValueRef<'_> {
        ValueRef::Blob(self.as_bytes())
    }
}

impl Cell for String {
    fn cell(&self) -> ValueRef<'_> {
        ValueRef::Text(self.as_bytes())
    }
}

impl Cell for Vec<u8> {
    fn cell(&self) -> ValueRef<'_> {
        ValueRef::Blob(self)
    }
}

impl Cell for i64 {
    fn cell(&self) -> ValueRef<'_> {
        ValueRef::Integer(*self)
    }
}

impl Cell for i32 {
    fn cell(&self) -> ValueRef<'_> {
        ValueRef::Integer((*self).into())
    }
}

impl Cell for bool {
    fn cell(&self) -> ValueRef<'_> {
        ValueRef::Integer((*self).into())
    }
}

impl<T: Cell> Cell for Option<T> {
    fn cell(&self) -> ValueRef<'_> {
        self.as_ref().map_or(ValueRef::Null, Cell::cell)
    }
}

macro_rules! bind {
    ($model:ty: $($column:ident)+) => {
        impl Bind for $model {
            const COLUMNS: &'static [&'static str] = &[$(stringify!($column)),+];

            fn values(&self) -> impl Iterator<Item = ToSqlOutput<'_>> {
                // All of them: one that is missing here is an error.
                let Self { $($column),+ } = self;
                [$($column.cell()),+].into_iter().map(ToSqlOutput::Borrowed)
            }
        }
    };
}

bind!(event::Model: id workspace_id source_id received_at correlation_id idempotency_key
    disposition reason method content_type query remote_addr headers body envelope test title
    matched);

bind!(delivery::Model: id workspace_id event_id source_id correlation_id received_at rule_id
    rule_name rule_revision step connection_id operation lane action fields message_id state behind
    due_at lease_owner fence attempts tried_at unsure error_code error effect record_id record_url
    replay_of replayed_as created_at updated_at finished_at repeats coalesced_into lane_parked
    place);

bind!(attempt::Model: id workspace_id delivery_id number started_at duration_ms outcome status
    error_code error exchanges);

bind!(refusal::Model: id workspace_id source_id at status reason remote_addr content_type size);

#[cfg(test)]
mod tests {
    use rusqlite::ToSql as _;
    use sea_orm::{EntityTrait, IdenStatic as _, Iterable as _, ModelTrait};

    use super::*;
    use crate::db::Bound;
    use crate::dispatch::fixtures::new_row;

    /// The same as the ORM's, under the same names.
    fn check<M: ModelTrait + Bind>(row: &M) {
        let bound: Vec<_> = row.values().collect();
        let columns = <M::Entity as EntityTrait>::Column::iter();
        assert_eq!(M::COLUMNS.len(), columns.len());
        assert_eq!(M::COLUMNS.len(), bound.len());
        for column in columns {
            let name = column.as_str();
            let at = M::COLUMNS.iter().position(|known| *known == name);
            let at = at.unwrap_or_else(|| panic!("{name} is missing"));
            let value = Bound(row.get(column));
            assert_eq!(bound[at], value.to_sql().unwrap(), "{name}");
        }
    }

    #[test]
    fn every_column_is_bound_under_its_name() {
        let full = delivery::Model {
            rule_id: Some(Uuid::from_u128(7)),
            error: Some("why".to_owned()),
            finished_at: Some(5),
            unsure: true,
            ..new_row(1, Some(1), 3, 20, 4)
        };
        check(&full);
        check(&new_row(2, None, 0, 0, 0));
        check(&event::Model {
            id: Uuid::from_u128(1),
            workspace_id: Uuid::from_u128(2),
            source_id: Uuid::from_u128(3),
            received_at: 4,
            correlation_id: "c".to_owned(),
            idempotency_key: None,
            disposition: "routed".to_owned(),
            reason: String::new(),
            method: "POST".to_owned(),
            content_type: "application/json".to_owned(),
            query: "q=1".to_owned(),
            remote_addr: "::1".to_owned(),
            headers: "[]".to_owned(),
            body: vec![0, 255],
            envelope: Some(vec![1]),
            test: true,
            title: "t".to_owned(),
            matched: "m".to_owned(),
        });
        check(&attempt::Model {
            id: Uuid::from_u128(1),
            workspace_id: Uuid::from_u128(2),
            delivery_id: Uuid::from_u128(3),
            number: 4,
            started_at: 5,
            duration_ms: 6,
            outcome: "delivered".to_owned(),
            status: Some(204),
            error_code: None,
            error: Some("e".to_owned()),
            exchanges: "[]".to_owned(),
        });
        check(&refusal::Model {
            id: Uuid::from_u128(1),
            workspace_id: Uuid::from_u128(2),
            source_id: Uuid::from_u128(3),
            at: 4,
            status: 401,
            reason: "r".to_owned(),
            remote_addr: "a".to_owned(),
            content_type: "t".to_owned(),
            size: 9,
        });
    }
}
