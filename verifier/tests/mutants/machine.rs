//! A machine that notices everything: pointers are not numbers, each byte is known to be written
//! or not, and objects die.

use crate::callback::Rounds;
use crate::random::Random;
use abi::{ArgKind, FieldKind, Helper, Platform, ReturnKind};
use isa::{
    AluOp, AtomicOp, CallTarget, Cond, Imm64, Insn, InsnIdx, Operand, Reg, Size, Width, semantics,
};
use program::MapId;
use verifier::Verified;
use verifier::facts::Memory;

pub(crate) type Fault = &'static str;

/// What a register holds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Word {
    Nothing,
    Number(u64),
    Pointer { object: usize, offset: i64 },
}

/// One byte of memory.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Cell {
    Nothing,
    Byte(u8),
    /// A byte of a stored pointer.
    Part {
        word: Word,
        index: usize,
    },
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Kind {
    Context,
    Stack,
    Packet {
        end: i64,
    },
    MapValue(MapId),
    Map(MapId),
    Memory,
    Socket,
    Kernel,
    /// A key, read-only.
    Key,
    Function(usize),
}

pub(crate) struct Object {
    pub(crate) kind: Kind,
    pub(crate) alive: bool,
    /// Offset of the first byte.
    base: i64,
    cells: Vec<Cell>,
    /// Must be released.
    pub(crate) held: bool,
}

pub(crate) struct Frame {
    pub(crate) registers: [Word; Reg::COUNT],
    pub(crate) stack: usize,
    pub(crate) call: usize,
    /// Set when a helper called it.
    pub(crate) back: Option<Rounds>,
}

/// The machine.
pub(crate) struct Machine<'a, 'r> {
    pub(crate) verified: &'a Verified<'a>,
    pub(crate) random: &'r mut Random,
    pub(crate) objects: Vec<Object>,
    pub(crate) frames: Vec<Frame>,
    packet: usize,
    lock: Option<(usize, i64)>,
    /// Functions that run when the program has ended.
    pub(crate) later: Vec<Rounds>,
}

/// More than any accepted program of the tests can take.
const STEPS: usize = 1 << 20;

impl<'a, 'r> Machine<'a, 'r> {
    pub(crate) fn new(verified: &'a Verified<'a>, random: &'r mut Random) -> Machine<'a, 'r> {
        let mut machine = Machine {
            verified,
            random,
            objects: Vec::new(),
            frames: Vec::new(),
            packet: 0,
            lock: None,
            later: Vec::new(),
        };
        let size = usize::from(verified.program().program_type.context.size);
        machine.add(Kind::Context, 0, size, Cell::Byte(0));
        machine.new_packet();
        machine.enter(usize::MAX, [Word::Nothing; 5]);
        machine.frames[0].registers[1] = Word::Pointer {
            object: 0,
            offset: 0,
        };
        machine
    }

    pub(crate) fn add(&mut self, kind: Kind, base: i64, size: usize, cell: Cell) -> usize {
        self.objects.push(Object {
            kind,
            alive: true,
            base,
            cells: vec![cell; size],
            held: false,
        });
        self.objects.len() - 1
    }

    fn new_packet(&mut self) {
        let end = *self
            .random
            .pick(&[0, 1, 4, 8, 9, 13, 14, 15, 20, 34, 64, 100]);
        let meta = *self.random.pick(&[0, 0, 3, 4, 8]);
        let size = (end + meta) as usize;
        self.packet = self.add(Kind::Packet { end }, -meta, size, Cell::Byte(0));
    }

    pub(crate) fn enter(&mut self, call: usize, arguments: [Word; 5]) {
        let bytes = abi::limits::STACK_BYTES;
        let stack = self.add(
            Kind::Stack,
            -i64::from(bytes),
            bytes as usize,
            Cell::Nothing,
        );
        let mut registers = [Word::Nothing; Reg::COUNT];
        registers[1..6].copy_from_slice(&arguments);
        registers[10] = Word::Pointer {
            object: stack,
            offset: 0,
        };
        self.frames.push(Frame {
            registers,
            stack,
            call,
            back: None,
        });
    }

