//! States met before: for pruning paths that were proved already, and for recognising loops that
//! never end.
//!
//! A stored state is *open* while some path through it is unfinished, and *finished* when every path
//! from it was followed to its end. Only finished states prune: an open one lies on the current path
//! (paths are taken last in, first out), and arriving in its very state again means that the program
//! may go round for ever, unless a `may_goto` counts the rounds. When a state is finished it is relaxed to what was needed of it.

use crate::limits;
use crate::need::Need;
use crate::state::State;
use crate::subsume::Known;
use crate::trail::End;
use crate::work::Work;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use isa::InsnIdx;

/// A stored state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NodeId(u32);

struct Node {
    at: InsnIdx,
    fingerprint: u64,
    state: Known,
    /// What was done before it; of a finished state, the most that was done from it.
    work: Work,
    /// Its proof leans on that of an open state before it: see [`Visited::turn`].
    leans: bool,
}

/// What is stored for one instruction.
#[derive(Default)]
struct Place {
    finished: Vec<NodeId>,
    open: BTreeMap<u64, NodeId>,
    /// Visits that were not stored since the last one that was.
    skipped: usize,
}

/// All stored states.
pub(crate) struct Visited {
    nodes: Vec<Option<Node>>,
    free: Vec<NodeId>,
    places: BTreeMap<InsnIdx, Place>,
    stored: usize,
    /// How many may be stored.
    most: usize,
}

/// What a visit finds.
pub(crate) enum Visit {
    /// A finished state covers this one, and asks this of it.
    Covered(End),
    /// This very state is on the path already.
    Endless,
    /// Nothing; the path goes on, from this node when the state was stored.
    Go(Option<NodeId>),
    /// Nothing, and there is no room for more states.
    Full,
}

/// Finished states at one instruction from which on a more general one is tried.
const MANY: usize = 2;
/// Finished states that a general one is sought with.
const CANDIDATES: usize = 3;
/// Ancestors stored at one instruction before visits are only sampled.
const DENSE: usize = 64;

impl Visited {
    /// None, in a program of so many instructions.
    pub(crate) fn new(insns: usize) -> Visited {
        Visited {
            nodes: Vec::new(),
            free: Vec::new(),
            places: BTreeMap::new(),
            stored: 0,
            most: limits::STATES.max(insns / limits::INSNS_PER_STATE),
        }
    }

    /// How many may be stored.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// Arrives at a join.
    pub(crate) fn visit(&mut self, at: InsnIdx, state: &State, done: &Work) -> Visit {
        if let Some(end) = self.covers(at, state) {
            return Visit::Covered(end);
        }
        let fingerprint = state.fingerprint();
        let place = self.places.entry(at).or_default();
        if let Some(id) = place.open.get(&fingerprint)
            && let Some(node) = self.nodes.get(id.0 as usize).and_then(Option::as_ref)
            && node.state.covers(state)
            && node.state.state().is_subsumed_by(state)
        {
            return Visit::Endless;
        }
        // A long loop leaves a growing distance between stored states: a state that comes back is
        // still found, some rounds later.
        let ancestors = place.open.len();
        if ancestors >= DENSE && place.skipped < ancestors {
            place.skipped += 1;
            return Visit::Go(None);
        }
        place.skipped = 0;
        if self.stored >= self.most {
            return Visit::Full;
        }
        Visit::Go(Some(self.store((at, fingerprint), state, done)))
    }

    /// Stores the state at the start of a callback, whatever is known there.
    pub(crate) fn store_anyway(&mut self, at: InsnIdx, state: &State, done: &Work) -> NodeId {
        self.store((at, state.fingerprint()), state, done)
    }

    /// A more general state to try here, when many were finished and none of them helps.
    pub(crate) fn guess(&mut self, at: InsnIdx, state: &State) -> Option<State> {
        let place = self.places.get(&at)?;
        // A loop through here is counted out round by round.
        if place.finished.len() < MANY || !place.open.is_empty() || self.covers(at, state).is_some()
        {
            return None;
        }
        let place = self.places.get(&at)?;
        let nodes = place.finished.iter().rev().take(CANDIDATES);
        nodes
            .filter_map(|id| self.nodes.get(id.0 as usize)?.as_ref())
            .find_map(|node| state.generalised(node.state.state()))
    }

    /// Another turn of a loop that a `may_goto` bounds: the open state of the same run of the
    /// function that covers this one, and what it asks, so that nothing new can happen.
    ///
    /// Sound although that state is not proved yet. Suppose all paths from it end well or come back
    /// to it in this way. A run that comes back has taken one more of the turns that the function
    /// run has (the trail sees to that: a way on which every `may_goto` jumps takes none), so by induction over the turns left it ends, and does on the way only what those
    /// paths do. It comes back to the state as it was stored, not as it is relaxed later, so all
    /// that the state says is asked. States between the two lean on that proof, and must not prune
    /// others before it is complete; they are never used for that. The run must be the same one
    /// because another run has turns of its own.
    pub(crate) fn turn(&self, at: InsnIdx, state: &State) -> Option<(NodeId, Need)> {
        let before = self.open_in_run(at, state, |node| node.state.covers(state))?;
        let node = self.nodes.get(before.0 as usize)?.as_ref()?;
        Some((before, node.state.state().asks()))
    }

