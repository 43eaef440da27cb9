//! Which registers and stack bytes may still be read: everything else is forgotten where paths
//! meet, so that states differ only in what matters.
//!
//! Two passes per function, callees first. The forward pass finds which registers hold addresses in
//! the function's own frame; the backward pass is classic liveness over registers and over granules
//! of four stack bytes. Both only decide what to forget: forgetting makes a value unreadable, so a
//! mistake here can refuse a safe program but never accept an unsafe one.

use crate::cfg::{self, Cfg};
use crate::limits;
use crate::places::{ARGUMENTS, Cover, Places, bit, granules};
use alloc::vec::Vec;
use isa::{AluOp, AtomicOp, CallTarget, Insn, InsnIdx, Operand, Reg, Size, Width};
use program::{Function, Program};

/// Liveness before each slot.
pub(crate) struct Liveness(Vec<Places>);

/// Whether a register holds an address in the own frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Own {
    /// No path leads here yet.
    Bottom,
    /// No.
    Not,
    /// At this offset from r10.
    At(i32),
    /// Perhaps, somewhere.
    Maybe,
}

type Owns = [Own; Reg::COUNT];

impl Liveness {
    /// Computes it for the functions that calls reach.
    pub(crate) fn of(program: &Program, cfg: &Cfg) -> Liveness {
        let mut live = Liveness(alloc::vec![Places::NONE; program.insns.len()]);
        for index in cfg.callees_first() {
            let function = &program.functions[*index];
            let owns = own_addresses(program, function);
            let mut passes = 0;
            while live.backward(program, function, &owns) {
                passes += 1;
                if passes >= limits::LIVENESS_PASSES {
                    live.keep_all(function);
                    break;
                }
            }
        }
        live
    }

    /// Gives up on a function: everything is live everywhere.
    fn keep_all(&mut self, function: &Function) {
        let slots = function.start.index()..function.end.index();
        for live in self.0.get_mut(slots).into_iter().flatten() {
            *live = Places::ALL;
        }
    }

    /// What is live before an instruction; everything outside the program.
    pub(crate) fn at(&self, at: InsnIdx) -> Places {
        self.0.get(at.index()).copied().unwrap_or(Places::ALL)
    }

    /// One pass against the flow; true when something changed.
    fn backward(&mut self, program: &Program, function: &Function, owns: &[Owns]) -> bool {
        let mut changed = false;
        let start = function.start.index();
        for slot in (start..function.end.index()).rev() {
            let insn = &program.insns[slot];
            if *insn == Insn::Imm64High {
                continue;
            }
            let at = InsnIdx(slot as u32);
            let mut live = Places::NONE;
            for next in cfg::successors(at, insn).into_iter().flatten() {
                live = live | self.0.get(next.index()).copied().unwrap_or_default();
            }
            self.transfer(program, at, insn, &owns[slot - start], &mut live);
            changed |= self.0[slot] != live;
            self.0[slot] = live;
        }
        changed
    }

    fn transfer(
        &self,
        program: &Program,
        at: InsnIdx,
        insn: &Insn,
        owns: &Owns,
        live: &mut Places,
    ) {
        let (writes, reads) = registers(insn);
        live.registers &= !writes;
        live.registers |= reads;
        match insn {
            Insn::Load {
                size, base, offset, ..
            }
            | Insn::LoadAcquire {
                size, base, offset, ..
            } => live.stack |= touched(owns, *base, *offset, *size, Cover::Any),
            Insn::Store {
                size, base, offset, ..
            }
            | Insn::StoreRelease {
                size, base, offset, ..
            } => live.stack &= !touched(owns, *base, *offset, *size, Cover::Whole),
            Insn::Atomic {
                size, base, offset, ..
            } => live.stack |= touched(owns, *base, *offset, *size, Cover::Any),
            Insn::Call(target) => self.call(program, at, *target, (owns, insn), live),
            _ => {}
        }
    }

