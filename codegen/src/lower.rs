//! One function of a program to Cranelift IR.
//!
//! Each eBPF register is one SSA variable of 64 bits; r10 is the end of a stack slot that exists
//! only when the function names r10. Blocks are lowered in order of instructions and sealed as soon
//! as all their predecessors are. Signatures (all in the Windows x64 convention):
//!
//! ```text
//! entry        (context, runtime context) -> r0
//! subprogram   (r1..r5 [, context] [, runtime context]) -> r0 [, ended]
//! callback     (r1..r5) -> r0
//! ```
//!
//! A program without a proof takes a third argument, which becomes r2: conformance suites pass the
//! length of their memory there. `ended` tells a caller that a tail call below it took over, so the whole
//! program must return 0 at once.
//!
//! Memory. Other processors may write map values, and programs rely on each load being done (for
//! example to read a sequence counter twice), so a load that may hit shared memory stands behind a
//! sequence point, which emits nothing but keeps the optimiser from reusing an older value. Stack
//! accesses get an alias region of their own when the proof can tell all of them from the others.

mod alu;
mod call;
mod control;
mod memory;

use crate::error::{Error, Place};
use crate::machine::Machine;
use crate::plan::{FunctionPlan, Plan};
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{
    AbiParam, AliasRegion, AliasRegionData, Block, FuncRef, Function as ClifFunction, InstBuilder,
    SigRef, Signature, SourceLoc, StackSlotData, StackSlotKind, UserFuncName, Value, types,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use isa::{Imm64, Insn, InsnIdx, MAY_GOTO_TURNS, Operand, Reg};
use program::Program;
use std::collections::BTreeMap;
use verifier::Verified;

/// log2 of the alignment of stack frames: atomics want 8 bytes.
const FRAME_ALIGN_SHIFT: u8 = 3;

/// What the lowering of a program's functions shares.
#[derive(Clone, Copy)]
pub(crate) struct Unit<'a> {
    /// The program.
    pub(crate) verified: &'a Verified<'a>,
    /// What to lower.
    pub(crate) plan: &'a Plan,
    /// Distance of two entries of the runtime's map table.
    pub(crate) map_stride: usize,
}

impl<'a> Unit<'a> {
    fn program(&self) -> &'a Program {
        self.verified.program()
    }

    /// The signature of a function.
    fn signature(&self, index: usize) -> Signature {
        let mut signature = Signature::new(CallConv::WindowsFastcall);
        let Some(plan) = self.plan.function(index) else {
            return signature;
        };
        let hidden = usize::from(plan.needs_context) + usize::from(plan.needs_runtime);
        let arguments = match index {
            0 if self.verified.is_proved() => 2,
            0 => 3,
            _ => Reg::ARGS.len() + hidden,
        };
        signature.params = vec![AbiParam::new(I64); arguments];
        signature.returns.push(AbiParam::new(I64));
        if reports_end(index, plan) {
            signature.returns.push(AbiParam::new(types::I8));
        }
        signature
    }
}

/// Whether a function tells its caller that the program has ended.
fn reports_end(index: usize, plan: &FunctionPlan) -> bool {
    index != 0 && plan.may_end_program
}

/// Lowers one function.
pub(crate) fn function(
    unit: Unit<'_>,
    index: usize,
    machine: &Machine,
    memory: &mut FunctionBuilderContext,
) -> Result<ClifFunction, Error> {
    let number = u32::try_from(index).unwrap_or(u32::MAX);
    let mut clif =
        ClifFunction::with_name_signature(UserFuncName::user(0, number), unit.signature(index));
    let Some(plan) = unit.plan.function(index) else {
        return Err(Error::Internal(format!("function {index} has no plan")));
    };
    let mut lowering = Lowering::new(unit, (index, plan), FunctionBuilder::new(&mut clif, memory));
    lowering.prologue();
    lowering.blocks()?;
    lowering.builder.seal_all_blocks();
    lowering.builder.finalize(machine.isa().frontend_config());
    Ok(clif)
}

