//! Dynamic pointers: sixteen cells of a stack name the object, and nothing else may be made of them.

use super::call::Arguments;
use super::memory::Access;
use super::step::start;
use super::{Address, Cell, Fault, Kind, Machine, NOT_MODELLED, ObjectId, Word};
use abi::{ArgKind, DynptrKind, Helper, ReturnKind};
use isa::Reg;

/// Bytes of a dynamic pointer.
const BYTES: u8 = 16;

impl Machine<'_, '_> {
    pub(super) fn dynptr_argument(
        &self,
        kind: ArgKind,
        word: Word,
        arguments: &mut Arguments,
    ) -> Result<(), Fault> {
        let Word::Pointer(address) = word else {
            return Err("passes a number for a dynamic pointer");
        };
        let made = match kind {
            ArgKind::DynptrOut(kind) => Some(kind),
            ArgKind::DynptrCopy => None,
            _ => {
                let used = self.used_dynptr(kind, address)?;
                arguments.dynptr.get_or_insert(used);
                return Ok(());
            }
        };
        self.dynptr_cells(address)?;
        arguments.makes = Some((made, address));
        Ok(())
    }

    fn used_dynptr(&self, kind: ArgKind, address: Address) -> Result<ObjectId, Fault> {
        let dynptr = match self.object(address.object).kind {
            Kind::Dynptr(_) if kind == ArgKind::Dynptr && address.offset == 0 => address.object,
            _ => self.whole_dynptr(self.dynptr_cells(address)?)?,
        };
        let object = self.object(dynptr);
        let Kind::Dynptr(is) = object.kind else {
            return Err(NOT_MODELLED);
        };
        if !object.alive {
            return Err("uses a dynamic pointer that is gone");
        }
        if kind == ArgKind::DynptrRecord && is != DynptrKind::Record {
            return Err("submits what is no record");
        }
        Ok(dynptr)
    }

    /// The cells of a stack where a dynamic pointer is, or can be.
    fn dynptr_cells(&self, address: Address) -> Result<&[Cell], Fault> {
        let object = self.object(address.object);
        if object.kind != Kind::Stack || !object.alive || address.offset % 8 != 0 {
            return Err("passes a wrong place for a dynamic pointer");
        }
        let start =
            usize::try_from(address.offset - object.base).map_err(|_| "leaves the stack")?;
        let cells = object.cells.get(start..start + usize::from(BYTES));
        cells.ok_or("leaves the stack")
    }

    fn whole_dynptr(&self, cells: &[Cell]) -> Result<ObjectId, Fault> {
        let Some(Cell::Dynptr { dynptr, .. }) = cells.first().copied() else {
            return Err("uses a dynamic pointer that was never made");
        };
        let whole = (0..)
            .zip(cells)
            .all(|(index, cell)| *cell == Cell::Dynptr { dynptr, index });
        whole
            .then_some(dynptr)
            .ok_or("uses a part of a dynamic pointer")
    }

    /// The dynamic pointer whose half some cells are, with its offset in there.
    pub(super) fn half_of_dynptr(&self, cells: &[Cell]) -> Option<Word> {
        let Some(Cell::Dynptr { dynptr, index }) = cells.first().copied() else {
            return None;
        };
        let is_half = cells.len() == 8
            && (index..)
                .zip(cells)
                .all(|(index, cell)| *cell == Cell::Dynptr { dynptr, index });
        is_half.then_some(Word::Pointer(Address {
            object: dynptr,
            offset: index.into(),
        }))
    }

    pub(super) fn make_dynptr(&mut self, arguments: &Arguments) -> Result<(), Fault> {
        let Some((kind, address)) = arguments.makes else {
            return Ok(());
        };
        let (kind, of) = match (kind, arguments.dynptr) {
            (Some(DynptrKind::Record), _) => {
                let record = self.add(Kind::Memory, 0, 0);
                self.object_mut(record).held = true;
                (Kind::Dynptr(DynptrKind::Record), Some(record))
            }
            (Some(kind), _) => (Kind::Dynptr(kind), None),
            (None, Some(copied)) => (self.object(copied).kind, self.object(copied).of),
            (None, None) => return Err(NOT_MODELLED),
        };
        let dynptr = self.add(kind, 0, 0);
        self.object_mut(dynptr).of = of;
        let object = self.object_mut(address.object);
        let start =
            usize::try_from(address.offset - object.base).map_err(|_| "leaves the stack")?;
        for (cell, index) in object.cells[start..].iter_mut().zip(0..BYTES) {
            *cell = Cell::Dynptr { dynptr, index };
        }
        Ok(())
    }

