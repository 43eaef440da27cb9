//! The way to where the analysis is: every effect, stored state and fork from the entry of the
//! program on.
//!
//! Paths are followed last in, first out, so one stack holds the current path and, in the forks on
//! it, the ways that wait. When a path ends, the stack is taken down to the last fork with a way
//! left; what is needed is passed back on the way. A stored state that is taken off has all its
//! paths behind it: it is finished.

use crate::effect::{Effect, Parting};
use crate::limits;
use crate::need::{FrameNeed, Need};
use crate::reject::{CalledBack, Decision, Way};
use crate::size::BLOCK;
use crate::state::State;
use crate::trace::{Needed, Observer};
use crate::visited::{NodeId, Visited};
use crate::work::Work;
use alloc::boxed::Box;
use alloc::vec::Vec;
use isa::InsnIdx;

/// A way that waits to be followed.
pub(crate) struct Waiting {
    pub(crate) at: InsnIdx,
    pub(crate) state: State,
}

/// How a path ends.
#[derive(Default)]
pub(crate) struct End {
    /// What is needed of its last state.
    pub(crate) need: Need,
    /// The most that can still be done from there.
    pub(crate) rest: Work,
}

/// Where the path goes two ways.
struct Fork {
    at: InsnIdx,
    parting: Parting,
    /// The second way, until it is followed.
    second: Option<Waiting>,
    /// What the first way needs, once that is known.
    need: Need,
    /// What was done up to here.
    done: Work,
    /// The most that the first way does in all, once that is known.
    first: Work,
    /// Memory that it is charged with, whichever way is followed.
    bytes: usize,
}

enum Entry {
    /// An instruction begins, for observers that want to know what is needed there.
    Step(u64),
    Effect(Effect),
    Node(NodeId),
    Fork(Box<Fork>),
}

/// The stack.
pub(crate) struct Trail {
    entries: Vec<Entry>,
    /// What the current path has done.
    done: Work,
    /// Where jumps back lead, in ascending order.
    heads: Vec<InsnIdx>,
    /// The most that any path has done.
    most: Work,
    /// Memory that the forks are charged with.
    bytes_of_forks: usize,
}

/// How much of a trail there was at some time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(usize);

impl Trail {
    /// An empty trail in a program with these loops.
    pub(crate) fn new(heads: Vec<InsnIdx>) -> Trail {
        Trail {
            entries: Vec::new(),
            done: Work::none(heads.len()),
            most: Work::none(heads.len()),
            heads,
            bytes_of_forks: 0,
        }
    }

    /// Notes that one more instruction is taken.
    pub(crate) fn count(&mut self) {
        self.done.insns = self.done.insns.saturating_add(1);
    }

    /// Notes a jump, which may begin another round of a loop.
    pub(crate) fn jump(&mut self, from: InsnIdx, to: InsnIdx) {
        if to > from {
            return;
        }
        let head = self.heads.binary_search(&to).ok();
        if let Some(rounds) = head.and_then(|head| self.done.rounds.get_mut(head)) {
            *rounds = rounds.saturating_add(1);
        }
    }

    /// Notes what is done by a function that is not followed.
    pub(crate) fn charge(&mut self, work: &Work) {
        self.done = core::mem::take(&mut self.done).plus(work);
    }

    /// Begins with nothing.
    pub(crate) fn restart(&mut self) {
        *self = Trail::new(core::mem::take(&mut self.heads));
    }

    /// What the current path has done.
    pub(crate) fn done(&self) -> &Work {
        &self.done
    }

    /// The most that any path does, with the heads of the loops.
    pub(crate) fn most(&self) -> (&Work, &[InsnIdx]) {
        (&self.most, &self.heads)
    }

    /// Notes what an instruction does.
    pub(crate) fn note(&mut self, effect: Effect) {
        self.entries.push(Entry::Effect(effect));
    }

    /// Notes that the instruction of a step begins.
    pub(crate) fn begin(&mut self, step: u64) {
        self.entries.push(Entry::Step(step));
    }

    /// Notes that the state here was stored.
    pub(crate) fn store(&mut self, node: NodeId) {
        self.entries.push(Entry::Node(node));
    }

    /// Notes that the path goes two ways; the second is followed later.
    pub(crate) fn fork(&mut self, at: InsnIdx, parting: Parting, second: Waiting) {
        let needs = second.state.frames().len() * size_of::<FrameNeed>();
        let rounds = 2 * self.done.bytes();
        let bytes = size_of::<Fork>() + BLOCK + needs + rounds + second.state.own_bytes();
        self.bytes_of_forks = self.bytes_of_forks.saturating_add(bytes);
        self.entries.push(Entry::Fork(Box::new(Fork {
            at,
            parting,
            second: Some(second),
            need: Need::default(),
            done: self.done.clone(),
            first: Work::default(),
            bytes,
        })));
    }

    /// Memory that the trail takes.
    pub(crate) fn bytes(&self) -> usize {
        let entries = self.entries.len().saturating_mul(size_of::<Entry>());
        self.bytes_of_forks.saturating_add(entries)
    }