    /// Runs to the end.
    pub(crate) fn run(&mut self) -> Result<(), (usize, Fault)> {
        let mut at = 0;
        for _ in 0..STEPS {
            let verified = self.verified;
            let insn = verified
                .program()
                .insns
                .get(at)
                .ok_or((at, "left the program"))?;
            if !verified.facts().at(InsnIdx(at as u32)).reached {
                return Err((at, "reached what was called dead"));
            }
            match self.step(at, insn).map_err(|fault| (at, fault))? {
                Some(next) => at = next,
                None => return Ok(()),
            }
        }
        Err((at, "did not end"))
    }

    pub(crate) fn top(&mut self) -> &mut Frame {
        self.frames.last_mut().unwrap()
    }

    pub(crate) fn get(&mut self, reg: Reg) -> Result<Word, Fault> {
        match self.top().registers[reg.index()] {
            Word::Nothing => Err("read nothing"),
            word => Ok(word),
        }
    }

    pub(crate) fn set(&mut self, reg: Reg, word: Word) -> Result<(), Fault> {
        if reg == Reg::R10 {
            return Err("wrote r10");
        }
        self.top().registers[reg.index()] = word;
        Ok(())
    }

    fn number(&mut self, reg: Reg) -> Result<u64, Fault> {
        match self.get(reg)? {
            Word::Number(value) => Ok(value),
            _ => Err("pointer as number"),
        }
    }

    fn operand(&mut self, src: Operand) -> Result<Word, Fault> {
        match src {
            Operand::Reg(reg) => self.get(reg),
            Operand::Imm(imm) => Ok(Word::Number(semantics::imm(imm))),
        }
    }

    fn step(&mut self, at: usize, insn: &Insn) -> Result<Option<usize>, Fault> {
        match *insn {
            Insn::Alu {
                op,
                width,
                dst,
                src,
            } => {
                let right = self.operand(src)?;
                let left = if op == AluOp::Mov {
                    Word::Number(0)
                } else {
                    self.get(dst)?
                };
                let result = match (alu(op, width, left, right), left, right) {
                    (Ok(word), ..) => word,
                    (Err(_), Word::Pointer { .. }, Word::Pointer { .. })
                        if op == AluOp::Sub && self.may_leak() =>
                    {
                        let value = self.random.number();
                        Word::Number(semantics::alu(AluOp::Mov, width, 0, value))
                    }
                    (Err(_), _, Word::Pointer { .. })
                        if op == AluOp::Mov && width == Width::W32 && self.may_leak() =>
                    {
                        Word::Number(u64::from(self.random.number() as u32))
                    }
                    (Err(fault), ..) => return Err(fault),
                };
                self.set(dst, result)?;
            }
            Insn::MovSx {
                width,
                dst,
                src,
                size,
            } => {
                let value = semantics::mov_sx(width, size, self.number(src)?);
                self.set(dst, Word::Number(value))?;
            }
            Insn::Neg { width, dst } => {
                let value = semantics::neg(width, self.number(dst)?);
                self.set(dst, Word::Number(value))?;
            }
            Insn::Endian { kind, dst, size } => {
                let value = semantics::endian(kind, size, self.number(dst)?);
                self.set(dst, Word::Number(value))?;
            }
            Insn::LoadImm64 { dst, imm } => {
                let word = self.imm64(at, imm)?;
                self.set(dst, word)?;
            }
            Insn::Imm64High => return Err("ran the second slot"),
            Insn::Load {
                size,
                signed,
                dst,
                base,
                offset,
            } => {
                let address = self.get(base)?;
                self.fact(at, address)?;
                let word = match self.load(address, i64::from(offset), size)? {
                    Word::Number(raw) => Word::Number(semantics::load_extend(size, signed, raw)),
                    _ if signed => return Err("sign-extended a pointer"),
                    word => word,
                };
                self.set(dst, word)?;
            }
            Insn::Store {
                size,
                base,
                offset,
                src,
            } => {
                let word = self.operand(src)?;
                let address = self.get(base)?;
                self.fact(at, address)?;
                self.store(address, i64::from(offset), size, word)?;
            }
            Insn::Atomic { .. } => self.atomic(at, insn)?,
            Insn::LoadPacket { size, index, .. } => return self.load_packet(at, size, index),
            Insn::Jump { offset, .. } => {
                return Ok(Some((at as i64 + 1 + i64::from(offset)) as usize));
            }
            Insn::JumpIf {
                cond,
                width,
                dst,
                src,
                offset,
            } => {
                let (left, right) = (self.get(dst)?, self.operand(src)?);
                let taken = self.compare(cond, width, left, right)?;
                let fact = self.verified.facts().at(InsnIdx(at as u32));
                if !(if taken { fact.taken } else { fact.fallthrough }) {
                    return Err("went a way that was called impossible");
                }
                let by = if taken { i64::from(offset) } else { 0 };
                return Ok(Some((at as i64 + 1 + by) as usize));
            }
            Insn::Call(CallTarget::Helper(id)) => return self.helper(at, id),
            Insn::Call(CallTarget::Local(offset)) => {
                let mut arguments = [Word::Nothing; 5];
                arguments.copy_from_slice(&self.top().registers[1..6]);
                if self.frames.len() >= 8 {
                    return Err("too many frames");
                }
                self.enter(at, arguments);
                return Ok(Some((at as i64 + 1 + i64::from(offset)) as usize));
            }
            Insn::Call(_) => return Err("called something else"),
            Insn::Exit => return self.exit(),
        }
        Ok(Some(at + insn.slots() as usize))
    }

