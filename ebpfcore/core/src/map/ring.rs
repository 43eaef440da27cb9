//! Ring buffers: many producers, one consumer, variable-size records in order of reservation.
//!
//! A record is `{u32 length | BUSY | DISCARD, u32 page offset}` and then the data, padded to 8.
//! Positions only grow; `position % size` is the place. A record never wraps: the memory is twice
//! the size, and a record that starts below `size` may reach into the upper half. Where the host maps
//! pages twice, the upper half is a mirror of the lower; both give the same addresses.
//!
//! One block of whole pages holds a ring, so that a process can be given its parts: the page with the
//! consumer's position, which the process may write, the page with the producers' position and the
//! number of lost records, and the records.
//!
//! Invariants: `consumer <= producer <= consumer + size` as long as no process writes nonsense to
//! its page, and then too nothing outside of the block is touched; a record is BUSY until it is
//! submitted or discarded, and the consumer never passes a BUSY record.

use super::{
    Definition,
    waiters::{Positions, Waiters},
};
use crate::atomic::{AtomicU32, Ordering, fence};
use crate::{
    Platform, Status,
    control::{Pages, Section},
    raw::block::Block,
    sync::Spin,
};
use abi::Platform as Rules;
use alloc::vec::Vec;

/// The record is reserved and not yet submitted.
const BUSY: u32 = 1 << 31;
/// The record carries nothing; the consumer skips it.
const DISCARD: u32 = 1 << 30;
/// Bytes in front of a record's data.
pub(crate) const RECORD_HEADER: u64 = 8;
/// Bytes of a page.
pub(crate) const PAGE: usize = 4096;
/// Where the consumer's position is, the producers', the number of lost records, the records.
const CONSUMER: usize = 0;
const PRODUCER: usize = PAGE;
const LOST: usize = PRODUCER + 64;
const RECORDS: usize = 2 * PAGE;
/// Per-CPU ring bytes of a Linux perf event array, whose definition does not say.
const LINUX_PERF_BYTES: u32 = 64 << 10;

/// Whether a ring may have this many bytes: a power of two with room for a record.
pub(crate) fn is_ring_size(bytes: u32) -> bool {
    bytes.is_power_of_two() && (16..=1 << 30).contains(&bytes)
}

/// One record taken from a ring.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// CPU whose ring it was in (perf event arrays; 0 for ring buffers).
    pub cpu: u32,
    /// The data.
    pub data: Vec<u8>,
}

/// A ring-buffer map.
pub(crate) struct RingMap {
    pub(crate) ring: Ring,
}

impl RingMap {
    pub(crate) fn new(
        definition: &Definition,
        platform: &'static dyn Platform,
    ) -> Result<RingMap, Status> {
        let ring = Ring::new(definition.max_entries, platform)?;
        Ok(RingMap { ring })
    }
}

/// A perf event array: one ring per CPU.
pub(crate) struct PerfMap {
    pub(crate) rings: Vec<Ring>,
}

impl PerfMap {
    pub(crate) fn new(
        definition: &Definition,
        platform: &'static dyn Platform,
    ) -> Result<PerfMap, Status> {
        let cpus = platform.cpu_count();
        let bytes = match definition.platform {
            Rules::Windows => definition.max_entries,
            Rules::Linux => LINUX_PERF_BYTES,
        };
        let mut rings = Vec::new();
        rings
            .try_reserve_exact(cpus as usize)
            .map_err(|_| Status::NoMemory)?;
        for _ in 0..cpus {
            rings.push(Ring::new(bytes, platform)?);
        }
        Ok(PerfMap { rings })
    }
}

/// One ring.
pub(crate) struct Ring {
    size: u64,
    producers: Spin,
    consumers: Spin,
    pub(crate) waiters: Waiters,
    memory: Block,
}

impl Ring {
    fn new(size: u32, platform: &'static dyn Platform) -> Result<Ring, Status> {
        let records = (size as usize).checked_mul(2);
        let records = records.and_then(|bytes| bytes.checked_next_multiple_of(PAGE));
        let bytes = records.and_then(|bytes| bytes.checked_add(RECORDS));
        let bytes = bytes.ok_or(Status::ArithmeticOverflow)?;
        let of_host = match (size as usize).is_multiple_of(PAGE) {
            true => platform.take_ring(u64::from(size))?,
            // What is no whole page cannot be mapped twice.
            false => None,
        };
        let memory = match of_host {
            Some(memory) => Block::of_host(platform, memory, bytes)?,
            None => Block::try_pages(bytes)?,
        };
        Ok(Ring {
            size: u64::from(size),
            producers: Spin::default(),
            consumers: Spin::default(),
            waiters: Waiters::default(),
            memory,
        })
    }

