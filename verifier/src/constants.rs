//! Registers that hold one known number: constant propagation over the graph of a program.
//!
//! This does not read the states of the exploration. A state is compared with stored ones only as
//! far as safety asks, so a number that decided nothing may have been followed with one value and
//! skipped with another: the values seen along the followed paths need not be all. Here every edge
//! is taken into account, and all that is believed are the proved facts about which instructions
//! are reached and which ways branches go.
//!
//! Soundness, by induction over the steps of an execution: before the first instruction nothing is
//! claimed of any register. If the claims before an instruction hold, [`Constants::apply`] makes
//! claims that hold after it (it computes with the very functions of the interpreter, and claims
//! nothing of what it does not compute), and the claims of a block's start are kept to those that
//! hold on every edge into it. A function starts with the claims that all its calls have in common
//! about the arguments, and with none when its address is taken, since a helper may call it then;
//! a caller keeps its claims about r6 to r9 over a call, and no others.
//!
//! Termination: a claim is only ever withdrawn, ten at most at each start of a block.

use crate::cfg::{self, Cfg};
use crate::facts::Facts;
use crate::limits;
use alloc::vec::Vec;
use isa::{
    AluOp, AtomicOp, CallTarget, Cond, Imm64, Insn, InsnIdx, Operand, Reg, Width, semantics,
};
use program::Program;

/// Finds, for every computation of which it is known, the number that it always leaves in its
/// destination; ascending. Constants that are written in the program are not listed, and programs
/// with very many blocks get no list.
pub(crate) fn find(program: &Program, cfg: &Cfg, facts: &Facts) -> Vec<(InsnIdx, u64)> {
    let Some(mut analysis) = Analysis::new(program, cfg, facts) else {
        return Vec::new();
    };
    analysis.settle();
    analysis.list()
}

/// Claims about the registers; r10 is never claimed to be a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Constants {
    known: u16,
    values: [u64; 10],
}

impl Constants {
    fn get(&self, reg: Reg) -> Option<u64> {
        let known = self.known & (1 << reg.number()) != 0;
        self.values.get(reg.index()).copied().filter(|_| known)
    }

    fn set(&mut self, reg: Reg, value: Option<u64>) {
        let Some(place) = self.values.get_mut(reg.index()) else {
            return;
        };
        *place = value.unwrap_or(0);
        match value {
            Some(_) => self.known |= 1 << reg.number(),
            None => self.known &= !(1 << reg.number()),
        }
    }

    fn forget(&mut self, registers: &[Reg]) {
        for reg in registers {
            self.set(*reg, None);
        }
    }

    fn operand(&self, src: Operand) -> Option<u64> {
        match src {
            Operand::Reg(reg) => self.get(reg),
            Operand::Imm(imm) => Some(semantics::imm(imm)),
        }
    }

    /// What both claim.
    fn meet(&self, other: &Constants) -> Constants {
        let mut common = Constants::default();
        for reg in Reg::ALL {
            common.set(
                reg,
                self.get(reg).filter(|value| other.get(reg) == Some(*value)),
            );
        }
        common
    }

    /// The claims after an instruction; the register it computes, if it is a computation.
    fn apply(&mut self, insn: &Insn) -> Option<Reg> {
        let (dst, value) = match *insn {
            Insn::Alu {
                op,
                width,
                dst,
                src,
            } => {
                let left = if op == AluOp::Mov {
                    Some(0)
                } else {
                    self.get(dst)
                };
                let result = left
                    .zip(self.operand(src))
                    .map(|(left, right)| semantics::alu(op, width, left, right));
                (dst, result)
            }
            Insn::MovSx {
                width,
                dst,
                src,
                size,
            } => (
                dst,
                self.get(src)
                    .map(|value| semantics::mov_sx(width, size, value)),
            ),
            Insn::Neg { width, dst } => {
                (dst, self.get(dst).map(|value| semantics::neg(width, value)))
            }
            Insn::Endian { kind, dst, size } => (
                dst,
                self.get(dst)
                    .map(|value| semantics::endian(kind, size, value)),
            ),
            _ => {
                self.apply_other(insn);
                return None;
            }
        };
        self.set(dst, value);
        Some(dst)
    }