    fn fact(&self, at: usize, address: Word) -> Result<(), Fault> {
        let Some(memory) = self.verified.facts().at(InsnIdx(at as u32)).memory else {
            return Ok(());
        };
        let Word::Pointer { object, .. } = address else {
            return Ok(());
        };
        let actual = match self.objects[object].kind {
            Kind::Context => Memory::Context,
            Kind::Stack => Memory::Stack,
            Kind::Packet { .. } => Memory::Packet,
            Kind::MapValue(_) => Memory::MapValue,
            _ => Memory::Other,
        };
        if actual == memory {
            Ok(())
        } else {
            Err("another kind of memory than was said")
        }
    }

    fn imm64(&mut self, at: usize, imm: Imm64) -> Result<Word, Fault> {
        let map = |fd: i32| MapId(fd as u16);
        Ok(match imm {
            Imm64::Const(value) => Word::Number(value),
            Imm64::MapFd(fd) => {
                let object = self.add(Kind::Map(map(fd)), 0, 0, Cell::Nothing);
                Word::Pointer { object, offset: 0 }
            }
            Imm64::MapValue { fd, offset } => {
                let known = self
                    .objects
                    .iter()
                    .position(|o| o.kind == Kind::MapValue(map(fd)) && o.base == 0);
                let object = match known {
                    Some(object) => object,
                    None => self.map_value(map(fd)),
                };
                Word::Pointer {
                    object,
                    offset: i64::from(offset),
                }
            }
            Imm64::Code(offset) => {
                let start = (at as i64 + 1 + i64::from(offset)) as usize;
                let object = self.add(Kind::Function(start), 0, 0, Cell::Nothing);
                Word::Pointer { object, offset: 0 }
            }
            _ => return Err("loaded something else"),
        })
    }

    pub(crate) fn map_value(&mut self, map: MapId) -> usize {
        let size = self.verified.object().map(map).unwrap().value_size;
        self.add(Kind::MapValue(map), 0, size as usize, Cell::Byte(0))
    }

    /// The cells of an access; the object must be alive and large enough.
    fn cells(&mut self, address: Word, offset: i64, size: i64) -> Result<(usize, usize), Fault> {
        let Word::Pointer {
            object: index,
            offset: at,
        } = address
        else {
            return Err("followed a number");
        };
        let object = &self.objects[index];
        if !object.alive {
            return Err("followed a dead pointer");
        }
        let start = at.wrapping_add(offset).wrapping_sub(object.base);
        if start < 0 || size < 0 || start + size > object.cells.len() as i64 {
            return Err("left the object");
        }
        Ok((index, start as usize))
    }

