//! What the API shows of mail, and the mail that tries the settings.

use entity::{mail, member, user};
use openapi::mail::{MailEntry, MailProgress, MailState, TestMail, TestMailSent};
use openapi::page::Page;
use openapi::problem::Code;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _, QueryResult,
    QuerySelect as _, Select,
};
use uuid::Uuid;

use super::address::masked;
use super::outbox::{self, FAILED, SENT, WAITING};
use super::{EmailAddress, Refusal, test_message};
use crate::auth::Caller;
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::journal::sql;
use crate::limits::{Key, Rate};
use crate::scope::Scope;
use crate::services::audit::{self, Act, Actor};
use crate::services::cursor::Window;

/// How mail stands.
///
/// # Errors
/// The database failed.
pub async fn state(core: &Core) -> ApiResult<MailState> {
    let query = "SELECT COUNT(CASE WHEN state = 'waiting' THEN 1 END) AS waiting, \
                 COUNT(CASE WHEN state = 'failed' THEN 1 END) AS failed, \
                 MAX(CASE WHEN state = 'sent' THEN ended_at END) AS sent_at FROM mail";
    let counts = sql::rows(core.db.read(), query, Vec::new()).await?;
    let query = "SELECT error FROM mail WHERE error IS NOT NULL AND state <> 'sent' \
                 ORDER BY due_at DESC LIMIT 1";
    let errors = sql::rows(core.db.read(), query, Vec::new()).await?;
    let number = |name: &str| {
        let row: Option<&QueryResult> = counts.first();
        row.map_or(Ok(0), |row| row.try_get::<i64>("", name))
    };
    let sent_at: Option<i64> = match counts.first() {
        Some(row) => row.try_get("", "sent_at")?,
        None => None,
    };
    let last_error: Option<String> = match errors.first() {
        Some(row) => row.try_get("", "error")?,
        None => None,
    };
    Ok(MailState {
        configured: core.mail.is_configured(),
        from: core.mail.sender(),
        waiting: number("waiting")?,
        failed: number("failed")?,
        // What the server said may name a recipient.
        last_error: last_error.as_deref().map(summary),
        last_sent_at: sent_at.map(from_ms),
    })
}

/// The mails of a workspace: those about it, and those to its members.
fn of(scope: Scope) -> Select<mail::Entity> {
    let workspace = scope.workspace();
    let members = Query::select()
        .expr(Expr::col((user::Entity, user::Column::Email)))
        .from(user::Entity)
        .inner_join(
            member::Entity,
            Expr::col((member::Entity, member::Column::UserId))
                .equals((user::Entity, user::Column::Id)),
        )
        .and_where(Expr::col((member::Entity, member::Column::WorkspaceId)).eq(workspace))
        .to_owned();
    let to_members = Condition::all()
        .add(mail::Column::WorkspaceId.is_null())
        .add(mail::Column::Recipient.in_subquery(members));
    mail::Entity::find().filter(
        Condition::any()
            .add(mail::Column::WorkspaceId.eq(workspace))
            .add(to_members),
    )
}

/// The mails of a workspace, newest first; never what they say.
///
/// # Errors
/// The cursor is not one of ours, or the database failed.
pub async fn list(
    core: &Core,
    scope: Scope,
    state: Option<MailProgress>,
    window: Window,
) -> ApiResult<Page<MailEntry>> {
    let mut query = of(scope);
    if let Some(state) = state {
        query = query.filter(mail::Column::State.eq(match state {
            MailProgress::Waiting => WAITING,
            MailProgress::Sent => SENT,
            MailProgress::Failed => FAILED,
        }));
    }
    if let Some(before) = window.before {
        query = query.filter(mail::Column::Id.lt(before));
    }
    let rows = query
        .order_by_desc(mail::Column::Id)
        .limit(window.limit + 1)
        .all(core.db.read())
        .await?;
    Ok(window.page(rows, |row| row.id, to_wire))
}

fn to_wire(row: mail::Model) -> MailEntry {
    let state = match row.state.as_str() {
        SENT => MailProgress::Sent,
        FAILED => MailProgress::Failed,
        _ => MailProgress::Waiting,
    };
    MailEntry {
        id: row.id,
        kind: row.kind,
        to: masked(&row.recipient),
        state,
        attempts: row.attempts,
        created_at: from_ms(row.created_at),
        next_try_at: (state == MailProgress::Waiting).then(|| from_ms(row.due_at)),
        ended_at: row.ended_at.map(from_ms),
        error: row.error.as_deref().map(summary),
        can_retry: state != MailProgress::Sent && !row.key_id.is_empty(),
    }
}

