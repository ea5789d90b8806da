//! `ticket.upsert`: one open ticket for each key and company.
//!
//! Invariant: a ticket is made only after a search that worked found none open. ConnectWise has no
//! idempotency keys, so nothing that writes is sent twice: its outcome is unknown until the next
//! attempt has looked. What looks: the reference of the key on the ticket, and on the last line of
//! every text a mark of the message that wrote it. A crash at any point leaves a ticket that the
//! next attempt finds, and at worst lacks the note that it then writes.
//!
//! A linked ticket that was open and is gone ends the attempt before anything is written: whoever lost
//! the right to see a board must not get every ticket of it a second time.

use engine::rules::Action;
use serde_json::{Value, json};

use super::client::Client;
use super::fields;
use super::lists::{Lists, closing};
use super::reference::{Step, mark, quoted, signed, xref};
use super::settings::{NoteKind, PatchStyle, Settings};
use super::ticket::{Company, Ticket};
use super::trouble::Trouble;
use crate::connectors::common::counted;
use crate::connectors::{Connection, Effect, Fault, Job, LinkChange, RecordRef};

/// How many closed tickets are looked at for the mark of a lost reply.
const CLOSED_LOOKED_AT: &str = "5";

/// What was done.
pub(super) struct Done {
    pub(super) effect: Effect,
    pub(super) record: Option<RecordRef>,
    pub(super) link: LinkChange,
}

/// One operation on its way.
pub(super) struct Upsert<'a, 'c> {
    pub(super) client: &'a mut Client<'c>,
    pub(super) lists: &'a Lists,
    pub(super) connection: &'a Connection,
    pub(super) settings: &'a Settings,
    pub(super) job: &'a Job,
    company: Company,
    xref: String,
}

/// What there is for a key.
enum Found {
    Open(Ticket),
    /// The linked one, no longer open.
    Closed(Ticket),
    Nothing,
}

impl<'a, 'c> Upsert<'a, 'c> {
    pub(super) fn new(
        client: &'a mut Client<'c>,
        lists: &'a Lists,
        connection: &'a Connection,
        settings: &'a Settings,
        job: &'a Job,
    ) -> Result<Self, Trouble> {
        let (company, xref) = target(settings, job)?;
        Ok(Self {
            client,
            lists,
            connection,
            settings,
            job,
            company,
            xref,
        })
    }

    pub(super) async fn run(mut self) -> Result<Done, Trouble> {
        match self.job.action {
            None | Some(Action::Open) => self.open().await,
            Some(Action::Note) => self.note().await,
            Some(Action::Close) => self.close().await,
            Some(Action::Ignore) => Ok(nothing(LinkChange::Keep)),
        }
    }

    async fn open(&mut self) -> Result<Done, Trouble> {
        let found = self.find().await?;
        if let Found::Open(ticket) = found {
            if self.again() && self.wrote(&ticket, Step::Opened).await? {
                return Ok(self.done(Effect::Created, &ticket, true));
            }
            return self.repeat(&ticket).await;
        }
        if self.again()
            && let Some(ticket) = self.opened_and_closed().await?
        {
            return Ok(self.done(Effect::Created, &ticket, false));
        }
        let body =
            fields::body(self.job, self.settings, &self.company, &self.xref).ok_or_else(|| {
                Trouble::permanent(
                    "missing_field",
                    "a new ticket needs a summary, and the rule's is empty",
                )
            })?;
        let made = match self.client.post(&["service", "tickets"], &body).await {
            // The search beside it worked, so address and keys are right.
            Err(Trouble::NotFound(fault)) => {
                return Err(Trouble::permanent(
                    "http_404",
                    format!("the ticket was not taken: {}", fault.message),
                ));
            }
            other => other?,
        };
        let ticket = self.read(&made)?;
        Ok(self.done(Effect::Created, &ticket, !ticket.closed))
    }

    async fn note(&mut self) -> Result<Done, Trouble> {
        match self.find().await? {
            Found::Open(ticket) => self.add_note(&ticket).await,
            Found::Closed(ticket) => Ok(self.done(Effect::None, &ticket, false)),
            Found::Nothing => Ok(nothing(self.unlinked())),
        }
    }

    async fn close(&mut self) -> Result<Done, Trouble> {
        let ticket = match self.find().await? {
            Found::Open(ticket) => ticket,
            Found::Closed(ticket) => {
                // Closed by somebody else, or by an attempt of ours whose reply was lost.
                let ours = self.again() && self.wrote(&ticket, Step::Closed).await?;
                let effect = if ours { Effect::Closed } else { Effect::None };
                return Ok(self.done(effect, &ticket, false));
            }
            Found::Nothing => return Ok(nothing(self.unlinked())),
        };
        // The note first: boards may lock the discussion of closed tickets, or demand a resolution.
        if !(self.again() && self.wrote(&ticket, Step::Closed).await?) {
            let text = fields::text(&self.job.fields, "resolution")
                .unwrap_or_else(|| "Resolved.".to_owned());
            self.write(&ticket, Step::Closed, &text).await?;
        }
        let closed = self.set_closed(&ticket).await?;
        Ok(self.done(Effect::Closed, &ticket, !closed))
    }

