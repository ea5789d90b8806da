//! The rows of mails, and the timer that sends them.

use entity::mail;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
};
use uuid::Uuid;

use super::smtp::{LONG, Refusal};
use super::{Mail, place};
use crate::clock::from_ms;
use crate::core::Core;
use crate::journal::sql;
use crate::schedule::{self, Due, Next, Task};

/// The kind of the timers.
pub const KIND: &str = "mail";
/// The timer that sends.
pub(super) const SEND: &str = "send";
/// The timer that deletes what is old.
const CLEAN: &str = "clean";

/// A mail that is to be sent.
pub(super) const WAITING: &str = "waiting";
pub(super) const SENT: &str = "sent";
/// A mail that was given up.
pub(super) const FAILED: &str = "failed";

/// First wait after a failure; it doubles.
const FIRST_WAIT_MS: i64 = 5_000;
/// Longest wait after a failure.
const LONGEST_WAIT_MS: i64 = 30 * 60_000;
/// A mail that is older is given up.
const HORIZON_MS: i64 = 24 * 3_600_000;
/// A claim lasts longer than a mail can take.
const CLAIM_MS: i64 = 120_000;
/// Mails of one run are begun for so long.
const RUN_MS: i64 = 5_000;
/// How long it is kept that there was a mail.
const KEPT_MS: i64 = 7 * 24 * 3_600_000;
/// How long the text of a mail that was given up is kept, so that it can be sent once more.
const TEXT_KEPT_MS: i64 = 24 * 3_600_000;
const HOUR_MS: i64 = 3_600_000;
/// Rows of one statement that deletes.
const CLEAN_ROWS: i64 = 500;

/// Sends what is in the outbox, one mail after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outbox;

#[async_trait::async_trait]
impl Task for Outbox {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn standing(&self, now: i64) -> Vec<(String, i64)> {
        vec![(CLEAN.to_owned(), now)]
    }

    async fn run(&self, core: &Core, due: &Due) -> Result<Next, DbErr> {
        if due.key == CLEAN {
            return clean(core).await;
        }
        let begun = core.clock.now_ms();
        while core.clock.now_ms() - begun < RUN_MS {
            let Some(row) = claim(core).await? else {
                break;
            };
            let outcome = hand_over(&core.mail, &row).await;
            record(core, &row, outcome).await?;
        }
        Ok(next(core).await?.map_or(Next::Done, Next::At))
    }
}

/// The next mail that is due, claimed for this node.
async fn claim(core: &Core) -> Result<Option<mail::Model>, DbErr> {
    let now = core.clock.now_ms();
    let lock = if core.db.is_postgres() {
        "FOR UPDATE SKIP LOCKED"
    } else {
        ""
    };
    let query = format!(
        "UPDATE mail SET claimed_until = $2, attempts = attempts + 1 WHERE id IN (SELECT id FROM \
         mail WHERE state = 'waiting' AND due_at <= $1 AND (claimed_until IS NULL OR \
         claimed_until <= $1) ORDER BY due_at LIMIT 1 {lock}) RETURNING id"
    );
    let rows = sql::rows(
        core.db.write(),
        query,
        vec![now.into(), (now + CLAIM_MS).into()],
    )
    .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let id: Uuid = row.try_get("", "id")?;
    mail::Entity::find_by_id(id).one(core.db.write()).await
}

/// Hands a mail to the server; nothing of the database is held meanwhile.
async fn hand_over(mail: &Mail, row: &mail::Model) -> Result<(), Refusal> {
    let Some(way) = &mail.0.way else {
        return Err(Refusal {
            permanent: false,
            summary: "no mail server is set".to_owned(),
            said: String::new(),
        });
    };
    let text = mail
        .0
        .keyring
        .open(&place(row.id), &row.key_id, &row.sealed)
        .map_err(|_| Refusal::ours("the text cannot be opened with this key ring"))?;
    let at = from_ms(row.created_at);
    let composed = way
        .composer
        .compose(row.id, at, &row.recipient, &row.subject, text.reveal())?;
    way.smtp.hand_over(composed, LONG).await
}

