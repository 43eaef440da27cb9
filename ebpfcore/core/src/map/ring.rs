//! Ring buffers: many producers, one consumer, variable-size records in order of reservation.
//!
//! A record is `{u32 length | BUSY | DISCARD, u32 page offset}` and then the data, padded to 8.
//! Positions only grow; `position % size` is the place. A record never wraps: the memory is twice
//! the size, and a record that starts below `size` may reach into the upper half. Where pages can
//! be mapped twice, the upper half is a mirror of the lower; both give the same addresses.
//!
//! Invariants: `consumer <= producer <= consumer + size`; a record is BUSY until it is submitted
//! or discarded, and the consumer never passes a BUSY record.

use super::Definition;
use crate::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::{Platform, Status, raw::block::Block, sync::Spin};
use abi::Platform as Rules;
use alloc::vec::Vec;

/// The record is reserved and not yet submitted.
const BUSY: u32 = 1 << 31;
/// The record carries nothing; the consumer skips it.
const DISCARD: u32 = 1 << 30;
/// Bytes in front of a record's data.
pub(crate) const RECORD_HEADER: u64 = 8;
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
    pub(crate) fn new(definition: &Definition) -> Result<RingMap, Status> {
        let ring = Ring::new(definition.max_entries)?;
        Ok(RingMap { ring })
    }
}

/// A perf event array: one ring per CPU.
pub(crate) struct PerfMap {
    pub(crate) rings: Vec<Ring>,
}

impl PerfMap {
    pub(crate) fn new(definition: &Definition, cpus: u32) -> Result<PerfMap, Status> {
        let bytes = match definition.platform {
            Rules::Windows => definition.max_entries,
            Rules::Linux => LINUX_PERF_BYTES,
        };
        let mut rings = Vec::new();
        rings
            .try_reserve_exact(cpus as usize)
            .map_err(|_| Status::NoMemory)?;
        for _ in 0..cpus {
            rings.push(Ring::new(bytes)?);
        }
        Ok(PerfMap { rings })
    }
}

/// One ring.
pub(crate) struct Ring {
    size: u64,
    producers: Spin,
    consumers: Spin,
    produced: AtomicU64,
    consumed: AtomicU64,
    lost: AtomicU64,
    memory: Block,
}

impl Ring {
    fn new(size: u32) -> Result<Ring, Status> {
        let bytes = (size as usize)
            .checked_mul(2)
            .ok_or(Status::ArithmeticOverflow)?;
        Ok(Ring {
            size: u64::from(size),
            producers: Spin::default(),
            consumers: Spin::default(),
            produced: AtomicU64::new(0),
            consumed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            memory: Block::try_zeroed(bytes)?,
        })
    }

    /// Bytes not yet consumed, record headers included.
    pub(crate) fn pending(&self) -> usize {
        let consumed = self.consumed.load(Ordering::Acquire);
        (self.produced.load(Ordering::Acquire) - consumed) as usize
    }

    /// Records that found no room.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Reserves a record of `length` bytes; gives the address of its data.
    pub(crate) fn reserve(&self, platform: &dyn Platform, length: u64) -> Result<u64, Status> {
        let limit = self.size.min(u64::from(DISCARD)) - RECORD_HEADER;
        if length == 0 || length > limit {
            return Err(Status::InvalidArgument);
        }
        let total = length.next_multiple_of(8) + RECORD_HEADER;
        let _guard = self.producers.lock(platform);
        let at = self.produced.load(Ordering::Relaxed);
        let used = at - self.consumed.load(Ordering::Acquire);
        if total > self.size - used {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return Err(Status::NoMemory);
        }
        let place = at & (self.size - 1);
        let header = u64::from(length as u32 | BUSY) | ((place / 4096) << 32);
        self.cell(place)?.store(header, Ordering::Relaxed);
        self.produced.store(at + total, Ordering::Release);
        Ok(self.memory.address() + place + RECORD_HEADER)
    }

    /// Linux `bpf_ringbuf_query`: available bytes, size, consumer and producer positions.
    pub(crate) fn query(&self, what: u64) -> u64 {
        match what {
            0 => self.pending() as u64,
            1 => self.size,
            2 => self.consumed.load(Ordering::Acquire),
            3 => self.produced.load(Ordering::Acquire),
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
        Ok(())
    }

    /// Takes the next record, if there is a finished one.
    ///
    /// # Errors
    ///
    /// [`Status::NoMoreKeys`] when there is none, [`Status::NoMemory`].
    pub(crate) fn take(&self, platform: &dyn Platform) -> Result<Vec<u8>, Status> {
        let _guard = self.consumers.lock(platform);
        loop {
            let at = self.consumed.load(Ordering::Relaxed);
            if at == self.produced.load(Ordering::Acquire) {
                return Err(Status::NoMoreKeys);
            }
            let place = at & (self.size - 1);
            let word = self.memory.cell32(place as usize).ok_or(Status::Failed)?;
            let header = word.load(Ordering::Acquire);
            if header & BUSY != 0 {
                return Err(Status::NoMoreKeys);
            }
            let length = u64::from(header & !DISCARD);
            // Only a program without a proof could have written over a header.
            if length > self.size - RECORD_HEADER {
                return Err(Status::Failed);
            }
            let mut data = Vec::new();
            if header & DISCARD == 0 {
                data.try_reserve_exact(length as usize)
                    .map_err(|_| Status::NoMemory)?;
                data.resize(length as usize, 0);
                if !self
                    .memory
                    .read((place + RECORD_HEADER) as usize, &mut data)
                {
                    return Err(Status::Failed);
                }
            }
            let next = at + length.next_multiple_of(8) + RECORD_HEADER;
            self.consumed.store(next, Ordering::Release);
            if header & DISCARD == 0 {
                return Ok(data);
            }
        }
    }

    /// Whether `size` bytes at an address lie in a reserved or submitted record's memory.
    pub(crate) fn holds(&self, address: u64, size: u64) -> bool {
        self.memory.offset_of(address, size).is_some()
    }

    fn cell(&self, place: u64) -> Result<&AtomicU64, Status> {
        self.memory.cell64(place as usize).ok_or(Status::Failed)
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