/// The state of lowering one function.
struct Lowering<'a> {
    unit: Unit<'a>,
    index: usize,
    plan: &'a FunctionPlan,
    builder: FunctionBuilder<'a>,
    registers: [Variable; Reg::COUNT],
    /// How often `may_goto` goes on yet, in this run of the function.
    turns: Option<Variable>,
    /// Block of the arguments.
    entry: Block,
    /// The original context, when the function has it.
    context: Option<Value>,
    /// The runtime context, when the function has it.
    runtime: Option<Value>,
    /// One block for each leader of the plan.
    blocks: Vec<Block>,
    /// Predecessors of each block that are still to be lowered.
    waiting: Vec<u32>,
    /// Alias region of the stack, when it can be told apart.
    stack: Option<AliasRegion>,
    /// Signature of helpers, once used.
    helper_signature: Option<SigRef>,
    /// Functions of the program called so far.
    callees: BTreeMap<usize, FuncRef>,
}

impl<'a> Lowering<'a> {
    fn new(
        unit: Unit<'a>,
        (index, plan): (usize, &'a FunctionPlan),
        mut builder: FunctionBuilder<'a>,
    ) -> Lowering<'a> {
        let registers = Reg::ALL.map(|_| builder.declare_var(I64));
        let turns = plan.counts_turns.then(|| builder.declare_var(I64));
        let entry = builder.create_block();
        let blocks = plan
            .leaders
            .iter()
            .map(|_| builder.create_block())
            .collect();
        let stack = unit.plan.stack_is_separate.then(|| {
            let region = AliasRegionData {
                user_id: 0,
                description: "stack".into(),
            };
            builder.func.dfg.alias_regions.insert(region)
        });
        Lowering {
            unit,
            index,
            plan,
            builder,
            registers,
            turns,
            entry,
            context: None,
            runtime: None,
            blocks,
            waiting: Vec::new(),
            stack,
            helper_signature: None,
            callees: BTreeMap::new(),
        }
    }

    /// The entry block: arguments into registers, the frame into r10.
    fn prologue(&mut self) {
        let entry = self.entry;
        self.builder.append_block_params_for_function_params(entry);
        self.enter(entry);
        let arguments = self.builder.block_params(entry).to_vec();
        if self.index == 0 {
            self.entry_arguments(&arguments);
        } else {
            self.subprogram_arguments(&arguments);
        }
        if self.plan.uses_frame {
            let frame = self.frame();
            self.set(Reg::R10, frame);
        }
        if let Some(turns) = self.turns {
            let all = self.number(i64::from(MAY_GOTO_TURNS));
            self.builder.def_var(turns, all);
        }
    }

    fn entry_arguments(&mut self, arguments: &[Value]) {
        self.context = arguments.first().copied();
        self.runtime = arguments.get(1).copied();
        for (reg, value) in [
            (Reg::R1, self.context),
            (Reg::R2, arguments.get(2).copied()),
        ] {
            if let Some(value) = value {
                self.set(reg, value);
            }
        }
    }

    fn subprogram_arguments(&mut self, arguments: &[Value]) {
        let (registers, hidden) = arguments.split_at(Reg::ARGS.len().min(arguments.len()));
        for (reg, value) in Reg::ARGS.into_iter().zip(registers) {
            self.set(reg, *value);
        }
        let mut hidden = hidden.iter().copied();
        self.context = hidden.next_if_needed(self.plan.needs_context);
        self.runtime = hidden.next_if_needed(self.plan.needs_runtime);
    }

