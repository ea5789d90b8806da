//! Finds the rules that may match without asking every one.
//!
//! A rule with an `equals` or `in` condition is filed under the text (and, for numbers, the value) it
//! waits for, in lower case if the case is ignored; every other rule is asked for every event. What the index
//! returns is a superset of the rules that match, in the order of evaluation, so its verdict is
//! the one of asking them all.

use serde_json::{Number, Value};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::compile::Rule;
use super::condition::Test;
use crate::compare::fold;
use crate::fault::Fault;
use crate::fuel::Fuel;
use crate::text::scalar_text;

/// The rules of a set, by source.
#[derive(Debug, Default)]
pub(super) struct Index {
    every_source: Bucket,
    by_source: HashMap<String, Bucket>,
}

/// The enabled rules of one source.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// Asked for every event.
    scan: Vec<usize>,
    tables: Vec<Table>,
}

/// The rules that wait for a value at one path.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) path: usize,
    texts: HashMap<Box<str>, Vec<usize>>,
    /// In lower case, of conditions that ignore it.
    folded: HashMap<Box<str>, Vec<usize>>,
    numbers: HashMap<u64, Vec<usize>>,
    /// All of them, for when the path cannot be followed within its limits.
    all: Vec<usize>,
}

/// What a node is looked up by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Text(Box<str>),
    Folded(Box<str>),
    Number(u64),
}

impl Index {
    pub(super) fn build(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        let popularity = popularity(rules);
        for (rank, rule) in rules.iter().enumerate() {
            if !rule.input.enabled {
                continue;
            }
            let bucket = match &rule.input.source {
                None => &mut index.every_source,
                Some(source) => index.by_source.entry(source.clone()).or_default(),
            };
            // The rarest value leaves the fewest rules to ask.
            let best = keyed(rule).min_by_key(|(path, keys)| {
                keys.iter()
                    .map(|key| popularity.get(&(*path, key.clone())).copied().unwrap_or(0))
                    .sum::<usize>()
            });
            match best {
                Some((path, keys)) => bucket.table(path).file(keys, rank),
                None => bucket.scan.push(rank),
            }
        }
        index
    }

    /// The buckets an event of this source concerns.
    pub(super) fn buckets(&self, source: &str) -> impl Iterator<Item = &Bucket> {
        std::iter::once(&self.every_source).chain(self.by_source.get(source))
    }
}

impl Bucket {
    fn table(&mut self, path: usize) -> &mut Table {
        let position = match self.tables.iter().position(|table| table.path == path) {
            Some(position) => position,
            None => {
                self.tables.push(Table {
                    path,
                    ..Table::default()
                });
                self.tables.len() - 1
            }
        };
        &mut self.tables[position]
    }

    pub(super) fn scan(&self) -> &[usize] {
        &self.scan
    }

    pub(super) fn tables(&self) -> &[Table] {
        &self.tables
    }
}

impl Table {
    fn file(&mut self, keys: Vec<Key>, rank: usize) {
        for key in keys {
            let list = match key {
                Key::Text(text) => self.texts.entry(text).or_default(),
                Key::Folded(text) => self.folded.entry(text).or_default(),
                Key::Number(bits) => self.numbers.entry(bits).or_default(),
            };
            // One rule may name a value twice (`0` and `"0"`).
            if list.last() != Some(&rank) {
                list.push(rank);
            }
        }
        self.all.push(rank);
    }

    /// Adds the lists of rules that wait for this node.
    ///
    /// # Errors
    /// `fuel_exhausted`: a text that is put into lower case is paid for, as a condition would.
    pub(super) fn find<'i>(
        &'i self,
        node: &Value,
        lists: &mut Vec<&'i [usize]>,
        fuel: &mut Fuel,
    ) -> Result<(), Fault> {
        if let Some(text) = scalar_text(node) {
            lists.extend(self.texts.get(text.as_ref()).map(Vec::as_slice));
            if !self.folded.is_empty() {
                fuel.spend_bytes(text.len())?;
                let folded = fold(&text, true);
                lists.extend(self.folded.get(folded.as_ref()).map(Vec::as_slice));
            }
        }
        if let Value::Number(number) = node
            && let Some(bits) = bits(number)
        {
            lists.extend(self.numbers.get(&bits).map(Vec::as_slice));
        }
        Ok(())
    }

    pub(super) fn all(&self) -> &[usize] {
        &self.all
    }
}

/// How many rules wait for each value.
fn popularity(rules: &[Rule]) -> HashMap<(usize, Key), usize> {
    let mut counts = HashMap::new();
    for rule in rules.iter().filter(|rule| rule.input.enabled) {
        for (path, keys) in keyed(rule) {
            for key in keys {
                *counts.entry((path, key)).or_insert(0) += 1;
            }
        }
    }
    counts
}

/// The conditions of a rule that can be looked up, with the keys they wait for.
fn keyed(rule: &Rule) -> impl Iterator<Item = (usize, Vec<Key>)> + '_ {
    rule.conditions
        .iter()
        .filter_map(|bound| Some((bound.path, keys(&bound.test)?)))
}

fn keys(test: &Test) -> Option<Vec<Key>> {
    let mut keys = Vec::new();
    for expected in test.wanted_values()? {
        let value = expected.value();
        if matches!(value, Value::Array(_) | Value::Object(_)) {
            return None;
        }
        let text = expected.text();
        // A text that spells an array or object also equals one; those have no key.
        if text.starts_with(['[', '{']) {
            return None;
        }
        keys.push(if expected.is_exact() {
            Key::Text(text.into())
        } else {
            Key::Folded(text.into())
        });
        if let Value::Number(number) = value {
            keys.push(Key::Number(bits(number)?));
        }
    }
    Some(keys)
}

/// Equal numbers have equal bits here; the reverse need not hold, since rules are asked anyway.
fn bits(number: &Number) -> Option<u64> {
    let float = number.as_f64()?;
    Some(if float == 0.0 { 0.0_f64 } else { float }.to_bits())
}

/// Merges sorted lists of ranks into one ascending sequence without repeats.
pub(super) struct Merge<'i> {
    heap: BinaryHeap<Reverse<(usize, usize)>>,
    rest: Vec<std::slice::Iter<'i, usize>>,
    last: Option<usize>,
}

impl<'i> Merge<'i> {
    pub(super) fn new(lists: Vec<&'i [usize]>) -> Self {
        let mut rest: Vec<_> = lists.into_iter().map(<[usize]>::iter).collect();
        let heap = rest
            .iter_mut()
            .enumerate()
            .filter_map(|(list, items)| items.next().map(|rank| Reverse((*rank, list))))
            .collect();
        Self {
            heap,
            rest,
            last: None,
        }
    }
}

impl Iterator for Merge<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            let Reverse((rank, list)) = self.heap.pop()?;
            if let Some(next) = self.rest.get_mut(list).and_then(Iterator::next) {
                self.heap.push(Reverse((*next, list)));
            }
            if self.last != Some(rank) {
                self.last = Some(rank);
                return Some(rank);
            }
        }
    }
}
