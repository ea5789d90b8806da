//! What the fake tenant holds, and how it checks what it is sent.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// A refusal in the vendor's form.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) body: Value,
}

/// Fields of a ticket that refer to something, and by which name a text finds it.
const REFERENCES: &[(&str, &str)] = &[
    ("contact", "name"),
    ("site", "name"),
    ("source", "name"),
    ("owner", "identifier"),
    ("team", "name"),
];

/// The tenant.
#[derive(Debug)]
pub(super) struct State {
    pub(super) boards: Vec<Value>,
    pub(super) statuses: BTreeMap<i64, Vec<Value>>,
    pub(super) types: BTreeMap<i64, Vec<Value>>,
    pub(super) subtypes: BTreeMap<i64, Vec<Value>>,
    pub(super) items: BTreeMap<i64, Vec<Value>>,
    pub(super) priorities: Vec<Value>,
    pub(super) companies: Vec<Value>,
    pub(super) tickets: BTreeMap<i64, Value>,
    pub(super) notes: BTreeMap<i64, Vec<Value>>,
    /// Tickets that the caller may not see.
    pub(super) hidden: BTreeSet<i64>,
    next_ticket: i64,
    next_note: i64,
}

impl State {
    /// Thirty boards, so that lists have pages; the first two differ in what their statuses mean.
    pub(super) fn seeded() -> Self {
        let mut boards = vec![named(1, "Service Board"), named(2, "Projects Board")];
        boards.extend((3..=30).map(|id| named(id, &format!("Board {id:02}"))));
        let mut statuses = BTreeMap::new();
        for board in 1..=30 {
            // On the second board `Closed` is only a word, and another status closes.
            let closing = if board == 2 { "Done" } else { "Closed" };
            let mut names = vec!["New", "In Progress", "Waiting", "Completed", "Closed"];
            if board == 2 {
                names.push("Done");
            }
            let rows = names
                .iter()
                .zip(1_i64..)
                .map(|(name, n)| {
                    let mut row = named(board * 100 + n, name);
                    row["closedStatus"] = (*name == closing).into();
                    row["inactive"] = false.into();
                    row["defaultFlag"] = (n == 1).into();
                    row["sortOrder"] = (n * 10).into();
                    row["board"] = json!({"id": board});
                    row
                })
                .collect();
            statuses.insert(board, rows);
        }
        let of_board = |names: &[&str]| -> BTreeMap<i64, Vec<Value>> {
            (1..=30_i64)
                .map(|board| {
                    let rows = names
                        .iter()
                        .zip(1_i64..)
                        .map(|(name, n)| {
                            let mut row = named(board * 100 + n, name);
                            row["inactiveFlag"] = false.into();
                            row["board"] = json!({"id": board});
                            row
                        })
                        .collect();
                    (board, rows)
                })
                .collect()
        };
        let priorities = (1..=30_i64)
            .map(|n| {
                let mut row = named(n, &format!("Priority {n}"));
                row["color"] = "Red".into();
                row["sortOrder"] = n.into();
                row["defaultFlag"] = (n == 3).into();
                row
            })
            .collect();
        let first = [
            ("DEF", "Default Customer"),
            ("ACME", "Acme Corporation"),
            ("GLOBEX", "Globex"),
        ];
        let companies = first
            .iter()
            .map(|(identifier, name)| ((*identifier).to_owned(), (*name).to_owned()))
            .chain((4..=60).map(|n| (format!("C{n:03}"), format!("Customer {n:03}"))))
            .zip(1_i64..)
            .map(|((identifier, name), id)| {
                let mut row = named(id, &name);
                row["identifier"] = identifier.into();
                row["deletedFlag"] = false.into();
                row
            })
            .collect();
        Self {
            boards,
            statuses,
            types: of_board(&["Incident", "Request", "Change"]),
            subtypes: of_board(&["Server", "Network", "Workstation"]),
            items: of_board(&["Hardware", "Software"]),
            priorities,
            companies,
            tickets: BTreeMap::new(),
            notes: BTreeMap::new(),
            hidden: BTreeSet::new(),
            next_ticket: 1001,
            next_note: 1,
        }
    }