    fn load(&mut self, address: Word, offset: i64, size: Size) -> Result<Word, Fault> {
        let bytes = size.bytes() as usize;
        let (object, start) = self.cells(address, offset, bytes as i64)?;
        match self.objects[object].kind {
            Kind::Stack => self.load_stack(object, start, bytes),
            Kind::Context => self.load_context(start, size),
            Kind::MapValue(map) => {
                self.not_special(map, start, bytes)?;
                let value = self.random.number();
                Ok(Word::Number(semantics::truncate(size, value)))
            }
            _ => {
                let value = self.random.number();
                Ok(Word::Number(semantics::truncate(size, value)))
            }
        }
    }

    fn not_special(&self, map: MapId, start: usize, bytes: usize) -> Result<(), Fault> {
        let map = self.verified.object().map(map).unwrap();
        let overlaps = |at: Option<u32>, size: usize| {
            at.is_some_and(|at| start < at as usize + size && start + bytes > at as usize)
        };
        if overlaps(map.spin_lock, 4) || overlaps(map.timer, 16) {
            return Err("touched a lock or timer");
        }
        Ok(())
    }

    fn load_stack(&mut self, object: usize, start: usize, bytes: usize) -> Result<Word, Fault> {
        let cells = &self.objects[object].cells[start..start + bytes];
        if let Cell::Part { word, index: 0 } = cells[0]
            && bytes == 8
            && cells
                .iter()
                .enumerate()
                .all(|(at, cell)| *cell == Cell::Part { word, index: at })
        {
            return Ok(word);
        }
        let mut raw = [0u8; 8];
        for (byte, cell) in raw.iter_mut().zip(cells) {
            match cell {
                Cell::Byte(value) => *byte = *value,
                Cell::Nothing => return Err("read an unwritten byte"),
                Cell::Part { .. } => return Err("read part of a pointer"),
            }
        }
        Ok(Word::Number(u64::from_le_bytes(raw)))
    }

    fn load_context(&mut self, start: usize, size: Size) -> Result<Word, Fault> {
        let fields = self.verified.program().program_type.context.fields;
        let end = start + size.bytes() as usize;
        let touches = |field: &&abi::Field| {
            start < usize::from(field.offset) + usize::from(field.size)
                && end > usize::from(field.offset)
        };
        let field = fields.iter().find(touches).ok_or("read padding")?;
        let inside =
            start >= usize::from(field.offset) && end <= usize::from(field.offset + field.size);
        if !inside {
            return Err("read across context fields");
        }
        let Kind::Packet { end: packet_end } = self.objects[self.packet].kind else {
            return Err("no packet");
        };
        let offset = match field.kind {
            FieldKind::Scalar => {
                let value = self.random.number();
                return Ok(Word::Number(semantics::truncate(size, value)));
            }
            FieldKind::PacketData => 0,
            FieldKind::PacketEnd => packet_end,
            FieldKind::PacketMeta => self.objects[self.packet].base,
        };
        if usize::from(field.size) != size.bytes() as usize {
            return Err("read part of a context pointer");
        }
        Ok(Word::Pointer {
            object: self.packet,
            offset,
        })
    }

    fn store(&mut self, address: Word, offset: i64, size: Size, word: Word) -> Result<(), Fault> {
        let bytes = size.bytes() as usize;
        let (object, start) = self.cells(address, offset, bytes as i64)?;
        let stack = self.objects[object].kind == Kind::Stack;
        match (self.objects[object].kind, word) {
            (_, Word::Nothing) => return Err("stored nothing"),
            (kind, Word::Pointer { .. }) if !stack && !self.may_leak() => {
                let _ = kind;
                return Err("leaked a pointer");
            }
            (Kind::Stack, Word::Pointer { .. }) => {
                if bytes != 8 || start % 8 != 0 {
                    return Err("stored part of a pointer");
                }
                for index in 0..8 {
                    self.objects[object].cells[start + index] = Cell::Part { word, index };
                }
                return Ok(());
            }
            (Kind::Context, _) => self.context_writable(start, bytes)?,
            (Kind::MapValue(map), _) => {
                self.not_special(map, start, bytes)?;
                if self.verified.object().map(map).unwrap().frozen {
                    return Err("wrote a frozen map");
                }
            }
            (Kind::Socket | Kind::Kernel | Kind::Key, _) => return Err("wrote a kernel object"),
            _ => {}
        }
        if let Word::Number(value) = word {
            for (index, byte) in value.to_le_bytes().into_iter().take(bytes).enumerate() {
                self.objects[object].cells[start + index] = Cell::Byte(byte);
            }
        }
        Ok(())
    }

