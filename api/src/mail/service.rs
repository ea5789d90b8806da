//! What the API shows of mail, and the mail that tries the settings.

use openapi::mail::{MailState, TestMail, TestMailSent};
use openapi::problem::Code;
use sea_orm::QueryResult;

use super::{EmailAddress, Refusal, test_message};
use crate::auth::Caller;
use crate::clock::from_ms;
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::journal::sql;
use crate::limits::{Key, Rate};
use crate::services::audit::{self, Act, Actor};

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
        last_error: last_error.map(|text| text.split(" (").next().unwrap_or_default().to_owned()),
        last_sent_at: sent_at.map(from_ms),
    })
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
