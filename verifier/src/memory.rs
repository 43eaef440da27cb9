//! Loads, stores and atomic operations.

use crate::domain::Scalar;
use crate::dynptr::check_slice;
use crate::effect::{Bytes, Effect};
use crate::facts::{Extent, Memory};
use crate::limits;
use crate::map_use::{self, Found};
use crate::reason::{Bounds, Reason};
use crate::stack::{Byte, Fault, Stack};
use crate::step::Step;
use crate::value::{Pointer, Region, Value};
use abi::{Context, FieldKind};
use isa::{AtomicOp, Insn, Operand, Reg, Size};
use program::MapId;

/// A pointer and the register it came from.
#[derive(Clone, Copy)]
pub(crate) struct Base {
    pub(crate) reg: Reg,
    pub(crate) pointer: Pointer,
}

/// What an access does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads.
    Read,
    /// Writes.
    Write,
}

/// The bytes that an access may touch, as offsets from the start of its region.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    /// Smallest offset of the first byte.
    pub(crate) low: i64,
    /// Largest offset of the byte after the last.
    pub(crate) high: i64,
    /// Bytes of the access.
    pub(crate) size: i64,
    /// The first byte has one possible offset.
    pub(crate) exact: bool,
}

impl Base {
    /// The bytes of an access of `size` bytes at `offset` from the pointer.
    pub(crate) fn span(&self, offset: i16, size: i64) -> Span {
        let (least, most) = self.pointer.offset_range();
        Span {
            low: least.saturating_add(i64::from(offset)),
            high: most.saturating_add(i64::from(offset)).saturating_add(size),
            size,
            exact: least == most,
        }
    }

    pub(crate) fn found(&self) -> Value {
        Value::Pointer(self.pointer)
    }

    fn bounds(&self, span: Span, first: i64, end: i64) -> Result<(), Bounds> {
        if span.low >= first && span.high <= end {
            return Ok(());
        }
        Err(Bounds {
            reg: self.reg,
            found: self.found(),
            low: span.low,
            high: span.high,
            size: span.size,
            first,
            end,
        })
    }

    /// Checks that the bytes lie in acquired memory of a size.
    pub(crate) fn within(&self, span: Span, size: i64) -> Result<(), Reason> {
        self.bounds(span, 0, size).map_err(Reason::MemoryBounds)
    }

    /// An access that this pointer does not allow.
    pub(crate) fn refuse(&self, what: &'static str) -> Reason {
        Reason::NoAccess {
            reg: self.reg,
            found: self.found(),
            what,
        }
    }
}

impl Step<'_, '_> {
    /// The pointer in a register; it must not be NULL.
    pub(crate) fn base(&self, reg: Reg) -> Result<Base, Reason> {
        let found = self.read(reg)?;
        let Value::Pointer(pointer) = found else {
            return Err(Reason::NotAPointer { reg, found });
        };
        if pointer.null != 0 {
            return Err(Reason::MaybeNull { reg, found });
        }
        Ok(Base { reg, pointer })
    }

    /// `dst = *(size *)(base + offset)`
    pub(crate) fn load(
        &mut self,
        (size, signed): (Size, bool),
        dst: Reg,
        base: Reg,
        offset: i16,
    ) -> Result<(), Reason> {
        let base = self.base(base)?;
        let span = base.span(offset, i64::from(size.bytes()));
        let value = match base.pointer.region {
            Region::Context => self.load_context(&base, span, (size, signed))?,
            Region::Stack { frame } => {
                let value = self.load_stack(&base, frame, span, size)?;
                self.trail.note(Effect::Load {
                    depth: self.state.depth() as u8,
                    dst,
                    from: Bytes::new(frame, span.low, span.high),
                });
                extend(value, (size, signed))
            }
            Region::MapValue { map, .. } => {
                self.check_map_value(&base, map, span, Access::Read)?;
                match self.constant(&base, map, span) {
                    Some(value) => extend(Value::number(value), (size, signed)),
                    None => Value::number(Scalar::load_result(size, signed)),
                }
            }
            Region::Kernel { ty, .. } => self.load_kernel(&base, ty, span, (size, signed))?,
            _ => {
                self.check_plain(&base, span, Access::Read, size)?;
                Value::number(Scalar::load_result(size, signed))
            }
        };
        self.note_access(&base.pointer, offset, span);
        self.set(dst, value)
    }

