//! From mapped fields to the body of a new ticket.

use openapi::connections::Field;
use serde_json::{Map, Value, json};

use super::reference::{Step, signed};
use super::settings::Settings;
use super::ticket::Company;
use crate::connectors::Job;
use crate::connectors::common::{Describe as _, counted, field};

/// Longest summary that ConnectWise takes, in characters.
pub(super) const SUMMARY: usize = 100;

/// Fields of the operation that are no fields of the ticket.
const OWN: &[&str] = &[
    "note",
    "resolution",
    "close_status",
    "on_repeat",
    "company",
    "customFields",
];

/// How the names of fields begin that are changed when it happens again.
const ON_REPEAT: &str = "on_repeat.";

/// References that a plain text names by `name`.
const BY_NAME: &[&str] = &[
    "board",
    "status",
    "type",
    "subType",
    "item",
    "priority",
    "contact",
    "site",
    "source",
    "team",
    "serviceLocation",
    "location",
    "department",
    "agreement",
    "workRole",
    "workType",
    "sla",
    "opportunity",
    "currency",
    "country",
];

/// References that a plain text names by `identifier`.
const BY_IDENTIFIER: &[&str] = &["owner"];

/// The body of a new ticket; `None` without a summary.
pub(super) fn body(job: &Job, settings: &Settings, company: &Company, xref: &str) -> Option<Value> {
    let mut ticket = Map::new();
    for (name, value) in &job.fields {
        let own = OWN.contains(&name.as_str()) || name.starts_with(ON_REPEAT);
        if own || name.starts_with("customFields.") || blank(value) {
            continue;
        }
        ticket.insert(name.clone(), reference(name, value));
    }
    let summary = shortened(&text(&job.fields, "summary")?)?;
    ticket.insert("summary".to_owned(), summary.into());
    ticket.insert("company".to_owned(), company.reference());
    ticket.insert(settings.xref_field.name().to_owned(), xref.into());
    ticket
        .entry("recordType")
        .or_insert_with(|| "ServiceTicket".into());
    if !settings.default_board.is_empty() {
        ticket
            .entry("board")
            .or_insert_with(|| json!({ "name": settings.default_board }));
    }
    let custom = custom_fields(&job.fields);
    if !custom.is_empty() {
        ticket.insert("customFields".to_owned(), Value::Array(custom));
    }
    // The first text carries the mark by which a lost reply is told from an older ticket. Without
    // a description it goes where customers do not see it.
    let marked = if ticket.contains_key("initialDescription") {
        "initialDescription"
    } else {
        "initialInternalAnalysis"
    };
    // One that stands for others makes the ticket where the first of them could not.
    let first = counted(text(&job.fields, marked).unwrap_or_default(), job.repeats);
    let first = signed(&first, Step::Opened, &job.message_id, &job.correlation_id);
    ticket.insert(marked.to_owned(), first.into());
    Some(Value::Object(ticket))
}

/// The fields that are changed when it happens again.
pub(super) fn on_repeat(fields: &Map<String, Value>) -> Map<String, Value> {
    fields
        .iter()
        .filter(|(_, value)| !blank(value))
        .filter_map(|(name, value)| {
            let name = name.strip_prefix(ON_REPEAT)?;
            Some((name.to_owned(), reference(name, value)))
        })
        .collect()
}

fn reference(name: &str, value: &Value) -> Value {
    let key = if BY_NAME.contains(&name) {
        "name"
    } else if BY_IDENTIFIER.contains(&name) {
        "identifier"
    } else {
        return value.clone();
    };
    match value {
        Value::String(text) => json!({ key: text.trim() }),
        Value::Number(id) => json!({ "id": id }),
        whole => whole.clone(),
    }
}

/// `{caption: value}` and `customFields.caption`, or the list that ConnectWise has. A number is
/// the id of the field, everything else its caption.
fn custom_fields(fields: &Map<String, Value>) -> Vec<Value> {
    let one = |name: &str, value: &Value| match name.parse::<i64>() {
        Ok(id) => json!({ "id": id, "value": value }),
        Err(_) => json!({ "caption": name, "value": value }),
    };
    let mut list: Vec<Value> = match fields.get("customFields") {
        Some(Value::Array(ready)) => ready.clone(),
        Some(Value::Object(members)) => members
            .iter()
            .map(|(name, value)| one(name, value))
            .collect(),
        _ => Vec::new(),
    };
    list.extend(fields.iter().filter_map(|(name, value)| {
        let caption = name.strip_prefix("customFields.")?;
        Some(one(caption, value))
    }));
    list
}

