//! The statements that look for what may go. All of them walk an index from the oldest on.

/// States in which more will happen to a delivery.
const OPEN: &str = "('ready','leased','retrying','windowed','held','paused','parked')";

/// Whether a delivery `d` keeps itself and its event. `dead` is the mark of the time since which
/// dead letters stay.
fn keeps(dead: &str) -> String {
    format!(
        "(d.state IN {OPEN} OR (d.state = 'dead' AND COALESCE(d.finished_at, d.updated_at) >= {dead}) \
         OR (d.lane IS NOT NULL AND COALESCE(d.effect, '') = 'created' AND EXISTS (SELECT 1 FROM link l \
         WHERE l.connection_id = d.connection_id AND l.key = d.lane AND l.state = 'open' \
         AND l.record_id = d.record_id)))"
    )
}

/// No delivery keeps the event `{event}`.
fn nothing_keeps(event: &str, dead: &str) -> String {
    format!(
        "NOT EXISTS (SELECT 1 FROM delivery d WHERE d.event_id = {event} AND {})",
        keeps(dead)
    )
}

/// The next source that has events, after `$1`.
pub fn next_source() -> String {
    "SELECT source_id, workspace_id FROM event WHERE source_id > $1 ORDER BY source_id LIMIT 1"
        .to_owned()
}

/// Events of source `$1` after `$2` and before `$3` that may go; dead letters since `$4` stay.
pub fn events() -> String {
    format!(
        "SELECT e.id AS id FROM event e WHERE e.source_id = $1 AND e.id > $2 AND e.id < $3 \
         AND {} ORDER BY e.id LIMIT $5",
        nothing_keeps("e.id", "$4")
    )
}

/// The oldest events of all workspaces after `$1` that may go; dead letters since `$2` stay.
pub fn oldest_events() -> String {
    format!(
        "SELECT e.id AS id FROM event e WHERE e.id > $1 AND {} ORDER BY e.id LIMIT $3",
        nothing_keeps("e.id", "$2")
    )
}

/// How rows are held against those who would change them; on SQLite there is one writer.
fn held(row: &str, postgres: bool, how: &str) -> String {
    if postgres {
        format!(" FOR UPDATE OF {row}{how}")
    } else {
        String::new()
    }
}

/// Holds those of some events that are there. One that a replay holds is passed over: the replay is
/// not to be seen before its commit.
pub fn hold_events(ids: &str, postgres: bool) -> String {
    format!(
        "WITH v(id) AS (VALUES {ids}) SELECT e.id AS id FROM event e WHERE e.id IN (SELECT id FROM v) \
         ORDER BY e.id{}",
        held("e", postgres, " SKIP LOCKED")
    )
}

/// What tells whether a delivery is as it was.
const VERSION: &str = "d.id AS id, d.event_id AS event_id, d.state AS state, \
                       d.updated_at AS updated_at, d.attempts AS attempts";

/// Holds the deliveries of events that are held.
pub fn hold_deliveries_of(events: &str, postgres: bool) -> String {
    format!(
        "WITH v(id) AS (VALUES {events}) SELECT {VERSION} FROM delivery d \
         WHERE d.event_id IN (SELECT id FROM v) ORDER BY d.id{}",
        held("d", postgres, "")
    )
}

/// Holds those of some deliveries that are there and that nobody works on.
pub fn hold_deliveries(ids: &str, postgres: bool) -> String {
    format!(
        "WITH v(id) AS (VALUES {ids}) SELECT {VERSION} FROM delivery d \
         WHERE d.id IN (SELECT id FROM v) ORDER BY d.id{}",
        held("d", postgres, " SKIP LOCKED")
    )
}

/// Deletes those of some events that may still go.
pub fn delete_events(ids: &str, dead: &str) -> String {
    format!(
        "WITH v(id) AS (VALUES {ids}) DELETE FROM event WHERE id IN (SELECT id FROM v) AND {} \
         RETURNING id",
        nothing_keeps("event.id", dead)
    )
}

/// What stands in the place of a delivery `d` points back to it, as long as it is there.
const NOT_POINTED_BACK_TO: &str = "(d.replayed_as IS NULL OR NOT EXISTS (SELECT 1 FROM delivery r \
                                   WHERE r.id = d.replayed_as))";

/// Finished deliveries of workspace `$1` after `$2` and before `$3` that ended before `$4`; dead
/// letters since `$5` stay, and so does what its repeat points back to.
pub fn deliveries() -> String {
    format!(
        "SELECT d.id AS id FROM delivery d WHERE d.workspace_id = $1 AND d.id > $2 AND d.id < $3 \
         AND COALESCE(d.finished_at, d.updated_at) < $4 AND NOT {} AND {NOT_POINTED_BACK_TO} \
         ORDER BY d.id LIMIT $6",
        keeps("$5")
    )
}

/// Deletes those of some deliveries that may still go.
pub fn delete_deliveries(ids: &str, dead: &str) -> String {
    // The table has its short name in the condition.
    format!(
        "WITH v(id) AS (VALUES {ids}) DELETE FROM delivery WHERE id IN (SELECT d.id FROM delivery d \
         WHERE d.id IN (SELECT id FROM v) AND NOT {} AND {NOT_POINTED_BACK_TO}) RETURNING id",
        keeps(dead)
    )
}

/// Deletes the deliveries of events.
pub fn delete_deliveries_of(events: &str) -> String {
    format!(
        "WITH v(id) AS (VALUES {events}) DELETE FROM delivery WHERE event_id IN (SELECT id FROM v)"
    )
}