    /// `*(size *)(base + offset) = src`
    pub(crate) fn store(
        &mut self,
        size: Size,
        base: Reg,
        offset: i16,
        src: Operand,
    ) -> Result<(), Reason> {
        let value = self.operand(src)?;
        let base = self.base(base)?;
        let span = base.span(offset, i64::from(size.bytes()));
        let from = match src {
            Operand::Reg(reg) => reg,
            Operand::Imm(_) => base.reg,
        };
        match base.pointer.region {
            Region::Stack { frame } => self.store_stack(&base, frame, span, (size, from, value))?,
            Region::Context => {
                self.no_leak(from, value, "to the context")?;
                self.store_context(&base, span, size)?;
            }
            Region::MapValue { map, .. } => {
                self.no_leak(from, value, "in a map value")?;
                self.check_map_value(&base, map, span, Access::Write)?;
            }
            Region::Slice(slice) if slice.buffer.is_some() && value.pointer().is_some() => {
                let into = "in a slice, which may be its buffer on the stack";
                return Err(Reason::Leak {
                    reg: from,
                    found: value,
                    into,
                });
            }
            _ => {
                self.no_leak(from, value, "in shared memory")?;
                self.check_plain(&base, span, Access::Write, size)?;
            }
        }
        self.note_access(&base.pointer, offset, span);
        Ok(())
    }

    /// Notes what an access that was found safe may touch.
    fn note_access(&mut self, pointer: &Pointer, offset: i16, span: Span) {
        let extent = extent(pointer, offset, span);
        self.facts.access(self.at, memory_kind(pointer), extent);
    }

    /// Packets, acquired memory, sockets; refuses what has no memory for programs.
    fn check_plain(
        &self,
        base: &Base,
        span: Span,
        access: Access,
        size: Size,
    ) -> Result<(), Reason> {
        match base.pointer.region {
            Region::Packet { range, .. } | Region::PacketMeta { range, .. } => {
                self.check_packet(base, span, range, access)
            }
            Region::Memory { size, .. } => base.within(span, i64::from(size)),
            Region::Slice(slice) => check_slice(base, slice, span, access),
            Region::MapKey { map } => self.check_key(base, map, span, access),
            Region::Socket { kind, .. } if access == Access::Read => {
                let context = kind.fields();
                self.field(base, span, (access, size), context).map(|_| ())
            }
            Region::Socket { .. } | Region::Kernel { .. } => Err(base.refuse("writing")),
            _ => Err(base.refuse("memory access")),
        }
    }

    /// The key that a callback gets may be read.
    pub(crate) fn check_key(
        &self,
        base: &Base,
        map: MapId,
        span: Span,
        access: Access,
    ) -> Result<(), Reason> {
        if access == Access::Write {
            return Err(Reason::ReadOnly {
                reg: base.reg,
                found: base.found(),
                what: "the key of a map element",
            });
        }
        let size = self.map(map).map_or(0, |map| map.key_size);
        base.within(span, i64::from(size))
    }

    /// The proven range counts from the pointer without its known offset.
    pub(crate) fn check_packet(
        &self,
        base: &Base,
        span: Span,
        range: u32,
        access: Access,
    ) -> Result<(), Reason> {
        if access == Access::Write && !self.env.program.program_type.packet_writable {
            return Err(Reason::ReadOnly {
                reg: base.reg,
                found: base.found(),
                what: "the packet in this program type",
            });
        }
        let var = &base.pointer.var;
        // A variable part that may be negative could lead before the packet.
        let low = span
            .low
            .saturating_sub(var.smin())
            .saturating_add(var.smin().min(0));
        let high = span.high.saturating_sub(var.smax());
        let span = Span { low, high, ..span };
        base.bounds(span, 0, i64::from(range))
            .map_err(Reason::PacketBounds)
    }

