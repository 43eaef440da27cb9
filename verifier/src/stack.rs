//! One stack frame: what each byte holds, and the values that are stored whole.
//!
//! Bytes are grouped in slots of eight, counted from the end of the frame as r10 does. A slot keeps
//! a whole 64-bit value (the only form in which pointers exist on the stack), two 32-bit halves, or
//! eight bytes that are only known to be written, zero, or neither. Slots are kept in chunks that
//! states share until one of them changes (copy on write).
//!
//! Invariants: offsets given to these functions lie in the frame (the caller checks bounds first);
//! a pointer that is overwritten in part leaves unreadable bytes, never a number.

use crate::domain::Scalar;
use crate::link::Link;
use crate::packed::Packed;
use crate::value::{Dynptr, Part, Pointer, Region, Value};
use alloc::rc::Rc;
use core::ops::Range;
use isa::{AluOp, Width};

/// What is known about one byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(crate) enum Byte {
    /// Not written.
    Unwritten,
    /// Written with part of some number.
    Written,
    /// Written with zero.
    Zero,
    /// Part of a stored pointer.
    Pointer,
}

/// Eight bytes.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Slot {
    /// Bytes without a common value; never [`Byte::Pointer`].
    Bytes([Byte; 8]),
    /// One 64-bit value.
    Whole(Packed),
    /// Two 32-bit halves, the lower address first.
    Halves(Rc<[Half; 2]>),
}

/// Four bytes.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Half {
    /// Bytes without a common value; never [`Byte::Pointer`].
    Bytes([Byte; 4]),
    /// A zero-extended 32-bit number.
    Number(Packed),
}

/// Why stack bytes cannot be used, with the offset of the first such byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Not written.
    Unwritten(i64),
    /// Part of a pointer.
    Pointer(i64),
}

/// Slots that are shared and copied together.
pub(crate) type Chunk = [Slot; CHUNK];

const CHUNK: usize = 8;
const CHUNKS: usize = (abi::limits::STACK_BYTES as usize).div_ceil(8 * CHUNK);
/// Slots of a frame.
pub(crate) const SLOTS: usize = CHUNK * CHUNKS;

/// One frame. Slot `i` covers the bytes from `-8 * (i + 1)`; a chunk that is missing is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stack {
    chunks: [Option<Rc<Chunk>>; CHUNKS],
}

/// A slot that was never written.
pub(crate) const EMPTY: Slot = Slot::Bytes([Byte::Unwritten; 8]);

impl Stack {
    /// The chunks from the end of the frame down.
    pub(crate) fn chunks(&self) -> &[Option<Rc<Chunk>>] {
        &self.chunks
    }

