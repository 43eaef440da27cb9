//! Loops that are summed up instead of being followed round by round.
//!
//! After some rounds that were followed, the state at the loop head is generalised over what changes
//! from round to round, and numbers that change are watched (see [`crate::measure`]). From there one
//! round stands for all: the loop is proved when every path that comes back is covered by that state
//! and strictly above, or below, the round before. An attempt that fails teaches the next one: which
//! further states come back, and which ranges numbers have then. After some failures the loop is
//! followed for longer before it is tried again.

use super::{Aim, Explorer, Guess};
use crate::cfg;
use crate::limits;
use crate::measure::{Measure, Ranges, ranges_to_ends};
use crate::reason::Reason;
use crate::reject::Rejection;
use crate::state::State;
use crate::trail::{End, Mark, Waiting};
use crate::visited::Return;
use crate::work;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use isa::{AluOp, Insn, InsnIdx, Operand};
use program::Program;

/// What attempts to sum up a loop have shown.
#[derive(Default)]
pub(super) struct Attempts {
    /// Wrong ones since the loop was followed for longer.
    failed: u32,
    /// How often the loop was followed for longer after that.
    stage: u32,
    /// Constants of the program are taken for the ends of numbers.
    takes_ends: bool,
    /// What the last one has shown is still to be tried.
    has_learned: bool,
    /// States that came back and were not covered.
    uncovered: Vec<State>,
    /// Ranges that numbers may have.
    ranges: Ranges,
}

impl Attempts {
    /// Whether to try after so many rounds in a row.
    fn wants(&self, rounds: u32) -> bool {
        let after = limits::FOLLOWED_ROUNDS << (3 * self.stage);
        self.stage < limits::LOOP_STAGES && (self.has_learned || rounds >= after)
    }

    /// An attempt was wrong.
    pub(super) fn fail(&mut self) {
        self.failed += 1;
        if !self.has_learned && !self.takes_ends {
            // It failed before a path came back: it may do without that.
            self.takes_ends = true;
            self.has_learned = true;
        }
        if self.failed >= limits::LOOP_ATTEMPTS || !self.has_learned {
            *self = Attempts {
                stage: self.stage + 1,
                ..Attempts::default()
            };
        }
    }
}

/// What went wrong in an attempt.
pub(super) struct Suspect {
    pub(super) rejection: Rejection,
    /// Steps that the attempt took.
    steps: u64,
    /// The trail up to where it began.
    trail: Mark,
}

impl Suspect {
    /// Whether all was followed that the attempt stood for: what was suspected is not so.
    pub(super) fn is_cleared_at(&self, mark: Mark) -> bool {
        mark < self.trail
    }
}

/// Constants that numbers are compared with, in ascending order.
pub(super) fn ends(program: &Program) -> Vec<u64> {
    let compared = |insn: &Insn| match insn {
        Insn::JumpIf {
            src: Operand::Imm(end),
            ..
        } => Some(i64::from(*end) as u64),
        Insn::Alu {
            op: AluOp::Mov,
            src: Operand::Imm(end),
            ..
        } => Some(i64::from(*end) as u64),
        _ => None,
    };
    let mut ends: Vec<u64> = cfg::instructions(program)
        .filter_map(|(_, insn)| compared(insn))
        .collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}

impl Explorer<'_, '_> {
    /// Remembers why an attempt fails, for when its loop cannot be followed either: the attempt that
    /// got furthest knew most.
    pub(super) fn remember(&mut self, path: &Waiting, reason: &Reason) {
        self.drop_finished_guesses();
        let says_nothing = matches!(
            reason,
            Reason::EndlessLoop | Reason::Budget { .. } | Reason::Memory { .. }
        );
        let is_guessed = self.guesses.iter().any(|guess| guess.aim == Aim::Paths);
        let Some(attempt) = self.guesses.last().filter(|_| !says_nothing && !is_guessed) else {
            return;
        };
        let steps = self.steps.saturating_sub(attempt.steps);
        let best = self.suspect.as_ref();
        if best.is_some_and(|best| best.steps > steps) {
            return;
        }
        let rejection = Rejection {
            in_any_round_of: Some(attempt.before.at),
            ..self.rejection(path, reason.clone())
        };
        let trail = attempt.trail;
        self.suspect = Some(Suspect {
            rejection,
            steps,
            trail,
        });
    }