    fn context_writable(&self, start: usize, bytes: usize) -> Result<(), Fault> {
        let program = self.verified.program();
        let context = program.program_type.context;
        for byte in start..start + bytes {
            let field = context.field_at(byte as u32).ok_or("wrote padding")?;
            if !field.is_writable_at(program.attach_type) || field.kind != FieldKind::Scalar {
                return Err("wrote a read-only field");
            }
        }
        Ok(())
    }

    fn may_leak(&self) -> bool {
        self.verified.program().program_type.privileged
    }

    fn atomic(&mut self, at: usize, insn: &Insn) -> Result<(), Fault> {
        let Insn::Atomic {
            op,
            fetch,
            size,
            base,
            offset,
            src,
        } = *insn
        else {
            return Ok(());
        };
        let operand = self.number(src)?;
        let expected = if op == AtomicOp::CmpXchg {
            self.number(Reg::R0)?
        } else {
            0
        };
        let address = self.get(base)?;
        self.fact(at, address)?;
        let Word::Number(old) = self.load(address, i64::from(offset), size)? else {
            return Err("atomic on a pointer");
        };
        let new = semantics::atomic(op, size, old, operand, expected);
        self.store(address, i64::from(offset), size, Word::Number(new))?;
        match op {
            AtomicOp::CmpXchg => self.set(Reg::R0, Word::Number(old)),
            _ if fetch => self.set(src, Word::Number(old)),
            _ => Ok(()),
        }
    }

    fn load_packet(
        &mut self,
        at: usize,
        size: Size,
        index: Option<Reg>,
    ) -> Result<Option<usize>, Fault> {
        if self.get(Reg::R6)?
            != (Word::Pointer {
                object: 0,
                offset: 0,
            })
        {
            return Err("r6 is not the context");
        }
        if let Some(reg) = index {
            self.number(reg)?;
        }
        if self.random.below(4) == 0 {
            self.top().registers[0] = Word::Number(0);
            if self.frames.len() > 1 {
                return Err("ended in a subprogram");
            }
            return self.exit();
        }
        self.clobber();
        let value = semantics::truncate(size, self.random.number());
        self.set(Reg::R0, Word::Number(value))?;
        Ok(Some(at + 1))
    }

    pub(crate) fn clobber(&mut self) {
        self.top().registers[1..6].fill(Word::Nothing);
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
            (Word::Pointer { .. }, Word::Number(0)) | (Word::Number(0), Word::Pointer { .. })
                if width == Width::W64 && matches!(cond, Cond::Eq | Cond::Ne) =>
            {
                Ok(cond == Cond::Ne)
            }
            (
                Word::Pointer { object, offset },
                Word::Pointer {
                    object: other,
                    offset: to,
                },
            ) if object == other && width == Width::W64 => {
                // Any base will do, as long as nothing wraps.
                let base = 1u64 << 40;
                let address = |offset: i64| base.wrapping_add(offset as u64);
                Ok(semantics::cond(cond, width, address(offset), address(to)))
            }
            _ if self.may_leak() => Ok(self.random.below(2) == 0),
            _ => Err("compared a pointer"),
        }
    }

    fn exit(&mut self) -> Result<Option<usize>, Fault> {
        if self.top().back.is_some() {
            return self.called_back();
        }
        let result = self.top().registers[0];
        if self.frames.len() > 1 {
            let frame = self.frames.pop().unwrap();
            self.objects[frame.stack].alive = false;
            self.clobber();
            self.top().registers[0] = result;
            return Ok(Some(frame.call + 1));
        }
        self.nothing_held()?;
        let program = self.verified.program();
        match result {
            Word::Nothing => return Err("returned nothing"),
            Word::Pointer { .. } if !self.may_leak() => return Err("returned a pointer"),
            Word::Pointer { .. } => {}
            Word::Number(value) => {
                let range = program.attach_type.map_or(
                    program.program_type.return_range,
                    abi::AttachType::return_range,
                );
                if range.is_some_and(|(low, high)| (value as i32) < low || (value as i32) > high) {
                    return Err("returned a wrong verdict");
                }
            }
        }
        Ok(self.run_later())
    }

    pub(crate) fn nothing_held(&self) -> Result<(), Fault> {
        if self.lock.is_some() || self.objects.iter().any(|object| object.held) {
            return Err("ended while holding something");
        }
        Ok(())
    }
}

