//! Keeping refusals.

use std::net::IpAddr;

use entity::refusal;

use crate::core::Core;
use crate::http::problem::ApiError;
use crate::snapshot::SourceConfig;

/// What is known of a request when it is refused.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// The source.
    pub source: &'a SourceConfig,
    /// Address of the sender.
    pub address: IpAddr,
    /// Content type as received.
    pub content_type: &'a str,
    /// Bytes of the body that were read.
    pub size: usize,
    /// A finer reason than the problem's code.
    pub reason: &'static str,
}

impl Refused<'_> {
    /// The error, after it was noted: with its code, where nothing finer is known.
    pub fn noted(mut self, core: &Core, error: ApiError) -> ApiError {
        if self.reason.is_empty() {
            self.reason = error.code.id();
        }
        note(core, &error, &self);
        error
    }
}

/// Counts a refusal and puts it into the ring of its source.
fn note(core: &Core, error: &ApiError, refused: &Refused<'_>) {
    core.metrics.refused(error.code.id());
    let row = refusal::Model {
        id: crate::ids::new(&core.clock),
        workspace_id: refused.source.workspace_id,
        source_id: refused.source.id,
        at: core.clock.now_ms(),
        status: i32::from(error.code.status()),
        reason: refused.reason.to_owned(),
        remote_addr: refused.address.to_string(),
        content_type: refused.content_type.chars().take(100).collect(),
        size: i64::try_from(refused.size).unwrap_or(i64::MAX),
    };
    if !core.journal.refuse(row, refused.source.slug.clone()) {
        tracing::debug!(source.slug = %refused.source.slug, "A refusal was not kept: too many at once.");
    }
}