    /// A state for the next turns of such a loop, more general than what arrives.
    pub(crate) fn next_turns(&self, at: InsnIdx, state: &State) -> Option<State> {
        let before = self.open_in_run(at, state, |_| true)?;
        let before = self.nodes.get(before.0 as usize)?.as_ref()?;
        state.generalised(before.state.state())
    }

    /// The last open state at an instruction in the same run of the function that fits.
    fn open_in_run(
        &self,
        at: InsnIdx,
        state: &State,
        fits: impl Fn(&Node) -> bool,
    ) -> Option<NodeId> {
        let run = state.top().run;
        let open = self.places.get(&at)?.open.values();
        let is_one = |id: &&NodeId| {
            let node = self.nodes.get(id.0 as usize).and_then(Option::as_ref);
            node.is_some_and(|node| node.state.state().top().run == run && fits(node))
        };
        open.filter(is_one).max_by_key(|id| id.0).copied()
    }

    /// The proof of a node leans on one that is not complete.
    pub(crate) fn lean(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(id.0 as usize).and_then(Option::as_mut) {
            node.leans = true;
        }
    }

    /// A node whose path was a mistake is forgotten; what was done before it.
    pub(crate) fn abandon(&mut self, id: NodeId) -> Option<Work> {
        let node = self.nodes.get_mut(id.0 as usize).and_then(Option::take)?;
        self.no_longer_open(node.at, node.fingerprint, id);
        self.free.push(id);
        self.stored = self.stored.saturating_sub(1);
        Some(node.work)
    }

    /// All paths from a node were followed, this was needed of its state, and no path through it did
    /// more. What the state asks of those that it will cover.
    pub(crate) fn finish(&mut self, id: NodeId, need: &Need, done: &Work) -> Need {
        let Some(node) = self.nodes.get_mut(id.0 as usize).and_then(Option::as_mut) else {
            return Need::default();
        };
        node.state.relax(need);
        node.work = done.clone().minus(&node.work);
        let (at, fingerprint, asks) = (node.at, node.fingerprint, node.state.state().asks());
        if node.leans {
            self.abandon(id);
            return asks;
        }
        self.no_longer_open(at, fingerprint, id);
        let place = self.places.entry(at).or_default();
        place.finished.push(id);
        if place.finished.len() > limits::STATES_PER_INSN {
            let oldest = place.finished.remove(0);
            self.nodes[oldest.0 as usize] = None;
            self.free.push(oldest);
            self.stored = self.stored.saturating_sub(1);
        }
        asks
    }

    fn no_longer_open(&mut self, at: InsnIdx, fingerprint: u64, id: NodeId) {
        let place = self.places.entry(at).or_default();
        if place.open.get(&fingerprint) == Some(&id) {
            place.open.remove(&fingerprint);
        }
    }

    /// The finished states and where they are, for tests.
    #[cfg(test)]
    pub(crate) fn finished(&self) -> impl Iterator<Item = (InsnIdx, &State)> {
        let ids = self.places.values().flat_map(|place| &place.finished);
        ids.filter_map(|id| self.nodes.get(id.0 as usize)?.as_ref())
            .map(|node| (node.at, node.state.state()))
    }

    /// What the finished state that covers this one asks and does, if there is one.
    fn covers(&mut self, at: InsnIdx, state: &State) -> Option<End> {
        let place = self.places.get_mut(&at)?;
        let nodes = &self.nodes;
        let node = |id: &NodeId| nodes.get(id.0 as usize).and_then(Option::as_ref);
        let covers = |id: &NodeId| node(id).is_some_and(|node| node.state.covers(state));
        let position = place.finished.iter().rposition(covers)?;
        // What was useful is kept longest and compared first.
        let id = place.finished.remove(position);
        place.finished.push(id);
        node(&id).map(|node| End {
            need: node.state.state().asks(),
            rest: node.work.clone(),
        })
    }

    fn store(&mut self, (at, fingerprint): (InsnIdx, u64), state: &State, done: &Work) -> NodeId {
        self.stored += 1;
        let node = Node {
            at,
            fingerprint,
            state: Known::new(state.clone()),
            work: done.clone(),
            leans: false,
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.nodes[id.0 as usize] = Some(node);
                id
            }
            None => {
                self.nodes.push(Some(node));
                NodeId(self.nodes.len() as u32 - 1)
            }
        };
        let place = self.places.entry(at).or_default();
        place.open.insert(fingerprint, id);
        id
    }
}