    /// Memory that a dynamic pointer describes. It goes with the record, or with the packet; what
    /// lies scattered in a packet is copied to the buffer instead.
    pub(super) fn slice(&mut self, helper: &Helper, arguments: &Arguments) -> Result<Word, Fault> {
        let dynptr = arguments.dynptr.ok_or(NOT_MODELLED)?;
        let Kind::Dynptr(kind) = self.object(dynptr).kind else {
            return Err(NOT_MODELLED);
        };
        let is_local = matches!(kind, DynptrKind::Record | DynptrKind::Local);
        if let Some(buffer) = arguments.buffer
            && !is_local
            && self.random.below(2) == 0
        {
            let word = Word::Pointer(buffer);
            self.helper_memory(word, arguments.alloc_size, Access::Write)?;
            return Ok(word);
        }
        let slice = Kind::Slice {
            dynptr,
            writable: helper.ret == ReturnKind::SliceOrNull,
        };
        let slice = self.add(slice, 0, arguments.alloc_size);
        self.object_mut(slice).of = match is_local {
            true => self.object(dynptr).of,
            false => Some(self.packet),
        };
        Ok(start(slice))
    }

    /// Memory that a slice may be: the program must be able to write it.
    pub(super) fn buffer_argument(
        &mut self,
        reg: Reg,
        word: Word,
        arguments: &mut Arguments,
    ) -> Result<(), Fault> {
        let next = Reg::new(reg.number() + 1).ok_or(NOT_MODELLED)?;
        let size = i64::try_from(self.number_in(next)?).map_err(|_| "gives a wrong size")?;
        let Word::Pointer(pointer) = word else {
            return Err("passes a number for a buffer");
        };
        match self.object(pointer.object).kind {
            Kind::Stack => {
                self.no_dynptr_in(pointer, size)?;
                arguments.buffer = Some(pointer);
                Ok(())
            }
            // It holds what others write anyway.
            Kind::MapValue(_) => self.helper_memory(word, size, Access::Write),
            _ => Err("gives a buffer that may be gone before the slice is"),
        }
    }

    fn no_dynptr_in(&self, address: Address, size: i64) -> Result<(), Fault> {
        let object = self.object(address.object);
        let from = usize::try_from(address.offset - object.base).map_err(|_| "leaves the stack")?;
        let bytes = usize::try_from(size).map_err(|_| "gives a wrong size")?;
        let cells = object.cells.get(from..from.saturating_add(bytes));
        let mut cells = (from..).zip(cells.ok_or("leaves the stack")?);
        let is_part = cells.any(|(at, cell)| match cell {
            Cell::Dynptr { dynptr, index } => {
                let start = at.checked_sub(usize::from(*index));
                let start = start.and_then(|start| object.cells.get(start..));
                // What is left of one that was overwritten or released cannot be used any more.
                let whole = start.and_then(|cells| cells.get(..usize::from(BYTES)));
                let whole = whole.and_then(|cells| self.whole_dynptr(cells).ok());
                whole == Some(*dynptr) && self.object(*dynptr).alive
            }
            _ => false,
        });
        (!is_part).then_some(()).ok_or("lends a dynamic pointer")
    }

    /// Programs may ask whether a slice is its buffer; here it is not.
    pub(super) fn is_slice_and_stack(&self, a: Address, b: Address) -> bool {
        let kinds = [a, b].map(|address| self.object(address.object).kind);
        matches!(
            kinds,
            [Kind::Slice { .. }, Kind::Stack] | [Kind::Stack, Kind::Slice { .. }]
        )
    }

    pub(super) fn writes_packet(&self, helper: &Helper, arguments: &Arguments) -> bool {
        let kind = arguments.dynptr.map(|dynptr| self.object(dynptr).kind);
        helper.writes_dynptr() && matches!(kind, Some(Kind::Dynptr(DynptrKind::Skb)))
    }

    /// Only the values of maps outlive every dynamic pointer.
    pub(super) fn in_map_value(&self, word: Word) -> Result<(), Fault> {
        match word {
            Word::Pointer(pointer)
                if matches!(self.object(pointer.object).kind, Kind::MapValue(_)) =>
            {
                Ok(())
            }
            _ => Err("makes a dynamic pointer to memory that may go"),
        }
    }
}
