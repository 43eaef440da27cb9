//! The states of an analysis, kept to be compared with executions.
//!
//! For every instruction, all states in which it was analysed are kept, up to a bound, each relaxed
//! to what the proof of all that follows needed of it, because that is what later states are pruned
//! by. States that were taken back are dropped. An execution must always be in one of them. Where
//! the analysis went on from a state to the next instruction without a detour, the execution must
//! go to that very next state: this checks each transfer function, and how needs are passed back
//! over it, not only that some other path happens to cover a mistake.

use crate::contain::{Outside, contains};
use crate::machine::Machine;
use isa::{Insn, InsnIdx};
use std::collections::BTreeMap;
use verifier::trace::{Needed, Snapshot};
use verifier::{Observer, View};

/// States kept of one analysis; with more, executions are not compared.
const MAX_STATES: usize = 20_000;

struct Node {
    at: InsnIdx,
    state: Snapshot,
    /// The next node is where the analysis went on from here.
    goes_on: bool,
    /// All paths from here have ended, and the state is relaxed.
    is_proved: bool,
}

/// The states of one analysis in their order.
#[derive(Default)]
pub struct Record {
    nodes: Vec<Node>,
    places: BTreeMap<InsnIdx, Vec<usize>>,
    detour: bool,
    is_full: bool,
}

impl Observer for Record {
    fn step(&mut self, at: InsnIdx, state: &View<'_>) {
        let detour = core::mem::take(&mut self.detour);
        if self.nodes.len() >= MAX_STATES {
            self.is_full = true;
            return;
        }
        if !detour && let Some(before) = self.nodes.last_mut() {
            before.goes_on = true;
        }
        let index = self.nodes.len();
        self.nodes.push(Node {
            at,
            state: state.snapshot(),
            goes_on: false,
            is_proved: false,
        });
        self.places.entry(at).or_default().push(index);
    }

    fn pruned(&mut self, _at: InsnIdx) {
        self.detour = true;
    }

    fn resumed(&mut self, _at: InsnIdx) {
        self.detour = true;
    }

    fn wants_needs(&self) -> bool {
        true
    }

    fn needed(&mut self, step: u64, need: &Needed<'_>) {
        let index = usize::try_from(step).unwrap_or(usize::MAX);
        if let Some(node) = self.nodes.get_mut(index) {
            node.state.relax(need);
            node.is_proved = true;
        }
    }
}

impl Record {
    /// States kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Was nothing kept?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

/// Follows one execution through the states.
pub struct Follower<'r> {
    record: &'r Record,
    /// The state that the execution was in before the last instruction.
    last: Option<usize>,
    /// Instructions still to be compared.
    left: usize,
}

impl<'r> Follower<'r> {
    /// At the start of an execution, of which so many instructions are compared.
    #[must_use]
    pub fn new(record: &'r Record, steps: usize) -> Follower<'r> {
        let left = if record.is_full { 0 } else { steps };
        Follower {
            record,
            last: None,
            left,
        }
    }

    /// The execution is about to perform the instruction at a place.
    ///
    /// # Errors
    /// It is in a state that the proof knows nothing about.
    pub fn arrive(&mut self, at: InsnIdx, machine: &Machine<'_, '_>) -> Result<(), String> {
        if self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        // The states of such a function know nothing of its callers. Faults are trapped all the same.
        if machine.is_in_contract() {
            self.last = None;
            return Ok(());
        }
        if let Some(next) = self.next(at, machine) {
            let node = &self.record.nodes[next];
            self.last = Some(next);
            return contains(&node.state.view(), machine).map_err(|outside| {
                let before = &self.record.nodes[next - 1];
                let (from, to) = (before.state.view(), node.state.view());
                format!(
                    "outside the state after i{}: {outside}\nfrom: {from}\nto:   {to}",
                    before.at.0
                )
            });
        }
        let known = self.record.places.get(&at).map_or(&[][..], Vec::as_slice);
        let mut reasons: Vec<(usize, Outside)> = Vec::new();
        let proved = known.iter().rev();
        for index in proved.filter(|index| self.record.nodes[**index].is_proved) {
            match contains(&self.record.nodes[*index].state.view(), machine) {
                Ok(()) => {
                    self.last = Some(*index);
                    return Ok(());
                }
                Err(outside) => reasons.push((*index, outside)),
            }
        }
        let reasons = reasons.iter().take(8).map(|(index, outside)| {
            let state = self.record.nodes[*index].state.view();
            format!("\n  {outside}\n    in: {state}")
        });
        Err(format!(
            "in none of {} states{}",
            known.len(),
            reasons.collect::<String>()
        ))
    }

    /// The state that the analysis went on with from the last one, when the execution went the same
    /// way and there was only one.
    fn next(&self, at: InsnIdx, machine: &Machine<'_, '_>) -> Option<usize> {
        let last = self.last?;
        let node = &self.record.nodes[last];
        let next = self.record.nodes.get(last + 1)?;
        let same_way = node.goes_on && next.at == at && next.is_proved;
        let same_depth = next.state.view().depth() + 1 == machine.frames.len();
        let insn = machine.program().insns.get(node.at.index())?;
        // A jump to the next instruction has two states there; a function may be analysed by itself.
        let one_state = match insn {
            Insn::JumpIf { offset, .. } => *offset != 0,
            Insn::Call(_) | Insn::Exit => false,
            _ => true,
        };
        (same_way && same_depth && one_state).then_some(last + 1)
    }
}
