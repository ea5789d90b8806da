//! Telling "the database is away" from "this statement is wrong".

use sea_orm::sqlx::Error as SqlxError;
use sea_orm::{DbErr, RuntimeErr};

/// Whether an error says that the database cannot work now, whatever the statement: it cannot be
/// reached, is busy, stopping, or out of space. The same statement may pass later.
pub fn is_away(error: &DbErr) -> bool {
    if matches!(error, DbErr::ConnectionAcquire(_)) {
        return true;
    }
    match inner(error) {
        Some(SqlxError::Database(inner)) => inner.code().is_some_and(|code| passes(&code)),
        Some(
            SqlxError::Io(_)
            | SqlxError::Tls(_)
            | SqlxError::Protocol(_)
            | SqlxError::PoolTimedOut
            | SqlxError::PoolClosed
            | SqlxError::WorkerCrashed
            | SqlxError::BeginFailed,
        ) => true,
        _ => matches!(error, DbErr::Conn(_)),
    }
}

/// Whether an error says that no space is left for the database: a full disk, a quota, a limit on
/// the size of files.
pub fn is_full(error: &DbErr) -> bool {
    match inner(error) {
        Some(SqlxError::Database(inner)) => inner.code().is_some_and(|code| fills(&code)),
        _ => false,
    }
}

/// Whether an error of PostgreSQL says that others hold a lock: it was waited for in vain, or in a
/// circle.
pub fn is_locked(error: &DbErr) -> bool {
    match inner(error) {
        Some(SqlxError::Database(inner)) => {
            let code = inner.code();
            code.is_some_and(|code| matches!(code.as_ref(), "55P03" | "40P01"))
        }
        _ => false,
    }
}

fn inner(error: &DbErr) -> Option<&SqlxError> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(inner))
        | DbErr::Exec(RuntimeErr::SqlxError(inner))
        | DbErr::Query(RuntimeErr::SqlxError(inner)) => Some(inner.as_ref()),
        _ => None,
    }
}

fn passes(code: &str) -> bool {
    if is_postgres(code) {
        // Connection, operator intervention, resources, rolled back, trouble of the system; lock
        // not available, and a server that only reads: a standby that is about to take over.
        return ["08", "57", "53", "40", "58", "55P03", "25006"]
            .iter()
            .any(|class| code.starts_with(class));
    }
    // Busy, locked, out of memory, only readable, I/O, full, cannot open, protocol.
    code.parse::<u32>()
        .is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 7 | 8 | 10 | 13 | 14 | 15))
}

fn fills(code: &str) -> bool {
    if is_postgres(code) {
        return code == "53100";
    }
    // Full, or a write or a growth that the system refused (limit, quota).
    code.parse::<u32>()
        .is_ok_and(|code| code & 0xff == 13 || matches!(code, 778 | 4874))
}

/// PostgreSQL's codes have five characters. SQLite's are small numbers; the largest that exist have
/// four digits.
fn is_postgres(code: &str) -> bool {
    code.len() == 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_passing_trouble_from_lasting() {
        for code in [
            "08006", "57P01", "53100", "40001", "55P03", "58030", "25006", "5", "13", "1034",
            "4874", "778", "8",
        ] {
            assert!(passes(code), "{code}");
        }
        for code in ["23505", "42601", "22021", "25001", "19", "1", "2067"] {
            assert!(!passes(code), "{code}");
        }
    }

    #[test]
    fn knows_a_full_disk() {
        for code in ["53100", "13", "778", "4874"] {
            assert!(fills(code), "{code}");
        }
        for code in ["53200", "08006", "5", "10", "266"] {
            assert!(!fills(code), "{code}");
        }
    }
}
