//! Cron expressions of five fields.

use chrono::{Datelike as _, NaiveDate, NaiveDateTime};

/// Longest expression.
const LONGEST: usize = 200;
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// Enough days for a 29 February.
const CYCLE: usize = 8 * 366;

/// A parsed expression: one bit for each value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Both kinds of days are restricted: either is enough.
    either: bool,
}

/// A field: its name, its bounds, and names for its values, the first for the lower bound.
struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const fn field(name: &'static str, low: u32, high: u32, names: &'static [&'static str]) -> Field {
    Field {
        name,
        low,
        high,
        names,
    }
}

const FIELDS: [Field; 5] = [
    field("minute", 0, 59, &[]),
    field("hour", 0, 23, &[]),
    field("day of the month", 1, 31, &[]),
    field("month", 1, 12, &MONTHS),
    // 7 is Sunday, too.
    field("day of the week", 0, 7, &DAYS),
];

impl Cron {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("at most {LONGEST} characters"));
        }
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = words.as_slice() else {
            return Err(
                "five fields are expected: minute, hour, day of the month, month, day of the week"
                    .to_owned(),
            );
        };
        let [of_minute, of_hour, of_day, of_month, of_weekday] = &FIELDS;
        let mut weekdays = of_weekday.parse(weekday)?;
        if weekdays & 1 << 7 != 0 {
            weekdays = weekdays & !(1 << 7) | 1;
        }
        let cron = Self {
            minutes: of_minute.parse(minute)?,
            hours: of_hour.parse(hour)?,
            days: of_day.parse(day)?,
            months: of_month.parse(month)?,
            weekdays,
            either: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        let start = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap_or_default();
        if !start.iter_days().take(CYCLE).any(|date| cron.has(date)) {
            return Err("there is no such day".to_owned());
        }
        Ok(cron)
    }

    /// Whether it names every hour: then it counts in both of an hour that comes twice.
    pub const fn every_hour(&self) -> bool {
        self.hours == (1 << 24) - 1
    }

    fn has(&self, date: NaiveDate) -> bool {
        let day = bit(self.days, date.day());
        let weekday = bit(self.weekdays, date.weekday().num_days_from_sunday());
        bit(self.months, date.month())
            && if self.either {
                day || weekday
            } else {
                day && weekday
            }
    }

    /// The times of a day at which it fires, in order.
    pub fn times_of(&self, date: NaiveDate) -> impl Iterator<Item = NaiveDateTime> {
        let (hours, minutes) = if self.has(date) {
            (self.hours, self.minutes)
        } else {
            (0, 0)
        };
        (0..24)
            .filter(move |hour| bit(hours, *hour))
            .flat_map(move |hour| {
                (0..60)
                    .filter(move |minute| bit(minutes, *minute))
                    .filter_map(move |minute| date.and_hms_opt(hour, minute, 0))
            })
    }
}

const fn bit(bits: u64, n: u32) -> bool {
    bits >> n & 1 == 1
}

impl Field {
    fn parse(&self, text: &str) -> Result<u64, String> {
        let mut bits = 0;
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                None => (part, None),
                Some((range, step)) => (range, Some(step)),
            };
            let every = match step {
                None => 1,
                Some(step) => match step.parse::<u32>() {
                    Ok(step) if step > 0 && step <= self.high => step,
                    _ => return Err(self.fault("has a step that is no number")),
                },
            };
            let (first, last) = if range == "*" {
                (self.low, self.top())
            } else if let Some((first, last)) = range.split_once('-') {
                (self.value(first)?, self.value(last)?)
            } else {
                let only = self.value(range)?;
                (only, if step.is_some() { self.top() } else { only })
            };
            if first > last {
                return Err(self.fault("has a range that ends before it begins"));
            }
            let mut n = first;
            while n <= last {
                bits |= 1 << n;
                n += every;
            }
        }
        Ok(bits)
    }

    /// The last value of `*`: of the days of the week, Sunday is not named twice.
    const fn top(&self) -> u32 {
        if self.high == 7 { 6 } else { self.high }
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        let named = self
            .names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(text))
            .and_then(|place| u32::try_from(place).ok())
            .map(|place| place + self.low);
        let number = text
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse().ok())
            .flatten();
        named
            .or(number)
            .filter(|n| (self.low..=self.high).contains(n))
            .ok_or_else(|| {
                self.fault(&format!(
                    "takes {} to {}, lists, ranges and steps",
                    self.low, self.high
                ))
            })
    }

    fn fault(&self, what: &str) -> String {
        format!("the {} {what}", self.name)
    }
}
