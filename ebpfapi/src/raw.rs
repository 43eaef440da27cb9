//! Memory of a ring, mapped into this process.
//!
//! What makes reading sound: the runtime gives handles to three parts, which are mapped here as long as
//! the view lives: a page with the position of the reader, which may be written, a page with the
//! position of the producers and the number of lost records, and the records, if possible twice one
//! behind the other. [`RingView`] has a handle of its own to the map, so the ring is in use as long as it is
//! read. Records are finished by their producers before their header says so; the header is read with
//! acquire order, then the data is copied.
#![expect(unsafe_code, reason = "reads memory that is shared with the runtime")]

use crate::encode::answer;
use crate::{Cause, Error, Map, Mapped, Section};
use abi::MapKind;
use abi::ioctl::Request;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Parts of a ring in the protocol.
const CONSUMER: u32 = 0;
const PRODUCER: u32 = 1;
const RECORDS: u32 = 2;
/// Bytes of a page.
const PAGE: u64 = 4096;
/// Where the page of the producers has the number of lost records.
const LOST: usize = 64;

/// One ring, mapped into this process as long as this value lives.
pub struct RingView {
    consumer: Box<dyn Mapped>,
    producer: Box<dyn Mapped>,
    records: Box<dyn Mapped>,
    size: usize,
    /// Keeps the map in use.
    own: Map,
}

impl fmt::Debug for RingView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut view = f.debug_struct("RingView");
        view.field("map", &self.own).field("size", &self.size);
        view.finish_non_exhaustive()
    }
}

impl RingView {
    /// Maps a ring; ring buffers have number 0 only, perf event arrays one for each processor.
    ///
    /// # Errors
    /// The map has no such ring, or it cannot be mapped into this process.
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

    /// Maps a ring by a handle that is used for nothing else.
    pub(crate) fn open_with(own: &Map, index: u32) -> Result<RingView, Error> {
        let size = own.definition().max_entries;
        let part = |section, bytes| {
            let mapped = part(own, (index, section), bytes);
            mapped.map_err(|error| own.failed(error, "read records"))
        };
        Ok(RingView {
            consumer: part(CONSUMER, PAGE)?,
            producer: part(PRODUCER, PAGE)?,
            records: part(RECORDS, u64::from(size))?,
            size: size as usize,
            own: own.clone(),
        })
    }

    /// Address of the page whose first 8 bytes are the position of the reader; it may be written.
    #[must_use]
    pub fn consumer_page(&self) -> usize {
        self.consumer.address()
    }

    /// Address of the page whose first 8 bytes are the position of the producers.
    #[must_use]
    pub fn producer_page(&self) -> usize {
        self.producer.address()
    }

    /// Address of the records, which go on there where the ring ends; `None` when the system does not
    /// map them so.
    #[must_use]
    pub fn records(&self) -> Option<usize> {
        let is_whole = self.records.len_bytes() / 2 >= self.size;
        is_whole.then(|| self.records.address())
    }

    /// Bytes of the ring.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// How far the ring was read.
    pub(crate) fn consumed(&self) -> u64 {
        load(self.consumer.address())
    }

    /// Lets the runtime use the room in front of a position.
    pub(crate) fn consume_to(&self, position: u64) {
        let cell = std::ptr::with_exposed_provenance_mut::<u64>(self.consumer.address());
        // SAFETY: writable as long as this value lives, aligned, and only used by atomic operations.
        unsafe { AtomicU64::from_ptr(cell) }.store(position, Ordering::Release);
    }

    /// How far the producers are.
    pub(crate) fn produced(&self) -> u64 {
        load(self.producer.address())
    }

    /// Records that found no room.
    pub(crate) fn lost(&self) -> u64 {
        load(self.producer.address() + LOST)
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

    /// A copy of bytes of the records, which begin in the ring and may go on behind its end.
    pub(crate) fn copy(&self, offset: usize, length: usize) -> Option<Vec<u8>> {
        let whole = self.records.len_bytes();
        let first = match offset.checked_add(length)? {
            end if end <= whole => length,
            // Mapped once: what is behind the end is at the beginning.
            end if offset <= self.size && end - self.size <= offset => self.size - offset,
            _ => return None,
        };
        let mut bytes = vec![0; length];
        let (front, rest) = bytes.split_at_mut(first);
        self.read(offset, front)?;
        self.read(0, rest)?;
        Some(bytes)
    }

    fn read(&self, offset: usize, to: &mut [u8]) -> Option<()> {
        let from = std::ptr::with_exposed_provenance::<u8>(self.place(offset, to.len())?);
        // SAFETY: readable as long as this value lives, and in bounds; the new buffer is elsewhere. A
        // producer that broke the protocol could change the bytes meanwhile; they are plain numbers whatever it writes.
        unsafe { std::ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len()) };
        Some(())
    }

    fn place(&self, offset: usize, length: usize) -> Option<usize> {
        let end = offset.checked_add(length)?;
        let is_inside = end <= self.records.len_bytes();
        is_inside.then(|| self.records.address() + offset)
    }
}

/// Asks for a handle to a part of a ring, and maps it.
fn part(own: &Map, (index, section): (u32, u32), bytes: u64) -> Result<Box<dyn Mapped>, Error> {
    let request = Request::RingBufferMapMapBuffer {
        map_handle: own.handle(),
        index: u64::from(index),
        section,
    };
    own.client().ask(&request, |reply| {
        let (handle, len_bytes) = answer!(reply,
            RingBufferMapMapBuffer { section_handle, view_size } => (section_handle, view_size))?;
        let mapped = own.client().transport().map(Section {
            handle,
            len_bytes,
            is_writable: section == CONSUMER,
            is_twice: section == RECORDS,
        })?;
        let is_usable = mapped.address().is_multiple_of(8) && mapped.address() != 0;
        match is_usable && mapped.len_bytes() as u64 >= bytes {
            true => Ok(mapped),
            false => Err(Cause::OtherReply),
        }
    })
}

/// A position in one of the two pages.
fn load(address: usize) -> u64 {
    let cell = std::ptr::with_exposed_provenance_mut::<u64>(address);
    // SAFETY: in a page that is readable as long as its view lives, aligned; only a load follows.
    unsafe { AtomicU64::from_ptr(cell) }.load(Ordering::Acquire)
}
