//! Relaxing a state to what is needed of it, and reading off what a state leaves open.
//!
//! A relaxed state says exactly what the need says about the state it was made of, so that "agrees
//! on the need" (see `need`) becomes "is subsumed by the relaxed state".

use crate::link::Link;
use crate::need::{FrameNeed, Level, Need};
use crate::packed::Packed;
use crate::places::{Places, bit};
use crate::stack::{Byte, EMPTY, Half, SLOTS, Slot};
use crate::state::{Frame, State};
use crate::value::Value;
use isa::Reg;

impl State {
    /// Forgets what is not needed.
    pub(crate) fn relax(&mut self, need: &Need) {
        for depth in 0..=self.depth() {
            let wanted = need.frame(depth);
            if let Some(frame) = self.frame_mut(depth as u8) {
                relax_registers(frame, wanted);
                relax_stack(frame, wanted);
            }
        }
        self.keep_distances();
        self.keep_sums();
        self.keep_totals();
    }

    /// What must be known so that this state covers another.
    pub(crate) fn asks(&self) -> Need {
        let mut need = Need::default();
        for (depth, frame) in self.frames().iter().enumerate() {
            for reg in Reg::ALL.into_iter().filter(|reg| *reg != Reg::R10) {
                let places = Places::registers(bit(reg));
                need.raise(depth, places, asked(frame.packed(reg)));
            }
            for (index, slot) in frame.stack.slots() {
                for half in 0..2 {
                    let places = Places::stack(granule(index, half));
                    need.raise(depth, places, asked_of_half(slot, half));
                }
            }
        }
        need
    }
}

/// The granule of the lower (0) or higher (1) half of a slot.
fn granule(index: usize, half: usize) -> u128 {
    1u128
        .checked_shl((2 * index + 1 - half) as u32)
        .unwrap_or_default()
}

fn asked(value: &Packed) -> Level {
    match value {
        Packed::Unreadable(why) if why.is_empty() || why.is_there() => Level::Exact,
        Packed::Unreadable(_) => Level::Nothing,
        Packed::Wide {
            link: Link::NONE,
            bits: 64,
        } => Level::Used,
        _ => Level::Exact,
    }
}

fn asked_of_half(slot: &Slot, half: usize) -> Level {
    match slot {
        Slot::Whole(value) => asked(value),
        Slot::Halves(halves) => match &halves[half] {
            Half::Bytes(bytes) => asked_of_bytes(bytes),
            Half::Number(Packed::Wide {
                link: Link::NONE,
                bits: 32,
            }) => Level::Used,
            Half::Number(_) => Level::Exact,
        },
        Slot::Bytes(bytes) => asked_of_bytes(&bytes[4 * half..4 * half + 4]),
    }
}

fn asked_of_bytes(bytes: &[Byte]) -> Level {
    let most = bytes.iter().map(|byte| match byte {
        Byte::Unwritten => Level::Nothing,
        Byte::Written => Level::Used,
        Byte::Zero | Byte::Pointer => Level::Exact,
    });
    most.max().unwrap_or(Level::Nothing)
}

fn relax_registers(frame: &mut Frame, wanted: FrameNeed) {
    for reg in Reg::ALL.into_iter().filter(|reg| *reg != Reg::R10) {
        let value = match (wanted.level(Places::registers(bit(reg))), frame.packed(reg)) {
            (Level::Exact, _) | (Level::Used, Packed::Pointer(_) | Packed::Unreadable(_)) => {
                continue;
            }
            (Level::Used, _) => Value::unknown(),
            (Level::Nothing, _) => Value::uninitialised(),
        };
        frame.set(reg, value);
    }
}

fn relax_stack(frame: &mut Frame, wanted: FrameNeed) {
    // Whole slots first: of half a slot more is known than that it can be read.
    let odd = u128::MAX / 3;
    let used = wanted.used.stack;
    let slots = (used | used >> 1) & odd;
    frame.stack.keep(slots | slots << 1);
    for index in 0..SLOTS {
        let levels = [0, 1].map(|half| wanted.level(Places::stack(granule(index, half))));
        if let Some(slot) = relaxed(frame.stack.slot(index), levels) {
            frame.stack.replace(index, slot);
        }
    }
}

/// The slot with less said about its halves; `None` when nothing changes.
fn relaxed(slot: &Slot, levels: [Level; 2]) -> Option<Slot> {
    if levels == [Level::Exact; 2] || *slot == EMPTY {
        return None;
    }
    if matches!(slot, Slot::Whole(Packed::Pointer(_))) {
        return (levels == [Level::Nothing; 2]).then_some(EMPTY);
    }
    if levels.contains(&Level::Exact) {
        let mut halves = slot.halves();
        for (half, level) in halves.iter_mut().zip(levels) {
            if level != Level::Exact {
                *half = Half::Bytes(half.bytes().map(|byte| relaxed_byte(byte, level)));
            }
        }
        return Some(Slot::Halves(alloc::rc::Rc::new(halves)));
    }
    Some(Slot::Bytes(core::array::from_fn(|at| {
        relaxed_byte(slot.byte(at), levels[at / 4])
    })))
}

fn relaxed_byte(byte: Byte, level: Level) -> Byte {
    match (byte, level) {
        (_, Level::Nothing) | (Byte::Unwritten, _) => Byte::Unwritten,
        // Bytes of a pointer are no number, even where a helper may read them.
        (Byte::Pointer, _) => Byte::Pointer,
        (_, Level::Used) => Byte::Written,
        (byte, Level::Exact) => byte,
    }
}
