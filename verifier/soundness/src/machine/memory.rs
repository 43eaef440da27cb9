//! Memory: which bytes may be touched, and what they hold.

use super::{Address, Cell, Fault, Kind, MAX_OBJECTS, Machine, NOT_MODELLED, ObjectId, Word};
use abi::FieldKind;
use isa::{AtomicOp, Insn, InsnIdx, Operand, Reg, Size, semantics};
use program::MapId;

/// What a helper does with memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Bytes of an access in an object, by offset from the object's first byte.
#[derive(Clone, Copy)]
struct Place {
    object: ObjectId,
    start: usize,
    bytes: usize,
}

impl Machine<'_, '_> {
    /// The map itself.
    pub(super) fn map(&mut self, map: MapId) -> ObjectId {
        if let Some(known) = self.maps.get(&map) {
            return *known;
        }
        let object = self.add(Kind::Map { map, inner: false }, 0, 0);
        self.maps.insert(map, object);
        object
    }

    /// The element of an array that the program addresses directly.
    pub(super) fn direct_value(&mut self, map: MapId) -> ObjectId {
        if let Some(known) = self.direct.get(&map) {
            return *known;
        }
        let object = self.map_value(map);
        self.direct.insert(map, object);
        object
    }

    /// An element of a map.
    pub(super) fn map_value(&mut self, map: MapId) -> ObjectId {
        let definition = self.verified.object().map(map);
        let size = definition.map_or(0, |map| i64::from(map.value_size));
        let constants = self.constants(map);
        let object = self.add(Kind::MapValue(map), 0, size);
        self.object_mut(object).cells = constants;
        object
    }

    /// The contents of a map that never changes.
    fn constants(&mut self, map: MapId) -> Vec<Cell> {
        let Some(section) = self.verified.object().constants(map) else {
            return Vec::new();
        };
        let byte = |at| match section.known(at..at + 1) {
            Some(known) => known[0],
            // The system that runs the program has something there.
            None => self.number() as u8,
        };
        let bytes = 0..section.data.len();
        bytes.map(byte).map(Cell::Byte).collect()
    }

    /// The bytes of an access; the object must be alive and large enough.
    fn place(&self, address: Word, offset: i64, bytes: i64) -> Result<Place, Fault> {
        let Word::Pointer(pointer) = address else {
            return Err("follows a number");
        };
        let object = self.object(pointer.object);
        if !object.alive {
            return Err("follows a pointer to something that is gone");
        }
        let start = pointer
            .offset
            .checked_add(offset)
            .and_then(|at| at.checked_sub(object.base))
            .ok_or("leaves the object")?;
        if start < 0 || bytes < 0 || start.saturating_add(bytes) > object.size {
            return Err("leaves the object");
        }
        Ok(Place {
            object: pointer.object,
            start: start as usize,
            bytes: bytes as usize,
        })
    }

    pub(super) fn load_insn(&mut self, at: InsnIdx, insn: Insn) -> Result<(), Fault> {
        let Insn::Load {
            size,
            signed,
            dst,
            base,
            offset,
        } = insn
        else {
            return Err(NOT_MODELLED);
        };
        let address = self.get(base)?;
        let word = match self.load(address, i64::from(offset), size)? {
            Word::Number(raw) => Word::Number(semantics::load_extend(size, signed, raw)),
            _ if signed => return Err("sign-extends a pointer"),
            word => word,
        };
        self.check_access(at, address, (offset, size))?;
        self.set(dst, word)
    }

    pub(super) fn store_insn(&mut self, at: InsnIdx, insn: Insn) -> Result<(), Fault> {
        let Insn::Store {
            size,
            base,
            offset,
            src,
        } = insn
        else {
            return Err(NOT_MODELLED);
        };
        let word = match src {
            Operand::Reg(reg) => self.get(reg)?,
            Operand::Imm(imm) => Word::Number(semantics::imm(imm)),
        };
        let address = self.get(base)?;
        self.store(address, i64::from(offset), size, word)?;
        self.check_access(at, address, (offset, size))
    }

