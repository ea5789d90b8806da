//! When to look again for what is to be set aside, while a connection is not worked on.
//!
//! It is looked for at each wake until several times in a row nothing was left, since the last
//! outcomes are written by then. After that, of a connection that is switched off it is believed; of
//! one that needs attention now and then, for what nobody told of, and at once when something is let
//! go.

use std::time::{Duration, Instant};

/// So often nothing is found before it is believed.
const QUIET: u8 = 5;
/// After that it is looked for again so seldom.
const SELDOM: Duration = Duration::from_secs(10);

/// Why a connection is not worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is switched off.
    Off,
    /// It needs attention.
    Attention,
}

/// What is known from the looks before.
#[derive(Debug, Default)]
pub struct Look {
    /// Absent while it is worked on.
    why: Option<Why>,
    /// How often in a row nothing was left.
    quiet: u8,
    /// When to look whatever else is known.
    after: Option<Instant>,
}

impl Look {
    /// Whether to look now; `news` if something was let go. For another reason than before it begins
    /// anew.
    pub fn is_due(&mut self, why: Why, news: bool, now: Instant) -> bool {
        if self.why != Some(why) {
            *self = Self {
                why: Some(why),
                ..Self::default()
            };
        }
        if news {
            self.quiet = 0;
        }
        let again = || self.after.is_none_or(|after| now >= after);
        self.quiet < QUIET || (why == Why::Attention && again())
    }

    /// It was looked; `quiet` if nothing was left, and nothing was under way that could add to it.
    pub fn looked(&mut self, now: Instant, quiet: bool) {
        self.quiet = if quiet {
            self.quiet.saturating_add(1)
        } else {
            0
        };
        self.after = now.checked_add(SELDOM);
    }

    /// The connection is worked on.
    pub fn over(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at each wake and finds nothing, until it is believed; says how often that was.
    fn looks(look: &mut Look, why: Why, news: bool, now: Instant) -> u8 {
        let mut looks = 0;
        while look.is_due(why, news && looks == 0, now) {
            look.looked(now, true);
            looks += 1;
        }
        looks
    }

    #[test]
    fn what_is_switched_off_is_quiet_when_nothing_is_left() {
        let (mut look, now) = (Look::default(), Instant::now());
        assert!(look.is_due(Why::Off, false, now));
        look.looked(now, true);
        // An outcome was written meanwhile.
        look.looked(now, false);
        assert_eq!(looks(&mut look, Why::Off, false, now), QUIET);
        assert!(!look.is_due(Why::Off, false, now + 2 * SELDOM));
        look.over();
        assert_eq!(looks(&mut look, Why::Off, false, now), QUIET);
    }

    #[test]
    fn what_needs_attention_is_looked_at_now_and_then() {
        let (mut look, now) = (Look::default(), Instant::now());
        let why = Why::Attention;
        assert_eq!(looks(&mut look, why, false, now), QUIET);
        // Something was let go.
        assert_eq!(looks(&mut look, why, true, now), QUIET);
        assert!(!look.is_due(why, false, now + SELDOM / 2));
        let later = now + SELDOM;
        assert_eq!(looks(&mut look, why, false, later), 1);
        assert!(!look.is_due(why, false, later + SELDOM / 2));
        // What nobody told of was there: more may be.
        let later = later + SELDOM;
        assert!(look.is_due(why, false, later));
        look.looked(later, false);
        assert_eq!(looks(&mut look, why, false, later), QUIET);
    }

    #[test]
    fn another_reason_begins_anew() {
        let (mut look, now) = (Look::default(), Instant::now());
        for why in [Why::Off, Why::Attention, Why::Off] {
            assert_eq!(looks(&mut look, why, false, now), QUIET, "{why:?}");
        }
    }
}
