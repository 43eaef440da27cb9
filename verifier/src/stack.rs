//! One stack frame: what each byte holds, and the values that are stored whole.
//!
//! Bytes are grouped in slots of eight, counted from the end of the frame as r10 does. A slot keeps
//! a whole 64-bit value (the only form in which pointers exist on the stack), two 32-bit halves, or
//! eight bytes that are only known to be written, zero, or neither.
//!
//! Invariants: offsets given to these functions lie in the frame (the caller checks bounds first);
//! a pointer that is overwritten in part leaves unreadable bytes, never a number.

use crate::domain::Scalar;
use crate::value::Value;
use alloc::rc::Rc;
use alloc::vec::Vec;
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
    Whole(Rc<Value>),
    /// Two 32-bit halves, the lower address first.
    Halves(Rc<[Half; 2]>),
}

/// Four bytes.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Half {
    /// Bytes without a common value; never [`Byte::Pointer`].
    Bytes([Byte; 4]),
    /// A zero-extended 32-bit number.
    Number { scalar: Scalar, link: u32 },
}

/// Why stack bytes cannot be used, with the offset of the first such byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Not written.
    Unwritten(i64),
    /// Part of a pointer.
    Pointer(i64),
}

/// One frame. Slot `i` covers the bytes from `-8 * (i + 1)`.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Stack {
    slots: Vec<Slot>,
}

/// A slot that was never written.
pub(crate) const EMPTY: Slot = Slot::Bytes([Byte::Unwritten; 8]);

impl Stack {
    /// The slots from the end of the frame down.
    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The slot at an index; slots never touched are empty.
    pub(crate) fn slot(&self, index: usize) -> &Slot {
        self.slots.get(index).unwrap_or(&EMPTY)
    }

    fn slot_mut(&mut self, index: usize) -> &mut Slot {
        if index >= self.slots.len() {
            self.slots.resize(index + 1, EMPTY);
        }
        &mut self.slots[index]
    }

    /// Puts something else in a slot that exists.
    pub(crate) fn replace(&mut self, index: usize, slot: Slot) {
        if let Some(place) = self.slots.get_mut(index) {
            *place = slot;
        }
    }

