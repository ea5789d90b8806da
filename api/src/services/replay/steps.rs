//! Which of the steps that rules make now stands for which delivery that was made before.
//!
//! Steps have no ids: they are told apart by their place in their rule and by what they do. Both may
//! have changed since. Invariant: a step that was done, or is being done, is never taken for another
//! one or for a new one. What was done is found first; where several are alike and it cannot be told
//! which of them was done, none of them is sent.

use std::collections::BTreeSet;

use entity::delivery;
use openapi::deliveries::State;
use uuid::Uuid;

/// What a step that rules make now is to a delivery that is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The same step.
    Same,
    /// That of another delivery, or it cannot be told.
    Others,
    /// It was never made of this event.
    New,
}

/// What each of the steps that rules make now of an event is to one of its dead letters. `known` are
/// all deliveries of the event but those that were replaced.
pub fn fates(
    dead: &delivery::Model,
    known: &[delivery::Model],
    made: &[&delivery::Model],
) -> Vec<Fate> {
    let mut lines: Vec<Line<'_>> = known
        .iter()
        // One message is one line: a repeat that failed stands for what it repeats.
        .filter(|row| row.message_id != dead.message_id)
        .map(|row| Line::of(row, is_done(row)))
        .collect();
    lines.push(Line::of(dead, false));
    lines.sort_by_key(|line| (!line.done, line.row.id != dead.id));
    let mut steps: Vec<Step<'_>> = made.iter().map(|row| Step::of(row)).collect();
    exactly(&mut lines, &mut steps);
    alike(&mut lines, &mut steps);
    by_index(&mut lines, &mut steps);
    steps
        .iter()
        .map(|step| match step.of {
            Some(Owner::Line(id)) if id == dead.id => Fate::Same,
            Some(_) => Fate::Others,
            None => Fate::New,
        })
        .collect()
}

/// Whether it must not be done again: it was, or will be.
fn is_done(row: &delivery::Model) -> bool {
    match State::parse(&row.state) {
        Some(State::Delivered | State::Coalesced) => true,
        Some(state) => state.is_open(),
        None => false,
    }
}

/// A delivery that was made.
struct Line<'a> {
    row: &'a delivery::Model,
    done: bool,
    /// Its step is found.
    found: bool,
}

impl<'a> Line<'a> {
    const fn of(row: &'a delivery::Model, done: bool) -> Self {
        Self {
            row,
            done,
            found: false,
        }
    }
}

/// A step that rules make now.
struct Step<'a> {
    row: &'a delivery::Model,
    of: Option<Owner>,
}

/// Whose a step is.
#[derive(Clone, Copy)]
enum Owner {
    /// This delivery's.
    Line(Uuid),
    /// One of several that are alike.
    Unclear,
}

impl<'a> Step<'a> {
    const fn of(row: &'a delivery::Model) -> Self {
        Self { row, of: None }
    }

    fn give(&mut self, line: &mut Line<'_>) {
        line.found = true;
        // Events that were replayed have several deliveries of one step; the first of them counts.
        self.of.get_or_insert(Owner::Line(line.row.id));
    }
}

/// Does the same, for the same record, by the same connection.
fn is_alike(a: &delivery::Model, b: &delivery::Model) -> bool {
    a.rule_id == b.rule_id
        && a.connection_id == b.connection_id
        && a.operation == b.operation
        && a.lane == b.lane
}

/// Those of which it is sure: the version of the rule is the same, or what would be sent is.
fn exactly(lines: &mut [Line<'_>], steps: &mut [Step<'_>]) {
    type Test = fn(&delivery::Model, &delivery::Model) -> bool;
    const TESTS: [Test; 3] = [
        // The default target of a source has no versions.
        |a, b| {
            a.rule_id.is_some()
                && (a.rule_id, a.rule_revision, a.step) == (b.rule_id, b.rule_revision, b.step)
        },
        |a, b| is_alike(a, b) && a.fields == b.fields && a.step == b.step,
        |a, b| is_alike(a, b) && a.fields == b.fields,
    ];
    // What was done chooses first, and of that what is told best.
    for (done, test) in [true, false]
        .into_iter()
        .flat_map(|done| TESTS.map(|test| (done, test)))
    {
        for line in lines.iter_mut().filter(|l| !l.found && l.done == done) {
            let fits = |step: &Step<'_>| test(line.row, step.row);
            let free = steps.iter().position(|s| s.of.is_none() && fits(s));
            let found = free.or_else(|| steps.iter().position(fits));
            if let Some(step) = found.and_then(|at| steps.get_mut(at)) {
                step.give(line);
            }
        }
    }
}