/// Our words with the code of the answer. What the server said may name a recipient.
fn summary(error: &str) -> String {
    let Some((words, rest)) = error.split_once(" (") else {
        return error.to_owned();
    };
    match rest.split_once(')') {
        Some((code, _)) if code.len() == 3 && code.bytes().all(|c| c.is_ascii_digit()) => {
            format!("{words} ({code})")
        }
        _ => words.to_owned(),
    }
}

/// Sends a mail once more, at once: one that waits for its next try, or one that was given up.
///
/// # Errors
/// 404, 409 when it was sent or its text is gone, or when no mail server is set.
pub async fn retry(core: &Core, caller: &Caller, id: Uuid) -> ApiResult<MailEntry> {
    let txn = core.db.begin().await?;
    let find = of(caller.scope).filter(mail::Column::Id.eq(id));
    let row = find.one(&txn).await?.ok_or_else(ApiError::not_found)?;
    if !core.mail.is_configured() {
        return Err(not_configured());
    }
    if !outbox::retry(&txn, core.clock.now_ms(), id).await? {
        return Err(ApiError::new(Code::Conflict).detail(
            "It was sent, or its text is gone by now. Invite the person anew, or have them ask again.",
        ));
    }
    let act = Act {
        action: "mail.retry",
        kind: "mail",
        id: Some(id),
        name: &masked(&row.recipient),
        before: serde_json::json!({ "state": row.state }),
        after: serde_json::json!({ "state": WAITING }),
    };
    let by = Actor::of(caller);
    audit::note(&txn, &core.clock, caller.scope, &by, act).await?;
    txn.commit().await?;
    let find = of(caller.scope).filter(mail::Column::Id.eq(id));
    let row = find.one(core.db.write()).await?;
    row.map(to_wire).ok_or_else(ApiError::not_found)
}

/// Sends the mail that tries the settings, and waits for the server's answer.
///
/// # Errors
/// 409 without a mail server, 422 for a bad address, 429 after too many, 502 if it was not taken.
pub async fn test(core: &Core, caller: &Caller, body: &TestMail) -> ApiResult<TestMailSent> {
    let to = EmailAddress::parse(&body.to)
        .map_err(|fault| ApiError::invalid("to", "email", fault.to_string()))?;
    if !core.mail.is_configured() {
        return Err(not_configured());
    }
    // It goes to whatever address is asked for.
    let key = Key::Failures("test-mails", caller.scope.workspace().to_string());
    if let Err(wait) = core.limits.take(&key, Rate::one_every(60, 5)).await {
        return Err(ApiError::new(Code::RateLimited).retry_after(wait.as_secs() + 1));
    }
    let message = test_message(to, &core.settings.public_url);
    let outcome = core.mail.send_now(&message).await;
    let act = Act {
        action: "mail.test",
        kind: "mail",
        id: outcome.as_ref().ok().copied(),
        name: message.to.domain(),
        before: serde_json::Value::Null,
        after: serde_json::json!({ "taken": outcome.is_ok() }),
    };
    audit::note(
        core.db.write(),
        &core.clock,
        caller.scope,
        &Actor::of(caller),
        act,
    )
    .await?;
    match outcome {
        Ok(id) => Ok(TestMailSent { id }),
        Err(None) => Err(not_configured()),
        Err(Some(refusal)) => Err(problem(&refusal)),
    }
}

fn not_configured() -> ApiError {
    ApiError::new(Code::MailNotConfigured)
        .detail("Set smtp_host and mail_from, and start the server again.")
}

fn problem(refusal: &Refusal) -> ApiError {
    ApiError::new(Code::UpstreamFailed)
        .detail(format!("The mail was not sent: {}.", refusal.summary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_without_what_the_server_said() {
        for (stored, told) in [
            (
                "the mail server could not be reached",
                "the mail server could not be reached",
            ),
            (
                "the mail server refused the mail (550) (5.1.1 ann@example.com unknown)",
                "the mail server refused the mail (550)",
            ),
            ("it took too long (ann@example.com)", "it took too long"),
            ("it took too long (ann", "it took too long"),
        ] {
            assert_eq!(summary(stored), told);
        }
    }
}
