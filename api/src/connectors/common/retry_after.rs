//! When the upstream says to come back.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Longest wait that is obeyed: a slip in an upstream's header must not park a lane for weeks.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The wait that `Retry-After` asks for: seconds, or a date in one of the three forms of HTTP.
pub(in crate::connectors) fn retry_after(
    headers: &HeaderMap,
    now: DateTime<Utc>,
) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => (http_date(text)? - now).to_std().unwrap_or_default(),
    };
    Some(wait.min(LONGEST))
}

fn http_date(text: &str) -> Option<DateTime<Utc>> {
    const FORMS: [&str; 3] = [
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %e %H:%M:%S %Y",
    ];
    FORMS
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .map(|moment| moment.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        let now = "2026-11-21T09:00:00Z".parse().unwrap();
        for (text, seconds) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sat, 21 Nov 2026 09:01:30 GMT", Some(90)),
            ("Saturday, 21-Nov-26 09:01:30 GMT", Some(90)),
            ("Sat Nov 21 09:01:30 2026", Some(90)),
            ("Sat, 21 Nov 2026 08:00:00 GMT", Some(0)),
            ("99999999", Some(86_400)),
            ("soon", None),
            ("-5", None),
            ("1.5", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            let wait = retry_after(&headers, now).map(|wait| wait.as_secs());
            assert_eq!(wait, seconds, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
