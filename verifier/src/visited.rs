//! States met before: for pruning paths that were proved already, and for recognising loops that
//! never end.
//!
//! Every stored state is a node of a tree; its parent is the stored state last passed on the way to
//! it. A node is *open* while some path through it is unfinished, and *finished* when every path
//! from it was followed to its end. Only finished nodes prune: an open one is an ancestor of the
//! current path (paths are taken last in, first out), and arriving in its very state again means
//! that the program may go round for ever.
//!
//! Invariant: `open` of a node counts its open children and the pending or running paths whose
//! last stored state it is.

use crate::limits;
use crate::state::State;
use crate::subsume::Known;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use isa::InsnIdx;

/// A stored state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NodeId(u32);

struct Node {
    parent: Option<NodeId>,
    at: InsnIdx,
    open: u32,
    fingerprint: u64,
    state: Known,
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
#[derive(Default)]
pub(crate) struct Visited {
    nodes: Vec<Option<Node>>,
    free: Vec<NodeId>,
    places: BTreeMap<InsnIdx, Place>,
    stored: usize,
}

/// What a visit finds.
pub(crate) enum Visit {
    /// A finished state covers this one.
    Covered,
    /// This very state is on the path already.
    Endless,
    /// Nothing; the path goes on from this node (the old one when the state was not stored).
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
    /// Arrives at a join on a path whose last stored state is `parent`.
    pub(crate) fn visit(&mut self, at: InsnIdx, state: &State, parent: Option<NodeId>) -> Visit {
        if self.is_covered(at, state) {
            return Visit::Covered;
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
            return Visit::Go(parent);
        }
        place.skipped = 0;
        if self.stored >= limits::STATES {
            return Visit::Full;
        }
        let id = self.insert(Node {
            parent,
            at,
            open: 1,
            fingerprint,
            state: Known::new(state.clone()),
        });
        Visit::Go(Some(id))
    }

    /// Stores the state at the start of a callback, whatever is known there.
    pub(crate) fn store(&mut self, at: InsnIdx, state: &State, parent: Option<NodeId>) -> NodeId {
        self.insert(Node {
            parent,
            at,
            open: 1,
            fingerprint: state.fingerprint(),
            state: Known::new(state.clone()),
        })
    }

    /// A more general state to try here, when many were finished and none of them helps.
    pub(crate) fn guess(&mut self, at: InsnIdx, state: &State) -> Option<State> {
        let place = self.places.get(&at)?;
        // A loop through here is counted out round by round.
        if place.finished.len() < MANY || !place.open.is_empty() || self.is_covered(at, state) {
            return None;
        }
        let place = self.places.get(&at)?;
        let nodes = place.finished.iter().rev().take(CANDIDATES);
        nodes
            .filter_map(|id| self.nodes.get(id.0 as usize)?.as_ref())
            .find_map(|node| state.generalised(node.state.state()))
    }

    /// Is the node still being explored?
    pub(crate) fn is_open(&self, id: NodeId) -> bool {
        let node = self.nodes.get(id.0 as usize).and_then(Option::as_ref);
        node.is_some_and(|node| node.open > 0)
    }

    /// Forgets the path from `last` up to, but not including, `stop`: it led nowhere.
    pub(crate) fn abandon(&mut self, last: Option<NodeId>, stop: Option<NodeId>) {
        let mut id = last;
        while id != stop {
            let Some(current) = id else {
                return;
            };
            let Some(node) = self
                .nodes
                .get_mut(current.0 as usize)
                .and_then(Option::take)
            else {
                return;
            };
            let place = self.places.entry(node.at).or_default();
            if place.open.get(&node.fingerprint) == Some(&current) {
                place.open.remove(&node.fingerprint);
            }
            self.free.push(current);
            self.stored = self.stored.saturating_sub(1);
            id = node.parent;
        }
    }

    /// One more path goes on from a node.
    pub(crate) fn fork(&mut self, id: Option<NodeId>) {
        if let Some(node) = id.and_then(|id| self.node(id)) {
            node.open = node.open.saturating_add(1);
        }
    }

    /// A path that was last at this node has ended.
    pub(crate) fn close(&mut self, mut id: Option<NodeId>) {
        while let Some(current) = id {
            let Some(node) = self.node(current) else {
                return;
            };
            node.open = node.open.saturating_sub(1);
            if node.open > 0 {
                return;
            }
            id = node.parent;
            self.finish(current);
        }
    }

    fn node(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(id.0 as usize)?.as_mut()
    }

    fn is_covered(&mut self, at: InsnIdx, state: &State) -> bool {
        let Some(place) = self.places.get_mut(&at) else {
            return false;
        };
        let nodes = &self.nodes;
        let covers = |id: &NodeId| {
            nodes
                .get(id.0 as usize)
                .and_then(Option::as_ref)
                .is_some_and(|node| node.state.covers(state))
        };
        let Some(position) = place.finished.iter().rposition(covers) else {
            return false;
        };
        // What was useful is kept longest and compared first.
        let id = place.finished.remove(position);
        place.finished.push(id);
        true
    }

    fn insert(&mut self, node: Node) -> NodeId {
        self.stored += 1;
        let (at, fingerprint) = (node.at, node.fingerprint);
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
        self.places
            .entry(at)
            .or_default()
            .open
            .insert(fingerprint, id);
        id
    }

    fn finish(&mut self, id: NodeId) {
        let Some(node) = self.node(id) else {
            return;
        };
        let (at, fingerprint) = (node.at, node.fingerprint);
        node.parent = None;
        let place = self.places.entry(at).or_default();
        if place.open.get(&fingerprint) == Some(&id) {
            place.open.remove(&fingerprint);
        }
        place.finished.push(id);
        if place.finished.len() > limits::STATES_PER_INSN {
            let oldest = place.finished.remove(0);
            self.nodes[oldest.0 as usize] = None;
            self.free.push(oldest);
            self.stored = self.stored.saturating_sub(1);
        }
    }
}
