//! Rows that are looked for in all workspaces at once: attempts, links, records of the sandbox.
//!
//! Invariant: each goes by the limits of its own workspace, which stand in the query as rows beside it.

use std::collections::BTreeMap;

use openapi::retention::RetentionSpec;
use uuid::Uuid;

use super::{Phase, Run};
use crate::core::Core;
use crate::journal::sql::{self, Values};
use crate::retention::batch::{self, Stopped};
use crate::retention::limits::{cut, dead_cut, id_at, link_days};
use crate::retention::queries;
use crate::retention::size::Written;
use crate::schedule::Due;

/// What goes when nobody has changed it for some time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unchanged {
    /// Closed links.
    Links,
    /// Records of the sandbox.
    Sandbox,
}

impl Unchanged {
    fn days(self, spec: &RetentionSpec) -> u32 {
        match self {
            Self::Links => link_days(spec),
            Self::Sandbox => spec.sandbox,
        }
    }

    const fn table(self) -> &'static str {
        match self {
            Self::Links => "link",
            Self::Sandbox => "sandbox_record",
        }
    }
}

impl Run {
    /// Attempts of finished deliveries, by the limits of their workspaces.
    pub(super) async fn attempts(
        &mut self,
        core: &Core,
        due: &Due,
        after: Uuid,
    ) -> Result<Option<Phase>, Stopped> {
        let mut limits = Values::of(core.db.read());
        let mut cuts = Vec::new();
        for l in self.known.workspaces.values() {
            if self.must_wait(l.workspace) {
                continue;
            }
            if let Some(cut) = cut(l.spec.attempts, self.planned_at) {
                cuts.push(id_at(cut));
                limits.row([
                    l.workspace.into(),
                    id_at(cut).into(),
                    dead_cut(l.spec.dead_letters, self.planned_at).into(),
                ]);
            }
        }
        let (Some(first), Some(last)) = (cuts.iter().min().copied(), cuts.iter().max().copied())
        else {
            return Ok(None);
        };
        let marks = (
            limits.single(after.into()),
            limits.single(last.into()),
            limits.single(self.rows()),
        );
        let query = queries::attempts(&limits.text, (&marks.0, &marks.1, &marks.2));
        let mut ids: Vec<Uuid> = Vec::new();
        let mut owners: Vec<Uuid> = Vec::new();
        for row in sql::rows(core.db.read(), query, limits.values).await? {
            ids.push(row.try_get("", "id")?);
            owners.push(row.try_get("", "workspace_id")?);
        }
        let fit = self.fitting(core, Written::Attempts, &ids).await?;
        ids.truncate(fit);
        let Some(newest) = ids.last().copied() else {
            // The next run need not look at what this one has passed over in every workspace.
            if !self.away {
                self.passed.after = first;
            }
            return Ok(None);
        };
        let mut found: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
        for (id, workspace) in ids.into_iter().zip(owners) {
            found.entry(workspace).or_default().push(id);
        }
        for (workspace, own) in found {
            let gone = batch::attempts(self.place(core, due, workspace), &own).await?;
            self.note(workspace, gone, "attempt");
        }
        Ok(Some(Phase::Attempts { after: newest }))
    }

    /// What nobody has changed, by the limits of the workspaces.
    pub(super) async fn unchanged(
        &mut self,
        core: &Core,
        kind: Unchanged,
        after: Uuid,
    ) -> Result<Option<Phase>, Stopped> {
        let mut limits = Values::of(core.db.read());
        let mut cuts = BTreeMap::new();
        for l in self.known.workspaces.values() {
            if let Some(cut) = cut(kind.days(&l.spec), self.planned_at) {
                cuts.insert(l.workspace, cut);
                limits.row([l.workspace.into(), cut.into()]);
            }
        }
        let Some(last) = cuts.values().max().copied() else {
            return Ok(None);
        };
        let marks = (
            limits.single(after.into()),
            limits.single(id_at(last).into()),
            limits.single(self.rows()),
        );
        let marks = (marks.0.as_str(), marks.1.as_str(), marks.2.as_str());
        let (query, delete): (String, fn(&str, &str) -> String) = match kind {
            Unchanged::Links => (queries::links(&limits.text, marks), queries::delete_links),
            Unchanged::Sandbox => (
                queries::sandbox(&limits.text, marks),
                queries::delete_sandbox,
            ),
        };
        let mut newest = None;
        let mut found: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
        for row in sql::rows(core.db.read(), query, limits.values).await? {
            let id: Uuid = row.try_get("", "id")?;
            newest = Some(id);
            let workspace = row.try_get("", "workspace_id")?;
            found.entry(workspace).or_default().push(id);
        }
        let Some(newest) = newest else {
            return Ok(None);
        };
        for (workspace, own) in found {
            let cut = cuts.get(&workspace).copied().unwrap_or(i64::MIN);
            let gone = batch::unchanged(core, &own, cut, delete).await?;
            self.note(workspace, gone, kind.table());
        }
        Ok(Some(Phase::Unchanged {
            kind,
            after: newest,
        }))
    }
}