    fn load(&mut self, address: Word, offset: i64, size: Size) -> Result<Word, Fault> {
        if let Some(word) = self.load_kernel(address, offset, size)? {
            return Ok(word);
        }
        let place = self.place(address, offset, i64::from(size.bytes()))?;
        match self.object(place.object).kind {
            Kind::Stack => return self.load_stack(place),
            Kind::Context => return self.load_context(place, size),
            Kind::Socket(kind) => field(kind.fields(), place).map(drop)?,
            Kind::MapValue(map) => {
                self.not_special(map, place)?;
                let cells = &self.object(place.object).cells;
                if let Some(cells) = cells.get(place.start..place.start + place.bytes) {
                    return number(cells);
                }
            }
            Kind::Packet { .. } | Kind::Memory | Kind::Slice { .. } | Kind::Key(_) => {}
            Kind::Map { .. } | Kind::Kernel { .. } | Kind::Function(_) | Kind::Dynptr(_) => {
                return Err("looks into an object of the kernel");
            }
        }
        let value = self.number();
        Ok(Word::Number(semantics::truncate(size, value)))
    }

    /// Locks and timers are for their helpers alone.
    fn not_special(&self, map: MapId, place: Place) -> Result<(), Fault> {
        let Some(map) = self.verified.object().map(map) else {
            return Err("follows a pointer into a map that does not exist");
        };
        let overlaps = |at: Option<u32>, size: usize| {
            at.is_some_and(|at| {
                place.start < at as usize + size && place.start + place.bytes > at as usize
            })
        };
        if overlaps(map.spin_lock, 4) || overlaps(map.timer, 16) {
            return Err("touches a lock or timer");
        }
        let mut reserved = map.reserved.iter();
        if reserved.any(|part| overlaps(Some(part.start), part.len())) {
            return Err("touches what is the kernel's alone");
        }
        Ok(())
    }

    fn load_stack(&self, place: Place) -> Result<Word, Fault> {
        let cells = &self.object(place.object).cells[place.start..place.start + place.bytes];
        if let Some(word) = self.stored_pointer(cells) {
            return Ok(word);
        }
        number(cells)
    }

    /// The pointer that is stored whole in eight cells.
    fn stored_pointer(&self, cells: &[Cell]) -> Option<Word> {
        let Some(Cell::Part { stored, index: 0 }) = cells.first() else {
            return None;
        };
        let whole = cells.len() == 8
            && (0u8..).zip(cells).all(|(index, cell)| {
                let stored = *stored;
                *cell == Cell::Part { stored, index }
            });
        whole.then(|| self.stored[*stored as usize])
    }

    /// What some bytes of a stack frame hold: nothing when they cannot be read as one word.
    pub(crate) fn stack_word(&self, stack: ObjectId, offset: i64, bytes: usize) -> Word {
        let object = self.object(stack);
        let start = usize::try_from(offset.saturating_sub(object.base)).unwrap_or(usize::MAX);
        let Some(cells) = object.cells.get(start..start.saturating_add(bytes)) else {
            return Word::Nothing;
        };
        let stored = self.stored_pointer(cells);
        let stored = stored.or_else(|| self.half_of_dynptr(cells));
        stored.unwrap_or_else(|| number(cells).unwrap_or(Word::Nothing))
    }

    fn load_context(&mut self, place: Place, size: Size) -> Result<Word, Fault> {
        if let Some(arguments) = &self.verified.program().arguments {
            return self.argument_of_kernel(arguments, (place.start, size));
        }
        let context = self.verified.program().program_type.context;
        let field = field(context, place)?;
        let packet = self.object(self.packet);
        let Kind::Packet { end } = packet.kind else {
            return Err("there is no packet");
        };
        let offset = match field.kind {
            FieldKind::Scalar => {
                let value = self.number();
                return Ok(Word::Number(semantics::truncate(size, value)));
            }
            FieldKind::PacketData => 0,
            FieldKind::PacketEnd => end,
            FieldKind::PacketMeta => packet.base,
            FieldKind::SocketOrNull(_) if self.random.below(3) == 0 => return Ok(Word::Number(0)),
            _ if self.objects.len() > MAX_OBJECTS => return Err(NOT_MODELLED),
            FieldKind::Socket(kind) | FieldKind::SocketOrNull(kind) => {
                let object = self.add(Kind::Socket(kind), 0, i64::from(kind.fields().size));
                return Ok(Word::Pointer(Address { object, offset: 0 }));
            }
            FieldKind::Memory(size) => {
                let object = self.add(Kind::Memory, 0, i64::from(size));
                return Ok(Word::Pointer(Address { object, offset: 0 }));
            }
        };
        if usize::from(field.size) != place.bytes {
            return Err("reads part of a pointer in the context");
        }
        Ok(Word::Pointer(Address {
            object: self.packet,
            offset,
        }))
    }