    /// Sets the closing status of the ticket's own board and looks at what came of it.
    async fn set_closed(&mut self, ticket: &Ticket) -> Result<bool, Trouble> {
        let board = ticket.board_id.ok_or_else(|| {
            Trouble::permanent(
                "no_board",
                "the ticket has no board, so no status closes it",
            )
        })?;
        let wanted = fields::text(&self.job.fields, "close_status")
            .unwrap_or_else(|| self.settings.close_status.clone());
        let statuses = self
            .lists
            .statuses(self.client, self.connection, board)
            .await?;
        let status = closing(&statuses, &wanted).ok_or_else(|| {
            Trouble::permanent(
                "no_closing_status",
                format!(
                    "the board `{}` has no status that closes",
                    ticket.board_name
                ),
            )
        })?;
        if self.settings.require_closed && !status.closes {
            return Err(Trouble::permanent(
                "status_does_not_close",
                format!(
                    "the status `{}` of the board `{}` does not close tickets",
                    status.name, ticket.board_name
                ),
            ));
        }
        let change = match self.settings.patch_style {
            PatchStyle::Reference => {
                json!([{ "op": "replace", "path": "status", "value": { "id": status.id } }])
            }
            PatchStyle::Id => json!([{ "op": "replace", "path": "status/id", "value": status.id }]),
        };
        let id = ticket.id.to_string();
        let changed = match self
            .client
            .patch(&["service", "tickets", &id], &change)
            .await
        {
            Ok(changed) => changed,
            Err(trouble) => {
                // The board may have changed since its statuses were read.
                self.lists.forget_statuses(self.connection, board).await;
                return Err(later_if_gone(trouble));
            }
        };
        // The answer to a change that was not honoured can be a success all the same.
        let now = self.read(&changed)?;
        let status_now = changed.pointer("/status/id").and_then(Value::as_i64);
        if now.closed || (!status.closes && status_now == Some(status.id)) {
            return Ok(now.closed);
        }
        Err(Trouble::permanent(
            "not_closed",
            format!(
                "ConnectWise answered that it had set the status `{}`, but the ticket is still open; try the setting patch_style",
                status.name
            ),
        ))
    }

    pub(super) async fn add_note(&mut self, ticket: &Ticket) -> Result<Done, Trouble> {
        if !(self.again() && self.wrote(ticket, Step::Noted).await?) {
            let mapped = ["note", "initialDescription", "summary"];
            let text = mapped
                .iter()
                .find_map(|name| fields::text(&self.job.fields, name))
                .unwrap_or_else(|| "It happened again.".to_owned());
            let text = counted(text, self.job.repeats);
            self.write(ticket, Step::Noted, &text).await?;
        }
        Ok(self.done(Effect::Noted, ticket, true))
    }

    async fn write(&mut self, ticket: &Ticket, step: Step, text: &str) -> Result<(), Trouble> {
        let internal = self.settings.notes == NoteKind::Internal;
        let note = json!({
            "text": signed(text, step, &self.job.message_id, &self.job.correlation_id),
            "detailDescriptionFlag": !internal,
            "internalAnalysisFlag": internal,
            "resolutionFlag": step == Step::Closed,
        });
        let id = ticket.id.to_string();
        self.client
            .post(&["service", "tickets", &id, "notes"], &note)
            .await
            .map(drop)
            .map_err(later_if_gone)
    }

    /// Whether an earlier attempt may have done a part of this.
    fn again(&self) -> bool {
        self.job.unsure || self.job.attempt > 1
    }

    /// Whether this message wrote such a text on the ticket.
    async fn wrote(&mut self, ticket: &Ticket, step: Step) -> Result<bool, Trouble> {
        let id = ticket.id.to_string();
        let notes = self
            .client
            .list(&["service", "tickets", &id, "notes"], &[])
            .await
            .map_err(later_if_gone)?;
        let mark = mark(step, &self.job.message_id);
        Ok(notes
            .iter()
            .filter_map(|note| note.get("text").and_then(Value::as_str))
            .any(|text| text.contains(&mark)))
    }

