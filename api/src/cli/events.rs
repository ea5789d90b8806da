//! `events tail`: what comes in, read from the database beside a running server.
//!
//! Ids are ordered by time, but of two events the later one may be committed first. So each look
//! goes back a little and passes over what was shown already.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use entity::{event, source};
use sea_orm::{
    ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Done, block_on, load_beside, output, stores};
use crate::clock::{Clock, from_ms};
use crate::config_file::Store;
use crate::scope::Scope;
use crate::settings::StoreFlags;

/// How often the database is looked at.
const LOOK: Duration = Duration::from_millis(400);
/// How late a commit may be seen, in milliseconds.
const LATE: i64 = 10_000;
/// Rows of one look.
const PAGE: u64 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum Events {
    /// Print the last events and follow the new ones
    #[command(after_help = "\
Examples:
  signalbox events tail
  signalbox events tail --source kuma --json
  signalbox events tail --lines 100 --no-follow

It works beside a running server; Ctrl-C ends it.")]
    Tail(Tail),
}

#[derive(Debug, Args)]
pub(super) struct Tail {
    #[command(flatten)]
    flags: StoreFlags,
    /// Slug of the workspace [default: the first one]
    #[arg(long, value_name = "SLUG")]
    workspace: Option<String>,
    /// Only events of this source
    #[arg(long, value_name = "SLUG")]
    source: Option<String>,
    /// Past events to begin with
    #[arg(short = 'n', long, default_value_t = 10, value_name = "N")]
    lines: u64,
    /// End after the past events
    #[arg(long)]
    no_follow: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

impl Events {
    pub fn run(self, config: Option<PathBuf>) -> Done {
        let Events::Tail(tail) = self;
        let settings = load_beside(tail.flags.clone(), config)?;
        block_on(async {
            let store = stores::open_store(&settings).await?;
            let scope = store.scope(tail.workspace.as_deref()).await?;
            tokio::select! {
                done = tail.follow(&store, scope) => done,
                interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Tail {
    async fn follow(&self, store: &Store, scope: Scope) -> anyhow::Result<()> {
        let mut cursor = Cursor::new(store, scope, self.source.as_deref()).await?;
        for row in cursor.last(self.lines).await? {
            self.print(&cursor, &row)?;
        }
        if self.no_follow {
            return Ok(());
        }
        loop {
            for row in cursor.new_ones().await? {
                self.print(&cursor, &row)?;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn print(&self, cursor: &Cursor<'_>, row: &event::Model) -> anyhow::Result<()> {
        let slug = cursor.slugs.get(&row.source_id).map_or("-", String::as_str);
        if !self.json {
            let at = from_ms(row.received_at).format("%Y-%m-%d %H:%M:%S");
            return output::line(&format!(
                "{at}  {:<9}  {slug:<16}  {}  {}",
                row.disposition,
                row.id,
                one_line(&row.title)
            ));
        }
        let matched: Value = serde_json::from_str(&row.matched).unwrap_or(Value::Null);
        let shown = json!({
            "id": row.id,
            "received_at": from_ms(row.received_at),
            "source": slug,
            "disposition": row.disposition,
            "reason": row.reason,
            "title": row.title,
            "correlation_id": row.correlation_id,
            "matched": matched,
            "test": row.test,
        });
        output::line(&shown.to_string())
    }
}

/// Senders write titles; a terminal should not obey them.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A place among the events of a workspace.
pub(super) struct Cursor<'a> {
    store: &'a Store,
    clock: Clock,
    scope: Scope,
    source: Option<Uuid>,
    slugs: BTreeMap<Uuid, String>,
    /// Shown already, not older than the look goes back.
    seen: BTreeSet<Uuid>,
    /// Nothing older is looked at.
    from: Uuid,
}

impl<'a> Cursor<'a> {
    /// A cursor at the present.
    ///
    /// # Errors
    /// There is no such source, or a query failed.
    pub async fn new(store: &'a Store, scope: Scope, slug: Option<&str>) -> anyhow::Result<Self> {
        let mut cursor = Self {
            clock: store.clock.clone(),
            from: at_ms(store.clock.now_ms().saturating_sub(LATE)),
            store,
            scope,
            source: None,
            slugs: BTreeMap::new(),
            seen: BTreeSet::new(),
        };
        cursor.read_slugs().await?;
        if let Some(slug) = slug {
            let known = cursor.slugs.iter().find(|(_, known)| *known == slug);
            let (id, _) = known.ok_or_else(|| anyhow::anyhow!("there is no source {slug}"))?;
            cursor.source = Some(*id);
        }
        // What is there already is the past, which `last` shows.
        let past: Vec<Uuid> = cursor
            .query()
            .select_only()
            .column(event::Column::Id)
            .filter(event::Column::Id.gt(cursor.from))
            .into_tuple()
            .all(store.db.read())
            .await?;
        cursor.seen.extend(past);
        Ok(cursor)
    }

    /// The last `count` events, oldest first; the new ones follow them.
    ///
    /// # Errors
    /// A query failed.
    pub async fn last(&mut self, count: u64) -> Result<Vec<event::Model>, DbErr> {
        let mut rows = self
            .query()
            .order_by_desc(event::Column::Id)
            .limit(count)
            .all(self.store.db.read())
            .await?;
        rows.reverse();
        // Some may have come since the cursor was made.
        self.seen.extend(rows.iter().map(|row| row.id));
        Ok(rows)
    }

    /// What was committed since the last look, oldest first.
    ///
    /// # Errors
    /// A query failed.
    pub async fn new_ones(&mut self) -> anyhow::Result<Vec<event::Model>> {
        let mut fresh = Vec::new();
        let mut after = self.from;
        loop {
            let rows = self
                .query()
                .filter(event::Column::Id.gt(after))
                .order_by_asc(event::Column::Id)
                .limit(PAGE)
                .all(self.store.db.read())
                .await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            fresh.extend(rows.into_iter().filter(|row| !self.seen.contains(&row.id)));
        }
        self.seen.extend(fresh.iter().map(|row| row.id));
        let back = at_ms(self.clock.now_ms().saturating_sub(LATE));
        if back > self.from {
            self.from = back;
            self.seen = self.seen.split_off(&back);
        }
        if fresh
            .iter()
            .any(|row| !self.slugs.contains_key(&row.source_id))
        {
            self.read_slugs().await?;
        }
        Ok(fresh)
    }

    fn query(&self) -> sea_orm::Select<event::Entity> {
        let query =
            event::Entity::find().filter(event::Column::WorkspaceId.eq(self.scope.workspace()));
        match self.source {
            Some(id) => query.filter(event::Column::SourceId.eq(id)),
            None => query,
        }
    }

    async fn read_slugs(&mut self) -> Result<(), DbErr> {
        self.slugs = source::Entity::find()
            .filter(source::Column::WorkspaceId.eq(self.scope.workspace()))
            .all(self.store.db.read())
            .await?
            .into_iter()
            .map(|row| (row.id, row.slug))
            .collect();
        Ok(())
    }
}

/// The smallest id of a moment.
fn at_ms(ms: i64) -> Uuid {
    let ms = u64::try_from(ms).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(ms, &[0; 10]).into_uuid()
}
