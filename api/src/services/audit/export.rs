//! The lines of the log as a file, for whoever keeps or reads it elsewhere.
//!
//! It is read in pages, paced by whoever takes it; nothing is held between two of them. That it was
//! taken is a line of the log itself, written before the first byte leaves.

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use openapi::audit::AuditEntry;
use sea_orm::DbErr;
use serde_json::{Value, json};

use super::{Act, Actor, AuditFilter, note, query, to_wire};
use crate::core::Core;
use crate::http::problem::ApiResult;
use crate::scope::Scope;
use crate::services::cursor::Window;

/// Rows of a page.
const ROWS: u64 = 500;

/// The form of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON object on each line.
    JsonLines,
    /// Comma-separated values (RFC 4180), for spreadsheets.
    Csv,
}

struct Reader {
    core: Core,
    scope: Scope,
    filter: AuditFilter,
    form: Form,
    before: Option<uuid::Uuid>,
    begun: bool,
    ended: bool,
}

/// The lines, newest first.
///
/// # Errors
/// The database failed. A failure later ends the stream without its end.
pub async fn export(
    core: &Core,
    scope: Scope,
    by: &Actor,
    filter: AuditFilter,
    form: Form,
) -> ApiResult<impl Stream<Item = Result<Bytes, DbErr>> + use<>> {
    let act = Act {
        action: "audit.export",
        kind: "audit",
        id: None,
        name: "",
        before: Value::Null,
        after: json!({
            "action": filter.action, "actor": filter.actor, "subject_kind": filter.kind,
            "subject_id": filter.subject, "q": filter.text, "from": filter.from, "to": filter.to,
        }),
    };
    note(core.db.write(), &core.clock, scope, by, act).await?;
    let reader = Reader {
        core: core.clone(),
        scope,
        filter,
        form,
        before: None,
        begun: false,
        ended: false,
    };
    Ok(stream::try_unfold(reader, |mut reader| async move {
        if reader.ended {
            return Ok(None);
        }
        let page = reader.read().await?;
        Ok(Some((page, reader)))
    }))
}

impl Reader {
    async fn read(&mut self) -> Result<Bytes, DbErr> {
        let window = Window {
            before: self.before,
            limit: ROWS,
        };
        let mut rows = query(self.scope, &self.filter, window)
            .all(self.core.db.read())
            .await?;
        self.ended = rows.len() <= usize::try_from(ROWS).unwrap_or(usize::MAX);
        rows.truncate(usize::try_from(ROWS).unwrap_or(usize::MAX));
        self.before = rows.last().map(|row| row.id);
        let entries: Vec<AuditEntry> = rows
            .into_iter()
            .map(to_wire)
            .collect::<ApiResult<_>>()
            .map_err(|error| DbErr::Custom(error.to_string()))?;
        let first = !std::mem::replace(&mut self.begun, true);
        match self.form {
            Form::JsonLines => lines(&entries),
            Form::Csv => table(&entries, first),
        }
        .map(Bytes::from)
        .map_err(|error| DbErr::Custom(error.to_string()))
    }
}

fn lines(entries: &[AuditEntry]) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut text, entry)?;
        text.push(b'\n');
    }
    Ok(text)
}

const HEAD: [&str; 13] = [
    "id",
    "at",
    "actor_kind",
    "actor",
    "remote_addr",
    "request_id",
    "action",
    "subject_kind",
    "subject_id",
    "subject",
    "before",
    "after",
    "seq",
];

fn table(entries: &[AuditEntry], first: bool) -> anyhow::Result<Vec<u8>> {
    let mut csv = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    if first {
        csv.write_record(HEAD)?;
    }
    let json = |value: &Value| match value {
        Value::Null => String::new(),
        other => other.to_string(),
    };
    for entry in entries {
        let cells = [
            entry.id.to_string(),
            entry.at.to_rfc3339(),
            entry.actor_kind.clone(),
            entry.actor.clone(),
            entry.remote_addr.clone(),
            entry.request_id.clone(),
            entry.action.clone(),
            entry.subject_kind.clone(),
            entry
                .subject_id
                .map(|id| id.to_string())
                .unwrap_or_default(),
            entry.subject.clone(),
            json(&entry.before),
            json(&entry.after),
            entry.seq.map(|seq| seq.to_string()).unwrap_or_default(),
        ];
        csv.write_record(cells.map(defused))?;
    }
    Ok(csv.into_inner().map_err(|error| error.into_error())?)
}

/// A cell that a spreadsheet will not take for a formula.
fn defused(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{cell}")
    } else {
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula() {
        let entry: AuditEntry = serde_json::from_value(json!({
            "id": uuid::Uuid::nil(), "at": "2026-11-21T12:00:00Z", "actor_kind": "user",
            "actor": "@admin", "remote_addr": "", "request_id": "", "seq": 7,
            "action": "rule.change", "subject_kind": "rule", "subject_id": null,
            "subject": "=HYPERLINK(\"http://a\",\"b\")", "before": null, "after": {"a": "b,\"c\"\n"},
        }))
        .unwrap();
        let text = String::from_utf8(table(std::slice::from_ref(&entry), true).unwrap()).unwrap();
        let (head, row) = text.split_once("\r\n").unwrap();
        assert!(head.starts_with("id,at,") && head.ends_with(",seq"));
        assert!(row.contains(",'@admin,"), "{row}");
        assert!(
            row.contains("\"'=HYPERLINK(\"\"http://a\"\",\"\"b\"\")\""),
            "{row}"
        );
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let read = reader.records().next().unwrap().unwrap();
        assert_eq!(read.get(11), Some(r#"{"a":"b,\"c\"\n"}"#));
        assert_eq!(read.get(12), Some("7"));
        let again = String::from_utf8(table(&[entry], false).unwrap()).unwrap();
        assert_eq!(again, row);
    }
}