    /// Instructions that compute nothing from registers.
    fn apply_other(&mut self, insn: &Insn) {
        match *insn {
            Insn::LoadImm64 { dst, imm } => self.set(
                dst,
                match imm {
                    Imm64::Const(value) => Some(value),
                    _ => None,
                },
            ),
            Insn::Load { dst, .. } | Insn::LoadAcquire { dst, .. } => self.set(dst, None),
            Insn::Atomic {
                op: AtomicOp::CmpXchg,
                ..
            } => self.set(Reg::R0, None),
            Insn::Atomic {
                fetch: true, src, ..
            } => self.set(src, None),
            Insn::LoadPacket { .. } | Insn::Call(_) => {
                self.set(Reg::R0, None);
                self.forget(&Reg::ARGS);
            }
            // Every instruction is named here: a new one must say what it does to registers.
            Insn::Alu { .. }
            | Insn::MovSx { .. }
            | Insn::Neg { .. }
            | Insn::Endian { .. }
            | Insn::Atomic { fetch: false, .. }
            | Insn::Store { .. }
            | Insn::StoreRelease { .. }
            | Insn::Jump { .. }
            | Insn::MayGoto { .. }
            | Insn::JumpIf { .. }
            | Insn::Exit
            | Insn::Imm64High => {}
        }
    }

    /// What a subprogram may be told: the arguments.
    fn passed(&self) -> Constants {
        let mut passed = Constants::default();
        for reg in Reg::ARGS {
            passed.set(reg, self.get(reg));
        }
        passed
    }
}

/// The claims at the starts of blocks.
struct Analysis<'a> {
    program: &'a Program,
    facts: &'a Facts,
    /// Number of the block that starts at a slot; `u32::MAX` for none.
    block_at: Vec<u32>,
    /// Where each block starts, and the claims there; `None` while no edge leads to it.
    blocks: Vec<(InsnIdx, Option<Constants>)>,
    /// Blocks whose claims have changed.
    pending: Vec<u32>,
}

