//! Errors of the journal's own connection in the words of the others, so that a full disk is told
//! from a wrong statement in one place.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use sea_orm::sqlx::error::{DatabaseError, ErrorKind};
use sea_orm::sqlx::{self};
use sea_orm::{DbErr, RuntimeErr};

/// What SQLite said.
#[derive(Debug)]
struct Said {
    code: i32,
    message: String,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(code: {}) {}", self.code, self.message)
    }
}

impl Error for Said {}

impl DatabaseError for Said {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.code.to_string().into())
    }

    fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        // Primary key and unique.
        match self.code {
            1555 | 2067 => ErrorKind::UniqueViolation,
            787 => ErrorKind::ForeignKeyViolation,
            1299 => ErrorKind::NotNullViolation,
            275 => ErrorKind::CheckViolation,
            _ => ErrorKind::Other,
        }
    }
}

/// Of a statement that changes something.
pub fn exec(error: rusqlite::Error) -> DbErr {
    DbErr::Exec(said(error))
}

/// Of a statement that returns rows.
pub fn query(error: rusqlite::Error) -> DbErr {
    DbErr::Query(said(error))
}

/// Of a connection that could not be made.
pub fn opening(error: rusqlite::Error) -> DbErr {
    DbErr::Conn(said(error))
}

fn said(error: rusqlite::Error) -> RuntimeErr {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => {
            let said = Said {
                code: code.extended_code,
                message: message.unwrap_or_else(|| code.to_string()),
            };
            RuntimeErr::SqlxError(Arc::new(sqlx::Error::Database(Box::new(said))))
        }
        other => RuntimeErr::Internal(other.to_string()),
    }
}
