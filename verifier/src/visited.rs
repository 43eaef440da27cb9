//! States met before: for pruning paths that were proved already, and for recognising loops that
//! never end.
//!
//! A stored state is *open* while some path through it is unfinished, and *finished* when every path
//! from it was followed to its end. Only finished states prune: an open one lies on the current path
//! (paths are taken last in, first out), and arriving in its very state again means that the program
//! may go round for ever, unless a `may_goto` counts the rounds. When a state is finished it is relaxed to what was needed of it.

use crate::limits;
use crate::measure::{Measure, Ranges};
use crate::need::Need;
use crate::size::BLOCK;
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
    /// Memory that it is charged with.
    bytes: usize,
    /// When it was finished or useful last; 0 while it is open.
    used: u64,
    /// What bounds the rounds of the loop that begins here, if they are not followed one by one.
    measure: Option<Measure>,
    /// Jumps back to here that the path had made when it came in from outside of the loop.
    entered: u32,
}

/// How a path comes back to a state whose loop is being summed up.
pub(crate) enum Return {
    /// The state covers the path, whose rounds are bounded; it asks this.
    Closed(NodeId, Need),
    /// The state does not cover the path.
    Uncovered,
    /// Nothing bounds the rounds; with these ranges something may.
    Unbounded(Ranges),
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
    heads: Vec<InsnIdx>,
    /// Memory that all is charged with, and the finished states among it.
    bytes: usize,
    finished_bytes: usize,
    /// How much memory there is.
    most: usize,
    /// Counts when states were finished or useful.
    uses: u64,
}

/// What a visit finds.
pub(crate) enum Visit {
    /// A finished state covers this one, and asks this of it.
    Covered(End),
    /// This very state is on the path already.
    Endless,
    /// Nothing; the path goes on, from this node when the state was stored.
    Go(Option<NodeId>),
}

/// Finished states at one instruction from which on a more general one is tried.
const MANY: usize = 2;
/// Finished states that a general one is sought with.
const CANDIDATES: usize = 3;
/// Memory of an instruction at which states are stored: its place in the table, and a list of those
/// that are open.
const PLACE_BYTES: usize = 2 * size_of::<(InsnIdx, Place)>() + 8 * BLOCK;
/// The part of the memory that finished states have at least, so that forgetting them, which takes a
/// look at all, always makes room for many.
const FINISHED_SHARE: usize = 8;
/// Ancestors stored at one instruction before visits are only sampled.
const DENSE: usize = 64;

impl Visited {
    /// None, and so many bytes for them, in a program with these loop heads, in ascending order.
    pub(crate) fn new(most: usize, heads: Vec<InsnIdx>) -> Visited {
        Visited {
            heads,
            nodes: Vec::new(),
            free: Vec::new(),
            places: BTreeMap::new(),
            bytes: 0,
            finished_bytes: 0,
            most,
            uses: 0,
        }
    }

    /// How much memory there is.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// Is there room beside so many bytes? Where memory is scarce, finished states are forgotten, the
    /// ones that were of no use for longest first. What they cover is followed again then: that takes
    /// time, and nothing else, as a state only ever prunes paths.
    pub(crate) fn make_room(&mut self, besides: usize) -> bool {
        let used = self.bytes.saturating_add(besides);
        if used <= self.most {
            return true;
        }
        let needed = used.saturating_sub(self.finished_bytes);
        if needed > self.most - self.most / FINISHED_SHARE {
            return false;
        }
        while self.finished_bytes > (self.most - needed) / 2 {
            self.forget_older_half();
        }
        true
    }

