//! One line when something begins to fail over and over, one when it works again.

use sea_orm::DbErr;

/// Says once that a loop cannot reach the database, and once that it can again.
#[derive(Debug, Default)]
pub struct Outage {
    lasts: bool,
}

impl Outage {
    /// A round failed.
    pub fn failed(&mut self, what: &'static str, error: &DbErr) {
        if std::mem::replace(&mut self.lasts, true) {
            tracing::debug!(%error, "{what}");
        } else {
            tracing::warn!(%error, "{what} It is tried again and again.");
        }
    }

    /// A round worked.
    pub fn over(&mut self) {
        if std::mem::take(&mut self.lasts) {
            tracing::info!("The database answers again.");
        }
    }
}
