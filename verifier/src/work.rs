//! How much a program can do: the most instructions on a path, and the most rounds of each loop.
//!
//! The trail counts what the current path has done. When all paths from a stored state were
//! followed, the state remembers the most that was still done from there, and a path that ends in
//! that state is charged with it. So the maximum over all paths is that over all executions: each of
//! them follows paths, and where these were cut short, the ones that were followed in their place.
//! What repeats without being followed round by round (callbacks) has no such bound.

use crate::cfg;
use crate::limits;
use crate::size::BLOCK;
use alloc::vec::Vec;
use isa::{Insn, InsnIdx};
use program::Program;

/// What was done up to some point, or can be done from it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Work {
    /// Instructions.
    pub(crate) insns: u64,
    /// Jumps back to each loop head; empty in programs without loops.
    pub(crate) rounds: Vec<u32>,
}

impl Work {
    /// Nothing done, in a program with so many loop heads.
    pub(crate) fn none(heads: usize) -> Work {
        Work {
            insns: 0,
            rounds: alloc::vec![0; heads],
        }
    }

    /// Memory behind it.
    pub(crate) fn bytes(&self) -> usize {
        match self.rounds.len() {
            0 => 0,
            heads => BLOCK + heads * size_of::<u32>(),
        }
    }

    /// Both, one after the other.
    pub(crate) fn plus(mut self, more: &Work) -> Work {
        self.insns = self.insns.saturating_add(more.insns);
        for (rounds, more) in self.rounds.iter_mut().zip(&more.rounds) {
            *rounds = rounds.saturating_add(*more);
        }
        self
    }

    /// What is left after the first part.
    pub(crate) fn minus(mut self, first: &Work) -> Work {
        self.insns = self.insns.saturating_sub(first.insns);
        for (rounds, first) in self.rounds.iter_mut().zip(&first.rounds) {
            *rounds = rounds.saturating_sub(*first);
        }
        self
    }

    /// So many times that.
    pub(crate) fn times(mut self, count: u64) -> Work {
        self.insns = self.insns.saturating_mul(count);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        for rounds in &mut self.rounds {
            *rounds = rounds.saturating_mul(count);
        }
        self
    }

    /// The larger of each.
    pub(crate) fn most(mut self, other: &Work) -> Work {
        self.insns = self.insns.max(other.insns);
        for (rounds, other) in self.rounds.iter_mut().zip(&other.rounds) {
            *rounds = (*rounds).max(*other);
        }
        self
    }
}

/// Where jumps back lead, in ascending order; `None` when there are too many to count their rounds.
pub(crate) fn loop_heads(program: &Program) -> Option<Vec<InsnIdx>> {
    let mut heads: Vec<InsnIdx> = cfg::instructions(program)
        .filter(|(_, insn)| {
            matches!(
                insn,
                Insn::Jump { .. } | Insn::JumpIf { .. } | Insn::MayGoto { .. }
            )
        })
        .filter_map(|(at, insn)| cfg::successors(at, insn)[1].filter(|target| *target <= at))
        .collect();
    heads.sort_unstable();
    heads.dedup();
    (heads.len() <= limits::COUNTED_LOOPS).then_some(heads)
}