    /// The slots that may hold something, with their indices, from the end of the frame down.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (usize, &Slot)> {
        let present = self.chunks.iter().enumerate();
        present.flat_map(|(number, chunk)| {
            let slots = chunk.iter().flat_map(|chunk| chunk.iter().enumerate());
            slots.map(move |(index, slot)| (number * CHUNK + index, slot))
        })
    }

    /// The indices of the slots in a chunk.
    pub(crate) fn slots_of(chunk: usize) -> Range<usize> {
        chunk * CHUNK..(chunk + 1) * CHUNK
    }

    /// The slot at an index; slots never touched are empty.
    pub(crate) fn slot(&self, index: usize) -> &Slot {
        let chunk = self.chunks.get(index / CHUNK).and_then(Option::as_ref);
        chunk.map_or(&EMPTY, |chunk| &chunk[index % CHUNK])
    }

    fn slot_mut(&mut self, index: usize) -> &mut Slot {
        let chunk = &mut self.chunks[index / CHUNK];
        let chunk = chunk.get_or_insert_with(|| Rc::new([EMPTY; CHUNK]));
        &mut Rc::make_mut(chunk)[index % CHUNK]
    }

    /// Puts something else in a slot.
    pub(crate) fn replace(&mut self, index: usize, slot: Slot) {
        *self.slot_mut(index) = slot;
    }

    /// What a load of `size` bytes finds, zero-extended.
    pub(crate) fn read(&self, offset: i64, size: u32) -> Result<Value, Fault> {
        let (index, start) = place(offset);
        if start + size as usize <= 8 {
            let found = self.slot(index).part(start, size);
            return found.map(|found| found.value()).ok_or_else(|| {
                self.readable(offset, offset + i64::from(size))
                    .err()
                    .unwrap_or(Fault::Pointer(offset))
            });
        }
        self.readable(offset, offset + i64::from(size))?;
        Ok(Value::number(unsigned(size)))
    }

    /// Are all bytes from `low` up to `high` written, and none part of a pointer?
    pub(crate) fn readable(&self, low: i64, high: i64) -> Result<(), Fault> {
        for offset in low..high {
            match self.byte(offset) {
                Byte::Written | Byte::Zero => {}
                Byte::Unwritten => return Err(Fault::Unwritten(offset)),
                Byte::Pointer => return Err(Fault::Pointer(offset)),
            }
        }
        Ok(())
    }

    /// Are all these bytes written, be it with pointers?
    pub(crate) fn written(&self, low: i64, high: i64) -> Result<(), Fault> {
        let unwritten = (low..high).find(|offset| self.byte(*offset) == Byte::Unwritten);
        unwritten.map_or(Ok(()), |offset| Err(Fault::Unwritten(offset)))
    }

    /// Are all these bytes known to be zero?
    pub(crate) fn is_zero(&self, low: i64, high: i64) -> bool {
        (low..high).all(|offset| self.byte(offset) == Byte::Zero)
    }

    /// What is known about one byte.
    pub(crate) fn byte(&self, offset: i64) -> Byte {
        let (index, start) = place(offset);
        self.slot(index).byte(start)
    }

    /// A store of `size` bytes at a known offset.
    pub(crate) fn write(&mut self, offset: i64, size: u32, value: &Value) {
        let (index, start) = place(offset);
        match (size, start) {
            (8, 0) => *self.slot_mut(index) = Slot::Whole(Packed::from(*value)),
            (4, 0 | 4) => self.write_half(index, start / 4, value),
            _ => {
                let byte = if value.is_zero() {
                    Byte::Zero
                } else {
                    Byte::Written
                };
                self.fill(offset, offset + i64::from(size), byte);
            }
        }
    }

    fn write_half(&mut self, index: usize, half: usize, value: &Value) {
        let Value::Number { scalar, link } = value else {
            let offset = -8 * (index as i64 + 1) + 4 * half as i64;
            return self.fill(offset, offset + 4, Byte::Unwritten);
        };
        let slot = self.slot_mut(index);
        let mut halves = slot.halves();
        halves[half] = Half::Number(Packed::number(&scalar.truncate32(), link.low(scalar)));
        *slot = Slot::Halves(Rc::new(halves));
    }

    /// Sets every byte from `low` up to `high`.
    pub(crate) fn fill(&mut self, low: i64, high: i64, byte: Byte) {
        let mut next = low;
        while next < high {
            let (index, start) = place(next);
            let bytes = (high - next).min(8 - start as i64);
            self.slot_mut(index)
                .fill(start, start + bytes as usize, byte);
            next += bytes;
        }
    }

    /// A store of a number somewhere between `low` and `high`: every byte may have changed.
    pub(crate) fn weaken(&mut self, low: i64, high: i64, stored: Byte) {
        for offset in low..high {
            let now = match (self.byte(offset), stored) {
                (Byte::Unwritten | Byte::Pointer, _) => Byte::Unwritten,
                (Byte::Zero, Byte::Zero) => Byte::Zero,
                _ => Byte::Written,
            };
            self.fill(offset, offset + 1, now);
        }
    }

    /// Does [`Stack::keep`] change nothing?
    pub(crate) fn is_kept(&self, live: u128) -> bool {
        let mut chunks = self.chunks.iter().enumerate();
        chunks.all(|(number, chunk)| {
            let live = part_of(live, number);
            chunk
                .as_ref()
                .is_none_or(|chunk| is_chunk_kept(chunk, live))
        })
    }

    /// Forgets the four-byte granules that are not in `live` (bit 0 is the one next to r10).
    pub(crate) fn keep(&mut self, live: u128) {
        for (number, place) in self.chunks.iter_mut().enumerate() {
            let live = part_of(live, number);
            let Some(chunk) = place.as_mut().filter(|chunk| !is_chunk_kept(chunk, live)) else {
                continue;
            };
            let slots = Rc::make_mut(chunk);
            for (index, slot) in slots.iter_mut().enumerate() {
                slot.keep(granules_of(live, index));
            }
            if slots.iter().all(|slot| *slot == EMPTY) {
                *place = None;
            }
        }
    }

    /// The dynamic pointer whose first byte is at an offset, if all of it is there.
    pub(crate) fn dynptr_at(&self, offset: i64) -> Option<Dynptr> {
        let (index, start) = place(offset);
        let first = self.slot(index).dynptr().filter(|_| start == 0)?;
        let second = self.slot(index.checked_sub(1)?).dynptr()?;
        let whole = first.part == Part::First
            && second
                == Dynptr {
                    part: Part::Second,
                    ..first
                };
        whole.then_some(Dynptr {
            part: Part::Whole,
            ..first
        })
    }

    /// A dynamic pointer, or a part of one, with bytes from `low` up to `high`.
    pub(crate) fn dynptr_in(&self, low: i64, high: i64) -> Option<Dynptr> {
        if low >= high {
            return None;
        }
        let (first, last) = (place(high.saturating_sub(1)).0, place(low).0);
        (first..=last).find_map(|index| self.slot(index).dynptr())
    }

    /// Puts a dynamic pointer with its first byte at an offset, a multiple of 8.
    pub(crate) fn put_dynptr(&mut self, offset: i64, dynptr: Dynptr) {
        for (offset, part) in [(offset, Part::First), (offset + 8, Part::Second)] {
            let half = Region::Dynptr(Dynptr { part, ..dynptr });
            self.write(offset, 8, &Value::Pointer(Pointer::to(half)));
        }
    }

    /// Changes the stored values that `hit` selects.
    pub(crate) fn update(&mut self, hit: impl Fn(&Packed) -> bool, change: impl Fn(&mut Packed)) {
        for chunk in self.chunks.iter_mut().flatten() {
            if !chunk.iter().any(|slot| slot.any(&hit)) {
                continue;
            }
            for slot in Rc::make_mut(chunk) {
                slot.update(&hit, &change);
            }
        }
    }

    /// The granules of the stored values that `hit` selects, as bits.
    pub(crate) fn granules(&self, hit: impl Fn(&Packed) -> bool) -> u128 {
        let mut bits = 0;
        for (index, slot) in self.slots() {
            // The first half has the lower address, so the higher bit.
            let pair = match slot {
                Slot::Whole(value) if hit(value) => 3,
                Slot::Halves(halves) => {
                    let is_hit = |half: &Half| matches!(half, Half::Number(value) if hit(value));
                    u128::from(is_hit(&halves[0])) << 1 | u128::from(is_hit(&halves[1]))
                }
                _ => 0,
            };
            bits |= pair << (2 * index);
        }
        bits
    }

    /// Does `hit` select a stored value?
    pub(crate) fn any(&self, hit: impl Fn(&Packed) -> bool) -> bool {
        let mut chunks = self.chunks.iter().flatten();
        chunks.any(|chunk| chunk.iter().any(|slot| slot.any(&hit)))
    }
}

