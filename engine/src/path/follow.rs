//! Following a path through a document, paying for every node looked at.

use regex::Regex;
use serde_json::Value;
use std::borrow::Cow;
use std::cmp::Ordering;

use super::plain::at;
use super::query::{Matches, Pattern, Query, Relation, Segment, Selector, Term, Test};
use crate::compare::{compare_numbers, whole_or_part};
use crate::fault::{Fault, FaultCode};
use crate::fuel::Fuel;
use crate::limits;

/// What compiling a pattern from the document costs.
const PATTERN_PRICE: u64 = 10_000;

/// The nodes of a path, at most [`limits::PATH_NODES`].
pub(super) fn follow<'v>(
    query: &Query,
    root: &'v Value,
    fuel: &mut Fuel,
) -> Result<Vec<&'v Value>, Fault> {
    Walk { root, fuel }.query(query, root)
}

struct Walk<'v, 'f> {
    root: &'v Value,
    fuel: &'f mut Fuel,
}

impl<'v> Walk<'v, '_> {
    fn query(&mut self, query: &Query, current: &'v Value) -> Result<Vec<&'v Value>, Fault> {
        let start = if query.from_root { self.root } else { current };
        let mut nodes = vec![start];
        self.fuel.spend(1)?;
        for segment in &query.segments {
            nodes = self.segment(segment, nodes)?;
        }
        Ok(nodes)
    }

    fn segment(
        &mut self,
        segment: &Segment,
        nodes: Vec<&'v Value>,
    ) -> Result<Vec<&'v Value>, Fault> {
        let mut found = Vec::new();
        for node in nodes {
            if !segment.descend {
                self.select(&segment.selectors, node, &mut found)?;
                continue;
            }
            // No recursion: the document may be deeper than the stack.
            let mut waiting = vec![node];
            while let Some(node) = waiting.pop() {
                self.fuel.spend(1)?;
                self.select(&segment.selectors, node, &mut found)?;
                match node {
                    Value::Array(items) => waiting.extend(items.iter().rev()),
                    Value::Object(members) => waiting.extend(members.values().rev()),
                    _ => {}
                }
            }
        }
        Ok(found)
    }

    fn select(
        &mut self,
        selectors: &[Selector],
        node: &'v Value,
        found: &mut Vec<&'v Value>,
    ) -> Result<(), Fault> {
        for selector in selectors {
            match (selector, node) {
                (Selector::Name(name), Value::Object(members)) => {
                    self.keep(members.get(name), found)?;
                }
                (Selector::Index(index), Value::Array(items)) => {
                    self.keep(at(items, *index), found)?;
                }
                (Selector::Every, Value::Array(items)) => self.keep(items, found)?,
                (Selector::Every, Value::Object(members)) => self.keep(members.values(), found)?,
                (Selector::Slice { start, end, step }, Value::Array(items)) => {
                    let positions = slice(items.len(), *start, *end, *step);
                    self.keep(positions.filter_map(|position| items.get(position)), found)?;
                }
                (Selector::Filter(test), Value::Array(items)) => {
                    self.filter(test, items.iter(), found)?;
                }
                (Selector::Filter(test), Value::Object(members)) => {
                    self.filter(test, members.values(), found)?;
                }
                _ => self.fuel.spend(1)?,
            }
        }
        Ok(())
    }

    fn filter(
        &mut self,
        test: &Test,
        nodes: impl Iterator<Item = &'v Value>,
        found: &mut Vec<&'v Value>,
    ) -> Result<(), Fault> {
        for node in nodes {
            if self.test(test, node)? {
                self.keep([node], found)?;
            }
        }
        Ok(())
    }

    fn keep(
        &mut self,
        nodes: impl IntoIterator<Item = &'v Value>,
        found: &mut Vec<&'v Value>,
    ) -> Result<(), Fault> {
        for node in nodes {
            self.fuel.spend(1)?;
            if found.len() >= limits::PATH_NODES {
                return Err(Fault::new(
                    FaultCode::TooManyNodes,
                    format!("the path yields more than {} nodes", limits::PATH_NODES),
                ));
            }
            found.push(node);
        }
        Ok(())
    }

    fn test(&mut self, test: &Test, node: &'v Value) -> Result<bool, Fault> {
        self.fuel.spend(1)?;
        match test {
            Test::Any(tests) => {
                for test in tests {
                    if self.test(test, node)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Test::All(tests) => {
                for test in tests {
                    if !self.test(test, node)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Test::Not(test) => Ok(!self.test(test, node)?),
            Test::Exists(query) => Ok(!self.query(query, node)?.is_empty()),
            Test::Compare(left, relation, right) => {
                let left = self.term(left, node)?;
                let right = self.term(right, node)?;
                self.compare(left.as_deref(), *relation, right.as_deref())
            }
            Test::Matches(matches) => self.matches(matches, node),
        }
    }

    fn term<'t>(&mut self, term: &'t Term, node: &'v Value) -> Result<Option<Cow<'t, Value>>, Fault>
    where
        'v: 't,
    {
        Ok(match term {
            Term::Literal(value) => Some(Cow::Borrowed(value)),
            Term::Query(query) | Term::Value(query) => match self.query(query, node)?.as_slice() {
                [only] => Some(Cow::Borrowed(*only)),
                _ => None,
            },
            Term::Count(query) => Some(Cow::Owned(self.query(query, node)?.len().into())),
            Term::Length(term) => match self.term(term, node)?.as_deref() {
                Some(Value::String(text)) => {
                    self.fuel.spend_bytes(text.len())?;
                    Some(Cow::Owned(text.chars().count().into()))
                }
                Some(Value::Array(items)) => Some(Cow::Owned(items.len().into())),
                Some(Value::Object(members)) => Some(Cow::Owned(members.len().into())),
                _ => None,
            },
        })
    }

    fn compare(
        &mut self,
        left: Option<&Value>,
        relation: Relation,
        right: Option<&Value>,
    ) -> Result<bool, Fault> {
        Ok(match relation {
            Relation::Equal => self.equal(left, right)?,
            Relation::NotEqual => !self.equal(left, right)?,
            Relation::Less => self.order(left, right)?.is_some_and(Ordering::is_lt),
            Relation::Greater => self.order(left, right)?.is_some_and(Ordering::is_gt),
            Relation::LessOrEqual => {
                self.order(left, right)?.is_some_and(Ordering::is_lt) || self.equal(left, right)?
            }
            Relation::GreaterOrEqual => {
                self.order(left, right)?.is_some_and(Ordering::is_gt) || self.equal(left, right)?
            }
        })
    }

    fn equal(&mut self, left: Option<&Value>, right: Option<&Value>) -> Result<bool, Fault> {
        let (Some(left), Some(right)) = (left, right) else {
            return Ok(left.is_none() && right.is_none());
        };
        let mut pairs = vec![(left, right)];
        while let Some((left, right)) = pairs.pop() {
            self.fuel.spend(1)?;
            match (left, right) {
                (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                    pairs.extend(a.iter().zip(b));
                }
                (Value::Object(a), Value::Object(b)) if a.len() == b.len() => {
                    for (name, left) in a {
                        match b.get(name) {
                            Some(right) => pairs.push((left, right)),
                            None => return Ok(false),
                        }
                    }
                }
                (Value::Null, Value::Null) => {}
                (Value::Bool(a), Value::Bool(b)) if a == b => {}
                _ if self.order(Some(left), Some(right))? == Some(Ordering::Equal) => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The order of two numbers or two texts; nothing else has one.
    fn order(
        &mut self,
        left: Option<&Value>,
        right: Option<&Value>,
    ) -> Result<Option<Ordering>, Fault> {
        Ok(match (left, right) {
            (Some(Value::Number(a)), Some(Value::Number(b))) => compare_numbers(a, b),
            (Some(Value::String(a)), Some(Value::String(b))) => {
                self.fuel.spend_bytes(a.len().min(b.len()))?;
                Some(a.cmp(b))
            }
            _ => None,
        })
    }

    fn matches(&mut self, matches: &Matches, node: &'v Value) -> Result<bool, Fault> {
        let text = self.term(&matches.text, node)?;
        let Some(Value::String(text)) = text.as_deref() else {
            return Ok(false);
        };
        self.fuel.spend_bytes(text.len())?;
        let compiled: Option<Cow<'_, Regex>> = match &matches.pattern {
            Pattern::Fixed(regex) => regex.as_ref().map(Cow::Borrowed),
            Pattern::Term(term) => match self.term(term, node)?.as_deref() {
                Some(Value::String(pattern)) => {
                    self.fuel.spend(PATTERN_PRICE)?;
                    whole_or_part(pattern, matches.whole).map(Cow::Owned)
                }
                _ => None,
            },
        };
        Ok(compiled.is_some_and(|regex| regex.is_match(text)))
    }
}

/// The positions of a slice, by the rules of RFC 9535, section 2.3.4.2.
fn slice(
    length: usize,
    start: Option<i64>,
    end: Option<i64>,
    step: i64,
) -> impl Iterator<Item = usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let normal = |bound: i64| if bound < 0 { length + bound } else { bound };
    let (from, to) = if step >= 0 {
        (
            normal(start.unwrap_or(0)).clamp(0, length),
            normal(end.unwrap_or(length)).clamp(0, length),
        )
    } else {
        (
            normal(start.unwrap_or(length - 1)).clamp(-1, length - 1),
            end.map_or(-1, normal).clamp(-1, length - 1),
        )
    };
    let mut next = Some(from);
    std::iter::from_fn(move || {
        let position = next?;
        let inside = match step.cmp(&0) {
            Ordering::Greater => position < to,
            Ordering::Less => position > to,
            Ordering::Equal => false,
        };
        if !inside {
            return None;
        }
        next = position.checked_add(step);
        usize::try_from(position).ok()
    })
}
