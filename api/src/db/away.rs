//! Telling "the database is away" from "this statement is wrong".

use sea_orm::sqlx::Error as SqlxError;
use sea_orm::{DbErr, RuntimeErr};

/// Whether an error says that the database cannot work now, whatever the statement: it cannot be
/// reached, is busy, stopping, or out of space. The same statement may pass later.
pub fn is_away(error: &DbErr) -> bool {
    match error {
        DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(inner)) | DbErr::Query(RuntimeErr::SqlxError(inner)) => {
            match inner.as_ref() {
                SqlxError::Database(inner) => inner.code().is_some_and(|code| passes(&code)),
                SqlxError::Io(_)
                | SqlxError::Tls(_)
                | SqlxError::Protocol(_)
                | SqlxError::PoolTimedOut
                | SqlxError::PoolClosed
                | SqlxError::WorkerCrashed
                | SqlxError::BeginFailed => true,
                _ => false,
            }
        }
        _ => false,
    }
}

/// PostgreSQL's codes have five characters; SQLite's are numbers.
fn passes(code: &str) -> bool {
    if code.len() == 5 {
        // Connection, operator intervention, resources, rolled back, lock not available.
        return ["08", "57", "53", "40", "55P03"]
            .iter()
            .any(|class| code.starts_with(class));
    }
    // Busy, locked, out of memory, I/O, full, cannot open, protocol; the low byte names the kind.
    code.parse::<u32>()
        .is_ok_and(|n| matches!(n & 0xff, 5 | 6 | 7 | 10 | 13 | 14 | 15))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_passing_trouble_from_lasting() {
        for code in [
            "08006", "57P01", "53100", "40001", "55P03", "5", "13", "1034", "4874",
        ] {
            assert!(passes(code), "{code}");
        }
        for code in ["23505", "42601", "22021", "19", "1", "2067"] {
            assert!(!passes(code), "{code}");
        }
    }
}
