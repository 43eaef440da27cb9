//! What the proof knows about each instruction, for code generation.
//!
//! A fact is a claim about every execution that comes to its instruction; a wrong one makes wrong
//! code of a right program. The argument:
//!
//! - *Visits.* The exploration follows paths of abstract states. Each time it comes to an
//!   instruction it notes here what holds in the state, joined with what was noted before: a branch
//!   went this way too, an access reaches these bytes too, another map means no claim about the map.
//! - *Pruning.* A path ends where its state is covered by one whose paths were followed. The
//!   executions it stands for go on as some of those of the covering state do, as far as the covering
//!   state was compared; nothing is noted for them. So only what a check of the instruction itself
//!   asked of its state may be noted: the address that an access was found safe for, the map that a
//!   helper was found to fit, the operands that decided a branch one way. Covering compares what
//!   checks ask, and a special case of it keeps these claims true. A number that no check reads may
//!   be another one in a covered state. **Never note such a number here**; registers that are
//!   always the same number are found from the graph instead (module `constants`).
//! - *Guesses.* A more general state may be followed in place of one that arrived. What was noted on
//!   the way stays when it is taken back: a join with more can only claim less.
//! - *Refused programs* have no facts: nothing is handed out before every path was followed.

use crate::cfg::{self, Cfg};
use crate::constants;
use crate::reject::Way;
use alloc::vec::Vec;
use isa::InsnIdx;
use program::{MapId, Program};

/// Facts about one program, by instruction slot.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// One entry per slot.
    pub insns: Vec<InsnFact>,
    /// Computations that always leave the same number in their destination, ascending; constants
    /// that are written in the program are not listed.
    pub constants: Vec<(InsnIdx, u64)>,
    /// Bytes of stack that each function touches below r10, by function index (at most 512).
    pub stack_bytes: Vec<u32>,
    /// Bytes of stack of the deepest chain of calls.
    pub worst_stack_bytes: u32,
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
    /// For an access to one kind of memory: which of its bytes.
    pub extent: Option<Extent>,
}

/// The bytes that an access may touch, as offsets from the start of the context, of the packet, of
/// the map value or of the object; in a stack frame from its end, where r10 points.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Smallest offset of the first byte.
    pub low: i32,
    /// Largest offset of the byte after the last.
    pub high: i32,
    /// Every possible offset of the first byte is a multiple of this: 1, 2, 4 or 8.
    pub align: u8,
}

impl Extent {
    fn join(self, other: Extent) -> Extent {
        Extent {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            align: self.align.min(other.align),
        }
    }
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
            ..Facts::default()
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

    /// A path accesses these bytes of this kind of memory; `None` when it can be one of several, and
    /// then its bytes are offsets from nothing in particular.
    pub(crate) fn access(&mut self, at: InsnIdx, memory: Option<Memory>, extent: Option<Extent>) {
        let extent = extent.filter(|_| memory.is_some());
        self.change(at, |fact| {
            if !fact.reached {
                (fact.memory, fact.extent) = (memory, extent);
            } else if fact.memory != memory {
                (fact.memory, fact.extent) = (None, None);
            } else {
                let both = fact.extent.zip(extent);
                fact.extent = both.map(|(known, extent)| known.join(extent));
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

    /// Adds what follows from the graph of the program once all paths were followed.
    pub(crate) fn complete(mut self, program: &Program, cfg: &Cfg) -> Facts {
        self.constants = constants::find(program, cfg, &self);
        self.worst_stack_bytes = self.worst_stack(program, cfg);
        self
    }

    /// Frames of the deepest chain of calls. A function whose address is taken counts as called from
    /// there.
    fn worst_stack(&self, program: &Program, cfg: &Cfg) -> u32 {
        let mut calls = alloc::vec![Vec::new(); program.functions.len()];
        for (at, insn) in cfg::instructions(program) {
            let callee = cfg::call_target(at, insn).and_then(|to| cfg.function_of(to));
            let caller = cfg.function_of(at).filter(|_| self.at(at).reached);
            if let Some((caller, callee)) = caller.zip(callee) {
                calls[caller].push(callee);
            }
        }
        let mut deepest = self.stack_bytes.clone();
        for &function in cfg.callees_first() {
            let below = calls[function].iter().filter(|callee| **callee != function);
            let below = below.map(|callee| deepest[*callee]).max().unwrap_or(0);
            deepest[function] = deepest[function].saturating_add(below);
        }
        deepest.first().copied().unwrap_or(0)
    }

    fn change(&mut self, at: InsnIdx, change: impl Fn(&mut InsnFact)) {
        if let Some(fact) = self.insns.get_mut(at.index()) {
            change(fact);
        }
    }

    /// The number that a computation always leaves in its destination.
    #[must_use]
    pub fn constant(&self, at: InsnIdx) -> Option<u64> {
        let found = self.constants.binary_search_by_key(&at, |(at, _)| *at);
        let (_, value) = self.constants.get(found.ok()?)?;
        Some(*value)
    }

    /// The facts of an instruction; nothing is claimed outside the program.
    #[must_use]
    pub fn at(&self, at: InsnIdx) -> InsnFact {
        self.insns.get(at.index()).copied().unwrap_or_default()
    }
}