    /// What a load of `size` bytes finds, zero-extended.
    pub(crate) fn read(&self, offset: i64, size: u32) -> Result<Value, Fault> {
        let (index, start) = place(offset);
        if start + size as usize <= 8 {
            return self.slot(index).part(start, size).ok_or_else(|| {
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
            (8, 0) => *self.slot_mut(index) = Slot::Whole(Rc::new(*value)),
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
        let link = if scalar.umax() <= u64::from(u32::MAX) {
            *link
        } else {
            0
        };
        let slot = self.slot_mut(index);
        let mut halves = slot.halves();
        halves[half] = Half::Number {
            scalar: scalar.truncate32(),
            link,
        };
        *slot = Slot::Halves(Rc::new(halves));
    }

    /// Sets every byte from `low` up to `high`.
    pub(crate) fn fill(&mut self, low: i64, high: i64, byte: Byte) {
        for offset in low..high {
            let (index, start) = place(offset);
            let slot = self.slot_mut(index);
            // A half that stays whole keeps its number.
            if let Slot::Halves(halves) = slot {
                let mut halves = (**halves).clone();
                let mut bytes = halves[start / 4].bytes();
                bytes[start % 4] = byte;
                halves[start / 4] = Half::Bytes(bytes);
                *slot = Slot::Halves(Rc::new(halves));
                continue;
            }
            let mut bytes = slot.plain_bytes();
            bytes[start] = byte;
            *slot = Slot::Bytes(bytes);
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

    /// Forgets the four-byte granules that are not in `live` (bit 0 is the one next to r10).
    pub(crate) fn keep(&mut self, live: u128) {
        for index in 0..self.slots.len() {
            let pair = (live >> (2 * index.min(63))) & 3;
            // Bit 0 is the granule with the higher address.
            match pair {
                3 => {}
                0 => self.slots[index] = EMPTY,
                _ => {
                    let dead = if pair == 1 { 0 } else { 4 };
                    let base = -8 * (index as i64 + 1) + dead;
                    if self.slots[index] != EMPTY {
                        self.fill(base, base + 4, Byte::Unwritten);
                    }
                }
            }
        }
        while self.slots.last() == Some(&EMPTY) {
            self.slots.pop();
        }
    }

    /// Changes the stored values that `hit` selects.
    pub(crate) fn update(&mut self, hit: &dyn Fn(&Value) -> bool, change: &dyn Fn(&mut Value)) {
        for slot in &mut self.slots {
            match slot {
                Slot::Whole(value) if hit(value) => {
                    change(Rc::make_mut(value));
                    if !value.is_readable() {
                        *slot = EMPTY;
                    }
                }
                Slot::Halves(halves) => {
                    if !halves
                        .iter()
                        .any(|half| half.value().is_some_and(|v| hit(&v)))
                    {
                        continue;
                    }
                    for half in Rc::make_mut(halves) {
                        half.update(hit, change);
                    }
                }
                _ => {}
            }
        }
    }

    /// Does `hit` select a stored value?
    pub(crate) fn any(&self, hit: &dyn Fn(&Value) -> bool) -> bool {
        self.slots.iter().any(|slot| match slot {
            Slot::Whole(value) => hit(value),
            Slot::Halves(halves) => halves
                .iter()
                .any(|half| half.value().is_some_and(|v| hit(&v))),
            Slot::Bytes(_) => false,
        })
    }
}

impl Slot {
    /// What is known about one of the eight bytes.
    pub(crate) fn byte(&self, at: usize) -> Byte {
        match self {
            Slot::Bytes(bytes) => bytes[at],
            Slot::Halves(halves) => halves[at / 4].bytes()[at % 4],
            Slot::Whole(value) => match **value {
                Value::Pointer(_) => Byte::Pointer,
                Value::Number { .. } if value.is_zero() => Byte::Zero,
                Value::Number { .. } => Byte::Written,
                Value::Unreadable(_) => Byte::Unwritten,
            },
        }
    }

    /// The bytes, with those of a pointer given up.
    fn plain_bytes(&self) -> [Byte; 8] {
        core::array::from_fn(|at| match self.byte(at) {
            Byte::Pointer => Byte::Unwritten,
            byte => byte,
        })
    }

    /// The slot in two halves; a pointer is given up.
    fn halves(&self) -> [Half; 2] {
        if let Slot::Halves(halves) = self {
            return (**halves).clone();
        }
        if let Slot::Whole(value) = self
            && value.scalar().is_some()
        {
            return [0, 4].map(|start| match self.part(start, 4) {
                Some(Value::Number { scalar, link }) => Half::Number { scalar, link },
                _ => Half::Bytes([Byte::Written; 4]),
            });
        }
        let bytes = self.plain_bytes();
        [
            Half::Bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            Half::Bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        ]
    }

    /// `size` bytes from `start`, zero-extended; `None` when they cannot be read as a value.
    pub(crate) fn part(&self, start: usize, size: u32) -> Option<Value> {
        match self {
            Slot::Whole(value) if size == 8 => value.is_readable().then_some(**value),
            Slot::Whole(value) => Some(cut(value.scalar()?, start, size, value.link())),
            Slot::Halves(halves) => match &halves[start / 4] {
                Half::Number { scalar, link } if start % 4 + size as usize <= 4 => {
                    Some(cut(scalar, start % 4, size, *link))
                }
                _ if size == 8 => combine(halves),
                _ => self.plain_part(start, size),
            },
            Slot::Bytes(_) => self.plain_part(start, size),
        }
    }

    fn plain_part(&self, start: usize, size: u32) -> Option<Value> {
        let mut zero = true;
        for at in start..start + size as usize {
            match self.byte(at) {
                Byte::Zero => {}
                Byte::Written => zero = false,
                Byte::Unwritten | Byte::Pointer => return None,
            }
        }
        Some(if zero {
            Value::constant(0)
        } else {
            Value::number(unsigned(size))
        })
    }
}

impl Half {
    pub(crate) fn bytes(&self) -> [Byte; 4] {
        match self {
            Half::Bytes(bytes) => *bytes,
            Half::Number { scalar, .. } if scalar.is_const() == Some(0) => [Byte::Zero; 4],
            Half::Number { .. } => [Byte::Written; 4],
        }
    }

    fn value(&self) -> Option<Value> {
        match self {
            Half::Number { scalar, link } => Some(Value::Number {
                scalar: *scalar,
                link: *link,
            }),
            Half::Bytes(_) => None,
        }
    }

    fn scalar(&self) -> Option<Scalar> {
        match self {
            Half::Number { scalar, .. } => Some(*scalar),
            Half::Bytes(bytes) if bytes.contains(&Byte::Unwritten) => None,
            Half::Bytes(bytes) if *bytes == [Byte::Zero; 4] => Some(Scalar::constant(0)),
            Half::Bytes(_) => Some(unsigned(4)),
        }
    }

    fn update(&mut self, hit: &dyn Fn(&Value) -> bool, change: &dyn Fn(&mut Value)) {
        let Some(mut value) = self.value().filter(|value| hit(value)) else {
            return;
        };
        change(&mut value);
        if let Value::Number { scalar, link } = value {
            *self = Half::Number { scalar, link };
        }
    }
}

impl Value {
    /// The link of a number, 0 for none.
    pub(crate) const fn link(&self) -> u32 {
        match self {
            Value::Number { link, .. } => *link,
            _ => 0,
        }
    }
}

/// `size` bytes of a number from byte `start`. What is cut whole keeps its link.
fn cut(scalar: &Scalar, start: usize, size: u32, link: u32) -> Value {
    let amount = Scalar::constant(start as u64 * 8);
    let shifted = Scalar::alu(AluOp::Rsh, Width::W64, scalar, &amount);
    let bits = size * 8;
    let whole = start == 0 && (bits >= 64 || scalar.umax() >> bits == 0);
    Value::Number {
        scalar: shifted.zero_extend(bits),
        link: if whole { link } else { 0 },
    }
}

fn combine(halves: &[Half; 2]) -> Option<Value> {
    let (low, high) = (halves[0].scalar()?, halves[1].scalar()?);
    let high = Scalar::alu(AluOp::Lsh, Width::W64, &high, &Scalar::constant(32));
    Some(Value::number(Scalar::alu(
        AluOp::Or,
        Width::W64,
        &low,
        &high,
    )))
}

/// Any number of `size` bytes.
fn unsigned(size: u32) -> Scalar {
    Scalar::UNKNOWN.zero_extend(size.saturating_mul(8).min(64))
}

/// Slot index and byte in the slot of a negative offset.
fn place(offset: i64) -> (usize, usize) {
    let below = offset.saturating_neg().max(1) as usize;
    let index = (below - 1) / 8;
    (index, (index + 1) * 8 - below)
}