impl Slot {
    /// Two zero-extended 32-bit numbers, the one at the lower address first.
    pub(crate) fn of_halves(halves: [Scalar; 2]) -> Slot {
        Slot::Halves(Rc::new(
            halves.map(|scalar| Half::Number(Packed::number(&scalar, Link::NONE))),
        ))
    }

    /// What is known about one of the eight bytes.
    pub(crate) fn byte(&self, at: usize) -> Byte {
        match self {
            Slot::Bytes(bytes) => bytes[at],
            Slot::Halves(halves) => halves[at / 4].bytes()[at % 4],
            Slot::Whole(Packed::Pointer(_)) => Byte::Pointer,
            Slot::Whole(Packed::Unreadable(_)) => Byte::Unwritten,
            Slot::Whole(number) if number.is_zero() => Byte::Zero,
            Slot::Whole(_) => Byte::Written,
        }
    }

    /// The dynamic pointer that it is a part of.
    fn dynptr(&self) -> Option<Dynptr> {
        let Slot::Whole(Packed::Pointer(pointer)) = self else {
            return None;
        };
        match pointer.region {
            Region::Dynptr(dynptr) if dynptr.part != Part::Whole => Some(dynptr),
            _ => None,
        }
    }

    /// The bytes, with those of a pointer given up.
    fn plain_bytes(&self) -> [Byte; 8] {
        core::array::from_fn(|at| match self.byte(at) {
            Byte::Pointer => Byte::Unwritten,
            byte => byte,
        })
    }