    fn store(&mut self, address: Word, offset: i64, size: Size, word: Word) -> Result<(), Fault> {
        let place = self.place(address, offset, i64::from(size.bytes()))?;
        let kind = self.object(place.object).kind;
        if matches!(word, Word::Pointer(_)) && kind != Kind::Stack && !self.may_leak() {
            return Err("stores a pointer where others see it");
        }
        match (kind, word) {
            (_, Word::Nothing) => return Err("stores nothing"),
            (Kind::Stack, Word::Pointer(_)) => return self.store_pointer(place, word),
            (Kind::Context, _) => self.context_writable(place)?,
            (Kind::MapValue(map), _) => self.map_writable(map, place)?,
            (Kind::Packet { .. }, _) if !self.packet_writable() => {
                return Err("writes a packet that is read-only");
            }
            (Kind::Key(_), _) => return Err("writes a key"),
            (
                Kind::Socket(_)
                | Kind::Kernel { .. }
                | Kind::Map { .. }
                | Kind::Function(_)
                | Kind::Dynptr(_),
                _,
            ) => return Err("writes an object of the kernel"),
            (
                Kind::Slice {
                    writable: false, ..
                },
                _,
            ) => return Err("writes a slice that is read-only"),
            (Kind::Stack | Kind::Packet { .. } | Kind::Memory | Kind::Slice { .. }, _) => {}
        }
        if let (Kind::Stack, Word::Number(value)) = (kind, word) {
            let cells = &mut self.object_mut(place.object).cells[place.start..];
            for (cell, byte) in cells.iter_mut().zip(value.to_le_bytes()).take(place.bytes) {
                *cell = Cell::Byte(byte);
            }
        }
        Ok(())
    }

    fn packet_writable(&self) -> bool {
        self.verified.program().program_type.packet_writable
    }

    fn store_pointer(&mut self, place: Place, word: Word) -> Result<(), Fault> {
        if place.bytes != 8 || !place.start.is_multiple_of(8) {
            return Err("stores part of a pointer");
        }
        self.stored.push(word);
        let stored = self.stored.len() as u32 - 1;
        let cells = &mut self.object_mut(place.object).cells[place.start..];
        for (cell, index) in cells.iter_mut().zip(0..8) {
            *cell = Cell::Part { stored, index };
        }
        Ok(())
    }

    fn context_writable(&self, place: Place) -> Result<(), Fault> {
        let program = self.verified.program();
        for byte in place.start..place.start + place.bytes {
            let field = program.program_type.context.field_at(byte as u32);
            let field = field.ok_or("writes between the fields of the context")?;
            if !field.is_writable_at(program.attach_type) || field.kind != FieldKind::Scalar {
                return Err("writes a field of the context that is read-only");
            }
        }
        Ok(())
    }

