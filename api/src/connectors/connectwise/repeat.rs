//! An alert that comes again while its ticket is open: a note, changed fields, or both.
//!
//! A change is repeated without harm: what the ticket has already is not sent again, and what is sent
//! is looked for in the answer.

use serde_json::{Map, Value, json};

use super::fields;
use super::ticket::Ticket;
use super::trouble::Trouble;
use super::upsert::{Done, Upsert, later_if_gone};
use crate::connectors::Effect;

/// What is done when it happens again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum OnRepeat {
    /// A note.
    Note,
    /// The fields that are mapped for it are changed.
    Update,
    /// The fields that are mapped for it, and a note.
    #[default]
    Both,
}

impl OnRepeat {
    /// What a rule mapped; none: both, which is a note where no fields are mapped for it.
    pub(super) fn of(fields: &Map<String, Value>) -> Result<Self, Trouble> {
        match fields::text(fields, "on_repeat").as_deref().map(str::trim) {
            None => Ok(Self::default()),
            Some("note") => Ok(Self::Note),
            Some("update") => Ok(Self::Update),
            Some("both") => Ok(Self::Both),
            Some(_) => Err(Trouble::permanent(
                "invalid_field",
                "on_repeat is note, update or both",
            )),
        }
    }
}

impl Upsert<'_, '_> {
    pub(super) async fn repeat(&mut self, ticket: &Ticket) -> Result<Done, Trouble> {
        let wanted = OnRepeat::of(&self.job.fields)?;
        let mut changed = None;
        if wanted != OnRepeat::Note {
            let fields = fields::on_repeat(&self.job.fields);
            changed = self.change(ticket, &fields).await?;
        }
        let noted = wanted != OnRepeat::Update;
        let mut done = if noted {
            self.add_note(ticket).await?
        } else {
            self.done(Effect::None, ticket, true)
        };
        if let Some(now) = changed {
            done = self.done(Effect::Updated, &now, !now.closed);
        }
        Ok(done)
    }

    /// Changes the fields that differ. Returns the ticket as it is then; none: nothing differed.
    async fn change(
        &mut self,
        ticket: &Ticket,
        wanted: &Map<String, Value>,
    ) -> Result<Option<Ticket>, Trouble> {
        let differ: Vec<(&String, &Value)> = wanted
            .iter()
            .filter(|(name, value)| !has(&ticket.whole, name, value))
            .collect();
        if differ.is_empty() {
            return Ok(None);
        }
        let change: Vec<Value> = differ
            .iter()
            .map(|(name, value)| json!({ "op": "replace", "path": name, "value": value }))
            .collect();
        let id = ticket.id.to_string();
        let changed = self
            .client
            .patch(&["service", "tickets", &id], &Value::Array(change))
            .await
            .map_err(later_if_gone)?;
        // The answer to a change that was not honoured can be a success all the same.
        if let Some((name, _)) = differ
            .iter()
            .find(|(name, value)| !has(&changed, name, value))
        {
            return Err(Trouble::permanent(
                "not_changed",
                format!("ConnectWise answered that it had set `{name}`, but it is as it was"),
            ));
        }
        self.read(&changed).map(Some)
    }
}

/// Whether a ticket has this value; a reference, if it has all its members. As ConnectWise does,
/// without regard to case.
fn has(ticket: &Value, name: &str, wanted: &Value) -> bool {
    let same = |now: Option<&Value>, wanted: &Value| match (now, wanted) {
        (Some(Value::String(now)), Value::String(wanted)) => {
            now.to_lowercase() == wanted.to_lowercase()
        }
        (now, wanted) => now == Some(wanted),
    };
    let now = ticket.get(name);
    match wanted {
        Value::Object(members) => members
            .iter()
            .all(|(member, wanted)| same(now.and_then(|now| now.get(member)), wanted)),
        wanted => same(now, wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_ticket_has_is_not_set_again() {
        let ticket = json!({ "priority": { "id": 3, "name": "Priority 3" }, "severity": "High" });
        for (name, value, wanted) in [
            ("priority", json!({ "name": "priority 3" }), true),
            ("priority", json!({ "id": 3 }), true),
            ("priority", json!({ "id": 4 }), false),
            ("severity", json!("high"), true),
            ("impact", json!("High"), false),
            ("impact", json!({ "id": 1 }), false),
        ] {
            assert_eq!(has(&ticket, name, &value), wanted, "{name} {value}");
        }
    }
}
