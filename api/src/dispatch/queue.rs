//! What a carrier has in memory: fresh work, and what has waited before.
//!
//! Invariant: while both wait, three of the first kind are taken for one of the second, each kind in
//! the order in which it came; so neither starves the other, however much of it there is. Order
//! within a lane is not touched: only the head of a lane is ever here.

use std::collections::VecDeque;

use entity::delivery;

/// Of so many that are taken, one has waited before.
const TURNS: u8 = 4;

/// Two lines, and whose turn it is.
#[derive(Debug)]
pub struct Queue<T = delivery::Model> {
    fresh: VecDeque<T>,
    /// Retries, and what was set aside.
    waited: VecDeque<T>,
    turn: u8,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            fresh: VecDeque::new(),
            waited: VecDeque::new(),
            turn: 0,
        }
    }
}

impl<T> Queue<T> {
    /// Adds fresh work.
    pub fn push(&mut self, one: T) {
        self.fresh.push_back(one);
    }

    /// Adds both kinds.
    pub fn extend(&mut self, fresh: Vec<T>, waited: Vec<T>) {
        self.fresh.extend(fresh);
        self.waited.extend(waited);
    }

    /// Takes the next one.
    pub fn pop(&mut self) -> Option<T> {
        if self.fresh.is_empty() {
            return self.waited.pop_front();
        }
        if self.waited.is_empty() {
            return self.fresh.pop_front();
        }
        self.turn = (self.turn + 1) % TURNS;
        if self.turn == 0 {
            self.waited.pop_front()
        } else {
            self.fresh.pop_front()
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.waited.is_empty()
    }

    /// How many there are that have waited before.
    pub fn waited(&self) -> usize {
        self.waited.len()
    }

    /// Takes everything of which this is true.
    pub fn take(&mut self, mut which: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for line in [&mut self.fresh, &mut self.waited] {
            // Mostly there is nothing to take of a long line.
            if line.iter().any(&mut which) {
                let (out, rest): (VecDeque<T>, _) = line.drain(..).partition(|one| which(one));
                taken.extend(out);
                *line = rest;
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Act {
        Fresh,
        Waited(u8),
        Pop,
        Take(u32),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            3 => Just(Act::Fresh),
            1 => (0_u8..20).prop_map(Act::Waited),
            4 => Just(Act::Pop),
            1 => (2_u32..9).prop_map(Act::Take),
        ];
        prop::collection::vec(act, 1..200)
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_overtaken_and_nobody_starves(acts in acts()) {
            let mut queue = Queue::default();
            let (mut next, mut inside) = (0_u32, Vec::new());
            let (mut last, mut passed) = ([None, None], [0_u32, 0]);
            for act in acts {
                match act {
                    Act::Fresh => {
                        queue.push((0_usize, next));
                        inside.push((0_usize, next));
                        next += 1;
                    }
                    Act::Waited(many) => {
                        let more: Vec<_> = (0..many).map(|n| (1_usize, next + u32::from(n))).collect();
                        inside.extend(more.clone());
                        queue.extend(Vec::new(), more);
                        next += u32::from(many);
                    }
                    Act::Pop => {
                        let popped = queue.pop();
                        prop_assert_eq!(popped.is_none(), inside.is_empty());
                        let Some((kind, number)) = popped else { continue };
                        inside.retain(|one| *one != (kind, number));
                        prop_assert!(last[kind].is_none_or(|last| last < number));
                        last[kind] = Some(number);
                        passed[kind] = 0;
                        let other = 1 - kind;
                        if inside.iter().any(|(kind, _)| *kind == other) {
                            passed[other] += 1;
                            prop_assert!(passed[other] <= [1, 3][other], "{:?}", passed);
                        } else {
                            passed[other] = 0;
                        }
                    }
                    Act::Take(every) => {
                        let taken = queue.take(|(_, number)| number % every == 0);
                        prop_assert!(taken.iter().all(|(_, number)| number % every == 0));
                        let before = inside.len();
                        inside.retain(|(_, number)| number % every != 0);
                        prop_assert_eq!(taken.len(), before - inside.len());
                        passed = [0, 0];
                    }
                }
                prop_assert_eq!(queue.is_empty(), inside.is_empty());
                prop_assert_eq!(queue.waited(), inside.iter().filter(|(kind, _)| *kind == 1).count());
            }
        }
    }
}