    /// Whether a path is still in the loop that something is suspected of: it can come back to its
    /// head.
    pub(super) fn is_inside(&self, path: &Waiting, suspect: &Suspect) -> bool {
        let Some(head) = suspect.rejection.in_any_round_of else {
            return false;
        };
        let calls = path.state.frames().iter().skip(1).map(|frame| frame.call);
        let mut next: Vec<InsnIdx> = calls.chain([path.at]).collect();
        let mut seen = BTreeSet::new();
        while let Some(at) = next.pop() {
            let Some(insn) = self.env.program.insns.get(at.index()) else {
                continue;
            };
            if at == head {
                return true;
            }
            if seen.insert(at) {
                next.extend(cfg::successors(at, insn).into_iter().flatten());
            }
        }
        false
    }

    /// The path comes back to the head of a loop that is being summed up: how it ends, when that is
    /// covered. An error when the attempt is wrong.
    pub(super) fn close(&mut self, path: &mut Waiting) -> Result<Option<End>, Reason> {
        if !self.visited.is_head(path.at) {
            return Ok(None);
        }
        let guess = self.guesses.iter().rev();
        let mut guess = guess.filter(|guess| guess.aim == Aim::Loop && guess.before.at == path.at);
        let arrived = guess.next().map(|guess| &guess.before.state);
        let asked = (arrived, self.ends.as_slice());
        let come_back = self.visited.comes_back(path.at, &path.state, asked);
        match come_back {
            None => Ok(None),
            Some(Return::Closed(node, need)) => {
                self.observer.pruned(path.at);
                if !self.trail.lean_on(node, &mut self.visited) {
                    return Err(Reason::EndlessLoop);
                }
                // The way on is counted where the loop is summed up.
                let rest = work::Work::default();
                Ok(Some(End { need, rest }))
            }
            Some(Return::Uncovered) => {
                let attempts = self.attempts.entry(path.at).or_default();
                attempts.uncovered.push(path.state.clone());
                if let Some(ranges) = Measure::with_room(&attempts.ranges, &path.state) {
                    attempts.ranges = ranges;
                }
                attempts.has_learned = true;
                Err(Reason::EndlessLoop)
            }
            Some(Return::Unbounded(ranges)) => {
                let attempts = self.attempts.entry(path.at).or_default();
                attempts.has_learned = !ranges.is_empty() && ranges != attempts.ranges;
                attempts.ranges = ranges;
                Err(Reason::EndlessLoop)
            }
        }
    }

    /// Puts a state that stands for all further rounds in place of the one that arrives at the head
    /// of a loop, when that has gone round often enough.
    pub(super) fn sum_up(&mut self, path: &mut Waiting) -> Option<(Guess, Measure)> {
        if !self.visited.is_head(path.at) || self.guesses.len() >= limits::GUESSES {
            return None;
        }
        let last = self
            .visited
            .last_round(path.at, &path.state, self.trail.done());
        let (old, rounds) = last?;
        let attempts = self.attempts.entry(path.at).or_default();
        if !attempts.wants(rounds) {
            return None;
        }
        attempts.has_learned = false;
        let arrived = &path.state;
        let mut general = arrived
            .generalised(old)
            .or_else(|| arrived.is_subsumed_by(old).then(|| arrived.clone()))?;
        for (number, state) in attempts.uncovered.iter().enumerate() {
            let wider = match number < limits::JOINED_RETURNS {
                true => general.joined(state),
                false => general.generalised(state),
            };
            general = wider.unwrap_or(general);
        }
        let names = (old, arrived);
        if attempts.takes_ends && attempts.ranges.is_empty() {
            attempts.ranges = ranges_to_ends(&general, names, &self.ends);
        }
        let measure = Measure::name(&mut general, names, &attempts.ranges, &mut self.fresh)?;
        Some((self.replace(path, Aim::Loop, general), measure))
    }
}