/// Those that differ only in what they send: their rule was changed, or they tell the time.
fn alike(lines: &mut [Line<'_>], steps: &mut [Step<'_>]) {
    while let Some(like) = steps
        .iter()
        .filter(|step| step.of.is_none())
        .map(|step| step.row)
        .find(|row| lines.iter().any(|l| !l.found && is_alike(l.row, row)))
    {
        let mut old: Vec<&mut Line<'_>> = lines
            .iter_mut()
            .filter(|line| !line.found && is_alike(line.row, like))
            .collect();
        let mut new: Vec<&mut Step<'_>> = steps
            .iter_mut()
            .filter(|step| step.of.is_none() && is_alike(step.row, like))
            .collect();
        let before: BTreeSet<i32> = old.iter().map(|line| line.row.step).collect();
        let now: BTreeSet<i32> = new.iter().map(|step| step.row.step).collect();
        if before != now && old.iter().any(|line| line.done) {
            for step in new {
                step.of = Some(Owner::Unclear);
            }
            continue;
        }
        for line in &mut old {
            let same = new.iter_mut().find(|step| step.row.step == line.row.step);
            if let Some(step) = same {
                step.give(line);
            }
        }
        let rest = old.into_iter().filter(|line| !line.found);
        let free = new.into_iter().filter(|step| step.of.is_none());
        for (line, step) in rest.zip(free) {
            step.give(line);
        }
    }
}