    /// Sets the bytes from `start` up to `end`.
    fn fill(&mut self, start: usize, end: usize, byte: Byte) {
        // A half that stays whole keeps its number.
        if let Slot::Halves(halves) = self {
            for (half, first) in Rc::make_mut(halves).iter_mut().zip([0, 4]) {
                half.fill(start.max(first) - first, end.max(first) - first, byte);
            }
            return;
        }
        let mut bytes = self.plain_bytes();
        bytes[start..end].fill(byte);
        *self = Slot::Bytes(bytes);
    }

    /// Does forgetting the halves that are not in `live` change nothing? Bit 0 is the half at the
    /// higher address.
    fn is_kept(&self, live: u8) -> bool {
        let unwritten = |mut bytes: Range<usize>| bytes.all(|at| self.byte(at) == Byte::Unwritten);
        match live {
            3 => true,
            2 => unwritten(4..8),
            1 => unwritten(0..4),
            _ => *self == EMPTY,
        }
    }

    /// Forgets the halves that are not in `live`.
    fn keep(&mut self, live: u8) {
        if self.is_kept(live) {
            return;
        }
        if live == 0 {
            *self = EMPTY;
            return;
        }
        // Of a number, the other half is still known.
        let mut halves = self.halves();
        let dead = usize::from(live != 1);
        halves[dead] = Half::Bytes([Byte::Unwritten; 4]);
        *self = Slot::Halves(Rc::new(halves));
    }

    /// Does `hit` select a stored value?
    fn any(&self, hit: impl Fn(&Packed) -> bool) -> bool {
        match self {
            Slot::Whole(value) => hit(value),
            Slot::Halves(halves) => halves.iter().any(|half| match half {
                Half::Number(number) => hit(number),
                Half::Bytes(_) => false,
            }),
            Slot::Bytes(_) => false,
        }
    }

    /// Changes the stored values that `hit` selects.
    fn update(&mut self, hit: impl Fn(&Packed) -> bool, change: impl Fn(&mut Packed)) {
        if !self.any(&hit) {
            return;
        }
        match self {
            Slot::Whole(value) => {
                change(value);
                if !value.is_readable() {
                    *self = EMPTY;
                }
            }
            Slot::Halves(halves) => {
                for half in Rc::make_mut(halves) {
                    match half {
                        Half::Number(number) if hit(number) => change(number),
                        _ => {}
                    }
                }
            }
            Slot::Bytes(_) => {}
        }
    }

    /// The slot in two halves; a pointer is given up.
    pub(crate) fn halves(&self) -> [Half; 2] {
        match self {
            Slot::Halves(halves) => (**halves).clone(),
            Slot::Whole(number) if number.scalar().is_some() => {
                [0, 4].map(|start| match self.part(start, 4) {
                    Some(number) => Half::Number(number),
                    None => Half::Bytes([Byte::Written; 4]),
                })
            }
            _ => {
                let bytes = self.plain_bytes();
                [
                    Half::Bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
                    Half::Bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
                ]
            }
        }
    }

