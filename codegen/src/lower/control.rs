//! Blocks, jumps and returns.

use super::Lowering;
use super::reports_end;
use crate::error::Error;
use crate::plan::{Edges, edges};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I64};
use cranelift_codegen::ir::{Block, InstBuilder, Value};
use isa::{Cond, Insn, InsnIdx, Reg};

/// What ends with a return.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// This function; its caller goes on.
    Function,
    /// The whole program; callers return at once.
    Program,
}

impl Lowering<'_> {
    /// Lowers all blocks in order of instructions.
    pub(super) fn blocks(&mut self) -> Result<(), Error> {
        self.count_predecessors()?;
        let start = self.unit.program().functions[self.index].start;
        self.jump(start)?;
        for number in 0..self.plan.leaders.len() {
            self.builder.switch_to_block(self.blocks[number]);
            self.block(number)?;
        }
        Ok(())
    }

    /// Lowers one block up to its jump or up to the next block.
    fn block(&mut self, number: usize) -> Result<(), Error> {
        let mut at = self.plan.leaders[number];
        let end = self.plan.leaders.get(number + 1).copied();
        loop {
            let insn = self.unit.program().insns[at.index()];
            match edges(self.unit.verified, at)? {
                Edges::Next(next) => {
                    self.instruction(at, insn)?;
                    if Some(next) == end {
                        return self.jump(next);
                    }
                    at = next;
                }
                Edges::Jump(target) => return self.jump(target),
                Edges::Branch(taken, next) => return self.branch(at, insn, (taken, next)),
                Edges::Exit => {
                    let result = self.get(Reg::R0);
                    self.leave(result, Leave::Function);
                    return Ok(());
                }
            }
        }
    }

    fn count_predecessors(&mut self) -> Result<(), Error> {
        self.waiting = vec![0; self.blocks.len()];
        let start = self.unit.program().functions[self.index].start;
        self.expect_edge(start)?;
        for number in 0..self.plan.leaders.len() {
            let mut at = self.plan.leaders[number];
            let end = self.plan.leaders.get(number + 1).copied();
            loop {
                match edges(self.unit.verified, at)? {
                    Edges::Next(next) if Some(next) != end => {
                        at = next;
                        continue;
                    }
                    Edges::Next(target) | Edges::Jump(target) => self.expect_edge(target)?,
                    Edges::Branch(taken, next) => {
                        self.expect_edge(taken)?;
                        self.expect_edge(next)?;
                    }
                    Edges::Exit => {}
                }
                break;
            }
        }
        Ok(())
    }

    fn expect_edge(&mut self, target: InsnIdx) -> Result<(), Error> {
        let number = self.block_number(target)?;
        self.waiting[number] += 1;
        Ok(())
    }

    fn block_number(&self, leader: InsnIdx) -> Result<usize, Error> {
        let found = self.plan.leaders.binary_search(&leader);
        found.map_err(|_| self.unplanned(leader))
    }

    /// The block of a jump target.
    fn target(&self, leader: InsnIdx) -> Result<Block, Error> {
        Ok(self.blocks[self.block_number(leader)?])
    }

    /// Notes that one edge into a block is lowered; seals the block after the last one.
    fn edge_done(&mut self, target: InsnIdx) -> Result<(), Error> {
        let number = self.block_number(target)?;
        self.waiting[number] -= 1;
        if self.waiting[number] == 0 {
            self.builder.seal_block(self.blocks[number]);
        }
        Ok(())
    }

    fn jump(&mut self, target: InsnIdx) -> Result<(), Error> {
        let block = self.target(target)?;
        self.builder.ins().jump(block, &[]);
        self.edge_done(target)
    }

    fn branch(
        &mut self,
        at: InsnIdx,
        insn: Insn,
        (taken, next): (InsnIdx, InsnIdx),
    ) -> Result<(), Error> {
        if let Insn::MayGoto { .. } = insn {
            return self.may_goto(at, (taken, next));
        }
        let Insn::JumpIf {
            cond,
            width,
            dst,
            src,
            ..
        } = insn
        else {
            return Err(self.unplanned(at));
        };
        let x = self.get(dst);
        let x = self.truncated(x, width);
        let y = self.operand(src);
        let y = self.truncated(y, width);
        let condition = match int_cc(cond) {
            Some(code) => self.builder.ins().icmp(code, x, y),
            None => self.builder.ins().band(x, y),
        };
        self.branch_if(condition, (taken, next))
    }

    /// Goes on while turns are left; without any, the count stays at none.
    fn may_goto(&mut self, at: InsnIdx, (taken, next): (InsnIdx, InsnIdx)) -> Result<(), Error> {
        let turns = self.turns.ok_or_else(|| self.unplanned(at))?;
        let left = self.builder.use_var(turns);
        let is_left = self.builder.ins().icmp_imm_u(IntCC::NotEqual, left, 0);
        let one = self.builder.ins().uextend(I64, is_left);
        let fewer = self.builder.ins().isub(left, one);
        self.builder.def_var(turns, fewer);
        self.branch_if(is_left, (next, taken))
    }

    fn branch_if(
        &mut self,
        condition: Value,
        (taken, next): (InsnIdx, InsnIdx),
    ) -> Result<(), Error> {
        let (then, other) = (self.target(taken)?, self.target(next)?);
        self.builder.ins().brif(condition, then, &[], other, &[]);
        self.edge_done(taken)?;
        self.edge_done(next)
    }

    /// Returns from the function, reporting the end of the program where callers ask for it.
    fn leave(&mut self, result: Value, leave: Leave) {
        if !reports_end(self.index, self.plan) {
            self.builder.ins().return_(&[result]);
            return;
        }
        let ended = self
            .builder
            .ins()
            .iconst(I8, i64::from(leave == Leave::Program));
        self.builder.ins().return_(&[result, ended]);
    }

    /// Leaves with 0 when the condition holds, else goes on.
    pub(super) fn leave_if(&mut self, condition: Value, leave: Leave) {
        let end = self.builder.create_block();
        let go_on = self.builder.create_block();
        self.builder.ins().brif(condition, end, &[], go_on, &[]);
        self.enter(end);
        let zero = self.number(0);
        self.leave(zero, leave);
        self.enter(go_on);
    }
}

/// The comparison of a condition; `None` for the bit test.
fn int_cc(cond: Cond) -> Option<IntCC> {
    Some(match cond {
        Cond::Eq => IntCC::Equal,
        Cond::Ne => IntCC::NotEqual,
        Cond::Gt => IntCC::UnsignedGreaterThan,
        Cond::Ge => IntCC::UnsignedGreaterThanOrEqual,
        Cond::Lt => IntCC::UnsignedLessThan,
        Cond::Le => IntCC::UnsignedLessThanOrEqual,
        Cond::Sgt => IntCC::SignedGreaterThan,
        Cond::Sge => IntCC::SignedGreaterThanOrEqual,
        Cond::Slt => IntCC::SignedLessThan,
        Cond::Sle => IntCC::SignedLessThanOrEqual,
        Cond::Set => return None,
    })
}
