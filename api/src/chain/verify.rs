//! Looking whether the chain holds.

use entity::{audit, audit_chain};
use sea_orm::{
    ColumnTrait as _, DatabaseConnection, DbErr, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::hash;

/// Lines that are read at once.
const PIECE: u64 = 500;

/// The first place at which a chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// Number of the line.
    pub seq: i64,
    /// The line; none: it is missing.
    pub id: Option<Uuid>,
    /// `missing`, `changed`, `end`: the end that is noted is another one, or `rewritten`: it is not the
    /// line whose hash was kept elsewhere.
    pub what: &'static str,
}

/// Number and hash of a line that somebody kept elsewhere: the end of the chain at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Number of the line.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
}

/// How a line that was kept elsewhere stands to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The line is there, with this hash.
    Holds,
    /// Another line is there, or none: the log was written anew.
    Rewritten,
    /// The line was deleted by age, so nothing can be said.
    Deleted,
}

impl Known {
    /// The stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Rewritten => "rewritten",
            Self::Deleted => "deleted",
        }
    }
}

/// Compares a line that was kept elsewhere with the log, and says in the report if it is another one.
/// It proves something only of a chain that holds.
///
/// # Errors
/// The database failed.
pub async fn compare(
    db: &DatabaseConnection,
    workspace: Uuid,
    kept: &Kept,
    report: &mut Report,
) -> Result<Known, DbErr> {
    let chain = chain(db, workspace).await?;
    if kept.seq < chain.anchor_seq {
        return Ok(Known::Deleted);
    }
    let hash = if kept.seq == chain.anchor_seq {
        Some(chain.anchor_hash)
    } else {
        audit::Entity::find()
            .filter(audit::Column::WorkspaceId.eq(workspace))
            .filter(audit::Column::Seq.eq(kept.seq))
            .one(db)
            .await?
            .and_then(|row| row.hash)
    };
    if hash.as_deref() == Some(kept.hash.as_str()) {
        return Ok(Known::Holds);
    }
    report.broken.get_or_insert(Break {
        seq: kept.seq,
        id: None,
        what: Known::Rewritten.word(),
    });
    Ok(Known::Rewritten)
}

/// What was found in one workspace.
#[derive(Clone, Debug)]
pub struct Report {
    /// Lines that were looked at.
    pub checked: u64,
    /// Lines that have not joined yet.
    pub waiting: u64,
    /// Number of the last line that was deleted by age; 0: none.
    pub anchor_seq: i64,
    /// Number of the last line.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
    /// Where it does not hold.
    pub broken: Option<Break>,
}

/// Reads the chain of a workspace from its anchor to its end.
///
/// It begins with the end as it is noted, so lines that join meanwhile are left out, and lines that
/// retention takes meanwhile are seen by a second look at the anchor.
///
/// # Errors
/// The database failed.
pub async fn verify(db: &DatabaseConnection, workspace: Uuid) -> Result<Report, DbErr> {
    loop {
        let chain = chain(db, workspace).await?;
        let (checked, broken) = walk(db, &chain).await?;
        if broken.is_some() && self::chain(db, workspace).await?.anchor_seq != chain.anchor_seq {
            continue;
        }
        let waiting = audit::Entity::find()
            .filter(audit::Column::WorkspaceId.eq(workspace))
            .filter(audit::Column::Seq.is_null())
            .count(db)
            .await?;
        return Ok(Report {
            checked,
            waiting,
            anchor_seq: chain.anchor_seq,
            seq: chain.seq,
            hash: chain.hash,
            broken,
        });
    }
}

async fn chain(db: &DatabaseConnection, workspace: Uuid) -> Result<audit_chain::Model, DbErr> {
    let found = audit_chain::Entity::find_by_id(workspace).one(db).await?;
    Ok(found.unwrap_or(audit_chain::Model {
        workspace_id: workspace,
        seq: 0,
        hash: String::new(),
        anchor_seq: 0,
        anchor_hash: String::new(),
    }))
}

async fn walk(
    db: &DatabaseConnection,
    chain: &audit_chain::Model,
) -> Result<(u64, Option<Break>), DbErr> {
    let (mut seq, mut last, mut checked) = (chain.anchor_seq, chain.anchor_hash.clone(), 0);
    loop {
        let rows = audit::Entity::find()
            .filter(audit::Column::WorkspaceId.eq(chain.workspace_id))
            .filter(audit::Column::Seq.gt(seq))
            .filter(audit::Column::Seq.lte(chain.seq))
            .order_by_asc(audit::Column::Seq)
            .limit(PIECE)
            .all(db)
            .await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            seq += 1;
            checked += 1;
            if row.seq != Some(seq) {
                return Ok((
                    checked,
                    Some(Break {
                        seq,
                        id: None,
                        what: "missing",
                    }),
                ));
            }
            last = hash::of(&row, seq, &last);
            if row.hash.as_ref() != Some(&last) {
                let id = Some(row.id);
                return Ok((
                    checked,
                    Some(Break {
                        seq,
                        id,
                        what: "changed",
                    }),
                ));
            }
        }
    }
    let broken = if seq < chain.seq {
        let seq = seq + 1;
        Some(Break {
            seq,
            id: None,
            what: "missing",
        })
    } else if last != chain.hash {
        Some(Break {
            seq,
            id: None,
            what: "end",
        })
    } else {
        beyond(db, chain).await?
    };
    Ok((checked, broken))
}

/// A line with a number that the chain has not come to, unless it has joined meanwhile.
async fn beyond(
    db: &DatabaseConnection,
    chain: &audit_chain::Model,
) -> Result<Option<Break>, DbErr> {
    let row = audit::Entity::find()
        .filter(audit::Column::WorkspaceId.eq(chain.workspace_id))
        .filter(audit::Column::Seq.gt(chain.seq))
        .order_by_asc(audit::Column::Seq)
        .one(db)
        .await?;
    let now = self::chain(db, chain.workspace_id).await?;
    Ok(row.and_then(|row| {
        let seq = row.seq.filter(|seq| *seq > now.seq)?;
        let id = Some(row.id);
        Some(Break {
            seq,
            id,
            what: "end",
        })
    }))
}
