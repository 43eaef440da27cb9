//! Dynamic pointers: sixteen cells of a stack name the object, and nothing else may be made of them.

use super::call::Arguments;
use super::{Address, Cell, Fault, Kind, Machine, NOT_MODELLED, ObjectId, Word};
use abi::{ArgKind, DynptrKind, Helper};

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
        if let ArgKind::DynptrOut(kind) = kind {
            self.dynptr_cells(address)?;
            arguments.makes = Some((kind, address));
            return Ok(());
        }
        arguments.dynptr = Some(self.used_dynptr(kind, address)?);
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
        let dynptr = self.add(Kind::Dynptr(kind), 0, 0);
        if kind == DynptrKind::Record {
            let record = self.add(Kind::Memory, 0, 0);
            self.object_mut(record).held = true;
            self.object_mut(dynptr).of = Some(record);
        }
        let object = self.object_mut(address.object);
        let start =
            usize::try_from(address.offset - object.base).map_err(|_| "leaves the stack")?;
        for (cell, index) in object.cells[start..].iter_mut().zip(0..BYTES) {
            *cell = Cell::Dynptr { dynptr, index };
        }
        Ok(())
    }

    /// Memory that a dynamic pointer describes. It goes with the record, or with the packet.
    pub(super) fn slice(&mut self, dynptr: Option<ObjectId>, size: i64) -> Result<ObjectId, Fault> {
        let dynptr = dynptr.ok_or(NOT_MODELLED)?;
        let Kind::Dynptr(kind) = self.object(dynptr).kind else {
            return Err(NOT_MODELLED);
        };
        let slice = Kind::Slice {
            dynptr,
            writable: true,
        };
        let slice = self.add(slice, 0, size);
        let of = match kind {
            DynptrKind::Record | DynptrKind::Local => self.object(dynptr).of,
            DynptrKind::Skb | DynptrKind::Xdp | DynptrKind::Any => Some(self.packet),
        };
        self.object_mut(slice).of = of;
        Ok(slice)
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
