//! The way to where the analysis is: every effect, stored state and fork from the entry of the
//! program on.
//!
//! Paths are followed last in, first out, so one stack holds the current path and, in the forks on
//! it, the ways that wait. When a path ends, the stack is taken down to the last fork with a way
//! left; what is needed is passed back on the way. A stored state that is taken off has all its
//! paths behind it: it is finished.

use crate::effect::{Effect, Parting};
use crate::need::Need;
use crate::reject::{Decision, Way};
use crate::state::State;
use crate::visited::{NodeId, Visited};
use alloc::boxed::Box;
use alloc::vec::Vec;
use isa::InsnIdx;

/// A way that waits to be followed.
pub(crate) struct Waiting {
    pub(crate) at: InsnIdx,
    pub(crate) state: State,
}

/// Where the path goes two ways.
struct Fork {
    at: InsnIdx,
    parting: Parting,
    /// The second way, until it is followed.
    second: Option<Waiting>,
    /// What the first way needs, once that is known.
    need: Need,
}

enum Entry {
    Effect(Effect),
    Node(NodeId),
    Fork(Box<Fork>),
}

/// The stack.
#[derive(Default)]
pub(crate) struct Trail(Vec<Entry>);

/// How much of a trail there was at some time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(usize);

impl Trail {
    /// Notes what an instruction does.
    pub(crate) fn note(&mut self, effect: Effect) {
        self.0.push(Entry::Effect(effect));
    }

    /// Notes that the state here was stored.
    pub(crate) fn store(&mut self, node: NodeId) {
        self.0.push(Entry::Node(node));
    }

    /// Notes that the path goes two ways; the second is followed later.
    pub(crate) fn fork(&mut self, at: InsnIdx, parting: Parting, second: Waiting) {
        self.0.push(Entry::Fork(Box::new(Fork {
            at,
            parting,
            second: Some(second),
            need: Need::default(),
        })));
    }

    /// Is the second way of the fork noted at a mark still to be followed?
    pub(crate) fn waits(&self, mark: Mark) -> bool {
        match self.0.get(mark.0) {
            Some(Entry::Fork(fork)) => fork.second.is_some(),
            _ => false,
        }
    }

    /// Where the trail ends now.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.0.len())
    }

    /// The path has ended, and this is what is needed of its last state: finishes what is finished
    /// by that. The way to follow next, if there is one.
    pub(crate) fn end(&mut self, mut need: Need, visited: &mut Visited) -> Option<Waiting> {
        while let Some(entry) = self.0.last_mut() {
            match entry {
                Entry::Effect(effect) => effect.undo(&mut need),
                Entry::Node(node) => need = visited.finish(*node, &need),
                Entry::Fork(fork) => {
                    if let Some(second) = fork.second.take() {
                        fork.need = need;
                        return Some(second);
                    }
                    let first = core::mem::take(&mut fork.need);
                    need = fork.parting.undo(first, need);
                }
            }
            self.0.pop();
        }
        None
    }

    /// Takes back everything since a mark.
    pub(crate) fn take_back(&mut self, mark: Mark, visited: &mut Visited) {
        while self.0.len() > mark.0 {
            if let Some(Entry::Node(node)) = self.0.pop() {
                visited.abandon(node);
            }
        }
    }

    /// The forks on the path, the last first, and which way it went.
    pub(crate) fn decisions(&self) -> impl Iterator<Item = Decision> {
        self.0.iter().rev().filter_map(|entry| {
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