/// Notes what became of a mail. The text of one that was taken is wiped.
async fn record(core: &Core, row: &mail::Model, outcome: Result<(), Refusal>) -> Result<(), DbErr> {
    let now = core.clock.now_ms();
    let mut change = mail::ActiveModel {
        claimed_until: Set(None),
        ..Default::default()
    };
    let ended = match outcome {
        Ok(()) => {
            core.metrics.mail("sent");
            tracing::info!(mail.id = %row.id, "A mail was taken by the mail server.");
            change.error = Set(None);
            Some(SENT)
        }
        Err(refusal) => {
            let wait = FIRST_WAIT_MS << row.attempts.saturating_sub(1).clamp(0, 12);
            let again = now + wait.min(LONGEST_WAIT_MS);
            let over = refusal.permanent || again >= row.created_at + HORIZON_MS;
            change.error = Set(Some(refusal.text()));
            change.due_at = Set(again);
            let reason = refusal.summary;
            if over {
                core.metrics.mail("failed");
                tracing::error!(mail.id = %row.id, reason, "A mail was given up.");
            } else {
                core.metrics.mail("delayed");
                tracing::warn!(mail.id = %row.id, reason, "A mail was not taken; it is tried again.");
            }
            over.then_some(FAILED)
        }
    };
    if let Some(state) = ended {
        change.state = Set(state.to_owned());
        change.ended_at = Set(Some(now));
    }
    if ended == Some(SENT) {
        change.key_id = Set(String::new());
        change.sealed = Set(Vec::new());
    }
    mail::Entity::update_many()
        .set(change)
        .filter(mail::Column::Id.eq(row.id))
        .exec(core.db.write())
        .await?;
    Ok(())
}

/// When the next mail is due.
async fn next(core: &Core) -> Result<Option<i64>, DbErr> {
    let query = "SELECT MIN(CASE WHEN claimed_until > due_at THEN claimed_until ELSE due_at END) \
                 AS at FROM mail WHERE state = 'waiting'";
    let rows = sql::rows(core.db.write(), query, Vec::new()).await?;
    rows.first().map_or(Ok(None), |row| row.try_get("", "at"))
}

/// Wipes the texts of mails that were given up, and deletes what is old.
async fn clean(core: &Core) -> Result<Next, DbErr> {
    let now = core.clock.now_ms();
    let old = mail::ActiveModel {
        key_id: Set(String::new()),
        sealed: Set(Vec::new()),
        ..Default::default()
    };
    mail::Entity::update_many()
        .set(old)
        .filter(mail::Column::State.eq(FAILED))
        .filter(mail::Column::EndedAt.lt(now - TEXT_KEPT_MS))
        .filter(mail::Column::KeyId.ne(""))
        .exec(core.db.write())
        .await?;
    let query = "DELETE FROM mail WHERE id IN (SELECT id FROM mail WHERE state <> 'waiting' \
                 AND ended_at < $1 LIMIT $2)";
    let gone = sql::execute(
        core.db.write(),
        query,
        vec![(now - KEPT_MS).into(), CLEAN_ROWS.into()],
    )
    .await?;
    let full = i64::try_from(gone).is_ok_and(|gone| gone >= CLEAN_ROWS);
    Ok(Next::At(if full { now } else { now + HOUR_MS }))
}

/// Sends a mail once more that waits or was given up. False: its text is gone.
pub(super) async fn retry(txn: &impl ConnectionTrait, now: i64, id: Uuid) -> Result<bool, DbErr> {
    let again = mail::ActiveModel {
        state: Set(WAITING.to_owned()),
        due_at: Set(now),
        ended_at: Set(None),
        ..Default::default()
    };
    let set = mail::Entity::update_many()
        .set(again)
        .filter(mail::Column::Id.eq(id))
        .filter(mail::Column::State.is_in([WAITING, FAILED]))
        .filter(mail::Column::KeyId.ne(""))
        .exec(txn)
        .await?;
    if set.rows_affected == 1 {
        schedule::set(txn, KIND, SEND, now).await?;
    }
    Ok(set.rows_affected == 1)
}