    pub(crate) fn check_map_value(
        &self,
        base: &Base,
        map: MapId,
        span: Span,
        access: Access,
    ) -> Result<(), Reason> {
        let Some(definition) = self.map(map) else {
            return Err(base.refuse("memory access"));
        };
        base.bounds(span, 0, i64::from(definition.value_size))
            .map_err(Reason::MapValueBounds)?;
        let found = map_use::found(self.env.object.platform, definition);
        let platform = self.env.object.platform;
        if access == Access::Read && map_use::is_write_only(platform, definition) {
            return Err(base.refuse("reading"));
        }
        let is_read_only = map_use::is_read_only(platform, definition);
        if access == Access::Write && (is_read_only || found != Found::Value) {
            return Err(Reason::ReadOnly {
                reg: base.reg,
                found: base.found(),
                what: "the map",
            });
        }
        let overlaps = |start: Option<u32>, bytes: i64| {
            start.is_some_and(|start| {
                span.low < i64::from(start) + bytes && span.high > i64::from(start)
            })
        };
        if overlaps(definition.spin_lock, SPIN_LOCK_BYTES)
            || overlaps(definition.timer, TIMER_BYTES)
        {
            return Err(base.refuse("direct access to a lock or timer"));
        }
        let reserved = &definition.reserved;
        if reserved.iter().any(|part| {
            overlaps(
                Some(part.start),
                i64::from(part.end.saturating_sub(part.start)),
            )
        }) {
            return Err(base.refuse("access to what is the kernel's alone in the map value"));
        }
        Ok(())
    }

    /// What a load from a read-only section can find: one constant, or any of a table.
    fn constant(&self, base: &Base, map: MapId, span: Span) -> Option<Scalar> {
        let low = usize::try_from(span.low).ok()?;
        let high = usize::try_from(span.high).ok()?;
        let bytes = self.env.object.constants(map)?.known(low..high)?;
        let size = usize::try_from(span.size).ok()?;
        let mut words = bytes.windows(size).step_by(stride(&base.pointer.var));
        if words.len() > limits::CONSTANTS {
            return None;
        }
        let first = word(words.next()?)?;
        Some(
            words
                .filter_map(word)
                .fold(first, |all, one| all.join(&one)),
        )
    }

