//! Reading fields, strings and arrays of one metadata item, with errors that name the field.

use super::{Error, Item, ModuleMemory, Problem};
use crate::Status;
use abi::{
    Guid,
    limits::NAME_BYTES,
    native::{HEADER_VERSION, Header},
};
use alloc::{string::String, vec::Vec};
use core::mem::offset_of;

/// Largest step from one array element to the next that is believed.
const MAX_STRIDE: u64 = 1024;
/// Most elements of one array.
const MAX_COUNT: u64 = 65_536;

/// Reads one item at an address.
pub(crate) struct Reader<'a> {
    pub(crate) memory: &'a dyn ModuleMemory,
    pub(crate) base: u64,
    pub(crate) item: Item,
}

/// An address and a count that a getter gave.
#[derive(Clone, Copy, Default, Debug)]
pub struct Array {
    /// Address of the first element.
    pub address: u64,
    /// Number of elements.
    pub count: u64,
}

impl<'a> Reader<'a> {
    pub(crate) fn fail<T>(&self, problem: Problem) -> Result<T, Error> {
        Err(Error::new(self.item.clone(), problem))
    }

    pub(crate) fn no_memory(&self) -> Error {
        Error::new(self.item.clone(), Problem::Status(Status::NoMemory))
    }

    fn bytes<const N: usize>(&self, offset: usize, field: &'static str) -> Result<[u8; N], Error> {
        let mut out = [0; N];
        let address = self.base.wrapping_add(offset as u64);
        if self.base.checked_add(offset as u64).is_some() && self.memory.read(address, &mut out) {
            Ok(out)
        } else {
            self.fail(Problem::Outside { field, address })
        }
    }

    pub(crate) fn word(&self, offset: usize, field: &'static str) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.bytes(offset, field)?))
    }

    pub(crate) fn long(&self, offset: usize, field: &'static str) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.bytes(offset, field)?))
    }

    pub(crate) fn short(&self, offset: usize, field: &'static str) -> Result<u16, Error> {
        Ok(u16::from_le_bytes(self.bytes(offset, field)?))
    }

    pub(crate) fn byte(&self, offset: usize, field: &'static str) -> Result<u8, Error> {
        Ok(u8::from_le_bytes(self.bytes(offset, field)?))
    }

    /// Checks an element's header: version, size, and the stride, which every element repeats.
    pub(crate) fn header(&self, offset: usize, sizes: &[u64]) -> Result<Header, Error> {
        let version = self.short(offset + offset_of!(Header, version), "header.version")?;
        let size = self.word(offset + offset_of!(Header, size), "header.size")?;
        let total_size = self.word(offset + offset_of!(Header, total_size), "header.total_size")?;
        if version != HEADER_VERSION {
            return self.value("header.version", u64::from(version), "1");
        }
        if !sizes.contains(&size) {
            return self.value("header.size", size, "a documented size of this structure");
        }
        let sound = total_size >= size && total_size <= MAX_STRIDE && total_size % 8 == 0;
        if !sound {
            return self.value("header.total_size", total_size, "size, rounded up to 8");
        }
        Ok(Header::new(size, total_size))
    }

    pub(crate) fn value<T>(
        &self,
        field: &'static str,
        found: u64,
        expected: &'static str,
    ) -> Result<T, Error> {
        self.fail(Problem::Value {
            field,
            found,
            expected,
        })
    }

    /// A required address of code.
    pub(crate) fn code(&self, offset: usize, field: &'static str) -> Result<u64, Error> {
        let address = self.word(offset, field)?;
        if address == 0 {
            return self.fail(Problem::Null(field));
        }
        if !self.memory.is_code(address) {
            return self.fail(Problem::NotCode { field, address });
        }
        Ok(address)
    }

    /// A required name of 1 to 63 characters.
    pub(crate) fn name(&self, offset: usize, field: &'static str) -> Result<String, Error> {
        let text = self.text(offset, field)?;
        if text.is_empty() {
            return self.fail(Problem::Text(field));
        }
        Ok(text)
    }

    /// A required string of up to 63 characters.
    pub(crate) fn text(&self, offset: usize, field: &'static str) -> Result<String, Error> {
        let address = self.word(offset, field)?;
        if address == 0 {
            return self.fail(Problem::Null(field));
        }
        self.text_at(address, field)
    }

    /// A terminated string of up to 63 characters at an address.
    pub(crate) fn text_at(&self, address: u64, field: &'static str) -> Result<String, Error> {
        let mut text = String::new();
        text.try_reserve_exact(NAME_BYTES)
            .map_err(|_| self.no_memory())?;
        for at in 0..=NAME_BYTES as u64 {
            let mut byte = [0];
            let Some(place) = address.checked_add(at) else {
                return self.fail(Problem::Outside { field, address });
            };
            if !self.memory.read(place, &mut byte) {
                return self.fail(Problem::Outside { field, address });
            }
            match byte[0] {
                0 => return Ok(text),
                // A 64th character is one too many: no terminator in bounds.
                printable @ 0x20..=0x7e if text.len() < NAME_BYTES => {
                    text.push(char::from(printable));
                }
                _ => break,
            }
        }
        self.fail(Problem::Text(field))
    }

    /// A GUID behind a required address.
    pub(crate) fn guid(&self, offset: usize, field: &'static str) -> Result<Guid, Error> {
        let address = self.word(offset, field)?;
        if address == 0 {
            return self.fail(Problem::Null(field));
        }
        self.at(address).guid_here(0, field)
    }

    /// A GUID in the item itself.
    pub(crate) fn guid_here(&self, offset: usize, field: &'static str) -> Result<Guid, Error> {
        Ok(Guid::from_bytes(self.bytes(offset, field)?))
    }

    /// Bytes at an address.
    pub(crate) fn blob(
        &self,
        address: u64,
        size: u64,
        field: &'static str,
    ) -> Result<Vec<u8>, Error> {
        let mut data = self.list(size)?;
        if size == 0 {
            return Ok(data);
        }
        data.resize(size as usize, 0);
        let inside = address.checked_add(size).is_some() && self.memory.read(address, &mut data);
        if !inside {
            return self.fail(Problem::Outside { field, address });
        }
        Ok(data)
    }

    /// Checks that count and address of an array agree, and that the count is believable.
    pub(crate) fn array(&self, array: Array, field: &'static str) -> Result<Array, Error> {
        if (array.count == 0) != (array.address == 0) {
            return self.fail(Problem::CountAndAddress(field));
        }
        if array.count > MAX_COUNT {
            return self.value(field, array.count, "at most 65536 elements");
        }
        Ok(array)
    }

    /// An empty list with room for `count` elements.
    pub(crate) fn list<T>(&self, count: u64) -> Result<Vec<T>, Error> {
        let mut list = Vec::new();
        usize::try_from(count)
            .ok()
            .and_then(|count| list.try_reserve_exact(count).ok())
            .ok_or_else(|| self.no_memory())?;
        Ok(list)
    }

    /// The same item, read at another address.
    pub(crate) fn at(&self, base: u64) -> Reader<'a> {
        self.of(base, self.item.clone())
    }

    /// Another item.
    pub(crate) fn of(&self, base: u64, item: Item) -> Reader<'a> {
        Reader {
            memory: self.memory,
            base,
            item,
        }
    }
}