    /// What there is for the key: the linked ticket if it is open, else what the search finds.
    async fn find(&mut self) -> Result<Found, Trouble> {
        let mut linked = None;
        let mut ghost = None;
        if let Some(link) = &self.job.link
            && link.record_id.parse::<i64>().is_ok()
        {
            match self
                .client
                .get(&["service", "tickets", &link.record_id], &[])
                .await
            {
                Ok(value) => {
                    let ticket = self.read(&value)?;
                    // The same key may be in use for another customer.
                    if ticket.of(&self.company) {
                        if !ticket.closed {
                            return Ok(Found::Open(ticket));
                        }
                        linked = Some(ticket);
                    }
                }
                // Gone, or the keys are wrong: then the search fails, too. One that was closed would
                // be replaced anyway.
                Err(Trouble::NotFound(fault)) if link.open => ghost = Some(fault),
                Err(Trouble::NotFound(_)) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        let open = self.search(false, &[("orderBy", "id asc")], true).await?;
        match (open.into_iter().next(), linked, ghost) {
            (Some(ticket), _, _) => Ok(Found::Open(ticket)),
            (None, Some(ticket), _) => Ok(Found::Closed(ticket)),
            // Nothing is written before it is clear that this is the only one.
            (None, None, Some(fault)) => Err(Trouble::Ghost(Fault::new(
                fault.code,
                format!("the linked ticket is gone; {}", fault.message),
                fault.status,
            ))),
            (None, None, None) => Ok(Found::Nothing),
        }
    }

    /// A ticket that a lost attempt of this message opened and somebody closed since.
    async fn opened_and_closed(&mut self) -> Result<Option<Ticket>, Trouble> {
        let query = [("orderBy", "id desc"), ("pageSize", CLOSED_LOOKED_AT)];
        for ticket in self.search(true, &query, false).await? {
            if self.wrote(&ticket, Step::Opened).await? {
                return Ok(Some(ticket));
            }
        }
        Ok(None)
    }

    /// The tickets of key and company, each checked again: how an upstream reads quotes, case and
    /// blanks in conditions must not decide whose ticket is written to.
    async fn search(
        &mut self,
        closed: bool,
        query: &[(&str, &str)],
        all_pages: bool,
    ) -> Result<Vec<Ticket>, Trouble> {
        let conditions = conditions(self.settings, &self.company, &self.xref, closed);
        let mut query = query.to_vec();
        query.push(("conditions", &conditions));
        let path = ["service", "tickets"];
        let rows = if all_pages {
            self.client.list(&path, &query).await?
        } else {
            match self.client.get(&path, &query).await? {
                Value::Array(rows) => rows,
                _ => return Err(Trouble::unreadable(super::trouble::Call::Reads, 200)),
            }
        };
        Ok(rows
            .iter()
            .filter_map(|row| Ticket::read(row, self.settings.xref_field))
            .filter(|ticket| {
                ticket.closed == closed
                    && ticket.xref.as_deref() == Some(self.xref.as_str())
                    && ticket.of(&self.company)
            })
            .collect())
    }

    pub(super) fn read(&self, value: &Value) -> Result<Ticket, Trouble> {
        Ticket::read(value, self.settings.xref_field)
            .ok_or_else(|| Trouble::unreadable(super::trouble::Call::Writes, 200))
    }

    pub(super) fn done(&self, effect: Effect, ticket: &Ticket, open: bool) -> Done {
        let record = RecordRef {
            id: ticket.id.to_string(),
            url: self.settings.ticket_link(ticket.id),
        };
        Done {
            effect,
            record: Some(record.clone()),
            link: LinkChange::Set { record, open },
        }
    }

    fn unlinked(&self) -> LinkChange {
        if self.job.link.is_some() {
            LinkChange::Clear
        } else {
            LinkChange::Keep
        }
    }
}

const fn nothing(link: LinkChange) -> Done {
    Done {
        effect: Effect::None,
        record: None,
        link,
    }
}

/// A ticket that was there a moment ago: the next attempt looks anew.
pub(super) fn later_if_gone(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::NotFound(fault) => {
            Trouble::Ends(crate::connectors::Outcome::Retry { after: None, fault })
        }
        other => other,
    }
}

/// Company and reference of a job.
pub(super) fn target(settings: &Settings, job: &Job) -> Result<(Company, String), Trouble> {
    let key = job
        .key
        .as_deref()
        .ok_or_else(|| Trouble::permanent("missing_key", "ticket.upsert needs a key"))?;
    let company = Company::of(&job.fields, settings).ok_or_else(|| {
        Trouble::permanent(
            "missing_field",
            "the rule maps no company, and the connection has no default one",
        )
    })?;
    Ok((company, xref(key, settings.xref_field)))
}

/// The search for the tickets of a key and company.
pub(super) fn conditions(
    settings: &Settings,
    company: &Company,
    xref: &str,
    closed: bool,
) -> String {
    format!(
        "{}={} and {} and closedFlag={closed}",
        settings.xref_field.name(),
        quoted(xref),
        company.condition()
    )
}