fn alu(op: AluOp, width: Width, left: Word, right: Word) -> Result<Word, Fault> {
    match (op, width, left, right) {
        (_, _, Word::Number(a), Word::Number(b)) => {
            Ok(Word::Number(semantics::alu(op, width, a, b)))
        }
        (AluOp::Mov, Width::W64, _, pointer) => Ok(pointer),
        (AluOp::Add, Width::W64, Word::Pointer { object, offset }, Word::Number(by))
        | (AluOp::Add, Width::W64, Word::Number(by), Word::Pointer { object, offset }) => {
            moved(object, offset.checked_add(by as i64))
        }
        (AluOp::Sub, Width::W64, Word::Pointer { object, offset }, Word::Number(by)) => {
            moved(object, offset.checked_sub(by as i64))
        }
        (
            AluOp::Sub,
            _,
            Word::Pointer { object, offset },
            Word::Pointer {
                object: other,
                offset: to,
            },
        ) if object == other => {
            let distance = offset.wrapping_sub(to) as u64;
            Ok(Word::Number(match width {
                Width::W64 => distance,
                Width::W32 => distance & 0xffff_ffff,
            }))
        }
        _ => Err("arithmetic on a pointer"),
    }
}

/// Pointers stay near their objects: far away they would wrap.
fn moved(object: usize, offset: Option<i64>) -> Result<Word, Fault> {
    match offset {
        Some(offset) if offset.unsigned_abs() <= 1 << 31 => Ok(Word::Pointer { object, offset }),
        _ => Err("moved a pointer too far"),
    }
}

/// Helpers, by their prototypes.
impl Machine<'_, '_> {
    fn helper(&mut self, at: usize, id: i32) -> Result<Option<usize>, Fault> {
        let program_type = self.verified.program().program_type;
        let helper = u32::try_from(id)
            .ok()
            .and_then(|id| abi::helper::lookup(program_type, id));
        let helper = helper.ok_or("called an unknown helper")?;
        if self.lock.is_some() && helper.name != "bpf_spin_unlock" {
            return Err("called a helper under a lock");
        }
        let mut map = None;
        for (reg, kind) in Reg::ARGS.into_iter().zip(helper.present_args()) {
            self.argument(helper, reg, kind, &mut map)?;
        }
        if let Some(said) = self.verified.facts().at(InsnIdx(at as u32)).map
            && map != Some(said)
        {
            return Err("another map than was said");
        }
        if helper.ret == ReturnKind::NoReturnIfSucceed {
            self.nothing_held()?;
            if program_type.platform == Platform::Windows && self.frames.len() > 1 {
                return Err("tail call in a subprogram");
            }
            if self.random.below(2) == 0 {
                return self.tail_call();
            }
        }
        if helper.releases {
            let Word::Pointer { object, .. } = self.get(Reg::R1)? else {
                return Err("released a number");
            };
            if !self.objects[object].held {
                return Err("released what was not held");
            }
            self.objects[object].held = false;
            self.objects[object].alive = false;
        }
        let alloc = helper
            .args
            .iter()
            .position(|kind| *kind == ArgKind::ConstAllocSize);
        let alloc = alloc.map(|index| self.top().registers[index + 1]);
        if helper.reallocates_packet {
            let packet = self.packet;
            self.objects[packet].alive = false;
            self.new_packet();
        }
        if let Some(callback) = helper.callback {
            return self.call_back(at, helper, callback, map);
        }
        self.clobber();
        let result = self.result(helper, map, alloc);
        self.set(Reg::R0, result)?;
        Ok(Some(at + 1))
    }