    fn field(
        &self,
        base: &Base,
        span: Span,
        (access, size): (Access, Size),
        context: &'static Context,
    ) -> Result<&'static abi::Field, Reason> {
        let offset = span.exact.then_some(span.low);
        let at = offset.and_then(|offset| u32::try_from(offset).ok());
        let field = at.and_then(|at| context.field_at(at));
        if let (Some(field), Some(at)) = (field, at)
            && match access {
                Access::Read => field.admits(at, size.bytes()),
                Access::Write => field.admits_store(at, size.bytes()),
            }
        {
            return Ok(field);
        }
        Err(Reason::ContextAccess {
            reg: base.reg,
            found: base.found(),
            offset,
            size: size.bytes(),
            context: context.name,
            field: field.map(|field| field.name),
        })
    }

    fn load_context(
        &mut self,
        base: &Base,
        span: Span,
        (size, signed): (Size, bool),
    ) -> Result<Value, Reason> {
        let program = self.env.program;
        if let Some(arguments) = &program.arguments {
            return self.load_argument(base, arguments, span, (size, signed));
        }
        let access = (Access::Read, size);
        let field = self.field(base, span, access, program.program_type.context)?;
        let reference = 0;
        let region = match field.kind {
            FieldKind::Memory(size) => Region::Memory { size, reference },
            FieldKind::Scalar => return Ok(Value::number(Scalar::load_result(size, signed))),
            FieldKind::PacketData => Region::Packet { id: 0, range: 0 },
            FieldKind::PacketMeta => Region::PacketMeta { id: 0, range: 0 },
            FieldKind::PacketEnd => Region::PacketEnd,
            FieldKind::Socket(kind) | FieldKind::SocketOrNull(kind) => {
                Region::Socket { kind, reference }
            }
        };
        if signed {
            return Err(base.refuse("a sign-extending load of a pointer"));
        }
        // Read twice, it is the same, but that is not known here.
        let null = match field.kind {
            FieldKind::SocketOrNull(_) => self.fresh(),
            _ => 0,
        };
        Ok(Value::Pointer(Pointer {
            null,
            ..Pointer::to(region)
        }))
    }

    fn store_context(&self, base: &Base, span: Span, size: Size) -> Result<(), Reason> {
        let program = self.env.program;
        let access = (Access::Write, size);
        let field = self.field(base, span, access, program.program_type.context)?;
        if field.is_writable_at(program.attach_type) {
            return Ok(());
        }
        Err(Reason::ReadOnly {
            reg: base.reg,
            found: base.found(),
            what: field.name,
        })
    }

    /// Checks that a span lies in the frame and notes how deep it reaches. What is done to the
    /// bytes must be noted on the trail by the caller.
    pub(crate) fn check_stack(&mut self, base: &Base, frame: u8, span: Span) -> Result<(), Reason> {
        let bytes = i64::from(abi::limits::STACK_BYTES);
        base.bounds(span, -bytes, 0).map_err(Reason::StackBounds)?;
        let Some(function) = self.state.frame(frame).map(|frame| frame.function) else {
            return Err(base.refuse("memory access"));
        };
        self.facts
            .use_stack(function, span.low.unsigned_abs() as u32);
        Ok(())
    }

    fn load_stack(
        &mut self,
        base: &Base,
        frame: u8,
        span: Span,
        size: Size,
    ) -> Result<Value, Reason> {
        self.check_stack(base, frame, span)?;
        self.no_dynptr((base, frame), span, "its bytes are read")?;
        let Some(stack) = self.state.frame(frame).map(|frame| &frame.stack) else {
            return Err(base.refuse("reading"));
        };
        let fault = |fault| stack_fault(base, fault);
        if span.exact {
            return stack.read(span.low, size.bytes()).map_err(fault);
        }
        stack.readable(span.low, span.high).map_err(fault)?;
        if stack.is_zero(span.low, span.high) {
            return Ok(Value::constant(0));
        }
        let found = any_number(stack, &base.pointer.var, span, size);
        let found = found.unwrap_or(Scalar::load_result(size, false));
        Ok(Value::number(found))
    }

    fn store_stack(
        &mut self,
        base: &Base,
        frame: u8,
        span: Span,
        (size, from, value): (Size, Reg, Value),
    ) -> Result<(), Reason> {
        self.check_stack(base, frame, span)?;
        if let Some(pointer) = value.pointer() {
            let whole = size == Size::Dw && span.exact && span.low.rem_euclid(8) == 0;
            if !whole {
                let offset = span.low;
                return Err(Reason::StackPointer { reg: from, offset });
            }
            // The frame that is pointed to must outlive the place that points to it.
            if matches!(pointer.region, Region::Stack { frame: to } if to > frame) {
                let into = "in the frame of the caller, which outlives it";
                return Err(Reason::Leak {
                    reg: from,
                    found: value,
                    into,
                });
            }
        }
        self.overwrite_dynptrs((base, frame), span)?;
        let value = self.link(from, value)?;
        self.trail.note(Effect::Store {
            depth: self.state.depth() as u8,
            // Of an immediate nothing is needed; then `from` is the base, which is needed anyway.
            src: from,
            to: Bytes::new(frame, span.low, span.high),
            surely: span.exact,
        });
        let Some(frame) = self.state.frame_mut(frame) else {
            return Err(base.refuse("writing"));
        };
        if span.exact {
            frame.stack.write(span.low, size.bytes(), &value);
        } else {
            let byte = if value.is_zero() {
                Byte::Zero
            } else {
                Byte::Written
            };
            frame.stack.weaken(span.low, span.high, byte);
        }
        Ok(())
    }

    /// Atomic read-modify-write.
    pub(crate) fn atomic(&mut self, insn: &Insn) -> Result<(), Reason> {
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
        let operand = self.read(src)?;
        self.number_operand(src, operand)?;
        if op == AtomicOp::CmpXchg {
            let expected = self.read(Reg::R0)?;
            self.number_operand(Reg::R0, expected)?;
        }
        let base = self.base(base)?;
        let span = base.span(offset, i64::from(size.bytes()));
        let found = match op {
            AtomicOp::CmpXchg => Some(Reg::R0),
            _ => fetch.then_some(src),
        };
        let old = self.check_atomic(&base, span, (offset, size), found)?;
        self.note_access(&base.pointer, offset, span);
        found.map_or(Ok(()), |reg| self.set(reg, old))
    }

    /// Addresses never take part in atomic operations, whatever the program type.
    fn number_operand(&self, reg: Reg, found: Value) -> Result<(), Reason> {
        match found.pointer() {
            Some(_) => Err(Reason::Leak {
                reg,
                found,
                into: "by an atomic operation",
            }),
            None => Ok(()),
        }
    }

    /// What the memory held, which a register may get.
    fn check_atomic(
        &mut self,
        base: &Base,
        span: Span,
        (offset, size): (i16, Size),
        found: Option<Reg>,
    ) -> Result<Value, Reason> {
        let unknown = Value::number(Scalar::load_result(size, false));
        if !matches!(size, Size::W | Size::Dw) {
            return Err(not_atomic(base, "only 32 and 64 bits are possible"));
        }
        check_aligned(base, (offset, size))?;
        match base.pointer.region {
            Region::Stack { frame: index } => {
                self.check_stack(base, index, span)?;
                self.no_dynptr((base, index), span, "its bytes are changed")?;
                self.atomic_on_stack(base, (index, span), (size, found))
            }
            Region::MapValue { map, .. } => {
                self.check_map_value(base, map, span, Access::Write)?;
                Ok(unknown)
            }
            Region::Memory { .. } | Region::Slice(_) => {
                self.check_plain(base, span, Access::Write, size)?;
                Ok(unknown)
            }
            _ => Err(not_atomic(base, NOT_SHARED)),
        }
    }

    /// The stack is nobody else's, so what it held is known.
    fn atomic_on_stack(
        &mut self,
        base: &Base,
        (index, span): (u8, Span),
        (size, found): (Size, Option<Reg>),
    ) -> Result<Value, Reason> {
        let depth = self.state.depth() as u8;
        let Some(frame) = self.state.frame_mut(index) else {
            return Err(base.refuse("writing"));
        };
        let fault = |fault| stack_fault(base, fault);
        let stack = &mut frame.stack;
        stack.readable(span.low, span.high).map_err(fault)?;
        let old = match span.exact {
            true => stack.read(span.low, size.bytes()).map_err(fault)?,
            false => Value::number(Scalar::load_result(size, false)),
        };
        stack.fill(span.low, span.high, Byte::Written);
        let bytes = Bytes::new(index, span.low, span.high);
        self.trail.note(Effect::Read(bytes));
        if let Some(dst) = found {
            let from = bytes;
            self.trail.note(Effect::Load { depth, dst, from });
        }
        self.trail.note(Effect::Overwrite(bytes));
        Ok(old)
    }

    /// Memory that an acquire load or a release store is for; bounds are checked by the access.
    pub(crate) fn check_ordered(
        &self,
        base: Reg,
        (offset, size): (i16, Size),
    ) -> Result<(), Reason> {
        let base = self.base(base)?;
        check_aligned(&base, (offset, size))?;
        match base.pointer.region {
            Region::Stack { .. } | Region::MapValue { .. } | Region::Memory { .. } => Ok(()),
            _ => Err(not_atomic(&base, NOT_SHARED)),
        }
    }
}

