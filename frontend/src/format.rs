//! Times, sizes and counts for people.

use chrono::{DateTime, Datelike, Local, Timelike, Utc};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `14:03:22` on the person's clock.
pub fn clock(at: DateTime<Utc>) -> String {
    let at = at.with_timezone(&Local);
    format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())
}

/// `21 Nov 2026, 14:03:22` on the person's clock.
pub fn moment(at: DateTime<Utc>) -> String {
    let local = at.with_timezone(&Local);
    let month = MONTHS
        .get(local.month0() as usize)
        .copied()
        .unwrap_or_default();
    format!("{} {month} {}, {}", local.day(), local.year(), clock(at))
}

/// `just now`, `5 min ago`, `in 2 h`.
pub fn relative(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - at).num_seconds();
    let size = duration(seconds.abs());
    match seconds {
        -4..=4 => "just now".to_owned(),
        s if s > 0 => format!("{size} ago"),
        _ => format!("in {size}"),
    }
}

/// `42 s`, `5 min`, `3 h`, `2 d`.
pub fn duration(seconds: i64) -> String {
    match seconds {
        s if s < 60 => format!("{s} s"),
        s if s < 3_600 => format!("{} min", s / 60),
        s if s < 86_400 => format!("{} h", s / 3_600),
        s => format!("{} d", s / 86_400),
    }
}

/// `12 ms`, `1.4 s`.
pub fn millis(ms: f64) -> String {
    if ms < 1_000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1_000.0)
    }
}

/// `512 B`, `1.5 kB`.
pub fn bytes(size: i64) -> String {
    if size < 1_000 {
        format!("{size} B")
    } else {
        format!("{}.{} kB", size / 1_000, (size % 1_000) / 100)
    }
}

/// The same for what is never negative.
pub fn natural(n: u64) -> String {
    count(i64::try_from(n).unwrap_or(i64::MAX))
}

/// `12,345`.
pub fn count(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if n < 0 { format!("-{out}") } else { out }
}

/// `1 rule`, `3 rules`.
pub fn plural(n: usize, one: &str) -> String {
    if n == 1 {
        format!("1 {one}")
    } else {
        format!("{n} {one}s")
    }
}

/// The first eight characters of an id: enough to tell two apart on a page.
/// Time-ordered ids differ at the end, so it is the end that is shown.
pub fn short_id(id: uuid::Uuid) -> String {
    let text = id.simple().to_string();
    text.get(24..).unwrap_or(&text).to_owned()
}

/// In small letters, of whatever alphabet. The browser has the tables for that already.
pub fn lower(text: &str) -> String {
    #[cfg(target_arch = "wasm32")]
    let lower = String::from(js_sys::JsString::from(text).to_lower_case());
    #[cfg(not(target_arch = "wasm32"))]
    let lower = text.to_lowercase();
    lower
}

/// The moment in UTC at which the person's clock shows `2026-11-21T14:03`; empty if it is none.
pub fn instant(local: &str) -> String {
    let date = js_sys::Date::new(&local.into());
    if date.get_time().is_nan() {
        String::new()
    } else {
        date.to_iso_string().into()
    }
}

/// A code such as `signature_invalid` in words.
pub fn words(code: &str) -> String {
    code.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(-12_345_678), "-12,345,678");
    }

    #[test]
    fn times_are_told_in_the_largest_unit() {
        let now = DateTime::from_timestamp(1_000_000, 0).unwrap_or_default();
        let at = |s: i64| DateTime::from_timestamp(1_000_000 - s, 0).unwrap_or_default();
        assert_eq!(relative(at(2), now), "just now");
        assert_eq!(relative(at(59), now), "59 s ago");
        assert_eq!(relative(at(7_300), now), "2 h ago");
        assert_eq!(relative(at(-120), now), "in 2 min");
    }

    #[test]
    fn sizes_are_told_with_one_digit() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_549), "1.5 kB");
    }
}
