//! Bytecode to operations: maps, helpers and jump targets are resolved once.
//!
//! Input is a decoded program; everything about it is checked here (targets, registers, ids), so
//! that the execution can rely on the invariants of [`Op`] even for programs that were not
//! verified.

use super::{
    Callee,
    fuse::fuse,
    op::{Op, Opcode, Source},
};
use crate::Status;
use alloc::vec::Vec;
use core::fmt;
use isa::{
    AluOp, AtomicOp, CallTarget, Cond, Endian, Imm64, Insn, InsnIdx, Operand, Reg, Size, Width,
};

/// Where maps and functions of a program are.
pub trait Links {
    /// Address of the map with this index in the object.
    fn map(&self, index: u32) -> Option<u64>;
    /// Address of the value of a global section's map.
    fn map_value(&self, index: u32) -> Option<u64>;
    /// A helper by the number in the call instruction.
    fn helper(&self, id: i32) -> Option<Callee>;
    /// A platform function by its index in the object's table.
    fn btf_function(&self, index: i32) -> Option<Callee>;
}

/// A program ready to run.
pub struct Translated {
    /// Operations; the first one is the entry.
    pub(crate) ops: Vec<Op>,
    /// The instruction each operation came from.
    pub(crate) origins: Vec<InsnIdx>,
    /// Functions it calls.
    pub(crate) callees: Vec<Callee>,
}

impl Translated {
    /// Number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there are none; never the case for a translated program.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

/// Why a program cannot be run by the interpreter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TranslateError {
    /// The instruction.
    pub at: InsnIdx,
    /// What is wrong with it.
    pub kind: TranslateErrorKind,
}

/// What is wrong with an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TranslateErrorKind {
    /// There are no instructions.
    Empty,
    /// More instructions than the limit.
    TooLong,
    /// A jump or local call leads nowhere, or into the middle of `lddw`.
    Target,
    /// The program runs off its end.
    FallsOff,
    /// No helper has this number.
    Helper(i32),
    /// No platform function has this index.
    BtfFunction(i32),
    /// There is no such map.
    Map(i32),
    /// The instruction writes to r10.
    FramePointer,
    /// The instruction is not supported by this runtime.
    Unsupported,
    /// Its arguments are objects of the Linux kernel, which exist only there.
    KernelObjects,
    /// Memory is exhausted.
    NoMemory,
}

impl TranslateError {
    /// Its diagnostic id.
    #[must_use]
    pub const fn code(&self) -> abi::Code {
        match self.kind {
            TranslateErrorKind::Helper(_) | TranslateErrorKind::BtfFunction(_) => {
                abi::diagnostic::RUN_HELPER
            }
            TranslateErrorKind::NoMemory => abi::diagnostic::RUN_MEMORY,
            _ => abi::diagnostic::RUN_BYTECODE,
        }
    }
}

impl fmt::Display for TranslateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instruction {}: ", self.at)?;
        match self.kind {
            TranslateErrorKind::Empty => f.write_str("the program has no instructions"),
            TranslateErrorKind::TooLong => write!(
                f,
                "the program has more than {} instructions",
                abi::limits::PROGRAM_SLOTS
            ),
            TranslateErrorKind::Target => f.write_str("the target is not an instruction"),
            TranslateErrorKind::FallsOff => f.write_str("the program runs off its end"),
            TranslateErrorKind::Helper(id) => {
                write!(f, "helper {id} is not available to this program here")
            }
            TranslateErrorKind::BtfFunction(index) => {
                write!(f, "platform function {index} has no implementation here")
            }
            TranslateErrorKind::Map(index) => write!(f, "there is no map {index}"),
            TranslateErrorKind::FramePointer => f.write_str("r10 is read-only"),
            TranslateErrorKind::Unsupported => {
                f.write_str("the interpreter does not support this instruction")
            }
            TranslateErrorKind::KernelObjects => {
                f.write_str("its arguments are objects of the Linux kernel, which exist only there")
            }
            TranslateErrorKind::NoMemory => f.write_str("out of memory"),
        }
    }
}

impl core::error::Error for TranslateError {}