const NOT_SHARED: &str = "this memory is not shared with other processors";

fn not_atomic(base: &Base, what: &'static str) -> Reason {
    Reason::Atomic {
        reg: base.reg,
        found: base.found(),
        what,
    }
}

fn check_aligned(base: &Base, (offset, size): (i16, Size)) -> Result<(), Reason> {
    let fixed = i64::from(base.pointer.fixed) + i64::from(offset);
    let bytes = i64::from(size.bytes());
    match fixed.rem_euclid(bytes) == 0 && base.pointer.var.is_multiple_of(bytes as u64) {
        true => Ok(()),
        false => Err(not_atomic(base, "the address is not aligned")),
    }
}

/// Bytes of `struct bpf_spin_lock`.
const SPIN_LOCK_BYTES: i64 = 4;
/// Bytes of `struct bpf_timer`.
const TIMER_BYTES: i64 = 16;

/// Stack bytes that cannot be used, as a reason.
pub(crate) fn stack_fault(base: &Base, fault: Fault) -> Reason {
    let reg = base.reg;
    match fault {
        Fault::Unwritten(offset) => Reason::StackUninitialised { reg, offset },
        Fault::Pointer(offset) => Reason::StackPointer { reg, offset },
    }
}

/// What a load at a variable offset can find: the number at any of its places; `None` where there are
/// too many of them.
fn any_number(stack: &Stack, var: &Scalar, span: Span, size: Size) -> Option<Scalar> {
    let last = span.high.checked_sub(span.size)?;
    let mut places = (span.low..=last).step_by(stride(var));
    if places.size_hint().0 > limits::STACK_PLACES {
        return None;
    }
    let number = |place| stack.read(place, size.bytes()).ok()?.scalar().copied();
    let first = number(places.next()?)?;
    places.try_fold(first, |all, place| Some(all.join(&number(place)?)))
}

