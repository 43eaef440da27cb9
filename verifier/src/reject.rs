//! What a refused program gets: where, why, and how the analysis got there.

use crate::reason::Reason;
use crate::state::State;
use crate::value::Value;
use abi::Code;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use isa::{InsnIdx, Reg};
use program::ProgramId;

/// A refused program.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// Which program of the object.
    pub program: ProgramId,
    /// What is wrong, in the order found; at least one.
    pub rejections: Vec<Rejection>,
    /// Abstract instruction steps that the analysis took.
    pub steps: u64,
}

/// One problem.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// The instruction concerned.
    pub at: InsnIdx,
    /// What was needed and what is known.
    pub kind: Reason,
    /// The readable registers before the instruction; empty for problems of structure.
    pub registers: Vec<(Reg, Value)>,
    /// The decisions that lead there from the entry, in order; the last ones if there are many.
    pub path: Vec<Decision>,
    /// The head of a loop whose rounds were taken together, when the problem was only found so: each
    /// round on its own may be safe.
    pub in_any_round_of: Option<InsnIdx>,
    /// Where the path starts.
    pub(crate) origin: Origin,
}

/// What a path needs to be followed again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// For a function that is called later: its start and what is known there. Otherwise the path
    /// starts at the entry.
    pub(crate) later: Option<Box<(InsnIdx, State)>>,
    /// The functions that are judged by their contracts where they are called.
    pub(crate) contracts: Vec<usize>,
    /// The helpers on the path that call functions back, in order; none where they are too many.
    pub(crate) callbacks: Vec<CalledBack>,
    /// The numbers that tell objects apart in these states are not above this one.
    pub(crate) fresh: u32,
}

/// A helper on the way to a problem that calls a function back.
#[derive(Clone, Debug)]
pub(crate) struct CalledBack {
    /// The call of the helper.
    pub(crate) at: InsnIdx,
    /// The path goes on behind the helper, not in the function.
    pub(crate) has_returned: bool,
    /// What holds in the caller before each call of the function.
    pub(crate) invariant: State,
}

/// A conditional jump on the way to a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The jump.
    pub at: InsnIdx,
    /// Which way it went.
    pub way: Way,
}

/// Which way a conditional jump goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To its target.
    Taken,
    /// To the next instruction.
    FallThrough,
}

impl Rejection {
    /// A problem that does not depend on any state.
    pub(crate) const fn of_shape(at: InsnIdx, kind: Reason) -> Rejection {
        Rejection {
            at,
            kind,
            registers: Vec::new(),
            path: Vec::new(),
            in_any_round_of: None,
            origin: Origin {
                later: None,
                contracts: Vec::new(),
                callbacks: Vec::new(),
                fresh: 0,
            },
        }
    }

    /// The stable id.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.kind.code()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.code(), self.at, self.kind)?;
        match self.in_any_round_of {
            Some(head) => write!(f, " (in any round of the loop at {head})"),
            None => Ok(()),
        }
    }
}

impl Rejected {
    /// The stable id of the first problem.
    #[must_use]
    pub fn code(&self) -> Code {
        self.rejections
            .first()
            .map_or(abi::diagnostic::INTERNAL, Rejection::code)
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rejections.as_slice() {
            [] => f.write_str("refused"),
            [only] => write!(f, "{only}"),
            [first, rest @ ..] => write!(f, "{first} (and {} more)", rest.len()),
        }
    }
}

impl core::error::Error for Rejected {}
