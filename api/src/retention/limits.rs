//! From days to points in time.

use std::collections::HashMap;

use entity::{retention, source, workspace};
use openapi::retention::RetentionSpec;
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use crate::db::Db;
use crate::snapshot::revision;

const DAY_MS: i64 = 86_400_000;

/// The limits of a workspace, as of now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The workspace.
    pub workspace: Uuid,
    /// Its name in the archive.
    pub slug: String,
    /// The days.
    pub spec: RetentionSpec,
}

/// What a clean-up goes by.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The revision of the configuration before it was read; every change of it makes another.
    pub revision: i64,
    /// Every workspace.
    pub workspaces: HashMap<Uuid, Limits>,
    /// Sources with a number of their own.
    pub sources: HashMap<Uuid, u32>,
}

impl Known {
    /// Whether others say the same.
    pub fn says(&self, other: &Self) -> bool {
        self.workspaces == other.workspaces && self.sources == other.sources
    }
}

/// What a clean-up goes by, as it is now.
///
/// # Errors
/// The database failed.
pub async fn known(db: &Db) -> Result<Known, DbErr> {
    let revision = revision(db).await?;
    let all = workspaces(db).await?;
    Ok(Known {
        revision,
        workspaces: all.into_iter().map(|one| (one.workspace, one)).collect(),
        sources: overrides(db).await?,
    })
}

/// A point in time; older goes. None: nothing goes.
pub fn cut(days: u32, now: i64) -> Option<i64> {
    (days > 0).then(|| now - i64::from(days) * DAY_MS)
}

/// Dead letters at or after this stay.
pub fn dead_cut(days: u32, now: i64) -> i64 {
    cut(days, now).unwrap_or(i64::MIN)
}

/// Days that closed links are kept: no less than events.
pub fn link_days(spec: &RetentionSpec) -> u32 {
    if spec.links == 0 || spec.events == 0 {
        0
    } else {
        spec.links.max(spec.events)
    }
}

/// The smallest id of a point in time.
pub fn id_at(ms: i64) -> Uuid {
    crate::ids::first_of(ms)
}

/// Every workspace with its limits.
pub async fn workspaces(db: &Db) -> Result<Vec<Limits>, DbErr> {
    let mut specs: HashMap<Uuid, RetentionSpec> = HashMap::new();
    for row in retention::Entity::find().all(db.read()).await? {
        // What cannot be read deletes nothing.
        let spec = serde_json::from_str(&row.spec).unwrap_or_else(|_| super::forever());
        specs.insert(row.workspace_id, spec);
    }
    let rows = workspace::Entity::find()
        .filter(workspace::Column::DeletingAt.is_null())
        .all(db.read())
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| Limits {
            workspace: row.id,
            slug: row.slug,
            spec: specs.remove(&row.id).unwrap_or_default(),
        })
        .collect())
}

/// Sources with a number of their own.
pub async fn overrides(db: &Db) -> Result<HashMap<Uuid, u32>, DbErr> {
    let rows = source::Entity::find().all(db.read()).await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| Some((row.id, u32::try_from(row.retention_days?).ok()?)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_back_and_zero_is_for_good() {
        assert_eq!(cut(2, 10 * DAY_MS), Some(8 * DAY_MS));
        assert_eq!(cut(0, 10 * DAY_MS), None);
        assert_eq!(dead_cut(0, 10), i64::MIN);
    }

    #[test]
    fn links_are_kept_as_long_as_events() {
        let days = |links, events| {
            link_days(&RetentionSpec {
                links,
                events,
                ..RetentionSpec::default()
            })
        };
        assert_eq!((days(365, 90), days(10, 90)), (365, 90));
        assert_eq!((days(0, 90), days(365, 0)), (0, 0));
    }

    #[test]
    fn ids_are_older_or_newer_than_a_point_in_time() {
        let now = 1_900_000_000_000;
        assert!(crate::ids::at(now) > id_at(now));
        let id = Uuid::from_u128(0x01ba_0000_0000_7fff_bfff_ffff_ffff_ffff);
        let ms = i64::try_from(id.as_u128() >> 80).unwrap();
        assert!(id >= id_at(ms) && id < id_at(ms + 1));
    }
}