    /// The other program runs, and returns to whoever waits.
    fn tail_call(&mut self) -> Result<Option<usize>, Fault> {
        if self.frames.iter().any(|frame| frame.back.is_some()) {
            return Err("tail call in a callback");
        }
        if self.frames.len() == 1 {
            return Ok(self.run_later());
        }
        let packet = self.packet;
        self.objects[packet].alive = false;
        self.new_packet();
        let number = self.random.number();
        self.top().registers[0] = Word::Number(number);
        self.exit()
    }

    fn result(&mut self, helper: &Helper, map: Option<MapId>, alloc: Option<Word>) -> Word {
        let null = self.random.below(3) == 0;
        let object = match helper.ret {
            ReturnKind::Integer | ReturnKind::NoReturnIfSucceed => {
                return Word::Number(self.random.number());
            }
            ReturnKind::Void => return Word::Nothing,
            ReturnKind::BtfId => self.add(Kind::Kernel, 0, 0, Cell::Nothing),
            _ if null => return Word::Number(0),
            ReturnKind::MapValueOrNull => {
                let definition = map.and_then(|map| self.verified.object().map(map)).unwrap();
                match definition.inner {
                    Some(inner) if definition.kind.is_map_of_maps() => {
                        self.add(Kind::Map(inner), 0, 0, Cell::Nothing)
                    }
                    _ => self.map_value(map.unwrap()),
                }
            }
            ReturnKind::AllocMemOrNull => {
                let Some(Word::Number(size)) = alloc else {
                    return Word::Nothing;
                };
                self.add(Kind::Memory, 0, size as usize, Cell::Byte(0))
            }
            ReturnKind::SocketOrNull | ReturnKind::SockCommonOrNull => {
                self.add(Kind::Socket, 0, 80, Cell::Byte(0))
            }
            ReturnKind::BtfIdOrNull => self.add(Kind::Kernel, 0, 0, Cell::Nothing),
        };
        // Only what a lookup found has offset 0 and is its own object, whatever was addressed
        // directly before.
        self.objects[object].held = helper.acquires;
        Word::Pointer { object, offset: 0 }
    }

    fn argument(
        &mut self,
        helper: &Helper,
        reg: Reg,
        kind: ArgKind,
        map: &mut Option<MapId>,
    ) -> Result<(), Fault> {
        let word = self.get(reg)?;
        let size_of = |map: &Option<MapId>, machine: &Self, value: bool| {
            let definition = map
                .and_then(|map| machine.verified.object().map(map))
                .unwrap();
            i64::from(if value {
                definition.value_size
            } else {
                definition.key_size
            })
        };
        match kind {
            ArgKind::Anything => match word {
                Word::Pointer { .. } if !self.may_leak() => Err("leaked to a helper"),
                _ => Ok(()),
            },
            ArgKind::ConstSize | ArgKind::ConstSizeOrZero | ArgKind::ConstAllocSize => match word {
                Word::Number(_) => Ok(()),
                _ => Err("a pointer as size"),
            },
            ArgKind::ContextOrNull if word == Word::Number(0) => Ok(()),
            ArgKind::Context | ArgKind::ContextOrNull => {
                let context = Word::Pointer {
                    object: 0,
                    offset: 0,
                };
                if word == context {
                    Ok(())
                } else {
                    Err("not the context")
                }
            }
            ArgKind::Map | ArgKind::MapOfPrograms => {
                let Word::Pointer { object, offset: 0 } = word else {
                    return Err("not a map");
                };
                let Kind::Map(id) = self.objects[object].kind else {
                    return Err("not a map");
                };
                *map = Some(id);
                Ok(())
            }
            ArgKind::MapKey => self.memory(word, size_of(map, self, false), false),
            ArgKind::MapValue => self.memory(word, size_of(map, self, true), false),
            ArgKind::MapValueOrNull if word == Word::Number(0) => Ok(()),
            ArgKind::MapValueOrNull => self.memory(word, size_of(map, self, true), false),
            ArgKind::MapValueOut => self.memory(word, size_of(map, self, true), true),
            ArgKind::FixedMem(size) => self.memory(word, i64::from(size), false),
            ArgKind::FixedMemOut(size) => self.memory(word, i64::from(size), true),
            ArgKind::ReadableMem
            | ArgKind::ReadableMemOrNull
            | ArgKind::WritableMem
            | ArgKind::WritableMemOrNull => self.sized(helper, reg, kind, word),
            ArgKind::AllocMem | ArgKind::Socket => {
                let Word::Pointer { object, offset: 0 } = word else {
                    return Err("not an object");
                };
                let object = &self.objects[object];
                let fits = match kind {
                    ArgKind::Socket => object.kind == Kind::Socket,
                    _ => object.kind == Kind::Memory,
                };
                if fits && object.alive {
                    Ok(())
                } else {
                    Err("not the object")
                }
            }
            ArgKind::SpinLock => self.use_lock(helper, word),
            ArgKind::BtfId => match word {
                Word::Pointer { object, offset: 0 }
                    if self.objects[object].kind == Kind::Kernel =>
                {
                    Ok(())
                }
                _ => Err("not a kernel object"),
            },
            ArgKind::Callback | ArgKind::CallbackContext | ArgKind::Timer => {
                self.callback_argument(kind, word, map)
            }
            _ => Err("an argument that is not modelled"),
        }
    }

