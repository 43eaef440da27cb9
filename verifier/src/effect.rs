//! How instructions pass needs back: what must be known before one so that what is needed after it
//! holds, and so that its own checks succeed.
//!
//! Each step of the analysis leaves a few effects on the trail; undone last to first they turn the
//! need after the step into the need before it. Soundness, effect by effect: take a state that
//! agrees with the one before the step on the need before it. Then
//! - every check of the step reads only places that [`Effect::Registers`] has in `checks`, or only
//!   whether places can be read, so it succeeds in both;
//! - a conditional jump that goes one way only has its operands in `checks`, so it goes the same way
//!   (the facts about branches never taken stay true as well);
//! - one that goes both ways has its operands used; where it learns something about a place that is
//!   needed ([`Refinement`]), the operands are needed exactly, and so is the place itself, with the
//!   link that ties them together;
//! - a written place is made of the places in `passes` and of nothing else, so it agrees as far as
//!   they do.
//!
//! Whatever is not a plain computation with numbers, a copy, or a spill counts as a check.

use crate::live;
use crate::need::{Level, Need};
use crate::packed::Packed;
use crate::places::{ARGUMENTS, Cover, Places, bit, granules};
use crate::state::{Distance, Role, State};
use crate::step;
use crate::sums::PacketSum;
use crate::value::Region;
use abi::ArgKind;
use alloc::vec::Vec;
use isa::{AluOp, CallTarget, Insn, Operand, Reg};
use program::Program;

/// Bytes of a stack frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes {
    frame: u8,
    low: i16,
    high: i16,
}

/// What one instruction did, or a part of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effect {
    /// Registers were written and read.
    Registers {
        /// Depth of the frame.
        depth: u8,
        /// Get new values.
        writes: u16,
        /// What the new values are made of.
        passes: u16,
        /// Must be readable.
        reads: u16,
        /// Decide whether the instruction is safe, or where it leads.
        checks: u16,
    },
    /// A register got its value from the stack.
    Load {
        /// Depth of the register's frame.
        depth: u8,
        /// The register.
        dst: Reg,
        /// The bytes.
        from: Bytes,
    },
    /// The stack got a value.
    Store {
        /// Depth of the register's frame.
        depth: u8,
        /// The register it came from.
        src: Reg,
        /// The bytes.
        to: Bytes,
        /// All of them were overwritten, not only some.
        surely: bool,
    },
    /// Stack bytes must be readable.
    Read(Bytes),
    /// What stack bytes hold decides whether the instruction is safe, or what it leads to.
    Inspect(Bytes),
    /// Stack bytes got contents of which nothing is known.
    Overwrite(Bytes),
    /// A function was entered from one at this depth.
    Enter(u8),
    /// A function returned to one at this depth.
    Leave(u8),
}

/// Where a path goes two ways.
#[derive(Debug)]
pub(crate) enum Parting {
    /// A conditional jump, at which the condition holds on the second way.
    Jump(Refinement),
    /// What can end a function with a caller at this depth, to which the second way returns: a tail
    /// call, or a legacy packet load.
    Return { caller: u8 },
    /// A helper that calls a function back, which is the first way. Both ways start from an
    /// invariant that asks this, and each call of the function ends by proving it again.
    CallBack {
        asks: Need,
        /// What holds in the caller before each call of the function.
        invariant: State,
    },
}

/// What a conditional jump that goes both ways reads and learns.
#[derive(Debug)]
pub(crate) struct Refinement {
    depth: u8,
    operands: u16,
    level: Level,
    /// By frame: numbers and pointers about which it may learn something.
    learns: Vec<(Places, Places)>,
}

impl Bytes {
    /// The bytes from `low` up to `high` in a frame, which holds them.
    pub(crate) fn new(frame: u8, low: i64, high: i64) -> Bytes {
        Bytes {
            frame,
            low: low as i16,
            high: high as i16,
        }
    }

    fn places(self, cover: Cover) -> Places {
        Places::stack(granules(self.low.into(), self.high.into(), cover))
    }
}