/// Those that go elsewhere now, or do something else, in the same place of their rule.
fn by_index(lines: &mut [Line<'_>], steps: &mut [Step<'_>]) {
    for line in lines.iter_mut().filter(|line| !line.found) {
        let same = steps.iter_mut().find(|step| {
            step.of.is_none()
                && (step.row.rule_id, step.row.step) == (line.row.rule_id, line.row.step)
        });
        if let Some(step) = same {
            step.give(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dispatch::fixtures::new_row;

    /// A step: its operation on its place, with what it sends.
    fn row(step: i32, operation: &str, fields: &str, state: &str) -> delivery::Model {
        let id = crate::ids::at(1_900_000_000_000);
        delivery::Model {
            id,
            rule_id: Some(Uuid::from_u128(9)),
            step,
            operation: operation.to_owned(),
            fields: fields.to_owned(),
            message_id: id.to_string(),
            state: state.to_owned(),
            ..new_row(0, None, 2, 0, 0)
        }
    }

    /// The same by the next version of its rule.
    fn now(step: i32, operation: &str, fields: &str) -> delivery::Model {
        delivery::Model {
            rule_revision: 2,
            ..row(step, operation, fields, "ready")
        }
    }

    /// Of the first of `known`, which is dead.
    fn of_first(known: &[delivery::Model], made: &[delivery::Model]) -> Vec<Fate> {
        fates(&known[0], known, &made.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_step_that_was_taken_out_leaves_nothing_to_another() {
        // Whether the other one does the same or something else, and whether it tells the time.
        for (operation, fields) in [("x", "y"), ("y", "y"), ("x", "later"), ("y", "later")] {
            let known = [
                row(0, "x", "x", "dead"),
                row(1, operation, "y", "delivered"),
            ];
            let made = [now(0, operation, fields)];
            assert_eq!(
                of_first(&known, &made),
                [Fate::Others],
                "{operation} {fields}"
            );
        }
    }

    #[test]
    fn a_step_that_was_mended_is_the_same() {
        let known = [row(0, "x", "x", "dead"), row(1, "x", "y", "delivered")];
        let made = [now(0, "x", "mended"), now(1, "x", "y")];
        assert_eq!(of_first(&known, &made), [Fate::Same, Fate::Others]);
        // Both tell the time.
        let made = [now(0, "x", "a"), now(1, "x", "b")];
        assert_eq!(of_first(&known, &made), [Fate::Same, Fate::Others]);
        // It goes elsewhere now.
        let made = [now(0, "z", "x"), now(1, "x", "y")];
        assert_eq!(of_first(&known, &made), [Fate::Same, Fate::Others]);
    }

    #[test]
    fn steps_that_changed_places_are_told_apart() {
        let known = [row(0, "x", "x", "dead"), row(1, "x", "y", "delivered")];
        let made = [now(0, "x", "y"), now(1, "x", "x")];
        assert_eq!(of_first(&known, &made), [Fate::Others, Fate::Same]);
        let made = [now(0, "x", "new"), now(1, "x", "x"), now(2, "x", "y")];
        assert_eq!(
            of_first(&known, &made),
            [Fate::New, Fate::Same, Fate::Others]
        );
    }

    #[test]
    fn an_event_that_was_replayed_has_several_of_a_step() {
        let known = [
            row(0, "x", "x", "dead"),
            row(1, "x", "y", "delivered"),
            row(0, "x", "x", "dead"),
            row(1, "x", "y", "delivered"),
        ];
        let made = [now(0, "x", "x"), now(1, "x", "y")];
        assert_eq!(of_first(&known, &made), [Fate::Same, Fate::Others]);
        let made = [now(0, "x", "mended"), now(1, "x", "y")];
        assert_eq!(of_first(&known, &made), [Fate::Same, Fate::Others]);
        // One of them was done.
        let known = [row(0, "x", "x", "dead"), row(0, "x", "x", "held")];
        assert_eq!(of_first(&known, &[now(0, "x", "x")]), [Fate::Others]);
    }

    #[test]
    fn a_repeat_that_failed_stands_for_what_it_repeats() {
        let done = row(0, "x", "x", "delivered");
        let mut again = row(0, "x", "x", "dead");
        again.message_id.clone_from(&done.message_id);
        assert_eq!(of_first(&[again, done], &[now(0, "x", "x")]), [Fate::Same]);
    }

    #[test]
    fn what_is_new_is_new() {
        let known = [row(0, "x", "x", "dead")];
        assert_eq!(of_first(&known, &[]), []);
        let mut other = now(0, "x", "x");
        other.rule_id = Some(Uuid::from_u128(8));
        assert_eq!(of_first(&known, &[other]), [Fate::New]);
    }

    proptest! {
        /// Steps are taken out, put in, mended and moved: of those that were done and still send the
        /// same, no more are sent than there are anew.
        #[test]
        fn nothing_done_is_done_again(
            known in prop::collection::vec((0_u8..3, 0_u8..3, any::<bool>()), 1..5),
            made in prop::collection::vec((0_u8..3, 0_u8..3), 0..5),
        ) {
            let mut rows = vec![row(0, &known[0].0.to_string(), &known[0].1.to_string(), "dead")];
            for ((operation, fields, done), step) in known.iter().skip(1).zip(1..) {
                let state = if *done { "delivered" } else { "dead" };
                rows.push(row(step, &operation.to_string(), &fields.to_string(), state));
            }
            let steps: Vec<_> = made.iter().zip(0..)
                .map(|((operation, fields), step)| now(step, &operation.to_string(), &fields.to_string()))
                .collect();
            let fates = of_first(&rows, &steps);
            prop_assert!(fates.iter().filter(|fate| **fate == Fate::Same).count() <= 1);
            for (operation, fields) in &made {
                let (operation, fields) = (operation.to_string(), fields.to_string());
                let is_it = |row: &delivery::Model| row.operation == operation && row.fields == fields;
                let done = rows.iter().filter(|row| row.state == "delivered" && is_it(row)).count();
                let now = steps.iter().filter(|row| is_it(row)).count();
                let sent = steps.iter().zip(&fates)
                    .filter(|(row, fate)| is_it(row) && **fate != Fate::Others).count();
                prop_assert!(sent <= now - done.min(now), "{operation} {fields}: {fates:?}");
            }
        }
    }
}