    fn call(
        &self,
        program: &Program,
        at: InsnIdx,
        target: CallTarget,
        (owns, insn): (&Owns, &Insn),
        live: &mut Places,
    ) {
        let used = match target {
            CallTarget::Helper(id) => helper_arguments(program, id),
            CallTarget::Local(_) => cfg::call_target(at, insn)
                .map_or(ARGUMENTS, |callee| self.at(callee).registers & ARGUMENTS),
            CallTarget::Btf(_) | CallTarget::Register(_) => ARGUMENTS,
        };
        live.registers |= used;
        let local = match target {
            CallTarget::Helper(id) => calls_back(program, id),
            target => matches!(target, CallTarget::Local(_)),
        };
        for reg in Reg::ARGS.into_iter().filter(|reg| used & bit(*reg) != 0) {
            live.stack |= match owns[reg.index()] {
                Own::Bottom | Own::Not => 0,
                // A helper reads upwards from where the pointer points.
                Own::At(offset) if !local => granules(offset, 0, Cover::Any),
                Own::At(_) | Own::Maybe => u128::MAX,
            };
        }
    }
}

fn touched(owns: &Owns, base: Reg, offset: i16, size: Size, cover: Cover) -> u128 {
    match (owns[base.index()], cover) {
        (Own::At(at), _) => {
            let low = at.saturating_add(i32::from(offset));
            granules(low, low.saturating_add(size.bytes() as i32), cover)
        }
        (Own::Maybe, Cover::Any) => u128::MAX,
        _ => 0,
    }
}

/// Does the helper call a function back, which then reads the memory it is handed?
pub(crate) fn calls_back(program: &Program, id: i32) -> bool {
    let helper = u32::try_from(id)
        .ok()
        .and_then(|id| abi::helper::lookup(program.program_type, id));
    helper.is_some_and(|helper| helper.callback.is_some())
}

/// Bits of the argument registers that a helper takes.
fn helper_arguments(program: &Program, id: i32) -> u16 {
    let helper = u32::try_from(id)
        .ok()
        .and_then(|id| abi::helper::lookup(program.program_type, id));
    helper.map_or(ARGUMENTS, |helper| {
        Reg::ARGS
            .into_iter()
            .zip(helper.present_args())
            .fold(0, |bits, (reg, _)| bits | bit(reg))
    })
}

/// Registers that an instruction writes and reads, as bits; the arguments of calls are left out.
pub(crate) fn registers(insn: &Insn) -> (u16, u16) {
    let operand = |src: &Operand| match src {
        Operand::Reg(reg) => bit(*reg),
        Operand::Imm(_) => 0,
    };
    match insn {
        Insn::Alu {
            op: AluOp::Mov,
            dst,
            src,
            ..
        } => (bit(*dst), operand(src)),
        Insn::Alu { dst, src, .. } => (bit(*dst), bit(*dst) | operand(src)),
        Insn::MovSx { dst, src, .. } => (bit(*dst), bit(*src)),
        Insn::Neg { dst, .. } | Insn::Endian { dst, .. } => (bit(*dst), bit(*dst)),
        Insn::LoadImm64 { dst, .. } => (bit(*dst), 0),
        Insn::Imm64High | Insn::Jump { .. } | Insn::MayGoto { .. } => (0, 0),
        Insn::Load { dst, base, .. } | Insn::LoadAcquire { dst, base, .. } => {
            (bit(*dst), bit(*base))
        }
        Insn::Store { base, src, .. } => (0, bit(*base) | operand(src)),
        Insn::StoreRelease { base, src, .. } => (0, bit(*base) | bit(*src)),
        Insn::Atomic {
            op,
            fetch,
            base,
            src,
            ..
        } => {
            let r0 = bit(Reg::R0);
            match (op, fetch) {
                (AtomicOp::CmpXchg, _) => (r0, bit(*base) | bit(*src) | r0),
                (_, true) => (bit(*src), bit(*base) | bit(*src)),
                (_, false) => (0, bit(*base) | bit(*src)),
            }
        }
        Insn::LoadPacket { index, .. } => (
            bit(Reg::R0) | ARGUMENTS,
            bit(Reg::R6) | index.map_or(0, bit),
        ),
        Insn::JumpIf { dst, src, .. } => (0, bit(*dst) | operand(src)),
        Insn::Call(_) => (bit(Reg::R0) | ARGUMENTS, 0),
        Insn::Exit => (0, bit(Reg::R0)),
    }
}

