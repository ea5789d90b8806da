//! Which passwords are taken: one rule for every way to set one.
//!
//! The same function answers the meter of the console, so that it never shows green for what is
//! refused. A password is handed in, judged and dropped; it is neither stored nor logged here.

use openapi::account::PasswordStrength;
use openapi::problem::FieldError;
use zxcvbn::zxcvbn;

use super::HashError;
use crate::http::problem::{ApiError, ApiResult, field_error};

/// Fewest characters.
pub const LEAST_CHARS: usize = 12;
/// Most bytes.
pub const MOST_BYTES: usize = 256;
/// Lowest score that is taken, of 0 to 4.
const LEAST_SCORE: u8 = 3;
/// Fewest letters and digits beside what is known of a person.
const LEAST_OWN: usize = 4;
/// Hints that are looked at.
const MOST_HINTS: usize = 8;

/// Judges a password. `hints` are what somebody would try first: the address, the name.
///
/// # Errors
/// The process is stopping.
pub async fn judge_password(password: &str, hints: &[&str]) -> Result<PasswordStrength, HashError> {
    let password = password.to_owned();
    let hints = words(hints);
    // It takes milliseconds, which is too long for a thread that serves.
    tokio::task::spawn_blocking(move || judge(&password, &hints))
        .await
        .map_err(|_| HashError)
}

/// Refuses a password that the rule does not take.
///
/// # Errors
/// 422 that names the field and says what would help.
pub async fn check_password(field: &str, password: &str, hints: &[&str]) -> ApiResult<()> {
    let judged = judge_password(password, hints).await?;
    if judged.acceptable {
        return Ok(());
    }
    let advice = judged.advice.join(" ");
    let fault: FieldError = field_error(field, "weak_password", advice);
    Err(ApiError::faults(vec![fault]))
}

/// The hints, and the parts that they are made of.
fn words(hints: &[&str]) -> Vec<String> {
    let mut words = vec!["signalbox".to_owned()];
    for hint in hints.iter().take(MOST_HINTS) {
        let hint: String = hint.chars().take(100).collect::<String>().to_lowercase();
        let parts = hint.split(|c: char| !c.is_alphanumeric());
        words.extend(parts.filter(|part| part.len() >= 3).map(str::to_owned));
        words.push(hint);
    }
    words
}

fn judge(password: &str, hints: &[String]) -> PasswordStrength {
    let mut advice = Vec::new();
    if password.chars().count() < LEAST_CHARS {
        advice.push(format!("Use at least {LEAST_CHARS} characters."));
    }
    if password.len() > MOST_BYTES {
        advice.push(format!("Use at most {MOST_BYTES} bytes."));
        return PasswordStrength {
            score: 0,
            acceptable: false,
            advice,
        };
    }
    // Several known words in a row look long to the estimator, and are the first thing to be tried.
    let rest = hints
        .iter()
        .filter(|hint| hint.len() >= 3)
        .fold(password.to_lowercase(), |rest, hint| {
            rest.replace(hint.as_str(), "")
        });
    let only_known = rest.chars().filter(|c| c.is_alphanumeric()).count() < LEAST_OWN;
    let hints: Vec<&str> = hints.iter().map(String::as_str).collect();
    let judged = zxcvbn(password, &hints);
    let score = match u8::from(judged.score()) {
        score if only_known => score.min(LEAST_SCORE - 1),
        score => score,
    };
    if let Some(feedback) = judged.feedback() {
        advice.extend(feedback.warning().map(|warning| warning.to_string()));
        advice.extend(feedback.suggestions().iter().map(ToString::to_string));
    }
    if score < LEAST_SCORE && advice.is_empty() {
        advice.push("It is too easy to guess.".to_owned());
    }
    let long_enough = password.chars().count() >= LEAST_CHARS;
    PasswordStrength {
        score,
        acceptable: long_enough && score >= LEAST_SCORE,
        advice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::generate_password;

    fn taken(password: &str, hints: &[&str]) -> bool {
        judge(password, &words(hints)).acceptable
    }

    #[test]
    fn what_is_short_long_or_easy_is_not_taken() {
        assert!(taken("correct horse battery staple", &[]));
        assert!(!taken("h7$kQ2!mZp9", &[]), "eleven characters");
        assert!(!taken(&"long-and-Random%77 ".repeat(20), &[]));
        assert!(!taken("passwordpassword", &[]));
        assert!(!taken("aaaaaaaaaaaaaaaa", &[]));
        assert!(!taken("qwertyuiop12", &[]));
        let judged = judge("short", &[]);
        assert!(judged.advice[0].contains("12"), "{judged:?}");
    }

    #[test]
    fn what_is_known_about_a_person_does_not_count() {
        let password = "wolfeschlegelsteinhausen1";
        assert!(taken(password, &[]));
        assert!(!taken(password, &["wolfeschlegelsteinhausen@example.com"]));
        assert!(!taken("signalbox signalbox", &[]));
    }

    #[test]
    fn what_is_made_here_is_taken() {
        for _ in 0..50 {
            assert!(taken(&generate_password(), &["admin@localhost", "Admin"]));
        }
    }
}