impl Effect {
    /// Turns what is needed after into what is needed before.
    pub(crate) fn undo(self, need: &mut Need) {
        match self {
            Effect::Registers {
                depth,
                writes,
                passes,
                reads,
                checks,
            } => {
                let depth = usize::from(depth);
                let wanted = need.level(depth, Places::registers(writes));
                need.drop(depth, Places::registers(writes));
                need.raise(depth, Places::registers(reads), Level::Used);
                need.raise(depth, Places::registers(passes), wanted.max(Level::Used));
                need.raise(depth, Places::registers(checks), Level::Exact);
            }
            Effect::Load { depth, dst, from } => {
                let dst = Places::registers(bit(dst));
                let wanted = need.level(depth.into(), dst).max(Level::Used);
                need.drop(depth.into(), dst);
                need.raise(from.frame.into(), from.places(Cover::Any), wanted);
            }
            Effect::Store {
                depth,
                src,
                to,
                surely,
            } => {
                let wanted = need.level(to.frame.into(), to.places(Cover::Any));
                if surely {
                    need.drop(to.frame.into(), to.places(Cover::Whole));
                }
                need.raise(depth.into(), Places::registers(bit(src)), wanted);
            }
            Effect::Read(bytes) => {
                need.raise(bytes.frame.into(), bytes.places(Cover::Any), Level::Used);
            }
            Effect::Inspect(bytes) => {
                need.raise(bytes.frame.into(), bytes.places(Cover::Any), Level::Exact);
            }
            Effect::Overwrite(bytes) => {
                need.drop(bytes.frame.into(), bytes.places(Cover::Whole));
            }
            Effect::Enter(caller) => enter(caller.into(), need),
            Effect::Leave(caller) => leave(caller.into(), need),
        }
    }

    /// What an instruction does with registers, from the state before it; nothing for conditional
    /// jumps, which depend on where they lead. Stack bytes are added when they are touched.
    pub(crate) fn on_registers(program: &Program, insn: &Insn, state: &State) -> Option<Effect> {
        let depth = state.depth() as u8;
        let (writes, read) = live::registers(insn);
        let (passes, reads, checks) = match insn {
            Insn::JumpIf { .. } | Insn::Jump { .. } | Insn::MayGoto { .. } | Insn::Imm64High => {
                return None;
            }
            // Noted where it turns out whether the function is followed.
            Insn::Call(CallTarget::Local(_)) => return None,
            Insn::Exit if state.top().role != Role::Called => (0, 0, read),
            Insn::Exit if depth > 0 => return Some(Effect::Leave(depth - 1)),
            Insn::Alu { op: AluOp::Mov, .. } => (read, 0, 0),
            Insn::Alu { .. } | Insn::MovSx { .. } | Insn::Neg { .. } | Insn::Endian { .. } => {
                if has_pointer(state, read) {
                    (0, 0, read)
                } else {
                    (read, 0, 0)
                }
            }
            Insn::Store {
                base,
                src: Operand::Reg(src),
                ..
            } => (0, bit(*src), bit(*base)),
            // Every number will do as a result, unless the hook says which.
            Insn::Exit if step::return_range(program).is_none() => (0, read, 0),
            Insn::Call(CallTarget::Helper(id)) => {
                let (reads, checks) = helper_arguments(program, *id);
                (0, reads, checks)
            }
            Insn::Call(_) => (0, 0, ARGUMENTS),
            _ => (0, 0, read),
        };
        Some(Effect::Registers {
            depth,
            writes,
            passes,
            reads,
            checks,
        })
    }

    /// The operands of a conditional jump that leads only one way.
    pub(crate) fn of_decision(insn: &Insn, state: &State) -> Effect {
        Effect::Registers {
            depth: state.depth() as u8,
            writes: 0,
            passes: 0,
            reads: 0,
            checks: live::registers(insn).1,
        }
    }
}

/// The registers of a caller that do not outlive its call.
const LOST: Places = Places::registers(ARGUMENTS | bit(Reg::R0));

/// The callee's arguments are the caller's; everything else in its frame is new.
fn enter(caller: usize, need: &mut Need) {
    let callee = need.frame(caller + 1);
    let arguments = Places::registers(ARGUMENTS);
    need.drop_frames(caller + 1);
    need.drop(caller, arguments);
    need.raise(caller, callee.used & arguments, Level::Used);
    need.raise(caller, callee.exact & arguments, Level::Exact);
}

/// The caller's r0 is the callee's, and its argument registers are lost.
fn leave(caller: usize, need: &mut Need) {
    let result = Places::registers(bit(Reg::R0));
    let wanted = need.level(caller, result);
    need.drop(caller, LOST);
    need.raise(caller + 1, result, wanted);
}

