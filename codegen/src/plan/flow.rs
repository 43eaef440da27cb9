//! Control flow of one function: live instructions and the starts of basic blocks.

use crate::error::{Error, Place};
use isa::{Insn, InsnIdx};
use program::{Function, Program};
use verifier::Verified;

/// Where control goes after an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edges {
    /// To the next instruction.
    Next(InsnIdx),
    /// To one place, by a jump.
    Jump(InsnIdx),
    /// To the first place when the condition holds, else to the second.
    Branch(InsnIdx, InsnIdx),
    /// Out of the function.
    Exit,
}

/// Control flow of a function.
#[derive(Debug)]
pub(crate) struct Flow {
    /// Live instructions, ascending.
    pub(crate) live: Vec<InsnIdx>,
    /// First instructions of the basic blocks, ascending.
    pub(crate) leaders: Vec<InsnIdx>,
}

/// Where control goes after the instruction at `at`, branches only as the proof saw them go.
pub(crate) fn edges(verified: &Verified<'_>, at: InsnIdx) -> Result<Edges, Error> {
    let program = verified.program();
    let Some(insn) = program.insns.get(at.index()) else {
        return Err(malformed(program, at, "control runs past the end"));
    };
    let target = |offset: i32| {
        at.jump(offset)
            .ok_or_else(|| malformed(program, at, "the jump leaves the program"))
    };
    Ok(match *insn {
        Insn::Exit => Edges::Exit,
        Insn::Jump { offset, .. } => Edges::Jump(target(offset)?),
        Insn::JumpIf { offset, .. } => {
            let fact = verified.facts().at(at);
            let (taken, next) = (target(i32::from(offset))?, InsnIdx(at.0 + 1));
            match (fact.taken, fact.fallthrough) {
                (true, false) => Edges::Jump(taken),
                (false, true) => Edges::Jump(next),
                _ if taken == next => Edges::Jump(next),
                _ => Edges::Branch(taken, next),
            }
        }
        Insn::MayGoto { offset } => {
            let (taken, next) = (target(i32::from(offset))?, InsnIdx(at.0 + 1));
            match taken == next {
                true => Edges::Jump(next),
                false => Edges::Branch(taken, next),
            }
        }
        Insn::Imm64High => return Err(malformed(program, at, "control enters an `lddw`")),
        _ => Edges::Next(InsnIdx(at.0 + insn.slots())),
    })
}

/// Follows every live edge from the start of a function.
pub(super) fn explore(verified: &Verified<'_>, function: &Function) -> Result<Flow, Error> {
    let program = verified.program();
    let (start, end) = (function.start, function.end);
    let length = end.0.saturating_sub(start.0) as usize;
    let mut is_live = vec![false; length];
    let mut is_leader = vec![false; length];
    let mut pending = vec![(start, start)];
    while let Some((from, at)) = pending.pop() {
        if at < start || at >= end {
            return Err(malformed(program, from, "control leaves the function"));
        }
        is_leader[(at.0 - start.0) as usize] = true;
        follow(verified, (start, at), &mut is_live, &mut pending)?;
    }
    let marked = |marks: &[bool]| {
        let slots = (start.0..end.0).map(InsnIdx).zip(marks);
        slots
            .filter(|(_, marked)| **marked)
            .map(|(at, _)| at)
            .collect()
    };
    Ok(Flow {
        live: marked(&is_live),
        leaders: marked(&is_leader),
    })
}

/// Marks a straight run from `at` on and queues the targets of the jump that ends it.
fn follow(
    verified: &Verified<'_>,
    (start, mut at): (InsnIdx, InsnIdx),
    is_live: &mut [bool],
    pending: &mut Vec<(InsnIdx, InsnIdx)>,
) -> Result<(), Error> {
    let mut from = at;
    loop {
        let Some(live) = is_live.get_mut((at.0 - start.0) as usize) else {
            return Err(malformed(
                verified.program(),
                from,
                "control leaves the function",
            ));
        };
        if core::mem::replace(live, true) {
            return Ok(());
        }
        match edges(verified, at)? {
            Edges::Next(next) => (from, at) = (at, next),
            Edges::Jump(target) => {
                pending.push((at, target));
                return Ok(());
            }
            Edges::Branch(taken, next) => {
                pending.extend([(at, taken), (at, next)]);
                return Ok(());
            }
            Edges::Exit => return Ok(()),
        }
    }
}

fn malformed(program: &Program, at: InsnIdx, what: &'static str) -> Error {
    Error::Malformed {
        at: Place::new(program, at),
        what,
    }
}
