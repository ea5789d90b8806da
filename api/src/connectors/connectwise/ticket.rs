//! Tickets and companies as ConnectWise shows them.

use serde_json::{Map, Value, json};

use super::reference::quoted;
use super::settings::{Settings, XrefField};

/// What we read of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) id: i64,
    pub(super) closed: bool,
    pub(super) xref: Option<String>,
    pub(super) board_id: Option<i64>,
    pub(super) board_name: String,
    company: Value,
    /// As it was read.
    pub(super) whole: Value,
}

impl Ticket {
    pub(super) fn read(value: &Value, field: XrefField) -> Option<Self> {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let board = value.get("board");
        Some(Self {
            id: value.get("id").and_then(Value::as_i64)?,
            closed: value
                .get("closedFlag")
                .and_then(Value::as_bool)
                .unwrap_or_default(),
            xref: text(value.get(field.name())),
            board_id: board
                .and_then(|board| board.get("id"))
                .and_then(Value::as_i64),
            board_name: text(board.and_then(|board| board.get("name"))).unwrap_or_default(),
            company: value.get("company").cloned().unwrap_or_default(),
            whole: value.clone(),
        })
    }

    /// Whether it belongs to this company.
    pub(super) fn of(&self, company: &Company) -> bool {
        let text = |name| {
            self.company
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        match company {
            // ConnectWise takes identifiers and names without regard to case.
            Company::Identifier(wanted) => same(text("identifier"), wanted),
            Company::Name(wanted) => same(text("name"), wanted),
            Company::Id(wanted) => self.company.get("id").and_then(Value::as_i64) == Some(*wanted),
        }
    }
}

fn same(left: &str, right: &str) -> bool {
    left.to_lowercase() == right.to_lowercase()
}

/// The customer of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Company {
    Identifier(String),
    Name(String),
    Id(i64),
}

impl Company {
    /// The mapped company, or the default one.
    pub(super) fn of(fields: &Map<String, Value>, settings: &Settings) -> Option<Self> {
        let mapped = fields.get("company").and_then(Self::read);
        mapped.or_else(|| Self::read(&Value::from(settings.default_company.as_str())))
    }

    fn read(value: &Value) -> Option<Self> {
        let text = |value: Option<&Value>| {
            value
                .and_then(Value::as_str)
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        match value {
            Value::String(_) => text(Some(value)).map(Self::Identifier),
            Value::Number(number) => number.as_i64().map(Self::Id),
            Value::Object(members) => members
                .get("id")
                .and_then(Value::as_i64)
                .map(Self::Id)
                .or_else(|| text(members.get("identifier")).map(Self::Identifier))
                .or_else(|| text(members.get("name")).map(Self::Name)),
            _ => None,
        }
    }

    pub(super) fn condition(&self) -> String {
        match self {
            Company::Identifier(text) => format!("company/identifier={}", quoted(text)),
            Company::Name(text) => format!("company/name={}", quoted(text)),
            Company::Id(id) => format!("company/id={id}"),
        }
    }

    pub(super) fn reference(&self) -> Value {
        match self {
            Company::Identifier(text) => json!({ "identifier": text }),
            Company::Name(text) => json!({ "name": text }),
            Company::Id(id) => json!({ "id": id }),
        }
    }
}