/// Translates a program, subprograms included.
///
/// # Errors
///
/// The first instruction that cannot be run, and why.
pub fn translate(insns: &[Insn], links: &dyn Links) -> Result<Translated, TranslateError> {
    let here = |at: usize, kind| TranslateError {
        at: InsnIdx(at as u32),
        kind,
    };
    if insns.is_empty() {
        return Err(here(0, TranslateErrorKind::Empty));
    }
    if insns.len() > abi::limits::PROGRAM_SLOTS as usize {
        return Err(here(0, TranslateErrorKind::TooLong));
    }
    let mut unit = Unit::new(leaders(insns)?, links).map_err(|kind| here(0, kind))?;
    for (at, insn) in insns.iter().enumerate() {
        unit.start(at);
        unit.insn(insn).map_err(|kind| here(at, kind))?;
    }
    unit.finish(insns)
}

/// Marks the slots that control can reach other than from the slot before.
fn leaders(insns: &[Insn]) -> Result<Vec<bool>, TranslateError> {
    let mut marks = Vec::new();
    let error = |at: usize, kind| TranslateError {
        at: InsnIdx(at as u32),
        kind,
    };
    marks
        .try_reserve_exact(insns.len())
        .map_err(|_| error(0, TranslateErrorKind::NoMemory))?;
    marks.resize(insns.len(), false);
    marks[0] = true;
    for (at, insn) in insns.iter().enumerate() {
        let Some(offset) = branch_offset(insn) else {
            continue;
        };
        let target = InsnIdx(at as u32).jump(offset).map(InsnIdx::index);
        let target = target.filter(|&target| {
            insns
                .get(target)
                .is_some_and(|insn| *insn != Insn::Imm64High)
        });
        let target = target.ok_or(error(at, TranslateErrorKind::Target))?;
        marks[target] = true;
    }
    Ok(marks)
}

fn branch_offset(insn: &Insn) -> Option<i32> {
    match *insn {
        Insn::Jump { offset, .. } | Insn::Call(CallTarget::Local(offset)) => Some(offset),
        Insn::JumpIf { offset, .. } | Insn::MayGoto { offset } => Some(i32::from(offset)),
        _ => None,
    }
}

/// A translation in progress.
struct Unit<'a> {
    links: &'a dyn Links,
    ops: Vec<Op>,
    origins: Vec<InsnIdx>,
    callees: Vec<Callee>,
    /// First operation of each slot.
    starts: Vec<u32>,
    /// Slots that control can reach other than from the slot before: they are never joined with
    /// the operation before.
    leaders: Vec<bool>,
    /// The slot being translated.
    at: usize,
}

type Step = Result<(), TranslateErrorKind>;