    fn forget_older_half(&mut self) {
        let ids = self.places.values().flat_map(|place| &place.finished);
        let nodes = ids.filter_map(|id| self.nodes.get(id.0 as usize)?.as_ref());
        let mut uses: Vec<u64> = nodes.map(|node| node.used).collect();
        let middle = uses.len() / 2;
        if uses.is_empty() {
            self.finished_bytes = 0;
            return;
        }
        let last = *uses.select_nth_unstable(middle).1;
        let (nodes, free) = (&mut self.nodes, &mut self.free);
        for place in self.places.values_mut() {
            place.finished.retain(|id| {
                let node = nodes.get_mut(id.0 as usize);
                let old = node.and_then(|node| node.take_if(|node| node.used <= last));
                let bytes = old.as_ref().map_or(0, |old| old.bytes);
                self.bytes = self.bytes.saturating_sub(bytes);
                self.finished_bytes = self.finished_bytes.saturating_sub(bytes);
                free.extend(old.as_ref().map(|_| *id));
                old.is_none()
            });
        }
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

    /// Comes back to the last open state of the same run of the function whose loop is being summed
    /// up, if there is one. `arrived` is what the loop is summed up in place of; `ends` are constants
    /// that numbers may be compared with.
    ///
    /// Closing the path there is sound for the reason given at [`Visited::turn`], with the measure in
    /// place of the turns: a run that comes back has strictly less of it left.
    pub(crate) fn comes_back(
        &mut self,
        at: InsnIdx,
        state: &State,
        (arrived, ends): (Option<&State>, &[u64]),
    ) -> Option<Return> {
        let id = self.open_in_run(at, state, |node| node.measure.is_some())?;
        let node = self.nodes.get_mut(id.0 as usize)?.as_mut()?;
        if !node.state.covers(state) {
            return Some(Return::Uncovered);
        }
        let measure = node.measure.as_mut()?;
        let ranges = arrived.map(|arrived| measure.ranges(arrived, state, ends));
        if measure.comes_back(state) {
            return Some(Return::Closed(id, node.state.state().asks()));
        }
        Some(Return::Unbounded(ranges.unwrap_or_default()))
    }

    /// The state with which the loop was at its head before, and how many rounds in a row were followed
    /// since it was entered; `done` is what the path has done.
    pub(crate) fn last_round(
        &self,
        at: InsnIdx,
        state: &State,
        done: &Work,
    ) -> Option<(&State, u32)> {
        let id = self.open_in_run(at, state, |_| true)?;
        let node = self.nodes.get(id.0 as usize)?.as_ref()?;
        let rounds = self.rounds(at, done);
        let is_back = self.rounds(at, &node.work) < rounds;
        is_back.then(|| (node.state.state(), rounds.saturating_sub(node.entered)))
    }

    /// How often a path that has done this has jumped back to a place.
    fn rounds(&self, at: InsnIdx, done: &Work) -> u32 {
        let head = self.heads.binary_search(&at).ok();
        let rounds = head.and_then(|head| done.rounds.get(head));
        rounds.copied().unwrap_or(0)
    }

    /// Whether a place is the head of a loop whose rounds are counted.
    pub(crate) fn is_head(&self, at: InsnIdx) -> bool {
        self.heads.binary_search(&at).is_ok()
    }

    /// Stores the state of a loop head whose loop is summed up from here on.
    pub(crate) fn sum_up(
        &mut self,
        at: InsnIdx,
        state: &State,
        (measure, done): (Measure, &Work),
    ) -> Visit {
        if let Some(end) = self.covers(at, state) {
            return Visit::Covered(end);
        }
        let id = self.store((at, state.fingerprint()), state, done);
        if let Some(node) = self.nodes.get_mut(id.0 as usize).and_then(Option::as_mut) {
            node.measure = Some(measure);
        }
        Visit::Go(Some(id))
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
        self.bytes = self.bytes.saturating_sub(node.bytes);
        Some(node.work)
    }

    /// All paths from a node were followed, this was needed of its state, and no path through it did
    /// more than `done`, where loops that are summed up from it went round once; they are counted in.
    /// What the state asks of those that it will cover.
    pub(crate) fn finish(&mut self, id: NodeId, need: &Need, done: &mut Work) -> Need {
        let Some(node) = self.nodes.get_mut(id.0 as usize).and_then(Option::as_mut) else {
            return Need::default();
        };
        node.state.relax(need);
        let once = done.clone().minus(&node.work);
        let rounds = node.measure.as_ref().and_then(Measure::rounds);
        // Each way back was followed once, and the way out of the loop comes after the last round.
        let all = rounds.map_or(once.clone(), |rounds| once.times(u64::from(rounds) + 1));
        *done = core::mem::take(&mut node.work).plus(&all);
        node.work = all;
        node.measure = None;
        let (at, fingerprint, asks) = (node.at, node.fingerprint, node.state.state().asks());
        if node.leans {
            self.abandon(id);
            return asks;
        }
        let bytes = node.state.state().all_bytes() + node.work.bytes();
        let before = core::mem::replace(&mut node.bytes, bytes);
        self.uses = self.uses.saturating_add(1);
        node.used = self.uses;
        self.bytes = self.bytes.saturating_sub(before).saturating_add(bytes);
        self.finished_bytes = self.finished_bytes.saturating_add(bytes);
        self.no_longer_open(at, fingerprint, id);
        let place = self.places.entry(at).or_default();
        place.finished.push(id);
        if place.finished.len() > limits::STATES_PER_INSN {
            let oldest = place.finished.remove(0);
            let node = self.nodes[oldest.0 as usize].take();
            let bytes = node.map_or(0, |node| node.bytes);
            self.bytes = self.bytes.saturating_sub(bytes);
            self.finished_bytes = self.finished_bytes.saturating_sub(bytes);
            self.free.push(oldest);
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
        self.uses = self.uses.saturating_add(1);
        let node = self.nodes.get_mut(id.0 as usize)?.as_mut()?;
        node.used = self.uses;
        Some(End {
            need: node.state.state().asks(),
            rest: node.work.clone(),
        })
    }

    fn store(&mut self, (at, fingerprint): (InsnIdx, u64), state: &State, done: &Work) -> NodeId {
        let rounds = self.rounds(at, done);
        // Without a jump back since the last arrival this is one from outside.
        let last = self.open_in_run(at, state, |_| true);
        let last = last.and_then(|id| self.nodes.get(id.0 as usize)?.as_ref());
        let entered = last
            .filter(|node| self.rounds(at, &node.work) < rounds)
            .map_or(rounds, |node| node.entered);
        let state = state.clone();
        let bytes = state.own_bytes() + done.bytes();
        self.bytes = self.bytes.saturating_add(bytes);
        let node = Node {
            at,
            fingerprint,
            state: Known::new(state),
            work: done.clone(),
            leans: false,
            bytes,
            used: 0,
            measure: None,
            entered,
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.nodes[id.0 as usize] = Some(node);
                id
            }
            None => {
                self.bytes = self.bytes.saturating_add(size_of::<Option<Node>>());
                self.nodes.push(Some(node));
                NodeId(self.nodes.len() as u32 - 1)
            }
        };
        let new = usize::from(!self.places.contains_key(&at));
        self.bytes = self.bytes.saturating_add(new * PLACE_BYTES);
        let place = self.places.entry(at).or_default();
        place.open.insert(fingerprint, id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Frame;
    use crate::value::Value;
    use isa::Reg;

    /// A state that no other one covers.
    fn state(number: u64) -> State {
        let mut state = State::entry();
        state.top_mut().set(Reg::R6, Value::constant(number));
        state
    }

    /// Stores so many states and finishes all but the open ones; exactly what they hold is needed.
    fn filled(most: usize, finished: u64, open: u64) -> Visited {
        let mut visited = Visited::new(most, Vec::new());
        let done = Work::none(0);
        for number in 0..finished {
            let state = state(number);
            let id = visited.store_anyway(InsnIdx(number as u32), &state, &done);
            visited.finish(id, &state.asks(), &mut done.clone());
        }
        for number in 0..open {
            visited.store_anyway(InsnIdx(0), &state(finished + number), &done);
        }
        visited
    }

    fn is_known(visited: &mut Visited, number: u64) -> bool {
        visited
            .covers(InsnIdx(number as u32), &state(number))
            .is_some()
    }

    #[test]
    fn what_was_of_no_use_for_longest_is_forgotten_first() {
        let mut visited = filled(1 << 20, 1_000, 0);
        assert!(is_known(&mut visited, 3));
        // Room for half of what there is.
        visited.most = visited.bytes - visited.finished_bytes / 2;
        assert!(visited.make_room(0));
        assert!(visited.bytes <= visited.most);
        assert!(is_known(&mut visited, 3) && is_known(&mut visited, 999));
        assert!(!is_known(&mut visited, 4) && !is_known(&mut visited, 300));
    }

    #[test]
    fn what_is_open_is_never_forgotten() {
        let mut visited = filled(1 << 20, 100, 100);
        let open = visited.bytes - visited.finished_bytes;
        visited.most = open;
        assert!(!visited.make_room(0));
        visited.most = 2 * open;
        assert!(!visited.make_room(open));
        assert_eq!(visited.places[&InsnIdx(0)].open.len(), 100);
    }

    #[test]
    fn bytes_come_and_go() {
        let mut visited = filled(1 << 20, 100, 0);
        let before = visited.bytes;
        let id = visited.store_anyway(InsnIdx(7), &state(500), &Work::none(3));
        assert!(visited.bytes > before + size_of::<Frame>());
        visited.abandon(id);
        // The slot of the state stays for the next one.
        assert_eq!(visited.bytes, before + size_of::<Option<Node>>());
    }
}
