//! Memory of a ring, as the runtime shows it to this process.
//!
//! What makes reading sound: the runtime, a part of the kernel, maps three parts at addresses that it
//! answers, until the handle of the map is closed: a page with the position of the reader, which may be
//! written, a page with the position of the producers and the number of lost records, and the records,
//! twice one behind the other. [`RingView`] has a handle of its own, so nobody else takes them away.
//! Records are finished by their producers before their header says so; the header is read with
//! acquire order, then the data is copied.
#![expect(unsafe_code, reason = "reads memory that the runtime mapped here")]

use crate::encode::answer;
use crate::{Cause, Error, Map};
use abi::MapKind;
use abi::ioctl::Request;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Parts of a ring in the protocol.
const CONSUMER: u32 = 0;
const PRODUCER: u32 = 1;
const RECORDS: u32 = 2;
/// Bytes of a page.
const PAGE: u64 = 4096;
/// Where the page of the producers has the number of lost records.
const LOST: usize = 64;

/// One ring, shown to this process as long as this value lives.
#[derive(Debug)]
pub struct RingView {
    consumer: usize,
    producer: usize,
    records: usize,
    size: usize,
    /// Keeps the handle open that the parts belong to.
    _own: Map,
}

impl RingView {
    /// Has a ring shown; ring buffers have number 0 only, perf event arrays one for each processor.
    ///
    /// # Errors
    /// The map has no such ring, or it cannot be shown to this process.
    pub fn open(map: &Map, index: u32) -> Result<RingView, Error> {
        RingView::open_with(&RingView::own(map)?, index)
    }

    /// Another handle for a map with rings.
    pub(crate) fn own(map: &Map) -> Result<Map, Error> {
        let kind = map.definition().row().map(|row| row.kind);
        let is_ring = matches!(kind, Some(MapKind::RingBuf | MapKind::PerfEventArray));
        if !is_ring || !map.definition().max_entries.is_power_of_two() {
            let doing = format!("read records of map {}", map.name());
            return Err(Error::input(doing, "the map is no ring buffer"));
        }
        map.client().map_by_id(map.id())
    }

    /// Has a ring shown to a handle that is used for nothing else.
    pub(crate) fn open_with(own: &Map, index: u32) -> Result<RingView, Error> {
        let size = own.definition().max_entries;
        let part = |section, bytes| {
            let shown = part(own, (index, section), bytes);
            shown.map_err(|error| own.failed(error, "read records"))
        };
        Ok(RingView {
            consumer: part(CONSUMER, PAGE)?,
            producer: part(PRODUCER, PAGE)?,
            records: part(RECORDS, 2 * u64::from(size))?,
            size: size as usize,
            _own: own.clone(),
        })
    }

    /// Address of the page whose first 8 bytes are the position of the reader; it may be written.
    #[must_use]
    pub fn consumer_page(&self) -> usize {
        self.consumer
    }

    /// Address of the page whose first 8 bytes are the position of the producers.
    #[must_use]
    pub fn producer_page(&self) -> usize {
        self.producer
    }

    /// Address of the records, which are there twice, one behind the other.
    #[must_use]
    pub fn records(&self) -> usize {
        self.records
    }

    /// Bytes of the ring.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// How far the ring was read.
    pub(crate) fn consumed(&self) -> u64 {
        load(self.consumer)
    }

    /// Lets the runtime use the room in front of a position.
    pub(crate) fn consume_to(&self, position: u64) {
        let cell = std::ptr::with_exposed_provenance_mut::<u64>(self.consumer);
        // SAFETY: writable as long as this value lives, aligned, and only used by atomic operations.
        unsafe { AtomicU64::from_ptr(cell) }.store(position, Ordering::Release);
    }

    /// How far the producers are.
    pub(crate) fn produced(&self) -> u64 {
        load(self.producer)
    }

    /// Records that found no room.
    pub(crate) fn lost(&self) -> u64 {
        load(self.producer + LOST)
    }

    /// A number at a multiple of 4 in the records.
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

    /// A copy of bytes of the records.
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
        (end <= self.size.checked_mul(2)?).then_some(self.records.checked_add(offset)?)
    }
}

/// Has a part of a ring shown; gives its address.
fn part(own: &Map, (index, section): (u32, u32), bytes: u64) -> Result<usize, Error> {
    let request = Request::RingBufferMapMapBuffer {
        map_handle: own.handle(),
        index: u64::from(index),
        section,
    };
    own.client().ask(&request, |reply| {
        let (address, room) = answer!(reply,
            RingBufferMapMapBuffer { section_handle, view_size } => (section_handle, view_size))?;
        let address = usize::try_from(address).map_err(|_| Cause::OtherReply)?;
        let is_usable = address != 0 && address.is_multiple_of(8) && room >= bytes;
        is_usable.then_some(address).ok_or(Cause::OtherReply)
    })
}

/// A position in one of the two pages.
fn load(address: usize) -> u64 {
    let cell = std::ptr::with_exposed_provenance_mut::<u64>(address);
    // SAFETY: in a page that is readable as long as its view lives, aligned; only a load follows.
    unsafe { AtomicU64::from_ptr(cell) }.load(Ordering::Acquire)
}