    fn use_lock(&mut self, helper: &Helper, word: Word) -> Result<(), Fault> {
        let Word::Pointer { object, offset } = word else {
            return Err("not a lock");
        };
        let Kind::MapValue(map) = self.objects[object].kind else {
            return Err("not a lock");
        };
        let place = self
            .verified
            .object()
            .map(map)
            .unwrap()
            .spin_lock
            .map(i64::from);
        if place != Some(offset) {
            return Err("not a lock");
        }
        match (helper.name, self.lock) {
            ("bpf_spin_lock", None) => self.lock = Some((object, offset)),
            ("bpf_spin_unlock", Some(held)) if held == (object, offset) => self.lock = None,
            _ => return Err("misused a lock"),
        }
        Ok(())
    }

    fn sized(&mut self, helper: &Helper, reg: Reg, kind: ArgKind, word: Word) -> Result<(), Fault> {
        let next = usize::from(reg.number());
        let size = self.number(Reg::new(reg.number() + 1).unwrap())? as i64;
        let least = i64::from(helper.args[next] == ArgKind::ConstSize);
        if size < least || size > 1 << 29 {
            return Err("a size out of range");
        }
        let or_null = matches!(
            kind,
            ArgKind::ReadableMemOrNull | ArgKind::WritableMemOrNull
        );
        if or_null && word == Word::Number(0) && size == 0 {
            return Ok(());
        }
        let write = matches!(kind, ArgKind::WritableMem | ArgKind::WritableMemOrNull);
        self.memory(word, size, write)
    }

    fn memory(&mut self, word: Word, size: i64, write: bool) -> Result<(), Fault> {
        let (object, start) = self.cells(word, 0, size)?;
        let end = start + size as usize;
        match self.objects[object].kind {
            Kind::Stack | Kind::Packet { .. } | Kind::Memory => {}
            Kind::Key if !write => {}
            Kind::MapValue(map) => {
                self.not_special(map, start, size as usize)?;
                if write && self.verified.object().map(map).unwrap().frozen {
                    return Err("a helper writes a frozen map");
                }
            }
            _ => return Err("no memory for helpers"),
        }
        for at in start..end {
            if write {
                let byte = self.random.next() as u8;
                self.objects[object].cells[at] = Cell::Byte(byte);
                continue;
            }
            match self.objects[object].cells[at] {
                Cell::Byte(_) => {}
                Cell::Nothing => return Err("a helper reads an unwritten byte"),
                Cell::Part { .. } => return Err("a helper reads a pointer"),
            }
        }
        Ok(())
    }
}
