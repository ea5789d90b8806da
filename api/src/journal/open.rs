//! Which deliveries are open, in the words of the partial indexes over them.
//!
//! A partial index of SQLite serves only a query that repeats its condition, and with every row that
//! is written the condition is tried for the row as it was and as it is. For a list of more than two
//! values it fills a table of its own each time, so they are compared one by one. The words are those
//! of the migration that made the indexes; PostgreSQL finds its own, which has the list, by them.

use sea_orm::sea_query::{Expr, SimpleExpr};

/// States in which a delivery holds its place in the lane.
pub const OPEN_STATES: [&str; 7] = [
    "ready", "leased", "retrying", "windowed", "held", "paused", "parked",
];

macro_rules! open {
    ($row:literal) => {
        concat!(
            "(",
            $row,
            "state = 'ready' OR ",
            $row,
            "state = 'leased' OR ",
            $row,
            "state = 'retrying' OR ",
            $row,
            "state = 'windowed' OR ",
            $row,
            "state = 'held' OR ",
            $row,
            "state = 'paused' OR ",
            $row,
            "state = 'parked')"
        )
    };
}

/// The condition, where there is one table.
pub const OPEN: &str = open!("");

/// The same of a delivery `d`.
pub const OPEN_D: &str = open!("d.");

/// The same of a delivery by any name.
pub fn open_of(row: &str) -> String {
    OPEN.replace("state", &format!("{row}.state"))
}

/// The same for the ORM: with bound values the indexes would not be used.
pub fn open_states() -> SimpleExpr {
    Expr::cust(OPEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_open_state_is_named_once_and_in_order() {
        let tests: Vec<String> = OPEN_STATES
            .iter()
            .map(|s| format!("state = '{s}'"))
            .collect();
        assert_eq!(OPEN, format!("({})", tests.join(" OR ")));
        assert_eq!(OPEN_D, open_of("d"));
    }
}