    /// Where a part is. Records that are mapped twice count once.
    pub(crate) fn pages(&self, part: Section) -> Pages {
        let memory = self.memory.host_id();
        let (offset, bytes) = match part {
            Section::Consumer => (CONSUMER, PAGE),
            Section::Producer => (PRODUCER, PAGE),
            Section::Data if memory.is_some() => (RECORDS, self.size as usize),
            Section::Data => (RECORDS, self.memory.len() - RECORDS),
        };
        Pages {
            section: part,
            memory,
            address: self.memory.address() + offset as u64,
            bytes: bytes as u64,
        }
    }

    fn load(&self, offset: usize) -> u64 {
        let cell = self.memory.cell64(offset);
        cell.map_or(0, |cell| cell.load(Ordering::Acquire))
    }

    /// Bytes in use: all of them when the consumer's position makes no sense.
    fn used(&self, produced: u64) -> u64 {
        let used = produced.wrapping_sub(self.load(CONSUMER));
        used.min(self.size)
    }

    /// Bytes not yet consumed, record headers included.
    pub(crate) fn pending(&self) -> usize {
        self.used(self.load(PRODUCER)) as usize
    }

    /// Records that found no room.
    pub(crate) fn lost(&self) -> u64 {
        self.load(LOST)
    }

    pub(crate) fn positions(&self) -> Positions {
        Positions {
            producer: self.load(PRODUCER),
            consumer: self.load(CONSUMER),
            lost: self.lost(),
        }
    }

    /// Whether the next record is finished.
    pub(crate) fn is_ready(&self) -> bool {
        let at = self.load(CONSUMER);
        if at == self.load(PRODUCER) {
            return false;
        }
        let word = self.memory.cell32(self.place(at));
        word.is_some_and(|word| word.load(Ordering::Acquire) & BUSY == 0)
    }

    /// The consumer has read everything before a position.
    pub(crate) fn consume_to(&self, platform: &dyn Platform, position: u64) -> Result<(), Status> {
        let _guard = self.consumers.lock(platform);
        let cell = self.memory.cell64(CONSUMER).ok_or(Status::Failed)?;
        let (at, end) = (cell.load(Ordering::Relaxed), self.load(PRODUCER));
        let is_sound = end.wrapping_sub(position) <= end.wrapping_sub(at);
        if !is_sound || !position.is_multiple_of(8) {
            return Err(Status::InvalidArgument);
        }
        cell.store(position, Ordering::Release);
        Ok(())
    }

    /// Tells who waits that there are records. IRQL: any, with the epoch pinned.
    #[inline]
    pub(crate) fn wake(&self, platform: &dyn Platform) {
        // The record was submitted; who registers after this fence finds it.
        fence(Ordering::SeqCst);
        if !self.waiters.is_empty() && self.is_ready() {
            self.waiters.wake(platform, self.positions());
        }
    }

    /// Where in the block a position is.
    fn place(&self, position: u64) -> usize {
        RECORDS + (position & (self.size - 1)) as usize
    }

    /// Reserves a record of `length` bytes; gives the address of its data.
    pub(crate) fn reserve(&self, platform: &dyn Platform, length: u64) -> Result<u64, Status> {
        let limit = self.size.min(u64::from(DISCARD)) - RECORD_HEADER;
        if length == 0 || length > limit {
            return Err(Status::InvalidArgument);
        }
        let total = length.next_multiple_of(8) + RECORD_HEADER;
        let _guard = self.producers.lock(platform);
        let producer = self.memory.cell64(PRODUCER).ok_or(Status::Failed)?;
        let at = producer.load(Ordering::Relaxed);
        if total > self.size - self.used(at) {
            let lost = self.memory.cell64(LOST).ok_or(Status::Failed)?;
            lost.fetch_add(1, Ordering::Relaxed);
            return Err(Status::NoMemory);
        }
        let place = self.place(at);
        let page = ((place - RECORDS) / PAGE) as u64;
        let header = u64::from(length as u32 | BUSY) | (page << 32);
        let cell = self.memory.cell64(place).ok_or(Status::Failed)?;
        cell.store(header, Ordering::Relaxed);
        producer.store(at.wrapping_add(total), Ordering::Release);
        Ok(self.memory.address() + place as u64 + RECORD_HEADER)
    }

