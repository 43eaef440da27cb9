//! What the proof knows about each instruction, for code generation.

use crate::reject::Way;
use alloc::vec::Vec;
use isa::InsnIdx;
use program::{MapId, Program};

/// Facts about one program, by instruction slot.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// One entry per slot.
    pub insns: Vec<InsnFact>,
    /// Bytes of stack that each function touches below r10, by function index (at most 512).
    pub stack_bytes: Vec<u32>,
    /// Abstract instruction steps that the analysis took.
    pub steps: u64,
    /// The most that one run of the program does; `None` where that is not known, because something
    /// is called back.
    pub work: Option<Work>,
}

/// The most that one run of a program does, without the programs that it tail-calls.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Work {
    /// Instructions.
    pub insns: u64,
    /// The loops that can go round, by their heads.
    pub loops: Vec<Loop>,
}

/// A loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Loop {
    /// Where its jumps back lead.
    pub head: InsnIdx,
    /// The most jumps back to the head in one run of the program.
    pub rounds: u32,
}

/// Facts about one instruction; the default claims nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct InsnFact {
    /// Some path reaches the instruction. Unreached instructions are dead code.
    pub reached: bool,
    /// For a helper call with a map argument: the map, when it is the same on every path.
    pub map: Option<MapId>,
    /// For a conditional jump: the branch was taken on some path.
    pub taken: bool,
    /// For a conditional jump: the fall-through was followed on some path.
    pub fallthrough: bool,
    /// For a load, store or atomic: the kind of memory, when it is the same on every path.
    pub memory: Option<Memory>,
}

/// Kinds of memory that an access can hit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// The context structure.
    Context,
    /// A stack frame.
    Stack,
    /// Packet data.
    Packet,
    /// A map value.
    MapValue,
    /// Other shared memory (ring-buffer records, sockets, kernel objects).
    Other,
}

impl Facts {
    /// Nothing is reached yet.
    pub(crate) fn unreached(program: &Program) -> Facts {
        Facts {
            insns: alloc::vec![InsnFact::default(); program.insns.len()],
            stack_bytes: alloc::vec![0; program.functions.len()],
            steps: 0,
            work: None,
        }
    }

    /// A path has passed the instruction; what it learned there was noted before.
    pub(crate) fn reach(&mut self, at: InsnIdx) {
        self.change(at, |fact| fact.reached = true);
    }

    /// A path goes this way at a conditional jump.
    pub(crate) fn follow(&mut self, at: InsnIdx, way: Way) {
        self.change(at, |fact| match way {
            Way::Taken => fact.taken = true,
            Way::FallThrough => fact.fallthrough = true,
        });
    }

    /// A path accesses this kind of memory; `None` when it can be one of several.
    pub(crate) fn access(&mut self, at: InsnIdx, memory: Option<Memory>) {
        self.change(at, |fact| {
            if !fact.reached {
                fact.memory = memory;
            } else if fact.memory != memory {
                fact.memory = None;
            }
        });
    }

    /// A path calls a helper with this map; `None` when it is not the same map every time.
    pub(crate) fn call(&mut self, at: InsnIdx, map: Option<MapId>) {
        self.change(at, |fact| {
            if !fact.reached {
                fact.map = map;
            } else if fact.map != map {
                fact.map = None;
            }
        });
    }

    /// A function uses so many bytes of its frame.
    pub(crate) fn use_stack(&mut self, function: usize, bytes: u32) {
        if let Some(used) = self.stack_bytes.get_mut(function) {
            *used = bytes.max(*used);
        }
    }

    fn change(&mut self, at: InsnIdx, change: impl Fn(&mut InsnFact)) {
        if let Some(fact) = self.insns.get_mut(at.index()) {
            change(fact);
        }
    }

    /// The facts of an instruction; nothing is claimed outside the program.
    #[must_use]
    pub fn at(&self, at: InsnIdx) -> InsnFact {
        self.insns.get(at.index()).copied().unwrap_or_default()
    }
}