/// Deletes the attempts of deliveries.
pub fn delete_attempts_of(deliveries: &str) -> String {
    format!(
        "WITH v(id) AS (VALUES {deliveries}) DELETE FROM attempt WHERE delivery_id IN (SELECT id FROM v)"
    )
}

/// Deletes the attempts of the deliveries of events.
pub fn delete_attempts_of_events(events: &str) -> String {
    format!(
        "WITH v(id) AS (VALUES {events}) DELETE FROM attempt WHERE delivery_id IN \
         (SELECT d.id FROM delivery d WHERE d.event_id IN (SELECT id FROM v))"
    )
}

/// Attempts after `$1` and before `$2` whose delivery is no longer at work; by the limits `v` of
/// their workspaces.
pub fn attempts(limits: &str, (after, before, rows): (&str, &str, &str)) -> String {
    format!(
        "WITH v(workspace_id, cut, dead) AS (VALUES {limits}) SELECT a.id AS id, a.workspace_id AS workspace_id FROM attempt a \
         CROSS JOIN v WHERE a.id > {after} AND a.id < {before} AND v.workspace_id = a.workspace_id \
         AND a.id < v.cut AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.id = a.delivery_id AND \
         (d.state IN {OPEN} OR (d.state = 'dead' AND COALESCE(d.finished_at, d.updated_at) >= v.dead))) \
         ORDER BY a.id LIMIT {rows}"
    )
}

/// Deletes attempts.
pub fn delete_attempts(ids: &str) -> String {
    format!("WITH v(id) AS (VALUES {ids}) DELETE FROM attempt WHERE id IN (SELECT id FROM v)")
}

/// Closed links after a place and before another that were changed last before the limit `v` of their
/// workspaces.
pub fn links(limits: &str, (after, before, rows): (&str, &str, &str)) -> String {
    format!(
        "WITH v(workspace_id, cut) AS (VALUES {limits}) SELECT l.id AS id, \
         l.workspace_id AS workspace_id FROM link l CROSS JOIN v WHERE l.id > {after} \
         AND l.id < {before} AND v.workspace_id = l.workspace_id AND l.state = 'closed' \
         AND l.updated_at < v.cut ORDER BY l.id LIMIT {rows}"
    )
}

/// Deletes those of some links that are closed still.
pub fn delete_links(ids: &str, cut: &str) -> String {
    format!(
        "WITH v(id) AS (VALUES {ids}) DELETE FROM link WHERE id IN (SELECT id FROM v) \
         AND state = 'closed' AND updated_at < {cut}"
    )
}

/// Records of the sandbox in the same way. The record of an open link stays, and so does the last of
/// each connection, behind which the numbers go on.
pub fn sandbox(limits: &str, (after, before, rows): (&str, &str, &str)) -> String {
    format!(
        "WITH v(workspace_id, cut) AS (VALUES {limits}) SELECT s.id AS id, \
         s.workspace_id AS workspace_id FROM sandbox_record s CROSS JOIN v WHERE s.id > {after} \
         AND s.id < {before} AND v.workspace_id = s.workspace_id AND s.updated_at < v.cut \
         AND NOT EXISTS (SELECT 1 FROM link l WHERE l.connection_id = s.connection_id \
         AND l.key = s.key AND l.state = 'open') AND EXISTS (SELECT 1 FROM sandbox_record m \
         WHERE m.connection_id = s.connection_id AND m.number > s.number) \
         ORDER BY s.id LIMIT {rows}"
    )
}

/// Deletes those of some records of the sandbox that were not changed since.
pub fn delete_sandbox(ids: &str, cut: &str) -> String {
    format!(
        "WITH v(id) AS (VALUES {ids}) DELETE FROM sandbox_record WHERE id IN (SELECT id FROM v) \
         AND updated_at < {cut}"
    )
}

/// Refusals of workspace `$1` before `$2`.
pub fn refusals() -> String {
    "SELECT id FROM refusal WHERE workspace_id = $1 AND id < $2 ORDER BY id LIMIT $3".to_owned()
}

/// Lines of the audit log of workspace `$1` before `$2`, in the order of their chain.
pub fn audit() -> String {
    "SELECT id FROM audit WHERE workspace_id = $1 AND id < $2 AND seq IS NOT NULL \
     ORDER BY seq LIMIT $3"
        .to_owned()
}

/// Ended jobs of workspace `$1` made before `$2` that ended before `$3`.
pub fn jobs() -> String {
    "SELECT id FROM job WHERE workspace_id = $1 AND id < $2 AND state <> 'running' \
     AND COALESCE(finished_at, updated_at) < $3 ORDER BY id LIMIT $4"
        .to_owned()
}

/// Deletes rows of a table by their ids.
pub fn delete_rows(table: &str, ids: &str) -> String {
    format!("WITH v(id) AS (VALUES {ids}) DELETE FROM {table} WHERE id IN (SELECT id FROM v)")
}

/// Deletes hourly counters of workspace `$1` before `$2`, `$3` at most.
pub fn delete_stats() -> String {
    "DELETE FROM stat_hour WHERE (workspace_id, hour, metric, subject) IN (SELECT workspace_id, \
     hour, metric, subject FROM stat_hour WHERE workspace_id = $1 AND hour < $2 \
     ORDER BY hour LIMIT $3)"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use crate::journal::OPEN_STATES;

    #[test]
    fn the_open_states_are_those_of_the_journal() {
        let words = OPEN_STATES.map(|word| format!("'{word}'"));
        assert_eq!(super::OPEN, format!("({})", words.join(",")));
    }
}
