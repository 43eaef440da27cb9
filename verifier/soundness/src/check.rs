//! One program: verified, and when it is accepted, run and compared.

use crate::machine::{End, Machine};
use crate::random::Random;
use crate::record::{Follower, Record};
use isa::{Insn, InsnIdx};
use program::{Object, ProgramId};
use std::collections::BTreeMap;
use verifier::{Verified, limits};

/// What one check may cost.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Executions of an accepted program.
    pub runs: u64,
    /// Abstract steps before the verifier gives up.
    pub analysis: u64,
    /// Instructions of one run; more are a program that does not end.
    pub steps: usize,
    /// Instructions of one run that are compared with the states of the analysis.
    pub compared: usize,
}

impl Effort {
    /// For many small programs.
    pub const SMALL: Effort = Effort {
        runs: 8,
        analysis: 20_000,
        steps: 1 << 20,
        compared: 1_500,
    };

    /// Turns that the platform bounds can be many, and are not counted by the facts.
    fn steps_of(self, verified: &Verified<'_>) -> usize {
        match &verified.facts().work {
            Some(_) => self.steps,
            None => self.steps.saturating_mul(LONGER),
        }
    }
}

/// So many times the instructions of a run may be taken by programs of which no bound is known.
const LONGER: usize = 1 << 5;

/// What a check found out about an accepted program.
#[derive(Clone, Copy, Default, Debug)]
pub struct Accepted {
    /// Runs that ended.
    pub runs: u64,
    /// Runs that came to something that the machine does not model.
    pub not_modelled: u64,
}

/// A program that was accepted and must not have been, or a proof that does not cover what happened.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Where.
    pub at: InsnIdx,
    /// What.
    pub why: String,
}

/// Checks the first program of an object; nothing when the verifier refuses it.
///
/// # Errors
/// A finding.
pub fn check(object: &Object, effort: Effort, seed: u64) -> Result<Option<Accepted>, Finding> {
    let options = verifier::Options {
        steps: effort.analysis,
        // Little memory now and then: what is forgotten must not be missed.
        memory: if seed.is_multiple_of(4) {
            8 << 10
        } else {
            limits::MEMORY
        },
        rejections: 1,
    };
    let mut record = Record::default();
    let result = verifier::verify_observed(object, ProgramId(0), &options, &mut record);
    let Ok(verified) = result else {
        return Ok(None);
    };
    let mut random = Random::new(seed);
    let mut accepted = Accepted::default();
    for _ in 0..effort.runs {
        run(&verified, &record, (effort, &mut random), &mut accepted)?;
    }
    Ok(Some(accepted))
}

/// Runs an accepted program once.
fn run(
    verified: &Verified<'_>,
    record: &Record,
    (effort, random): (Effort, &mut Random),
    accepted: &mut Accepted,
) -> Result<(), Finding> {
    let mut follower = Follower::new(record, effort.compared);
    let mut machine = Machine::new(verified, random);
    let mut meter = Meter::new(verified);
    let watch = |at, machine: &Machine<'_, '_>| {
        meter.arrive(at)?;
        follower.arrive(at, machine)
    };
    let steps = effort.steps_of(verified);
    match machine.run(steps, watch) {
        Ok(End::Exit) => accepted.runs += 1,
        Ok(End::NotModelled) => accepted.not_modelled += 1,
        Ok(End::Stopped(at)) => match &verified.facts().work {
            // It may take longer than there is time for.
            Some(most) if most.insns > steps as u64 => accepted.not_modelled += 1,
            _ => {
                let why = format!("did not end within {steps} steps");
                return Err(Finding { at, why });
            }
        },
        Err((at, why)) => return Err(Finding { at, why }),
    }
    Ok(())
}

/// Compares what a run does with the most that the facts allow.
struct Meter<'a> {
    verified: &'a Verified<'a>,
    insns: u64,
    rounds: BTreeMap<InsnIdx, u32>,
    last: Option<InsnIdx>,
}

impl<'a> Meter<'a> {
    fn new(verified: &'a Verified<'a>) -> Meter<'a> {
        Meter {
            verified,
            insns: 0,
            rounds: BTreeMap::new(),
            last: None,
        }
    }

    fn arrive(&mut self, at: InsnIdx) -> Result<(), String> {
        let Some(most) = &self.verified.facts().work else {
            return Ok(());
        };
        self.insns += 1;
        if self.insns > most.insns {
            return Err(format!("more than {} instructions", most.insns));
        }
        let last = self.last.replace(at);
        if !last.is_some_and(|last| last >= at && self.is_jump(last)) {
            return Ok(());
        }
        let rounds = self.rounds.entry(at).or_default();
        *rounds += 1;
        let known = most.loops.iter().find(|one| one.head == at);
        match known.map_or(0, |one| one.rounds) {
            most if *rounds > most => Err(format!("more than {most} rounds")),
            _ => Ok(()),
        }
    }

    fn is_jump(&self, at: InsnIdx) -> bool {
        let insn = self.verified.program().insns.get(at.index());
        matches!(insn, Some(Insn::Jump { .. } | Insn::JumpIf { .. }))
    }
}
