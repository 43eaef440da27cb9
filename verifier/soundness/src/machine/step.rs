//! One instruction.

use super::{Address, CONTEXT, Fault, Kind, Machine, NOT_MODELLED, ObjectId, Word};
use abi::Platform;
use isa::{AluOp, CallTarget, Cond, Imm64, Insn, InsnIdx, Operand, Reg, Size, Width, semantics};
use program::{MapId, Program};

/// Where control goes; nothing when the program ends.
pub(super) type Next = Result<Option<InsnIdx>, Fault>;

/// Numbers that an input should come near: what the program compares with and masks by.
pub(super) fn constants(program: &Program) -> Vec<u64> {
    let immediate = |insn: &Insn| match insn {
        Insn::JumpIf { src, .. } | Insn::Alu { src, .. } => match src {
            Operand::Imm(value) => Some(semantics::imm(*value)),
            Operand::Reg(_) => None,
        },
        Insn::LoadImm64 {
            imm: Imm64::Const(value),
            ..
        } => Some(*value),
        _ => None,
    };
    let mut numbers: Vec<u64> = program.insns.iter().filter_map(immediate).collect();
    let swapped: Vec<u64> = numbers
        .iter()
        .map(|number| u64::from((*number as u16).swap_bytes()))
        .collect();
    numbers.extend(swapped);
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

impl Machine<'_, '_> {
    /// Performs the instruction at a place.
    pub(super) fn step(&mut self, at: InsnIdx) -> Next {
        let insn = self.verified.program().insns.get(at.index());
        let insn = *insn.ok_or("left the program")?;
        if !self.verified.facts().at(at).reached {
            return Err("reached what was called dead");
        }
        match insn {
            Insn::Alu {
                op,
                width,
                dst,
                src,
            } => self.alu(at, (op, width), dst, src)?,
            Insn::MovSx {
                width,
                dst,
                src,
                size,
            } => self.mov_sx(width, size, dst, src)?,
            Insn::Neg { width, dst } => self.unary(dst, |value| semantics::neg(width, value))?,
            Insn::Endian { kind, dst, size } => {
                self.unary(dst, |value| semantics::endian(kind, size, value))?;
            }
            Insn::LoadImm64 { dst, imm } => self.load_imm64(at, dst, imm)?,
            Insn::Imm64High => return Err("runs the second slot of a wide instruction"),
            Insn::Load { .. } => self.load_insn(at, insn)?,
            Insn::Store { .. } => self.store_insn(at, insn)?,
            Insn::Atomic { .. } => self.atomic(at, insn)?,
            Insn::LoadAcquire { .. } | Insn::StoreRelease { .. } => self.ordered(at, insn)?,
            // After any number of turns; all of them would take too long.
            Insn::MayGoto { offset } if self.random.below(4) == 0 => {
                return jump(at, i32::from(offset));
            }
            Insn::MayGoto { .. } => {}
            Insn::LoadPacket { size, index, .. } => return self.load_packet(at, size, index),
            Insn::Jump { offset, .. } => return jump(at, offset),
            Insn::JumpIf { .. } => return self.jump_if(at, insn),
            Insn::Call(target) => return self.call(at, target),
            Insn::Exit => return self.exit(),
        }
        self.check_result(at, insn)?;
        Ok(Some(InsnIdx(at.0 + insn.slots())))
    }

    /// With one processor, accesses in order are plain accesses.
    fn ordered(&mut self, at: InsnIdx, insn: Insn) -> Result<(), Fault> {
        match insn {
            Insn::LoadAcquire {
                size,
                dst,
                base,
                offset,
            } => {
                let load = Insn::Load {
                    size,
                    signed: false,
                    dst,
                    base,
                    offset,
                };
                self.load_insn(at, load)
            }
            Insn::StoreRelease {
                size,
                base,
                offset,
                src,
            } => {
                let store = Insn::Store {
                    size,
                    base,
                    offset,
                    src: Operand::Reg(src),
                };
                self.store_insn(at, store)
            }
            _ => Err(NOT_MODELLED),
        }
    }

    fn operand(&self, src: Operand) -> Result<Word, Fault> {
        match src {
            Operand::Reg(reg) => self.get(reg),
            Operand::Imm(imm) => Ok(Word::Number(semantics::imm(imm))),
        }
    }

    fn alu(
        &mut self,
        at: InsnIdx,
        (op, width): (AluOp, Width),
        dst: Reg,
        src: Operand,
    ) -> Result<(), Fault> {
        let right = self.operand(src)?;
        let left = match op {
            AluOp::Mov => Word::Number(0),
            _ => self.get(dst)?,
        };
        let result = match alu(op, width, left, right) {
            Ok(word) => word,
            // The lower half of an address that only the next instruction sees.
            Err(_) if op == AluOp::Mov && !self.may_leak() && self.is_subtracted_after(at, dst) => {
                right
            }
            Err(_) if self.shows_address(op, width, left, right) => {
                let value = self.number();
                Word::Number(semantics::alu(AluOp::Mov, width, 0, value))
            }
            Err(fault) => return Err(fault),
        };
        self.set(dst, result)
    }

    fn is_subtracted_after(&self, at: InsnIdx, dst: Reg) -> bool {
        let next = self.verified.program().insns.get(at.index() + 1);
        next.is_some_and(|insn| insn.is_difference_of_halves(dst))
    }

    /// Programs that may see addresses can subtract them and take their lower halves.
    fn shows_address(&self, op: AluOp, width: Width, left: Word, right: Word) -> bool {
        let both = matches!((left, right), (Word::Pointer(_), Word::Pointer(_)));
        let half = op == AluOp::Mov && width == Width::W32;
        self.may_leak() && ((op == AluOp::Sub && both) || half)
    }

    fn mov_sx(&mut self, width: Width, size: Size, dst: Reg, src: Reg) -> Result<(), Fault> {
        let value = semantics::mov_sx(width, size, self.number_in(src)?);
        self.set(dst, Word::Number(value))
    }

    fn unary(&mut self, dst: Reg, op: impl Fn(u64) -> u64) -> Result<(), Fault> {
        let value = op(self.number_in(dst)?);
        self.set(dst, Word::Number(value))
    }

    fn load_imm64(&mut self, at: InsnIdx, dst: Reg, imm: Imm64) -> Result<(), Fault> {
        let map = |fd: i32| MapId(fd as u16);
        let word = match imm {
            Imm64::Const(value) => Word::Number(value),
            Imm64::MapFd(fd) => start(self.map(map(fd))),
            Imm64::MapValue { fd, offset } => Word::Pointer(Address {
                object: self.direct_value(map(fd)),
                offset: i64::from(offset),
            }),
            Imm64::Code(offset) => {
                let function = at.jump(offset).ok_or("names no function")?;
                start(self.add(Kind::Function(function), 0, 0))
            }
            Imm64::Var(_) if self.may_leak() => Word::Number(self.number()),
            Imm64::Var(_) => return Err("sees the address of a variable"),
            Imm64::MapIdx(_) | Imm64::MapIdxValue { .. } => {
                return Err(NOT_MODELLED);
            }
        };
        self.set(dst, word)
    }

    fn jump_if(&mut self, at: InsnIdx, insn: Insn) -> Next {
        let Insn::JumpIf {
            cond,
            width,
            dst,
            src,
            offset,
        } = insn
        else {
            return Err(NOT_MODELLED);
        };
        let (left, right) = (self.get(dst)?, self.operand(src)?);
        let taken = self.compare(cond, width, left, right)?;
        let fact = self.verified.facts().at(at);
        if !(if taken { fact.taken } else { fact.fallthrough }) {
            return Err("goes a way that was called impossible");
        }
        jump(at, if taken { i32::from(offset) } else { 0 })
    }

    fn compare(
        &mut self,
        cond: Cond,
        width: Width,
        left: Word,
        right: Word,
    ) -> Result<bool, Fault> {
        match (left, right) {
            (Word::Number(a), Word::Number(b)) => Ok(semantics::cond(cond, width, a, b)),
            (Word::Pointer(pointer), Word::Number(0))
            | (Word::Number(0), Word::Pointer(pointer))
                if width == Width::W64 && matches!(cond, Cond::Eq | Cond::Ne) =>
            {
                Ok((cond == Cond::Eq) == self.is_null(pointer))
            }
            // The lower half of an address may be 0 where the whole is not.
            (Word::Pointer(pointer), Word::Number(0))
            | (Word::Number(0), Word::Pointer(pointer))
                if pointer.object == self.packet && matches!(cond, Cond::Eq | Cond::Ne) =>
            {
                Ok(self.random.below(2) == 0)
            }
            (Word::Pointer(a), Word::Pointer(b)) if a.object == b.object && width == Width::W64 => {
                // Any base will do, as long as nothing wraps.
                let address = |offset: i64| (1u64 << 40).wrapping_add(offset as u64);
                let (a, b) = (address(a.offset), address(b.offset));
                Ok(semantics::cond(cond, width, a, b))
            }
            (Word::Pointer(a), Word::Pointer(b))
                if a.object == self.packet
                    && b.object == self.packet
                    && matches!(cond, Cond::Eq | Cond::Ne) =>
            {
                Ok((cond == Cond::Eq) == (a.offset == b.offset))
            }
            _ if self.may_leak() => Ok(self.random.below(2) == 0),
            (Word::Pointer(a), Word::Pointer(b))
                if width == Width::W64
                    && matches!(cond, Cond::Eq | Cond::Ne)
                    && self.are_objects(a, b) =>
            {
                // Several views may show one socket.
                Ok(self.random.below(2) == 0)
            }
            (Word::Pointer(a), Word::Pointer(b))
                if matches!(cond, Cond::Eq | Cond::Ne) && self.is_slice_and_stack(a, b) =>
            {
                Ok(cond == Cond::Ne)
            }
            _ => Err("compares a pointer"),
        }
    }

    /// Are these two sockets or two values of maps?
    fn are_objects(&self, a: Address, b: Address) -> bool {
        matches!(
            (self.object(a.object).kind, self.object(b.object).kind),
            (Kind::Socket(_), Kind::Socket(_)) | (Kind::MapValue(_), Kind::MapValue(_))
        )
    }

    /// Some hooks have no data: start and end of the packet are then NULL.
    fn is_null(&self, pointer: Address) -> bool {
        let object = self.object(pointer.object);
        if let Kind::Kernel { null, .. } = object.kind {
            return null && pointer.offset == 0;
        }
        matches!(object.kind, Kind::Packet { end: 0 }) && object.size == 0 && pointer.offset == 0
    }

    fn call(&mut self, at: InsnIdx, target: CallTarget) -> Next {
        match target {
            CallTarget::Helper(id) => self.helper(at, id),
            CallTarget::Local(offset) => {
                let mut arguments = [Word::Nothing; 5];
                arguments.copy_from_slice(&self.top().registers[1..6]);
                let start = at.jump(offset).ok_or("calls outside the program")?;
                self.enter((at, start), arguments)?;
                Ok(Some(start))
            }
            CallTarget::Btf(index) => self.call_platform(at, index),
            CallTarget::Register(_) => Err(NOT_MODELLED),
        }
    }

    fn exit(&mut self) -> Next {
        if self.top().back.is_some() {
            return self.called_back();
        }
        let result = self.top().registers[0];
        if self.frames.len() > 1 {
            return self.leave(result);
        }
        self.nothing_held()?;
        let program = self.verified.program();
        match result {
            Word::Nothing => Err("returns nothing"),
            Word::Pointer(_) if !self.may_leak() => Err("returns a pointer"),
            Word::Pointer(_) => self.run_later(),
            Word::Number(value) => {
                let hook = program.attach_type;
                let range = hook.map_or(program.program_type.return_range, |hook| {
                    hook.return_range()
                });
                let value = value as i32;
                // Hooks of Windows block what they do not understand.
                let is_asked = program.program_type.platform == Platform::Linux;
                let range = range.filter(|_| is_asked);
                if range.is_some_and(|(low, high)| value < low || value > high) {
                    return Err("returns a verdict that the hook does not know");
                }
                self.run_later()
            }
        }
    }

    /// Back to the caller.
    pub(super) fn leave(&mut self, result: Word) -> Next {
        let Some(frame) = self.frames.pop() else {
            return Err("left the program");
        };
        self.object_mut(frame.stack).alive = false;
        self.clobber();
        self.set_plain(Reg::R0, result);
        Ok(Some(InsnIdx(frame.call.0 + 1)))
    }

    pub(super) fn nothing_held(&self) -> Result<(), Fault> {
        if self.lock.is_some() || self.held().next().is_some() {
            return Err("ends while it holds something");
        }
        Ok(())
    }

    /// The legacy packet load: ends the function with 0 when the packet is too short.
    fn load_packet(&mut self, at: InsnIdx, size: Size, index: Option<Reg>) -> Next {
        if self.get(Reg::R6)? != Word::Pointer(CONTEXT) {
            return Err("loads from the packet without the context in r6");
        }
        if let Some(reg) = index {
            self.number_in(reg)?;
        }
        if self.random.below(4) == 0 {
            self.set_plain(Reg::R0, Word::Number(0));
            return self.exit();
        }
        self.clobber();
        let value = semantics::truncate(size, self.number());
        self.set(Reg::R0, Word::Number(value))?;
        Ok(Some(InsnIdx(at.0 + 1)))
    }
}

/// A pointer to the start of an object.
pub(super) fn start(object: ObjectId) -> Word {
    Word::Pointer(Address { object, offset: 0 })
}

fn jump(at: InsnIdx, offset: i32) -> Next {
    at.jump(offset).map(Some).ok_or("jumps out of the program")
}

fn alu(op: AluOp, width: Width, left: Word, right: Word) -> Result<Word, Fault> {
    match (op, width, left, right) {
        (_, _, Word::Number(a), Word::Number(b)) => {
            Ok(Word::Number(semantics::alu(op, width, a, b)))
        }
        (AluOp::Mov, Width::W64, _, pointer) => Ok(pointer),
        (AluOp::Add, Width::W64, Word::Pointer(pointer), Word::Number(by))
        | (AluOp::Add, Width::W64, Word::Number(by), Word::Pointer(pointer)) => {
            moved(pointer, pointer.offset.checked_add(by as i64))
        }
        (AluOp::Sub, Width::W64, Word::Pointer(pointer), Word::Number(by)) => {
            moved(pointer, pointer.offset.checked_sub(by as i64))
        }
        (AluOp::Sub, _, Word::Pointer(a), Word::Pointer(b)) if a.object == b.object => {
            let distance = a.offset.wrapping_sub(b.offset) as u64;
            Ok(Word::Number(match width {
                Width::W64 => distance,
                Width::W32 => distance & 0xffff_ffff,
            }))
        }
        _ => Err("does arithmetic on a pointer"),
    }
}

/// Pointers stay near their objects: far away they would wrap.
fn moved(pointer: Address, offset: Option<i64>) -> Result<Word, Fault> {
    match offset {
        Some(offset) if offset.unsigned_abs() <= 1 << 31 => {
            Ok(Word::Pointer(Address { offset, ..pointer }))
        }
        _ => Err("moves a pointer too far"),
    }
}