impl Parting {
    /// What is needed before, from what the two ways need.
    pub(crate) fn undo(&self, mut first: Need, mut second: Need) -> Need {
        match self {
            Parting::Jump(learns) => {
                first.join(&second);
                learns.undo(&mut first);
            }
            Parting::Return { caller } => {
                // What it finds in r0 was not left by the function.
                second.drop((*caller).into(), LOST);
                first.join(&second);
            }
            Parting::CallBack { asks, .. } => first.clone_from(asks),
        }
        first
    }
}

impl Refinement {
    /// What a jump learns in a state about the operands and all that is tied to them.
    pub(crate) fn of(insn: &Insn, state: &State) -> Refinement {
        let (_, operands) = live::registers(insn);
        let depth = state.depth();
        let mut learns = alloc::vec![(Places::NONE, Places::NONE); depth + 1];
        learns[depth].0 = Places::registers(operands);
        let is_pointers = has_pointer(state, operands);
        if !is_pointers {
            let top = state.top();
            for reg in Reg::ALL.into_iter().filter(|reg| operands & bit(*reg) != 0) {
                let link = top.packed(reg).link_id();
                if link != 0 {
                    add_linked(state, link, &mut learns);
                }
            }
        }
        Refinement {
            depth: depth as u8,
            operands,
            level: if is_pointers {
                Level::Exact
            } else {
                Level::Used
            },
            learns,
        }
    }

    /// Turns what is needed on both ways into what is needed before the jump.
    fn undo(&self, need: &mut Need) {
        let learned = self.learns.iter().enumerate().any(|(depth, learns)| {
            let frame = need.frame(depth);
            !(frame.exact & learns.0).is_empty() || !(frame.used & learns.1).is_empty()
        });
        let level = if learned { Level::Exact } else { self.level };
        need.raise(self.depth.into(), Places::registers(self.operands), level);
    }
}

/// Adds the places that hold the linked number, the packet pointers that it says more about, and what
/// it is the sum of.
fn add_linked(state: &State, link: u32, learns: &mut [(Places, Places)]) {
    let is_packet = |value: &Packed| {
        let Some(pointer) = value.pointer() else {
            return false;
        };
        let (Region::Packet { id, .. } | Region::PacketMeta { id, .. }) = pointer.region else {
            return false;
        };
        let known = |known: &&Distance| known.link == link && known.packet == id;
        let moved = |sum: &PacketSum| sum.link.id == link && (sum.from == id || sum.to == id);
        state.distances.iter().find(known).is_some() || state.sums.iter().any(moved)
    };
    let is_pointer = |value: &Packed| value.pointer().is_some();
    let measures = state.distances.iter().any(|known| known.link == link)
        || state.sums.iter().any(|sum| sum.link.id == link);
    for (frame, learns) in state.frames().iter().zip(learns) {
        learns.0 = learns.0 | frame.places(|value| value.link_id() == link);
        // More may be known of an offset then, which matters wherever the pointer is used.
        learns.1 = learns.1 | frame.places(|value| is_pointer(value) && value.link_id() == link);
        if measures {
            learns.1 = learns.1 | frame.places(is_packet);
        }
        for total in state.totals.iter().filter(|total| total.sum == link) {
            let is_part =
                |value: &Packed| total.parts.iter().any(|part| part.id == value.link_id());
            learns.0 = learns.0 | frame.places(is_part);
            learns.1 = learns.1 | frame.places(|value| is_pointer(value) && is_part(value));
        }
    }
}

fn has_pointer(state: &State, registers: u16) -> bool {
    let top = state.top();
    Reg::ALL
        .into_iter()
        .any(|reg| registers & bit(reg) != 0 && top.packed(reg).pointer().is_some())
}

/// The argument registers that a helper takes as they are, and those that it checks.
fn helper_arguments(program: &Program, id: i32) -> (u16, u16) {
    let helper = u32::try_from(id)
        .ok()
        .and_then(|id| abi::helper::lookup(program.program_type, id));
    let Some(helper) = helper else {
        return (0, ARGUMENTS);
    };
    if helper.callback.is_some() {
        // The function gets some of them.
        return (0, ARGUMENTS);
    }
    let mut bits = (0, 0);
    for (reg, kind) in Reg::ARGS.into_iter().zip(helper.present_args()) {
        match kind {
            ArgKind::Anything => bits.0 |= bit(reg),
            _ => bits.1 |= bit(reg),
        }
    }
    bits
}