    /// The name of a map's type.
    pub(super) fn map_type(&self, map: MapId) -> &'static str {
        let object = self.verified.object();
        let number = object.map(map).map(|map| map.type_number);
        let row = number.and_then(|number| abi::map::by_number(object.platform, number));
        row.map_or("", |row| row.name)
    }

    fn map_writable(&self, map: MapId, place: Place) -> Result<(), Fault> {
        self.not_special(map, place)?;
        let frozen = self
            .verified
            .object()
            .map(map)
            .is_some_and(|map| map.frozen);
        if frozen || ["devmap", "devmap_hash", "xskmap"].contains(&self.map_type(map)) {
            return Err("writes a frozen map");
        }
        Ok(())
    }

    pub(super) fn atomic(&mut self, at: InsnIdx, insn: Insn) -> Result<(), Fault> {
        let Insn::Atomic {
            op,
            fetch,
            size,
            base,
            offset,
            src,
        } = insn
        else {
            return Err(NOT_MODELLED);
        };
        let operand = self.number_in(src)?;
        let expected = match op {
            AtomicOp::CmpXchg => self.number_in(Reg::R0)?,
            _ => 0,
        };
        let address = self.get(base)?;
        self.check_access(at, address, (offset, size))?;
        self.check_atomic(address, offset, size)?;
        let Word::Number(old) = self.load(address, i64::from(offset), size)? else {
            return Err("does an atomic operation on a pointer");
        };
        let new = semantics::atomic(op, size, old, operand, expected);
        self.store(address, i64::from(offset), size, Word::Number(new))?;
        match op {
            AtomicOp::CmpXchg => self.set(Reg::R0, Word::Number(old)),
            _ if fetch => self.set(src, Word::Number(old)),
            _ => Ok(()),
        }
    }

    fn check_atomic(&self, address: Word, offset: i16, size: Size) -> Result<(), Fault> {
        let Word::Pointer(pointer) = address else {
            return Err("follows a number");
        };
        let place = pointer.offset.wrapping_add(i64::from(offset));
        if place.rem_euclid(i64::from(size.bytes())) != 0 {
            return Err("does an atomic operation that is not aligned");
        }
        match self.object(pointer.object).kind {
            Kind::Stack | Kind::MapValue(_) | Kind::Memory | Kind::Slice { .. } => Ok(()),
            _ => Err("does an atomic operation on memory that is not shared"),
        }
    }

    /// Checks that a helper may write memory, and writes nothing.
    pub(super) fn helper_may_write(&mut self, word: Word, size: i64) -> Result<(), Fault> {
        if size == 0 && self.is_in_packet(word) {
            return Ok(());
        }
        let place = self.place(word, 0, size)?;
        match self.object(place.object).kind {
            Kind::Stack => Ok(()),
            _ => self.helper_memory(word, size, Access::Write),
        }
    }

    /// Memory that a helper reads or writes.
    pub(super) fn helper_memory(
        &mut self,
        word: Word,
        size: i64,
        access: Access,
    ) -> Result<(), Fault> {
        // A pointer that was moved need not be compared where nothing behind it is touched.
        if size == 0 && self.is_in_packet(word) {
            return Ok(());
        }
        let place = self.place(word, 0, size)?;
        match self.object(place.object).kind {
            Kind::Stack => return self.helper_stack(place, access),
            Kind::Packet { .. } if access == Access::Write && !self.packet_writable() => {
                return Err("lets a helper write a packet that is read-only");
            }
            Kind::Slice {
                writable: false, ..
            } if access == Access::Write => {
                return Err("lets a helper write a slice that is read-only");
            }
            Kind::Packet { .. } | Kind::Memory | Kind::Slice { .. } => {}
            Kind::Key(_) if access == Access::Read => {}
            Kind::MapValue(map) if access == Access::Write => self.map_writable(map, place)?,
            Kind::MapValue(map) => self.not_special(map, place)?,
            _ => return Err("gives a helper something that is no memory"),
        }
        Ok(())
    }

    /// Does it point to, or beyond, a packet that was not moved since?
    fn is_in_packet(&self, word: Word) -> bool {
        let Word::Pointer(pointer) = word else {
            return false;
        };
        let object = self.object(pointer.object);
        object.alive && matches!(object.kind, Kind::Packet { .. })
    }

    fn helper_stack(&mut self, place: Place, access: Access) -> Result<(), Fault> {
        for at in place.start..place.start + place.bytes {
            if access == Access::Write {
                let byte = self.random.any() as u8;
                self.object_mut(place.object).cells[at] = Cell::Byte(byte);
                continue;
            }
            match self.object(place.object).cells[at] {
                Cell::Byte(_) => {}
                Cell::Nothing => return Err("lets a helper read bytes that were never written"),
                Cell::Part { .. } if self.may_leak() => {}
                Cell::Part { .. } => return Err("lets a helper read a pointer"),
                Cell::Dynptr { .. } => return Err("lets a helper read a dynamic pointer"),
            }
        }
        Ok(())
    }
}

/// The field of a context or socket in which an access lies.
fn field(context: &'static abi::Context, place: Place) -> Result<&'static abi::Field, Fault> {
    let first = context.field_at(place.start as u32);
    let first = first.ok_or("reads between the fields of a structure")?;
    let mut end = usize::from(first.offset) + usize::from(first.size);
    if place.start == usize::from(first.offset) {
        end += usize::from(first.zeros);
    }
    if place.start + place.bytes > end {
        return Err("reads across fields of a structure");
    }
    Ok(first)
}

fn number(cells: &[Cell]) -> Result<Word, Fault> {
    let mut raw = [0u8; 8];
    for (byte, cell) in raw.iter_mut().zip(cells) {
        match cell {
            Cell::Byte(value) => *byte = *value,
            Cell::Nothing => return Err("reads a byte that was never written"),
            Cell::Part { .. } => return Err("reads part of a pointer"),
            Cell::Dynptr { .. } => return Err("reads part of a dynamic pointer"),
        }
    }
    Ok(Word::Number(u64::from_le_bytes(raw)))
}