    /// Linux `bpf_ringbuf_query`: available bytes, size, consumer and producer positions.
    pub(crate) fn query(&self, what: u64) -> u64 {
        match what {
            0 => self.pending() as u64,
            1 => self.size,
            2 => self.load(CONSUMER),
            3 => self.load(PRODUCER),
            _ => 0,
        }
    }

    /// Adds a whole record from up to two pieces.
    pub(crate) fn output(&self, platform: &dyn Platform, pieces: [&[u8]; 2]) -> Result<(), Status> {
        let length = pieces[0].len() as u64 + pieces[1].len() as u64;
        let address = self.reserve(platform, length)?;
        let mut offset = (address - self.memory.address()) as usize;
        for piece in pieces {
            // Records fit by construction; a failed write would be a bug, not an input.
            debug_assert!(
                offset + piece.len() <= self.memory.len(),
                "record in bounds"
            );
            let _ = self.memory.write(offset, piece);
            offset += piece.len();
        }
        let header = (address - RECORD_HEADER - self.memory.address()) as usize;
        finish_header(
            self.memory.cell32(header).ok_or(Status::Failed)?,
            Fate::Submit,
        );
        self.wake(platform);
        Ok(())
    }

    /// Takes the next record, if there is a finished one.
    ///
    /// # Errors
    ///
    /// [`Status::NoMoreKeys`] when there is none, [`Status::NoMemory`].
    pub(crate) fn take(&self, platform: &dyn Platform) -> Result<Vec<u8>, Status> {
        let _guard = self.consumers.lock(platform);
        let consumer = self.memory.cell64(CONSUMER).ok_or(Status::Failed)?;
        loop {
            let at = consumer.load(Ordering::Relaxed);
            let end = self.load(PRODUCER);
            if at == end {
                return Err(Status::NoMoreKeys);
            }
            let place = self.place(at);
            let word = self.memory.cell32(place).ok_or(Status::Failed)?;
            let header = word.load(Ordering::Acquire);
            if header & BUSY != 0 {
                return Err(Status::NoMoreKeys);
            }
            let length = u64::from(header & !DISCARD);
            let next = at.wrapping_add(length.next_multiple_of(8) + RECORD_HEADER);
            // Only a process that wrote nonsense to its page, or a program without a proof that
            // wrote over a header, brings the consumer out of step.
            let left = end.wrapping_sub(at);
            if left > self.size || next.wrapping_sub(at) > left {
                return Err(Status::Failed);
            }
            let data = match header & DISCARD {
                0 => Some(self.copy(place + RECORD_HEADER as usize, length as usize)?),
                _ => None,
            };
            consumer.store(next, Ordering::Release);
            if let Some(data) = data {
                return Ok(data);
            }
        }
    }

    fn copy(&self, place: usize, length: usize) -> Result<Vec<u8>, Status> {
        let mut data = Vec::new();
        data.try_reserve_exact(length)
            .map_err(|_| Status::NoMemory)?;
        data.resize(length, 0);
        match self.memory.read(place, &mut data) {
            true => Ok(data),
            false => Err(Status::Failed),
        }
    }

    /// Whether `size` bytes at an address lie in a reserved or submitted record's memory.
    pub(crate) fn holds(&self, address: u64, size: u64) -> bool {
        let offset = self.memory.offset_of(address, size);
        offset.is_some_and(|offset| offset >= RECORDS as u64)
    }
}

/// Ends a reservation; a record that is not reserved is left alone.
pub(crate) fn finish_header(header: &AtomicU32, fate: Fate) {
    let old = header.load(Ordering::Relaxed);
    if old & BUSY == 0 {
        return;
    }
    let done = match fate {
        Fate::Submit => old & !BUSY,
        Fate::Discard => (old & !BUSY) | DISCARD,
    };
    header.store(done, Ordering::Release);
}

/// What becomes of a reserved record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Submit,
    Discard,
}
