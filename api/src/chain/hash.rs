//! What a hash covers.

use entity::audit;
use sha2::{Digest as _, Sha256};

/// The hash of a line behind the one with the hash `before`, in hexadecimal digits. Every field has
/// its length before it, so that no two lines read the same.
pub fn of(row: &audit::Model, seq: i64, before: &str) -> String {
    let subject_id = row.subject_id.map(|id| id.to_string()).unwrap_or_default();
    let fields: [&str; 15] = [
        "signalbox audit 1",
        before,
        &seq.to_string(),
        &row.id.to_string(),
        &row.workspace_id.to_string(),
        &row.at.to_string(),
        &row.actor_kind,
        &row.actor,
        &row.remote_addr,
        &row.action,
        &row.subject_kind,
        &subject_id,
        &row.subject,
        &row.before,
        &row.after,
    ];
    let mut hash = Sha256::new();
    for field in fields.into_iter().chain([row.request_id.as_str()]) {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field.as_bytes());
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn row() -> audit::Model {
        audit::Model {
            id: Uuid::nil(),
            workspace_id: Uuid::nil(),
            at: 1,
            actor_kind: "user".to_owned(),
            actor: "a".to_owned(),
            remote_addr: "b".to_owned(),
            action: "rule.change".to_owned(),
            subject_kind: "rule".to_owned(),
            subject_id: None,
            subject: "c".to_owned(),
            before: "null".to_owned(),
            after: "null".to_owned(),
            request_id: String::new(),
            seq: None,
            hash: None,
        }
    }

    #[test]
    fn every_field_counts_and_none_runs_into_the_next() {
        let all = [
            row(),
            audit::Model { at: 2, ..row() },
            audit::Model {
                actor: "ab".to_owned(),
                remote_addr: String::new(),
                ..row()
            },
            audit::Model {
                subject_id: Some(Uuid::nil()),
                ..row()
            },
            audit::Model {
                before: "{}".to_owned(),
                ..row()
            },
            audit::Model {
                after: "{}".to_owned(),
                ..row()
            },
            audit::Model {
                request_id: "r".to_owned(),
                ..row()
            },
            audit::Model {
                workspace_id: Uuid::max(),
                ..row()
            },
        ];
        let mut hashes: Vec<String> = all.iter().map(|row| of(row, 1, "")).collect();
        hashes.push(of(&row(), 2, ""));
        hashes.push(of(&row(), 1, "x"));
        let count = hashes.len();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
        assert_eq!(hashes[0].len(), 64);
    }
}