    /// Makes a ticket.
    pub(super) fn create(&mut self, sent: &Value, now: &str) -> Result<Value, Refusal> {
        let mut faults = Vec::new();
        let Some(sent) = sent.as_object() else {
            return Err(invalid(
                "ticket",
                vec![fault("InvalidObject", "", "the body is no object")],
            ));
        };
        self.check_texts(sent, &mut faults);
        let summary = sent
            .get("summary")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if summary.is_empty() {
            faults.push(fault(
                "MissingRequiredField",
                "summary",
                "The summary field is required.",
            ));
        }
        let company = required(sent, "company", &self.companies, &mut faults);
        let board = required(sent, "board", &self.boards, &mut faults);
        let board_id = board.as_ref().and_then(id_of).unwrap_or_default();
        let none = Vec::new();
        let statuses = self.statuses.get(&board_id).unwrap_or(&none);
        let status = match sent.get("status") {
            Some(_) => optional(sent, "status", statuses, &mut faults),
            None => statuses.first().cloned(),
        };
        let mut ticket = Map::new();
        for (name, rows) in [
            ("type", self.types.get(&board_id)),
            ("subType", self.subtypes.get(&board_id)),
            ("item", self.items.get(&board_id)),
            ("priority", Some(&self.priorities)),
        ] {
            if let Some(found) = optional(sent, name, rows.unwrap_or(&none), &mut faults) {
                ticket.insert(name.to_owned(), reference(&found));
            }
        }
        for (name, key) in REFERENCES {
            if let Some(value) = sent.get(*name) {
                if value.get(*key).is_none() && value.get("id").is_none() {
                    faults.push(fault(
                        "InvalidObject",
                        name,
                        "The reference has neither id nor name.",
                    ));
                }
                ticket.insert((*name).to_owned(), value.clone());
            }
        }
        if !faults.is_empty() {
            return Err(invalid("ticket", faults));
        }
        let id = self.next_ticket;
        self.next_ticket += 1;
        for (name, value) in sent {
            let hidden = name.starts_with("initial") || ticket.contains_key(name);
            if !hidden {
                ticket.insert(name.clone(), value.clone());
            }
        }
        ticket.insert("id".to_owned(), id.into());
        ticket.insert("recordType".to_owned(), "ServiceTicket".into());
        for (name, found) in [
            ("company", &company),
            ("board", &board),
            ("status", &status),
        ] {
            ticket.insert(
                name.to_owned(),
                found.as_ref().map(reference).unwrap_or_default(),
            );
        }
        ticket
            .entry("priority")
            .or_insert_with(|| self.priorities.get(2).map(reference).unwrap_or_default());
        let closed = closes(status.as_ref());
        ticket.insert("closedFlag".to_owned(), closed.into());
        ticket.insert(
            "_info".to_owned(),
            json!({"dateEntered": now, "lastUpdated": now, "enteredBy": "api"}),
        );
        let ticket = Value::Object(ticket);
        self.tickets.insert(id, ticket.clone());
        for (name, flag) in [
            ("initialDescription", "detailDescriptionFlag"),
            ("initialInternalAnalysis", "internalAnalysisFlag"),
            ("initialResolution", "resolutionFlag"),
        ] {
            if let Some(text) = sent.get(name).and_then(Value::as_str) {
                self.push_note(id, json!({"text": text, flag: true}), now);
            }
        }
        Ok(ticket)
    }

    /// Changes a ticket by the vendor's dialect of JSON Patch. With `deaf`, paths below a reference
    /// are answered with success and not honoured, as some tenants do.
    pub(super) fn patch(
        &mut self,
        id: i64,
        ops: &Value,
        deaf: bool,
        now: &str,
    ) -> Result<Value, Refusal> {
        let mut ticket = self
            .tickets
            .get(&id)
            .cloned()
            .ok_or_else(|| missing("ticket"))?;
        let ops = ops.as_array().ok_or_else(|| {
            invalid(
                "ticket",
                vec![fault(
                    "InvalidObject",
                    "",
                    "a change is an array of operations",
                )],
            )
        })?;
        let mut faults = Vec::new();
        for op in ops {
            let path = op
                .get("path")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .trim_start_matches('/');
            let value = op.get("value").cloned().unwrap_or_default();
            if !matches!(
                op.get("op").and_then(Value::as_str),
                Some("add" | "replace" | "remove")
            ) {
                faults.push(fault(
                    "InvalidOperation",
                    path,
                    "op is add, replace or remove",
                ));
                continue;
            }
            let (head, key) = path.split_once('/').unwrap_or((path, ""));
            if key.is_empty() && !matches!(head, "status" | "priority") {
                match ticket.as_object_mut() {
                    Some(members) if !head.is_empty() && !matches!(head, "id" | "closedFlag") => {
                        members.insert(head.to_owned(), value);
                    }
                    _ => faults.push(fault("InvalidField", path, "this field cannot be changed")),
                }
                continue;
            }
            if !key.is_empty() && deaf {
                continue;
            }
            let wanted = if key.is_empty() {
                value
            } else {
                json!({ key: value })
            };
            let board = ticket
                .pointer("/board/id")
                .and_then(Value::as_i64)
                .unwrap_or_default();
            let none = Vec::new();
            let rows = match head {
                "status" => self.statuses.get(&board).unwrap_or(&none),
                "priority" => &self.priorities,
                _ => &none,
            };
            match look_up(&wanted, rows) {
                Some(found) => {
                    if head == "status" {
                        ticket["closedFlag"] = closes(Some(found)).into();
                        if closes(Some(found)) {
                            ticket["closedDate"] = now.into();
                        }
                    }
                    ticket[head] = reference(found);
                }
                None => faults.push(fault("InvalidObject", path, "The reference was not found.")),
            }
        }
        let sent = ticket.as_object().cloned().unwrap_or_default();
        self.check_texts(&sent, &mut faults);
        if !faults.is_empty() {
            return Err(invalid("ticket", faults));
        }
        ticket["_info"]["lastUpdated"] = now.into();
        self.tickets.insert(id, ticket.clone());
        Ok(ticket)
    }

