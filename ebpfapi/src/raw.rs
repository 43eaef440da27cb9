//! Memory of a ring, as the runtime shows it to this process.
//!
//! What makes reading sound: the runtime, a part of the kernel, maps the records twice at the address
//! that it answers, readable, until the handle of the map is closed, and [`View`] keeps that open.
//! Records are finished by their producers before their header says so; the header is read with
//! acquire order, then the data is copied.
#![expect(unsafe_code, reason = "reads memory that the runtime mapped here")]

use crate::encode::answer;
use crate::{Cause, Error, Map};
use abi::ioctl::Request;
use std::sync::atomic::{AtomicU32, Ordering};

/// The records of one ring.
#[derive(Debug)]
pub(crate) struct View {
    address: usize,
    bytes: usize,
    /// Keeps the handle open that the view belongs to.
    _map: Map,
}

impl View {
    /// Asks the runtime to show a ring; gives also how far it was read.
    pub(crate) fn open(map: &Map, index: u32) -> Result<(View, u64), Error> {
        let request = Request::MapQueryBuffer {
            map_handle: map.handle(),
            index,
        };
        map.client().ask(&request, |reply| {
            let (address, consumed) = answer!(reply,
                MapQueryBuffer { buffer_address, consumer_offset }
                => (buffer_address, consumer_offset))?;
            let address = usize::try_from(address).map_err(|_| Cause::OtherReply)?;
            let bytes = (map.definition().max_entries as usize).checked_mul(2);
            let (Some(bytes), true) = (bytes, address != 0 && address.is_multiple_of(8)) else {
                return Err(Cause::OtherReply);
            };
            let view = View {
                address,
                bytes,
                _map: map.clone(),
            };
            Ok((view, consumed))
        })
    }

    /// A number at a multiple of 4.
    pub(crate) fn number(&self, offset: usize) -> Option<u32> {
        let place = self.place(offset, 4)?;
        if !place.is_multiple_of(4) {
            return None;
        }
        let cell = std::ptr::with_exposed_provenance_mut::<u32>(place);
        // SAFETY: readable as long as this value lives, in bounds and aligned; only loads follow, and the runtime writes
        // headers by atomic stores.
        Some(unsafe { AtomicU32::from_ptr(cell) }.load(Ordering::Acquire))
    }

    /// A copy of bytes.
    pub(crate) fn copy(&self, offset: usize, length: usize) -> Option<Vec<u8>> {
        let place = self.place(offset, length)?;
        let mut bytes = vec![0; length];
        let from = std::ptr::with_exposed_provenance::<u8>(place);
        // SAFETY: readable as long as this value lives, and in bounds; the new buffer is elsewhere. A
        // producer that broke the protocol could change the bytes meanwhile; they are plain numbers whatever it writes.
        unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), length) };
        Some(bytes)
    }

    fn place(&self, offset: usize, length: usize) -> Option<usize> {
        let end = offset.checked_add(length)?;
        (end <= self.bytes).then_some(self.address.checked_add(offset)?)
    }
}