    /// `size` bytes from `start`, zero-extended; `None` when they cannot be read as a value.
    pub(crate) fn part(&self, start: usize, size: u32) -> Option<Packed> {
        match self {
            Slot::Whole(value) if size == 8 => value.is_readable().then(|| value.clone()),
            Slot::Whole(value) => cut(value, start, size),
            Slot::Halves(halves) => match &halves[start / 4] {
                Half::Number(number) if start % 4 + size as usize <= 4 => {
                    cut(number, start % 4, size)
                }
                _ if size == 8 => combine(halves),
                _ => self.plain_part(start, size),
            },
            Slot::Bytes(_) => self.plain_part(start, size),
        }
    }

    fn plain_part(&self, start: usize, size: u32) -> Option<Packed> {
        let mut zero = true;
        for at in start..start + size as usize {
            match self.byte(at) {
                Byte::Zero => {}
                Byte::Written => zero = false,
                Byte::Unwritten | Byte::Pointer => return None,
            }
        }
        let bits = if zero { 0 } else { size * 8 };
        Some(Packed::number(&Scalar::of_width(bits), Link::NONE))
    }
}

impl Half {
    pub(crate) fn bytes(&self) -> [Byte; 4] {
        match self {
            Half::Bytes(bytes) => *bytes,
            Half::Number(number) if number.is_zero() => [Byte::Zero; 4],
            Half::Number(_) => [Byte::Written; 4],
        }
    }

    fn fill(&mut self, start: usize, end: usize, byte: Byte) {
        let end = end.min(4);
        if start < end {
            let mut bytes = self.bytes();
            bytes[start..end].fill(byte);
            *self = Half::Bytes(bytes);
        }
    }

    fn scalar(&self) -> Option<Scalar> {
        match self {
            Half::Number(number) => number.scalar(),
            Half::Bytes(bytes) if bytes.contains(&Byte::Unwritten) => None,
            Half::Bytes(bytes) if *bytes == [Byte::Zero; 4] => Some(Scalar::constant(0)),
            Half::Bytes(_) => Some(unsigned(4)),
        }
    }
}

/// `size` bytes of a number from byte `start`. What is cut whole, or the lower half, keeps its
/// link.
fn cut(number: &Packed, start: usize, size: u32) -> Option<Packed> {
    let scalar = number.scalar()?;
    let bits = size * 8;
    if start == 0 && scalar.umax() >> bits.min(63) == 0 {
        return Some(number.clone());
    }
    let amount = Scalar::constant(start as u64 * 8);
    let shifted = Scalar::alu(AluOp::Rsh, Width::W64, &scalar, &amount);
    let link = match (start, size) {
        (0, 4) => number.link().low(&scalar),
        _ => Link::NONE,
    };
    Some(Packed::number(&shifted.zero_extend(bits), link))
}

fn combine(halves: &[Half; 2]) -> Option<Packed> {
    let (low, high) = (halves[0].scalar()?, halves[1].scalar()?);
    let high = Scalar::alu(AluOp::Lsh, Width::W64, &high, &Scalar::constant(32));
    let whole = Scalar::alu(AluOp::Or, Width::W64, &low, &high);
    Some(Packed::number(&whole, Link::NONE))
}

/// Any number of `size` bytes.
fn unsigned(size: u32) -> Scalar {
    Scalar::of_width(size.saturating_mul(8))
}

/// The granules of a chunk among those of a frame.
fn part_of(live: u128, chunk: usize) -> u16 {
    (live >> (2 * CHUNK * chunk)) as u16
}

/// The two granules of a slot among those of a chunk.
fn granules_of(live: u16, slot: usize) -> u8 {
    (live >> (2 * slot)) as u8 & 3
}

fn is_chunk_kept(chunk: &Chunk, live: u16) -> bool {
    let mut slots = chunk.iter().enumerate();
    live == u16::MAX || slots.all(|(index, slot)| slot.is_kept(granules_of(live, index)))
}

/// Slot index and byte in the slot of a negative offset.
fn place(offset: i64) -> (usize, usize) {
    let below = offset.saturating_neg().max(1) as usize;
    let index = (below - 1) / 8;
    (index, (index + 1) * 8 - below)
}