    /// The address of the end of the function's stack frame.
    fn frame(&mut self) -> Value {
        let facts = self.unit.verified.facts();
        let proved = facts.stack_bytes.get(self.index).copied();
        let bytes = proved
            .unwrap_or(abi::limits::STACK_BYTES)
            .clamp(8, abi::limits::STACK_BYTES)
            .next_multiple_of(8);
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, bytes, FRAME_ALIGN_SHIFT);
        let slot = self.builder.create_sized_stack_slot(data);
        self.builder
            .ins()
            .stack_addr(I64, slot, i32::try_from(bytes).unwrap_or(0))
    }

    /// Goes on in a block whose predecessors are all known.
    fn enter(&mut self, block: Block) {
        self.builder.switch_to_block(block);
        self.builder.seal_block(block);
    }

    /// Value of a register here.
    fn get(&mut self, reg: Reg) -> Value {
        self.builder.use_var(self.registers[reg.index()])
    }

    /// Gives a register a new value.
    fn set(&mut self, reg: Reg, value: Value) {
        self.builder.def_var(self.registers[reg.index()], value);
    }

    /// A register, or an immediate sign-extended to 64 bits.
    fn operand(&mut self, operand: Operand) -> Value {
        match operand {
            Operand::Reg(reg) => self.get(reg),
            Operand::Imm(imm) => self.number(i64::from(imm)),
        }
    }

    fn number(&mut self, value: i64) -> Value {
        self.builder.ins().iconst(I64, value)
    }

    /// Lowers an instruction that does not end a block.
    fn instruction(&mut self, at: InsnIdx, insn: Insn) -> Result<(), Error> {
        self.builder.set_srcloc(SourceLoc::new(at.0));
        if let Some((dst, value)) = self.known_result(at, insn) {
            let value = self.number(value.cast_signed());
            self.set(dst, value);
            return Ok(());
        }
        match insn {
            Insn::Alu {
                op,
                width,
                dst,
                src,
            } => self.alu((op, width), dst, src),
            Insn::MovSx {
                width,
                dst,
                src,
                size,
            } => self.mov_sx(width, (dst, src), size),
            Insn::Neg { width, dst } => self.neg(width, dst),
            Insn::Endian { kind, dst, size } => self.endian(kind, dst, size),
            Insn::LoadImm64 { dst, imm } => self.load_imm64(at, dst, imm)?,
            Insn::Load { .. } => self.load(at, insn),
            Insn::Store { .. } => self.store(at, insn),
            Insn::Atomic { .. } => self.atomic(at, insn),
            Insn::LoadAcquire {
                size,
                dst,
                base,
                offset,
            } => self.load_acquire(at, (size, dst), (base, offset)),
            Insn::StoreRelease {
                size,
                base,
                offset,
                src,
            } => self.store_release(at, (size, src), (base, offset)),
            Insn::Call(target) => self.call(at, target)?,
            Insn::LoadPacket { size, index, imm } => self.load_packet(at, size, (index, imm))?,
            Insn::Imm64High
            | Insn::Jump { .. }
            | Insn::JumpIf { .. }
            | Insn::MayGoto { .. }
            | Insn::Exit => {
                return Err(self.unplanned(at));
            }
        }
        Ok(())
    }

    /// What a computation always results in, when the proof knows.
    fn known_result(&self, at: InsnIdx, insn: Insn) -> Option<(Reg, u64)> {
        let (Insn::Alu { dst, .. }
        | Insn::MovSx { dst, .. }
        | Insn::Neg { dst, .. }
        | Insn::Endian { dst, .. }) = insn
        else {
            return None;
        };
        Some((dst, self.unit.verified.facts().constant(at)?))
    }

    fn load_imm64(&mut self, at: InsnIdx, dst: Reg, imm: Imm64) -> Result<(), Error> {
        let value = match imm {
            Imm64::Const(value) => self.number(value.cast_signed()),
            Imm64::MapFd(map) | Imm64::MapIdx(map) => self.map_address(at, map)?,
            Imm64::MapValue { fd: map, offset } | Imm64::MapIdxValue { index: map, offset } => {
                self.map_value_address(at, map, offset)?
            }
            Imm64::Code(offset) => self.function_address(at, offset)?,
            Imm64::Var(_) => return Err(self.unplanned(at)),
        };
        self.set(dst, value);
        Ok(())
    }

    /// An instruction that planning should have refused.
    fn unplanned(&self, at: InsnIdx) -> Error {
        let place = Place::new(self.unit.program(), at);
        Error::Internal(format!("{place}: an instruction that was not planned for"))
    }
}

/// Takes the next hidden argument when the function has it.
trait NextIfNeeded {
    fn next_if_needed(&mut self, is_needed: bool) -> Option<Value>;
}

impl<I: Iterator<Item = Value>> NextIfNeeded for I {
    fn next_if_needed(&mut self, is_needed: bool) -> Option<Value> {
        is_needed.then(|| self.next()).flatten()
    }
}
