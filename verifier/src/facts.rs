//! What the proof knows about each instruction, for code generation.

use alloc::vec::Vec;
use isa::InsnIdx;
use program::MapId;

/// Facts about one program, by instruction slot.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// One entry per slot.
    pub insns: Vec<InsnFact>,
    /// Bytes of stack that each function touches below r10, by function index (at most 512).
    pub stack_bytes: Vec<u32>,
    /// Abstract instruction steps that the analysis took.
    pub steps: u64,
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
    /// The facts of an instruction; nothing is claimed outside the program.
    #[must_use]
    pub fn at(&self, at: InsnIdx) -> InsnFact {
        self.insns.get(at.index()).copied().unwrap_or_default()
    }
}