impl<'a> Analysis<'a> {
    fn new(program: &'a Program, cfg: &Cfg, facts: &'a Facts) -> Option<Analysis<'a>> {
        let mut analysis = Analysis {
            program,
            facts,
            block_at: alloc::vec![u32::MAX; program.insns.len()],
            blocks: Vec::new(),
            pending: Vec::new(),
        };
        let starts = program.functions.iter().map(|function| function.start);
        for start in starts {
            analysis.start_block(start);
        }
        for (at, insn) in cfg::instructions(program) {
            if cfg.is_join(at) {
                analysis.start_block(at);
            }
            if !goes_straight_on(at, insn) {
                let successors = cfg::successors(at, insn).into_iter().flatten();
                successors.for_each(|next| analysis.start_block(next));
            }
            if analysis.blocks.len() > limits::CONSTANT_BLOCKS {
                return None;
            }
        }
        analysis.arrive(InsnIdx(0), Constants::default());
        let addresses = cfg::instructions(program).filter(|(_, insn)| {
            matches!(
                insn,
                Insn::LoadImm64 {
                    imm: Imm64::Code(_),
                    ..
                }
            )
        });
        for (at, insn) in addresses {
            if let Some(start) = cfg::call_target(at, insn) {
                analysis.arrive(start, Constants::default());
            }
        }
        Some(analysis)
    }

    fn start_block(&mut self, at: InsnIdx) {
        if let Some(block) = self
            .block_at
            .get_mut(at.index())
            .filter(|block| **block == u32::MAX)
        {
            *block = self.blocks.len() as u32;
            self.blocks.push((at, None));
        }
    }

    fn block(&self, at: InsnIdx) -> Option<u32> {
        self.block_at
            .get(at.index())
            .copied()
            .filter(|block| *block != u32::MAX)
    }

    /// An edge into a block with these claims.
    fn arrive(&mut self, at: InsnIdx, claims: Constants) {
        let Some(block) = self.block(at) else { return };
        let Some((_, known)) = self.blocks.get_mut(block as usize) else {
            return;
        };
        let common = known.map_or(claims, |known| known.meet(&claims));
        if *known != Some(common) {
            *known = Some(common);
            self.pending.push(block);
        }
    }

    /// Follows all edges until no claim is withdrawn any more.
    fn settle(&mut self) {
        while let Some(block) = self.pending.pop() {
            let Some(&(start, Some(claims))) = self.blocks.get(block as usize) else {
                continue;
            };
            let mut leave = Vec::new();
            let after = self.walk(start, claims, |at, insn, before, _| {
                if let Insn::Call(CallTarget::Local(_)) = insn {
                    leave.extend(cfg::call_target(at, insn).map(|to| (to, before.passed())));
                }
            });
            if let Some((at, claims)) = after {
                self.edges(at, claims, &mut leave);
            }
            for (to, claims) in leave {
                self.arrive(to, claims);
            }
        }
    }

    /// Walks a block; the last instruction and the claims after it, when control goes on from there
    /// to other blocks. `visit` sees each instruction with the claims before and after it, and what
    /// it computed.
    fn walk(
        &self,
        start: InsnIdx,
        mut claims: Constants,
        mut visit: impl FnMut(InsnIdx, &Insn, &Constants, Option<(Reg, u64)>),
    ) -> Option<(InsnIdx, Constants)> {
        let mut at = start;
        loop {
            let insn = self.program.insns.get(at.index())?;
            if !self.facts.at(at).reached {
                return None;
            }
            let before = claims;
            let computed = claims.apply(insn);
            let computed = computed.and_then(|reg| Some((reg, claims.get(reg)?)));
            visit(at, insn, &before, computed);
            let next = InsnIdx(at.0.saturating_add(insn.slots()));
            if !goes_straight_on(at, insn) || self.block(next).is_some() {
                return Some((at, claims));
            }
            at = next;
        }
    }

    /// The edges out of the last instruction of a block.
    fn edges(&self, at: InsnIdx, claims: Constants, leave: &mut Vec<(InsnIdx, Constants)>) {
        let Some(insn) = self.program.insns.get(at.index()) else {
            return;
        };
        let [next, target] = cfg::successors(at, insn);
        let Insn::JumpIf {
            cond,
            width,
            dst,
            src,
            ..
        } = *insn
        else {
            leave.extend([next, target].into_iter().flatten().map(|to| (to, claims)));
            return;
        };
        let fact = self.facts.at(at);
        // On the way where the operands are equal, the left one is what the right one is.
        let equal = |way: Cond| {
            let mut claims = claims;
            if (cond, width) == (way, Width::W64) && dst != Reg::R10 {
                let value = claims.operand(src).or(claims.get(dst));
                claims.set(dst, value);
            }
            claims
        };
        if fact.fallthrough {
            leave.extend(next.map(|to| (to, equal(Cond::Ne))));
        }
        if fact.taken {
            leave.extend(target.map(|to| (to, equal(Cond::Eq))));
        }
    }

    /// Every computation whose result is known.
    fn list(&self) -> Vec<(InsnIdx, u64)> {
        let mut list = Vec::new();
        for (start, claims) in &self.blocks {
            let Some(claims) = claims else { continue };
            self.walk(*start, *claims, |at, insn, _, computed| {
                let written = matches!(
                    insn,
                    Insn::Alu {
                        op: AluOp::Mov,
                        src: Operand::Imm(_),
                        ..
                    }
                );
                list.extend(computed.filter(|_| !written).map(|(_, value)| (at, value)));
            });
        }
        list.sort_unstable_by_key(|(at, _)| *at);
        list
    }
}

/// Is the instruction behind it the only one that can follow in the function?
fn goes_straight_on(at: InsnIdx, insn: &Insn) -> bool {
    let next = InsnIdx(at.0.saturating_add(insn.slots()));
    cfg::successors(at, insn) == [Some(next), None]
}