impl<'a> Unit<'a> {
    fn new(leaders: Vec<bool>, links: &'a dyn Links) -> Result<Unit<'a>, TranslateErrorKind> {
        let slots = leaders.len();
        let mut unit = Unit {
            links,
            ops: Vec::new(),
            origins: Vec::new(),
            callees: Vec::new(),
            starts: Vec::new(),
            leaders,
            at: 0,
        };
        let memory = unit
            .ops
            .try_reserve_exact(slots)
            .and_then(|()| unit.origins.try_reserve_exact(slots))
            .and_then(|()| unit.starts.try_reserve_exact(slots));
        memory.map_err(|_| TranslateErrorKind::NoMemory)?;
        Ok(unit)
    }

    fn start(&mut self, at: usize) {
        self.at = at;
        self.starts.push(self.ops.len() as u32);
    }

    /// Appends an operation; at most one per slot, so the reserved memory suffices.
    fn push(&mut self, op: Op) -> Step {
        if !self.leaders[self.at]
            && let Some(last) = self.ops.last_mut()
            && let Some(joined) = fuse(*last, op)
        {
            *last = joined;
            return Ok(());
        }
        self.ops.push(op);
        self.origins.push(InsnIdx(self.at as u32));
        Ok(())
    }

    #[rustfmt::skip] // One row per kind of instruction.
    fn insn(&mut self, insn: &Insn) -> Step {
        match *insn {
            Insn::Alu { op, width, dst, src } => self.alu(op, width, dst, src),
            Insn::MovSx { width, dst, src, size } => self.mov_sx(width, dst, src, size),
            Insn::Neg { width, dst } => self.neg(width, dst),
            Insn::Endian { kind, dst, size } => self.endian(kind, dst, size),
            Insn::LoadImm64 { dst, imm } => self.load_imm(dst, imm),
            Insn::Imm64High => Ok(()),
            Insn::Load { size, signed: false, dst, base, offset } => self.load(zero_extending(size), dst, base, offset),
            Insn::Load { size, signed: true, dst, base, offset } => self.load(sign_extending(size), dst, base, offset),
            Insn::Store { size, base, offset, src } => self.store(size, base, offset, src),
            Insn::Atomic { op, fetch: false, size, base, offset, src } => self.atomic(pack_atomic(op, size), None, base, offset, src),
            Insn::Atomic { op, fetch: true, size, base, offset, src } => self.atomic(pack_atomic(op, size), Some(receiver(op, src)), base, offset, src),
            Insn::LoadAcquire { size, dst, base, offset } => self.sized(size, op(Opcode::LoadAcquire, writable(dst)?, base, i32::from(offset), 0)),
            Insn::StoreRelease { size, base, offset, src } => self.sized(size, op(Opcode::StoreRelease, base, src, i32::from(offset), 0)),
            Insn::MayGoto { .. } => self.push(op(Opcode::MayGoto, Reg::R0, Reg::R0, 0, 0)),
            Insn::LoadPacket { size, index, imm } => self.load_packet(size, index, imm),
            Insn::Jump { .. } => self.push(op(Opcode::Jump, Reg::R0, Reg::R0, 0, 0)),
            Insn::JumpIf { cond, width, dst, src, .. } => self.jump_if(cond, width, dst, src),
            Insn::Call(target) => self.call(target),
            Insn::Exit => self.push(op(Opcode::Exit, Reg::R0, Reg::R0, 0, 0)),
        }
    }

    fn alu(&mut self, operation: AluOp, width: Width, dst: Reg, src: Operand) -> Step {
        let (register, imm, source) = operand(src);
        let code = Opcode::alu(operation, width, source);
        self.push(op(code, writable(dst)?, register, 0, imm))
    }

    fn mov_sx(&mut self, width: Width, dst: Reg, src: Reg, size: Size) -> Step {
        let code = match (width, size) {
            (Width::W64, Size::B) => Opcode::Sx64B,
            (Width::W64, Size::H) => Opcode::Sx64H,
            (Width::W64, Size::W) => Opcode::Sx64W,
            (Width::W32, Size::B) => Opcode::Sx32B,
            (Width::W32, Size::H) => Opcode::Sx32H,
            _ => return Err(TranslateErrorKind::Unsupported),
        };
        self.push(op(code, writable(dst)?, src, 0, 0))
    }

    fn neg(&mut self, width: Width, dst: Reg) -> Step {
        let code = match width {
            Width::W64 => Opcode::Neg64,
            Width::W32 => Opcode::Neg32,
        };
        self.push(op(code, writable(dst)?, dst, 0, 0))
    }

    fn endian(&mut self, kind: Endian, dst: Reg, size: Size) -> Step {
        let code = match (kind, size) {
            (Endian::ToLittle, Size::H) => Opcode::Le16,
            (Endian::ToLittle, Size::W) => Opcode::Le32,
            (Endian::ToLittle, Size::Dw) => Opcode::Le64,
            (Endian::ToBig | Endian::Swap, Size::H) => Opcode::Swap16,
            (Endian::ToBig | Endian::Swap, Size::W) => Opcode::Swap32,
            (Endian::ToBig | Endian::Swap, Size::Dw) => Opcode::Swap64,
            (_, Size::B) => return Err(TranslateErrorKind::Unsupported),
        };
        self.push(op(code, writable(dst)?, dst, 0, 0))
    }

    fn load_imm(&mut self, dst: Reg, imm: Imm64) -> Step {
        let index = |fd: i32| u32::try_from(fd).map_err(|_| TranslateErrorKind::Map(fd));
        let value = match imm {
            Imm64::Const(value) => value,
            Imm64::MapFd(fd) | Imm64::MapIdx(fd) => self
                .links
                .map(index(fd)?)
                .ok_or(TranslateErrorKind::Map(fd))?,
            Imm64::MapValue { fd, offset } | Imm64::MapIdxValue { index: fd, offset } => self
                .links
                .map_value(index(fd)?)
                .ok_or(TranslateErrorKind::Map(fd))?
                .wrapping_add(offset as i64 as u64),
            Imm64::Var(_) | Imm64::Code(_) => return Err(TranslateErrorKind::Unsupported),
        };
        self.push(op(Opcode::Mov64I, writable(dst)?, dst, 0, value))
    }

    fn load(&mut self, code: Opcode, dst: Reg, base: Reg, offset: i16) -> Step {
        self.push(op(code, writable(dst)?, base, i32::from(offset), 0))
    }

    fn load_packet(&mut self, size: Size, index: Option<Reg>, imm: i32) -> Step {
        let base = index.unwrap_or(Reg::R0);
        let is_indexed = i32::from(index.is_some());
        let imm = imm as i64 as u64;
        self.sized(size, op(Opcode::LoadPacket, Reg::R0, base, is_indexed, imm))
    }

    /// An operation that has its size in `third`.
    fn sized(&mut self, size: Size, op: Op) -> Step {
        let third = pack_atomic(AtomicOp::Add, size);
        self.push(Op { third, ..op })
    }

    fn store(&mut self, size: Size, base: Reg, offset: i16, src: Operand) -> Step {
        let (register, imm, source) = operand(src);
        let code = match (size, source) {
            (Size::B, Source::Register) => Opcode::StB,
            (Size::H, Source::Register) => Opcode::StH,
            (Size::W, Source::Register) => Opcode::StW,
            (Size::Dw, Source::Register) => Opcode::StDw,
            (Size::B, Source::Immediate) => Opcode::StImmB,
            (Size::H, Source::Immediate) => Opcode::StImmH,
            (Size::W, Source::Immediate) => Opcode::StImmW,
            (Size::Dw, Source::Immediate) => Opcode::StImmDw,
        };
        self.push(op(code, base, register, i32::from(offset), imm))
    }

    /// `receiver` is the register that the old value goes to.
    fn atomic(
        &mut self,
        packed: u8,
        receiver: Option<Reg>,
        base: Reg,
        offset: i16,
        src: Reg,
    ) -> Step {
        let fetches = u64::from(receiver.is_some());
        receiver.map(writable).transpose()?;
        let mut atomic = op(Opcode::Atomic, base, src, i32::from(offset), fetches);
        atomic.third = packed;
        self.push(atomic)
    }

    fn jump_if(&mut self, cond: Cond, width: Width, dst: Reg, src: Operand) -> Step {
        let (register, imm, source) = operand(src);
        let code = Opcode::jump_if(cond, width, source);
        self.push(op(code, dst, register, 0, imm))
    }

    fn call(&mut self, target: CallTarget) -> Step {
        let callee = match target {
            CallTarget::Local(_) => {
                return self.push(op(Opcode::CallLocal, Reg::R0, Reg::R0, 0, 0));
            }
            // Proved programs do not get here; others end.
            CallTarget::Helper(program::POISON) => return self.insn(&Insn::Exit),
            CallTarget::Helper(id) => {
                let callee = self.links.helper(id);
                callee.ok_or(TranslateErrorKind::Helper(id))?
            }
            CallTarget::Btf(index) => {
                let callee = self.links.btf_function(index);
                callee.ok_or(TranslateErrorKind::BtfFunction(index))?
            }
            CallTarget::Register(_) => return Err(TranslateErrorKind::Unsupported),
        };
        self.callees
            .try_reserve(1)
            .map_err(|_| TranslateErrorKind::NoMemory)?;
        let index = self.callees.len() as u64;
        self.callees.push(callee);
        self.push(op(Opcode::Call, Reg::R0, Reg::R0, 0, index))
    }

    /// Fills in the jump distances.
    fn finish(mut self, insns: &[Insn]) -> Result<Translated, TranslateError> {
        let error = |at, kind| TranslateError { at, kind };
        for at in 0..self.ops.len() {
            let origin = self.origins[at];
            // A joined operation ends with the last of its instructions; jumps are never joined.
            let Some(offset) = branch_offset(&insns[origin.index()]) else {
                continue;
            };
            if !is_branch(self.ops[at].code) {
                continue;
            }
            let target = origin.jump(offset).map(InsnIdx::index);
            let start = target.and_then(|target| self.starts.get(target));
            let start = start.ok_or(error(origin, TranslateErrorKind::Target))?;
            let distance = (i64::from(*start) - at as i64) * size_of::<Op>() as i64;
            let distance = i32::try_from(distance);
            self.ops[at].offset =
                distance.map_err(|_| error(origin, TranslateErrorKind::TooLong))?;
        }
        let last = self.origins.last().copied().unwrap_or_default();
        match self.ops.last().map(|op| op.code) {
            Some(Opcode::Exit | Opcode::Jump) => {}
            _ => return Err(error(last, TranslateErrorKind::FallsOff)),
        }
        Ok(Translated {
            ops: self.ops,
            origins: self.origins,
            callees: self.callees,
        })
    }
}

fn is_branch(code: Opcode) -> bool {
    let first = Opcode::Jeq64R as u8;
    let last = Opcode::Jsle32I as u8;
    matches!(code, Opcode::Jump | Opcode::MayGoto | Opcode::CallLocal)
        || (first..=last).contains(&(code as u8))
}

fn op(code: Opcode, dst: Reg, src: Reg, offset: i32, imm: u64) -> Op {
    Op {
        code,
        dst: dst.number(),
        src: src.number(),
        third: 0,
        offset,
        imm,
    }
}

fn writable(dst: Reg) -> Result<Reg, TranslateErrorKind> {
    if dst == Reg::R10 {
        Err(TranslateErrorKind::FramePointer)
    } else {
        Ok(dst)
    }
}

fn operand(src: Operand) -> (Reg, u64, Source) {
    match src {
        Operand::Reg(register) => (register, 0, Source::Register),
        Operand::Imm(imm) => (Reg::R0, isa::semantics::imm(imm), Source::Immediate),
    }
}

fn zero_extending(size: Size) -> Opcode {
    match size {
        Size::B => Opcode::LdB,
        Size::H => Opcode::LdH,
        Size::W => Opcode::LdW,
        Size::Dw => Opcode::LdDw,
    }
}

fn sign_extending(size: Size) -> Opcode {
    match size {
        Size::B => Opcode::LdSxB,
        Size::H => Opcode::LdSxH,
        Size::W => Opcode::LdSxW,
        Size::Dw => Opcode::LdDw,
    }
}

/// The register that receives the old value of an atomic operation that fetches.
fn receiver(operation: AtomicOp, src: Reg) -> Reg {
    match operation {
        AtomicOp::CmpXchg => Reg::R0,
        _ => src,
    }
}

/// Atomic operation and size in one byte.
fn pack_atomic(op: AtomicOp, size: Size) -> u8 {
    (op as u8) << 2 | size as u8
}

/// The inverse of [`pack_atomic`].
#[inline]
pub(crate) fn unpack_atomic(packed: u8) -> (AtomicOp, Size) {
    let op = match packed >> 2 {
        0 => AtomicOp::Add,
        1 => AtomicOp::Or,
        2 => AtomicOp::And,
        3 => AtomicOp::Xor,
        4 => AtomicOp::Xchg,
        _ => AtomicOp::CmpXchg,
    };
    let size = match packed & 3 {
        0 => Size::B,
        1 => Size::H,
        2 => Size::W,
        _ => Size::Dw,
    };
    (op, size)
}

impl From<TranslateErrorKind> for Status {
    fn from(kind: TranslateErrorKind) -> Status {
        match kind {
            TranslateErrorKind::NoMemory => Status::NoMemory,
            TranslateErrorKind::Helper(_) | TranslateErrorKind::BtfFunction(_) => {
                Status::ExtensionFailedToLoad
            }
            _ => Status::InvalidArgument,
        }
    }
}