fn blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        _ => false,
    }
}

/// A mapped text that is not blank.
pub(super) fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    let value = fields.get(name).filter(|value| !blank(value))?;
    Some(match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

/// One line of at most `SUMMARY` characters.
fn shortened(text: &str) -> Option<String> {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return None;
    }
    if line.chars().count() <= SUMMARY {
        return Some(line);
    }
    let mut short: String = line.chars().take(SUMMARY - 1).collect();
    short.push('…');
    Some(short)
}

/// What a rule may map. Any other field of a ticket may be mapped, too.
pub(super) fn fields() -> Vec<Field> {
    let text = |name, title, help| field(name, title, "string", help);
    let named = |name, title, list: &str| {
        field(
            name,
            title,
            "any",
            "A name, an id as a number, or a whole reference.",
        )
        .metadata(list)
    };
    vec![
        text("summary", "Summary", "Cut to 100 characters."),
        named("board", "Board", "boards"),
        named("status", "Status", "statuses"),
        named("type", "Type", "types"),
        named("subType", "Subtype", "subtypes"),
        named("item", "Item", "items"),
        named("priority", "Priority", "priorities"),
        field("company", "Company", "any", "An identifier, an id as a number, or a whole reference. Blank: the connection's default.").metadata("companies"),
        field("contact", "Contact", "any", "A name, an id as a number, or a whole reference."),
        field("site", "Site", "any", "A name, an id as a number, or a whole reference."),
        field("source", "Source", "any", "A name, an id as a number, or a whole reference."),
        field("owner", "Owner", "any", "The identifier of a member, an id as a number, or a whole reference."),
        field("severity", "Severity", "string", "Low, Medium or High."),
        field("impact", "Impact", "string", "Low, Medium or High."),
        field("initialDescription", "Description", "text", "The first text of the ticket; also of notes when it happens again, unless `note` is mapped."),
        field("initialInternalAnalysis", "Internal analysis", "text", "The first internal text of the ticket."),
        field("customFields", "Custom fields", "map", "By caption or id. One field: customFields.CAPTION."),
        field("note", "Note", "text", "Text of the note when it happens again."),
        field("on_repeat", "When it happens again", "string", "note, update or both; blank: both. What is changed is mapped as on_repeat.FIELD, such as on_repeat.priority."),
        field("resolution", "Resolution", "text", "Text of the note when it closes."),
        field("close_status", "Closing status", "string", "Instead of the connection's."),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_one_line_of_a_hundred_characters() {
        assert_eq!(shortened(" a\n b\t c "), Some("a b c".to_owned()));
        assert_eq!(shortened(" \n"), None);
        assert_eq!(shortened(&"ü".repeat(100)), Some("ü".repeat(100)));
        let long = shortened(&"ü".repeat(101)).unwrap();
        assert_eq!(long.chars().count(), 100);
        assert!(long.ends_with("ü…"));
    }

    #[test]
    fn references_take_names_ids_and_wholes() {
        assert_eq!(
            reference("board", &json!(" Service ")),
            json!({"name": "Service"})
        );
        assert_eq!(reference("priority", &json!(4)), json!({"id": 4}));
        assert_eq!(
            reference("owner", &json!("jdoe")),
            json!({"identifier": "jdoe"})
        );
        assert_eq!(reference("type", &json!({"id": 3})), json!({"id": 3}));
        assert_eq!(reference("severity", &json!("High")), json!("High"));
    }

    #[test]
    fn custom_fields_by_caption_and_id() {
        let fields = json!({"customFields": {"Serial": "x", "7": true}, "customFields.Rack": 2});
        let made = custom_fields(fields.as_object().unwrap());
        assert_eq!(made.len(), 3);
        for wanted in [
            json!({"id": 7, "value": true}),
            json!({"caption": "Serial", "value": "x"}),
            json!({"caption": "Rack", "value": 2}),
        ] {
            assert!(made.contains(&wanted), "{wanted}");
        }
    }
}