    /// Adds a note.
    pub(super) fn note(&mut self, ticket: i64, sent: &Value, now: &str) -> Result<Value, Refusal> {
        if !self.tickets.contains_key(&ticket) {
            return Err(missing("ticket"));
        }
        if sent
            .get("text")
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
        {
            return Err(invalid(
                "note",
                vec![fault(
                    "MissingRequiredField",
                    "text",
                    "The text field is required.",
                )],
            ));
        }
        Ok(self.push_note(ticket, sent.clone(), now))
    }

    fn push_note(&mut self, ticket: i64, mut note: Value, now: &str) -> Value {
        note["id"] = self.next_note.into();
        note["ticketId"] = ticket.into();
        note["dateCreated"] = now.into();
        note["createdBy"] = "api".into();
        for flag in [
            "detailDescriptionFlag",
            "internalAnalysisFlag",
            "resolutionFlag",
            "internalFlag",
            "externalFlag",
        ] {
            if note.get(flag).is_none() {
                note[flag] = false.into();
            }
        }
        self.next_note += 1;
        self.notes.entry(ticket).or_default().push(note.clone());
        note
    }

    fn check_texts(&self, sent: &Map<String, Value>, faults: &mut Vec<Value>) {
        for (name, longest) in [("summary", 100), ("externalXRef", 100), ("poNumber", 50)] {
            let length = sent
                .get(name)
                .and_then(Value::as_str)
                .map_or(0, |text| text.chars().count());
            if length > longest {
                faults.push(fault(
                    "MaxLength",
                    name,
                    &format!(
                        "The field {name} must be a string with a maximum length of {longest}."
                    ),
                ));
            }
        }
        for name in ["severity", "impact"] {
            if let Some(value) = sent.get(name)
                && !matches!(value.as_str(), Some("Low" | "Medium" | "High"))
            {
                faults.push(fault("InvalidEnum", name, "Low, Medium or High."));
            }
        }
    }
}

fn named(id: i64, name: &str) -> Value {
    json!({"id": id, "name": name, "_info": {"lastUpdated": "2026-01-01T00:00:00Z"}})
}

fn id_of(row: &Value) -> Option<i64> {
    row.get("id").and_then(Value::as_i64)
}

fn closes(status: Option<&Value>) -> bool {
    status
        .and_then(|row| row.get("closedStatus"))
        .and_then(Value::as_bool)
        .unwrap_or_default()
}

/// A row as others refer to it.
fn reference(row: &Value) -> Value {
    let mut reference = json!({"id": row["id"], "name": row["name"]});
    if let Some(identifier) = row.get("identifier") {
        reference["identifier"] = identifier.clone();
    }
    reference
}

fn look_up<'a>(wanted: &Value, rows: &'a [Value]) -> Option<&'a Value> {
    let same = |row: &Value, key: &str| {
        let text = |value: &Value| {
            value
                .get(key)
                .and_then(Value::as_str)
                .map(str::to_lowercase)
        };
        text(wanted).is_some() && text(wanted) == text(row)
    };
    rows.iter().find(|row| match id_of(wanted) {
        Some(id) => id_of(row) == Some(id),
        None => same(row, "identifier") || same(row, "name"),
    })
}

fn required(
    sent: &Map<String, Value>,
    name: &str,
    rows: &[Value],
    faults: &mut Vec<Value>,
) -> Option<Value> {
    if sent.get(name).is_none_or(Value::is_null) {
        faults.push(fault(
            "MissingRequiredField",
            name,
            &format!("The {name} field is required."),
        ));
        return None;
    }
    optional(sent, name, rows, faults)
}

fn optional(
    sent: &Map<String, Value>,
    name: &str,
    rows: &[Value],
    faults: &mut Vec<Value>,
) -> Option<Value> {
    let wanted = sent.get(name)?;
    let found = look_up(wanted, rows).cloned();
    if found.is_none() {
        faults.push(fault(
            "InvalidObject",
            name,
            &format!("The {name} was not found."),
        ));
    }
    found
}

fn fault(code: &str, field: &str, message: &str) -> Value {
    json!({"code": code, "message": message, "resource": "ticket", "field": field})
}

fn invalid(resource: &str, errors: Vec<Value>) -> Refusal {
    Refusal {
        status: 400,
        body: json!({"code": "InvalidObject", "message": format!("{resource} object is invalid"), "errors": errors}),
    }
}

/// There is no such record.
pub(super) fn missing(resource: &str) -> Refusal {
    Refusal {
        status: 404,
        body: json!({"code": "NotFound", "message": format!("{resource} not found"), "errors": null}),
    }
}
