//! Maintenance windows: when they are open, as pure calendar logic.
//!
//! A window is a schedule in a time zone, and each of its occurrences is one span of time: it
//! begins at the first moment whose wall clock shows its start or later, and ends after the last
//! moment whose wall clock shows less than its end. So a start in the hour that spring leaves out
//! is the moment of the jump, and of the hour that comes twice in autumn an occurrence takes the
//! first start and the last end: it is never interrupted. The start belongs to it, the end does not.
//!
//! Nothing here knows what time it is. The time zone data is only linked where [`Window::compile`]
//! is called; [`Schedule`] and its parts carry none.

mod clock;
mod cron;
mod model;

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::fault::{Fault, FaultCode};
use cron::Cron;

pub use model::{Day, Schedule};

/// Longest opening of a cron schedule, in minutes: a week.
pub const LONGEST_MINUTES: u32 = 7 * 24 * 60;

/// How many days an opening is followed: one that lasts longer is looked at again then.
const FOLLOWED: u64 = 35;
/// How many days ahead the next opening is looked for: 29 February comes after eight years at most.
const AHEAD: u64 = 8 * 366;

/// From a moment to the next change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Whether the window is open all this time.
    pub open: bool,
    /// The next change; none: there is none. An opening of more than a month is given in parts.
    pub until: Option<DateTime<Utc>>,
}

/// A compiled window.
#[derive(Clone, Debug)]
pub struct Window {
    zone: Tz,
    plan: Plan,
}

#[derive(Clone, Debug)]
enum Plan {
    Once(Span),
    Days {
        days: [bool; 7],
        start: NaiveTime,
        end: NaiveTime,
    },
    Cron {
        cron: Cron,
        length: TimeDelta,
    },
}

type Span = (DateTime<Utc>, DateTime<Utc>);

impl Window {
    /// Compiles a schedule in a time zone of the IANA database.
    ///
    /// # Errors
    /// Every fault with its place: `zone`, or a field below `schedule`.
    pub fn compile(zone: &str, schedule: &Schedule) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let known = zone.parse::<Tz>();
        if known.is_err() {
            faults.push(at(
                "zone",
                FaultCode::UnknownZone,
                "expected a name of the IANA time zone database, as in Europe/Madrid",
            ));
        }
        // The rest is checked in any zone.
        let zone = known.unwrap_or(Tz::UTC);
        let plan = plan(zone, schedule, &mut faults);
        match plan {
            Some(plan) if faults.is_empty() => Ok(Self { zone, plan }),
            _ => Err(faults),
        }
    }

    /// Whether it is open.
    pub fn is_open(&self, at: DateTime<Utc>) -> bool {
        self.covering(at).is_some()
    }

    /// The end of the occurrence at this moment, of several the last.
    fn covering(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let today = clock::wall(self.zone, at).date();
        let spans = self.spans(back(today, self.reach()), on(today, 1));
        let covers = |span: &&Span| span.0 <= at && at < span.1;
        spans.iter().filter(covers).map(|span| span.1).max()
    }

    /// When the opening at this moment ends, following openings that touch it; none: it is closed.
    pub fn open_until(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let phase = self.phase(at);
        phase.until.filter(|_| phase.open)
    }

    /// The first moment after this one at which it opens; none: never again.
    pub fn next_opening(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut phase = self.phase(after);
        // An opening that is given in parts ends after a few of them, or goes on for good.
        for _ in 0..AHEAD / FOLLOWED {
            if !phase.open {
                return phase.until;
            }
            phase = self.phase(phase.until?);
        }
        None
    }

    /// Whether it is open at this moment, and until when that stays so.
    pub fn phase(&self, at: DateTime<Utc>) -> Phase {
        if let Plan::Once((start, end)) = self.plan {
            return Phase {
                open: start <= at && at < end,
                until: [start, end].into_iter().find(|change| *change > at),
            };
        }
        let today = clock::wall(self.zone, at).date();
        let first = back(today, self.reach());
        let Some(mut end) = self.covering(at) else {
            return Phase {
                open: false,
                until: self.opening_after(at, back(today, 1)),
            };
        };
        for ahead in 0..FOLLOWED + self.reach() {
            let date = on(first, ahead);
            if date > on(clock::wall(self.zone, end).date(), 1) {
                break;
            }
            for (start, stop) in self.spans(date, date) {
                if start <= end {
                    end = end.max(stop);
                }
            }
        }
        Phase {
            open: true,
            until: Some(end),
        }
    }

    /// A moment as the window's wall clock shows it, for people.
    pub fn local(&self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.zone)
            .format("%a %Y-%m-%d %H:%M %Z")
            .to_string()
    }

    /// How many days back an occurrence may begin that is still open.
    fn reach(&self) -> u64 {
        match &self.plan {
            Plan::Once(_) | Plan::Days { .. } => 2,
            Plan::Cron { length, .. } => u64::try_from(length.num_days()).unwrap_or(0) + 2,
        }
    }

    fn opening_after(&self, at: DateTime<Utc>, from: NaiveDate) -> Option<DateTime<Utc>> {
        (0..AHEAD).find_map(|ahead| {
            let date = on(from, ahead);
            let spans = self.spans(date, date);
            spans.into_iter().map(|s| s.0).find(|start| *start > at)
        })
    }

    /// The occurrences that begin on these days, in order; empty ones are left out.
    fn spans(&self, first: NaiveDate, last: NaiveDate) -> Vec<Span> {
        let mut spans = Vec::new();
        for date in first.iter_days().take_while(|date| *date <= last) {
            self.spans_of(date, &mut spans);
        }
        spans.retain(|(start, end)| start < end);
        spans.sort_unstable();
        spans
    }

    fn spans_of(&self, date: NaiveDate, into: &mut Vec<Span>) {
        match &self.plan {
            Plan::Once(span) => into.push(*span),
            Plan::Days { days, start, end } => {
                let weekday = date.weekday().num_days_from_monday();
                if days.get(weekday as usize).copied().unwrap_or(false) {
                    let last = if end > start { date } else { on(date, 1) };
                    into.push((
                        clock::begin(self.zone, date.and_time(*start)),
                        clock::end(self.zone, last.and_time(*end)),
                    ));
                }
            }
            Plan::Cron { cron, length } => {
                for wall in cron.times_of(date) {
                    let (first, again) = clock::comes(self.zone, wall);
                    into.push((first, first + *length));
                    if let Some(again) = again.filter(|_| cron.every_hour()) {
                        into.push((again, again + *length));
                    }
                }
            }
        }
    }
}