/// Offsets from the smallest one are multiples of this, because both ends are.
fn stride(var: &Scalar) -> usize {
    let stride = 1_usize << var.bits().trailing_zeros().min(12);
    match (var.smin() as usize).is_multiple_of(stride) {
        true => stride,
        false => 1,
    }
}

/// Up to eight bytes in the order of memory as a number.
fn word(bytes: &[u8]) -> Option<Scalar> {
    let mut word = [0u8; 8];
    word.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(Scalar::constant(u64::from_le_bytes(word)))
}

/// Sign-extends what was loaded, when the instruction says so.
fn extend(value: Value, (size, signed): (Size, bool)) -> Value {
    match (signed, value.scalar()) {
        (true, Some(scalar)) => Value::number(scalar.sign_extend(isa::Width::W64, size.bits())),
        _ => value,
    }
}

/// The bytes of an access, as a fact; none for packet metadata, whose start is not the packet's, and
/// for slices, which start anywhere.
fn extent(pointer: &Pointer, offset: i16, span: Span) -> Option<Extent> {
    if matches!(pointer.region, Region::PacketMeta { .. } | Region::Slice(_)) {
        return None;
    }
    let fixed = i64::from(pointer.fixed).wrapping_add(i64::from(offset));
    let is_aligned = |align: &u8| {
        let align = u64::from(*align);
        fixed as u64 & align.wrapping_sub(1) == 0 && pointer.var.is_multiple_of(align)
    };
    Some(Extent {
        low: i32::try_from(span.low).ok()?,
        high: i32::try_from(span.high).ok()?,
        align: [8, 4, 2].into_iter().find(is_aligned).unwrap_or(1),
    })
}

fn memory_kind(pointer: &Pointer) -> Option<Memory> {
    Some(match pointer.region {
        Region::Context => Memory::Context,
        Region::Stack { .. } => Memory::Stack,
        Region::Packet { .. } | Region::PacketMeta { .. } => Memory::Packet,
        Region::MapValue { .. } => Memory::MapValue,
        // Memory that a global function was given can be any, and so can a slice.
        Region::Memory { reference: 0, .. } | Region::Slice(_) => return None,
        _ => Memory::Other,
    })
}