/// Before each slot of a function, which registers hold addresses in its frame.
fn own_addresses(program: &Program, function: &Function) -> Vec<Owns> {
    let (owns, escaped) = own_addresses_if(program, function, Own::Not);
    if escaped {
        own_addresses_if(program, function, Own::Maybe).0
    } else {
        owns
    }
}

/// The same, given what a 64-bit load can bring; also whether an address gets into memory.
fn own_addresses_if(program: &Program, function: &Function, loaded: Own) -> (Vec<Owns>, bool) {
    let (start, end) = (function.start.index(), function.end.index());
    let mut owns = alloc::vec![[Own::Bottom; Reg::COUNT]; end - start];
    owns[0] = [Own::Not; Reg::COUNT];
    owns[0][Reg::R10.index()] = Own::At(0);
    let mut escaped = false;
    let mut work = alloc::vec![function.start];
    while let Some(at) = work.pop() {
        let insn = &program.insns[at.index()];
        let before = owns[at.index() - start];
        escaped |= lets_escape(insn, &before);
        let after = own_after(insn, before, loaded);
        for next in cfg::successors(at, insn).into_iter().flatten() {
            if next < function.start || next >= function.end {
                continue;
            }
            if merge(&mut owns[next.index() - start], &after) {
                work.push(next);
            }
        }
    }
    (owns, escaped)
}

fn merge(into: &mut Owns, from: &Owns) -> bool {
    let mut changed = false;
    for (into, from) in into.iter_mut().zip(from) {
        let merged = match (*into, *from) {
            (a, b) if a == b => a,
            (Own::Bottom, other) | (other, Own::Bottom) => other,
            _ => Own::Maybe,
        };
        changed |= merged != *into;
        *into = merged;
    }
    changed
}

/// Can an own address get into memory, from where any load might bring it back?
fn lets_escape(insn: &Insn, before: &Owns) -> bool {
    let is_own = |reg: &Reg| matches!(before[reg.index()], Own::At(_) | Own::Maybe);
    match insn {
        Insn::Store {
            src: Operand::Reg(reg),
            ..
        } => is_own(reg),
        Insn::Call(CallTarget::Local(_)) => Reg::ARGS.iter().any(is_own),
        _ => false,
    }
}

fn own_after(insn: &Insn, mut owns: Owns, loaded: Own) -> Owns {
    let of = |src: &Operand| match src {
        Operand::Reg(reg) => owns[reg.index()],
        Operand::Imm(_) => Own::Not,
    };
    let (writes, _) = registers(insn);
    let result = match insn {
        Insn::Alu {
            op: AluOp::Mov,
            width: Width::W64,
            src,
            ..
        } => of(src),
        Insn::Alu { op, dst, src, .. } if *op != AluOp::Mov => {
            own_arithmetic(*op, owns[dst.index()], of(src), src)
        }
        Insn::Load { size: Size::Dw, .. } => loaded,
        Insn::Call(CallTarget::Local(_)) => loaded,
        _ => Own::Not,
    };
    for reg in Reg::ALL.into_iter().filter(|reg| writes & bit(*reg) != 0) {
        owns[reg.index()] = result;
    }
    owns
}

fn own_arithmetic(op: AluOp, left: Own, right: Own, src: &Operand) -> Own {
    match (op, left, src) {
        (AluOp::Add, Own::At(at), Operand::Imm(by)) => {
            at.checked_add(*by).map_or(Own::Maybe, Own::At)
        }
        (AluOp::Sub, Own::At(at), Operand::Imm(by)) => {
            at.checked_sub(*by).map_or(Own::Maybe, Own::At)
        }
        _ if left == Own::Not && right == Own::Not => Own::Not,
        _ if left == Own::Bottom || right == Own::Bottom => Own::Bottom,
        _ => Own::Maybe,
    }
}