fn plan(zone: Tz, schedule: &Schedule, faults: &mut Vec<Fault>) -> Option<Plan> {
    match schedule {
        Schedule::Once { start, end } => {
            let start = moment(zone, "schedule.start", start, clock::begin, faults);
            let end = moment(zone, "schedule.end", end, clock::end, faults);
            let span = (start?, end?);
            if span.0 >= span.1 {
                faults.push(at(
                    "schedule.end",
                    FaultCode::Conflict,
                    "the end lies before the start",
                ));
            }
            Some(Plan::Once(span))
        }
        Schedule::Daily { start, end } => {
            times(start, end, faults).map(|(start, end)| Plan::Days {
                days: [true; 7],
                start,
                end,
            })
        }
        Schedule::Weekly { days, start, end } => {
            let mut chosen = [false; 7];
            for day in days {
                if let Some(place) = chosen.get_mut(*day as usize) {
                    *place = true;
                }
            }
            if days.is_empty() {
                faults.push(at(
                    "schedule.days",
                    FaultCode::Empty,
                    "at least one day is expected",
                ));
            }
            times(start, end, faults).map(|(start, end)| Plan::Days {
                days: chosen,
                start,
                end,
            })
        }
        Schedule::Cron { cron, minutes } => {
            if !(1..=LONGEST_MINUTES).contains(minutes) {
                faults.push(at(
                    "schedule.minutes",
                    FaultCode::TooMany,
                    format!("1 to {LONGEST_MINUTES} minutes are expected"),
                ));
            }
            match Cron::parse(cron) {
                Ok(cron) => Some(Plan::Cron {
                    cron,
                    length: TimeDelta::minutes(i64::from(*minutes)),
                }),
                Err(message) => {
                    faults.push(at("schedule.cron", FaultCode::CronSyntax, message));
                    None
                }
            }
        }
    }
}

fn times(start: &str, end: &str, faults: &mut Vec<Fault>) -> Option<(NaiveTime, NaiveTime)> {
    let mut time = |field: &str, text: &str| {
        let parsed = NaiveTime::parse_from_str(text, "%H:%M").ok();
        if parsed.is_none() {
            faults.push(at(
                field,
                FaultCode::TimeSyntax,
                "expected a time, as in 22:00",
            ));
        }
        parsed
    };
    let (start, end) = (time("schedule.start", start), time("schedule.end", end));
    Some((start?, end?))
}

/// A moment with its offset, or a wall clock's time in the zone.
fn moment(
    zone: Tz,
    field: &str,
    text: &str,
    resolve: fn(Tz, NaiveDateTime) -> DateTime<Utc>,
    faults: &mut Vec<Fault>,
) -> Option<DateTime<Utc>> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Some(moment.with_timezone(&Utc));
    }
    let local = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    if local.is_none() {
        faults.push(at(
            field,
            FaultCode::TimeSyntax,
            "expected a local time, as in 2026-12-24T22:00, or one with its offset",
        ));
    }
    Some(resolve(zone, local?))
}

fn at(field: &str, code: FaultCode, message: impl Into<String>) -> Fault {
    Fault::new(code, message).within(field)
}

fn on(date: NaiveDate, days: u64) -> NaiveDate {
    date.checked_add_days(Days::new(days))
        .unwrap_or(NaiveDate::MAX)
}

fn back(date: NaiveDate, days: u64) -> NaiveDate {
    date.checked_sub_days(Days::new(days))
        .unwrap_or(NaiveDate::MIN)
}