    /// Is the second way of the fork noted at a mark still to be followed?
    pub(crate) fn waits(&self, mark: Mark) -> bool {
        match self.entries.get(mark.0) {
            Some(Entry::Fork(fork)) => fork.second.is_some(),
            _ => false,
        }
    }

    /// Where the trail ends now.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.entries.len())
    }

    /// The path has ended: what is needed of its last state, and what can still be done from there.
    /// Finishes what is finished by that. The way to follow next, if there is one.
    pub(crate) fn end(
        &mut self,
        end: End,
        visited: &mut Visited,
        observer: &mut dyn Observer,
    ) -> Option<Waiting> {
        let End { mut need, rest } = end;
        let mut done = core::mem::take(&mut self.done).plus(&rest);
        while let Some(entry) = self.entries.last_mut() {
            match entry {
                Entry::Step(step) => observer.needed(*step, &Needed(&need)),
                Entry::Effect(effect) => effect.undo(&mut need),
                Entry::Node(node) => need = visited.finish(*node, &need, &mut done),
                Entry::Fork(fork) => {
                    if let Some(second) = fork.second.take() {
                        fork.need = need;
                        fork.first = done;
                        self.done = fork.done.clone();
                        let at = fork.at;
                        self.jump(at, second.at);
                        return Some(second);
                    }
                    done = done.most(&fork.first);
                    self.bytes_of_forks = self.bytes_of_forks.saturating_sub(fork.bytes);
                    let first = core::mem::take(&mut fork.need);
                    need = fork.parting.undo(first, need);
                }
            }
            self.entries.pop();
        }
        self.done = Work::none(self.heads.len());
        self.most = core::mem::take(&mut self.most).most(&done);
        None
    }

    /// Whether the path has gone on at an instruction that `counts` since a state was stored: a loop
    /// through ways on which a `may_goto` jumps, because no turns are left, has no end. False when that
    /// state is not on the path.
    pub(crate) fn takes_turn_since(&self, node: NodeId, counts: impl Fn(InsnIdx) -> bool) -> bool {
        let takes_turn = |entry: &Entry| match entry {
            // The second way is the jump.
            Entry::Fork(fork) => fork.second.is_some() && counts(fork.at),
            _ => false,
        };
        let since = self.since(node);
        since.is_some_and(|since| since.iter().any(takes_turn))
    }

    /// What was noted since a state was stored; `None` when that is not on the path.
    fn since(&self, node: NodeId) -> Option<&[Entry]> {
        let is_it = |entry: &Entry| matches!(entry, Entry::Node(id) if *id == node);
        let before = self.entries.iter().rposition(is_it)?;
        self.entries.get(before.saturating_add(1)..)
    }

    /// The path ends where a state stored earlier on it covers it: the proofs of all states stored
    /// since lean on that one's. False when that state is not on the path.
    pub(crate) fn lean_on(&self, node: NodeId, visited: &mut Visited) -> bool {
        let Some(since) = self.since(node) else {
            return false;
        };
        for entry in since {
            if let Entry::Node(id) = entry {
                visited.lean(*id);
            }
        }
        true
    }

    /// Takes back everything since a mark.
    pub(crate) fn take_back(&mut self, mark: Mark, visited: &mut Visited) {
        while self.entries.len() > mark.0 {
            // A mark is taken before a node or a fork.
            match self.entries.pop() {
                Some(Entry::Node(node)) => self.done = visited.abandon(node).unwrap_or_default(),
                Some(Entry::Fork(fork)) => {
                    self.bytes_of_forks = self.bytes_of_forks.saturating_sub(fork.bytes);
                    self.done = fork.done;
                }
                _ => {}
            }
        }
    }

    /// The helpers on the path that call functions back, in order; none where they are too many.
    pub(crate) fn callbacks(&self) -> Vec<CalledBack> {
        let callbacks = self.entries.iter().filter_map(|entry| match entry {
            Entry::Fork(fork) => match &fork.parting {
                Parting::CallBack { invariant, .. } => Some((fork, invariant)),
                _ => None,
            },
            _ => None,
        });
        let few = callbacks.clone().count() <= limits::PATH_CALLBACKS;
        let kept = callbacks.filter(|_| few);
        kept.map(|(fork, invariant)| CalledBack {
            at: fork.at,
            has_returned: fork.second.is_none(),
            invariant: invariant.clone(),
        })
        .collect()
    }

    /// The forks on the path, the last first, and which way it went.
    pub(crate) fn decisions(&self) -> impl Iterator<Item = Decision> {
        self.entries.iter().rev().filter_map(|entry| {
            let Entry::Fork(fork) = entry else {
                return None;
            };
            let way = match fork.second {
                Some(_) => Way::FallThrough,
                None => Way::Taken,
            };
            let is_decision = !matches!(fork.parting, Parting::CallBack { .. });
            is_decision.then_some(Decision { at: fork.at, way })
        })
    }
}
