//! Watching the analysis at work, for `verify -v`, `--emit state` and `--emit visits`, and for tests
//! that compare the states with what programs really do.

use crate::domain::Scalar;
use crate::need::Need;
use crate::stack::{Byte, Half, Slot};
use crate::state::{Role, State};
use crate::sums::PacketSum;
use crate::totals::Total;
use crate::value::Value;
use core::fmt;
use isa::{InsnIdx, Reg};
use program::MapId;

/// Receives the steps of the analysis in the order in which they happen.
pub trait Observer {
    /// `at` is about to be analysed in this state.
    fn step(&mut self, at: InsnIdx, state: &View<'_>);
    /// The path ends here because an equal or more general state was already proved safe.
    fn pruned(&mut self, _at: InsnIdx) {}
    /// A branch goes on at `at` with a state that was put aside earlier.
    fn resumed(&mut self, _at: InsnIdx) {}
    /// Should the analysis tell what is needed of each state?
    fn wants_needs(&self) -> bool {
        false
    }
    /// All paths from a step (counted from 0) have ended, and so much of its state was needed: any
    /// state that agrees with that part is proved as well. Steps that were taken back have no need.
    fn needed(&mut self, _step: u64, _need: &Needed<'_>) {}
}

/// The part of a state that the proof of what follows needed.
pub struct Needed<'a>(pub(crate) &'a Need);

/// An observer that does nothing.
pub struct Silent;

impl Observer for Silent {
    fn step(&mut self, _at: InsnIdx, _state: &View<'_>) {}
}

/// A state as an observer sees it; prints as one line of readable registers and stack slots.
pub struct View<'a>(pub(crate) &'a State);

/// A state kept by an observer; cheap, because states share what they have in common.
#[derive(Clone, Debug)]
pub struct Snapshot(State);

/// A number that is the distance from a packet pointer to the end of the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PacketDistance {
    /// Link of the number.
    pub link: u32,
    /// Number of the pointer's unknown offset.
    pub packet: u32,
    /// Its known offset.
    pub fixed: i32,
}

impl Snapshot {
    /// Forgets what was not needed.
    pub fn relax(&mut self, need: &Needed<'_>) {
        self.0.relax(need.0);
    }

    /// The state.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View(&self.0)
    }
}

impl View<'_> {
    /// What a register of the running function holds.
    #[must_use]
    pub fn register(&self, reg: Reg) -> Value {
        self.0.top().register(reg)
    }

    /// Depth of the running function; 0 is the main program.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.depth()
    }

    /// Is this inside a global function that is analysed by its contract? Its callers are not in
    /// the state, and memory that it was given can be part of anything.
    #[must_use]
    pub fn is_by_contract(&self) -> bool {
        let mut frames = self.0.frames().iter();
        frames.any(|frame| matches!(frame.role, Role::ByContract { .. }))
    }

    /// Keeps the state.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.0.clone())
    }

    /// What a register of the function at a depth holds; nothing readable outside.
    #[must_use]
    pub fn register_at(&self, depth: usize, reg: Reg) -> Value {
        let frame = self.0.frames().get(depth);
        frame.map_or(Value::uninitialised(), |frame| frame.register(reg))
    }

    /// The instruction that called the function at a depth; meaningless for the main program.
    #[must_use]
    pub fn call_of(&self, depth: usize) -> Option<InsnIdx> {
        self.0.frames().get(depth).map(|frame| frame.call)
    }

    /// Everything known about the stack of the function at a depth: offset from the end of the
    /// frame, bytes, and the value in them.
    pub fn stack_at(&self, depth: usize, mut each: impl FnMut(i64, u32, Value)) {
        let Some(frame) = self.0.frames().get(depth) else {
            return;
        };
        for (index, slot) in frame.stack.slots() {
            slot_parts(slot, -8 * (index as i64 + 1), &mut each);
        }
    }

    /// The references held: number, and the call that acquired it.
    pub fn references(&self) -> impl Iterator<Item = (u32, InsnIdx)> + '_ {
        let held = self.0.references.iter();
        held.map(|held| (held.id, held.acquired))
    }

    /// The lock held: the map and the number of the element.
    #[must_use]
    pub fn lock(&self) -> Option<(MapId, u32)> {
        self.0.lock.map(|lock| (lock.map, lock.object))
    }

    /// What packet pointers were moved by.
    pub fn sums(&self) -> impl Iterator<Item = PacketSum> + '_ {
        self.0.sums.iter().copied()
    }

    /// Numbers that are the sum of two others.
    pub fn totals(&self) -> impl Iterator<Item = Total> + '_ {
        self.0.totals.iter().copied()
    }

    /// The numbers that say how long the packet is.
    pub fn distances(&self) -> impl Iterator<Item = PacketDistance> + '_ {
        self.0.distances.iter().map(|known| PacketDistance {
            link: known.link,
            packet: known.packet,
            fixed: known.fixed,
        })
    }
}

fn slot_parts(slot: &Slot, offset: i64, each: &mut impl FnMut(i64, u32, Value)) {
    match slot {
        Slot::Whole(value) => each(offset, 8, value.value()),
        Slot::Bytes(bytes) => byte_parts(bytes, offset, each),
        Slot::Halves(halves) => {
            for (half, offset) in halves.iter().zip([offset, offset + 4]) {
                match half {
                    Half::Bytes(bytes) => byte_parts(bytes, offset, each),
                    Half::Number(number) => each(offset, 4, number.value()),
                }
            }
        }
    }
}

fn byte_parts(bytes: &[Byte], offset: i64, each: &mut impl FnMut(i64, u32, Value)) {
    for (byte, offset) in bytes.iter().zip(offset..) {
        match byte {
            Byte::Zero => each(offset, 1, Value::constant(0)),
            Byte::Written => each(offset, 1, Value::number(Scalar::UNKNOWN.zero_extend(8))),
            Byte::Unwritten | Byte::Pointer => {}
        }
    }
}

impl fmt::Display for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)
    }
}
