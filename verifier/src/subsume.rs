//! Is one state a special case of another?
//!
//! If `new` is subsumed by `old` and everything from `old` on was proved safe, `new` is safe as
//! well. Numbers that only mean "the same as" (links, packet ids, null numbers, elements,
//! references) differ between paths; a partial map from the old state's numbers to the new one's
//! makes them comparable: whatever the old state says is the same must be the same in the new one.
//!
//! Most comparisons fail, so the contents are compared first, place by place and without regard to
//! those numbers, and only then the map is made. A stored state remembers where the last state that
//! it did not cover differed, because the next one is likely to differ there too.

use crate::link::{Form, Link};
use crate::need::Need;
use crate::packed::Packed;
use crate::stack::{Byte, EMPTY, Half, SLOTS, Slot, Stack};
use crate::state::{Frame, Role, State};
use crate::value::{Pointer, Region};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::hash::{Hash, Hasher};
use isa::Reg;

/// Stands for NULL in the map of null numbers.
const NULL: u32 = u32::MAX;

/// What the numbers of the old state are in the new one.
#[derive(Default)]
pub(crate) struct Names {
    links: Vec<(u32, Meanings)>,
    packets: Vec<(u32, u32)>,
    nulls: Vec<(u32, u32)>,
    objects: Vec<(u32, u32)>,
    dynptrs: Vec<(u32, u32)>,
    references: Vec<(u32, u32)>,
}

/// What the unknown number of an old link is in the new state: as a whole once a place needs all of
/// it, and its lower half, which is all that some places need.
struct Meanings {
    whole: Option<Meaning>,
    low: Meaning,
}

/// A number in terms of the new state, modulo 2^64 or 2^32: that of a link plus a constant, a
/// constant, or both. When neither, nothing else is known to equal it.
#[derive(Clone, Copy)]
struct Meaning {
    link: u32,
    plus: i64,
    constant: Option<u64>,
}

/// A state that others are compared with.
pub(crate) struct Known {
    state: State,
    /// Where the last state that was not covered differed.
    difference: Cell<Place>,
}

/// A place in a state that holds something.
#[derive(Clone, Copy)]
struct Place {
    frame: u8,
    /// A register, or a stack slot counted from the last register on.
    content: u8,
}

impl Known {
    /// To compare others with.
    pub(crate) fn new(state: State) -> Known {
        let place = Place {
            frame: 0,
            content: 0,
        };
        Known {
            state,
            difference: Cell::new(place),
        }
    }

    /// The state.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Forgets what is not needed.
    pub(crate) fn relax(&mut self, need: &Need) {
        self.state.relax(need);
    }

    /// Is every concrete state of `new` one of this?
    pub(crate) fn covers(&self, new: &State) -> bool {
        let old = &self.state;
        if !new.fits_at(old, self.difference.get()) || !new.has_shape_of(old) {
            return false;
        }
        if let Some(place) = new.first_difference(old) {
            self.difference.set(place);
            return false;
        }
        new.has_names_of(old)
    }
}

impl State {
    /// Is every concrete state of `self` one of `old`?
    pub(crate) fn is_subsumed_by(&self, old: &State) -> bool {
        self.has_shape_of(old) && self.first_difference(old).is_none() && self.has_names_of(old)
    }

    /// Are the same functions running and the same kinds of resources held?
    fn has_shape_of(&self, old: &State) -> bool {
        let held = |state: &State| state.lock.map(|lock| lock.map);
        self.frames().len() == old.frames().len()
            && self.references.len() == old.references.len()
            && held(self) == held(old)
            && self.frames().iter().zip(old.frames()).all(|(new, old)| {
                new.function == old.function && new.call == old.call && new.role == old.role
            })
            && self
                .references
                .iter()
                .zip(&old.references)
                .all(|(new, old)| new.acquired == old.acquired)
    }

    /// Does what one place holds fit, whatever its numbers mean elsewhere?
    fn fits_at(&self, old: &State, place: Place) -> bool {
        let frame = usize::from(place.frame);
        match (self.frames().get(frame), old.frames().get(frame)) {
            (Some(new), Some(old)) => frame_fits_at(new, old, usize::from(place.content)),
            _ => true,
        }
    }

    /// The first place that does not fit.
    fn first_difference(&self, old: &State) -> Option<Place> {
        // Functions that were called last differ most.
        let frames = self.frames().iter().zip(old.frames()).enumerate().rev();
        frames
            .filter(|(_, (new, old))| !Rc::ptr_eq(new, old))
            .find_map(|(depth, (new, old))| {
                let content = frame_difference(new, old)?;
                Some(Place {
                    frame: depth as u8,
                    content: content as u8,
                })
            })
    }

    /// Is what is the same in the old state the same in the new one? The contents must fit.
    fn has_names_of(&self, old: &State) -> bool {
        let mut names = Names::default();
        for (new, old) in self.references.iter().zip(&old.references) {
            names.references.push((old.id, new.id));
        }
        self.frames()
            .iter()
            .zip(old.frames())
            .all(|(new, old)| names.bind_frame(new, old))
            && self.lock_matches(old, &mut names)
            && self.distances_match(old, &mut names)
            && self.sums_match(old, &mut names)
            && self.totals_match(old, &names)
    }

    fn lock_matches(&self, old: &State, names: &mut Names) -> bool {
        match (self.lock, old.lock) {
            (None, None) => true,
            (Some(new), Some(old)) => {
                new.map == old.map && same(&mut names.objects, old.object, new.object)
            }
            _ => false,
        }
    }

    /// What the old state could learn about the packet from a number, the new one must be able to.
    fn distances_match(&self, old: &State, names: &mut Names) -> bool {
        old.distances.iter().all(|old| {
            let Some((_, meanings)) = names.links.iter().find(|(name, _)| *name == old.link) else {
                // No number holds it.
                return true;
            };
            let low = meanings.low;
            self.distances.iter().any(|new| {
                // Both are distances from the same place when the numbers differ by as much as the
                // places do.
                let moved = i64::from(new.fixed) - i64::from(old.fixed);
                new.link == low.link
                    && moved as u32 == low.plus as u32
                    && same_packet(names, old.packet, new.packet)
            })
        })
    }

    /// What the old state knows of moved packet pointers, the new one must know as well.
    fn sums_match(&self, old: &State, names: &mut Names) -> bool {
        old.sums.iter().all(|old| {
            let bound = names.links.iter().find(|(name, _)| *name == old.link.id);
            let low = bound.map(|(_, meanings)| meanings.low);
            self.sums.iter().any(|new| {
                // The numbers that were added have the same lower half, which tells them.
                let moved = i64::from(new.link.offset) - i64::from(old.link.offset);
                // Where no number holds it, only its least counts.
                low.is_none_or(|low| new.link.id == low.link && moved as u32 == low.plus as u32)
                    && new.least >= old.least
                    && new.proven >= old.proven
                    && same_packet(names, old.from, new.from)
                    && same_packet(names, old.to, new.to)
            })
        })
    }

    /// What the old state knows of sums, the new one must know as well.
    fn totals_match(&self, old: &State, names: &Names) -> bool {
        let low = |name| {
            let bound = names.links.iter().find(|(known, _)| *known == name);
            bound.map(|(_, meanings)| meanings.low)
        };
        let is = |new: Link, old: Link| {
            // Both are small, so the lower halves tell them.
            let moved = i64::from(new.offset) - i64::from(old.offset);
            low(old.id).is_some_and(|low| new.id == low.link && (moved as u32) == low.plus as u32)
        };
        old.totals.iter().all(|old| {
            let sum = low(old.sum);
            let unused = old.parts.iter().any(|part| low(part.id).is_none());
            unused
                || self.totals.iter().any(|new| {
                    let [first, second] = old.parts;
                    is(new.parts[0], first)
                        && is(new.parts[1], second)
                        && new.most <= old.most
                        && sum.is_none_or(|sum| new.sum == sum.link && sum.plus as u32 == 0)
                })
        })
    }

    /// A number that is equal for states that subsume each other (most of the time).
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
        for frame in self.frames() {
            frame.call.hash(&mut hasher);
            if let Role::CalledBack { invocation, .. } = frame.role {
                invocation.hash(&mut hasher);
            }
            for reg in Reg::ALL {
                hash_value(frame.packed(reg), &mut hasher);
            }
            for (index, slot) in frame.stack.slots().filter(|(_, slot)| **slot != EMPTY) {
                index.hash(&mut hasher);
                hash_slot(slot, &mut hasher);
            }
        }
        self.references.len().hash(&mut hasher);
        hasher.0
    }
}

/// The register or slot at which the frames differ.
fn frame_difference(new: &Frame, old: &Frame) -> Option<usize> {
    let mut registers = 0..Reg::COUNT;
    registers
        .find(|content| !frame_fits_at(new, old, *content))
        .or_else(|| Some(Reg::COUNT + stack_difference(&new.stack, &old.stack)?))
}

fn stack_difference(new: &Stack, old: &Stack) -> Option<usize> {
    let chunks = new.chunks().iter().zip(old.chunks());
    let mut differing = chunks.enumerate().filter(|(_, chunks)| match chunks {
        (_, None) => false,
        (Some(new), Some(old)) => !Rc::ptr_eq(new, old),
        (None, Some(_)) => true,
    });
    differing.find_map(|(chunk, _)| {
        let mut slots = Stack::slots_of(chunk);
        slots.find(|index| !slot_fits(new.slot(*index), old.slot(*index)))
    })
}

/// Does a register or slot fit?
fn frame_fits_at(new: &Frame, old: &Frame, content: usize) -> bool {
    match Reg::ALL.get(content) {
        Some(reg) => fits(new.packed(*reg), old.packed(*reg)),
        None => {
            let index = content.saturating_sub(Reg::COUNT).min(SLOTS);
            slot_fits(new.stack.slot(index), old.stack.slot(index))
        }
    }
}

/// Is the value a special case, whatever its numbers mean elsewhere in the states?
pub(crate) fn fits(new: &Packed, old: &Packed) -> bool {
    match (new, old) {
        // What a call may take as not passed covers no pointer, and nothing that may be one.
        (Packed::Pointer(_), Packed::Unreadable(old)) => !old.is_empty(),
        (Packed::Unreadable(new), Packed::Unreadable(old)) => {
            (new.is_empty() || !old.is_empty()) && (new.is_there() || !old.is_there())
        }
        (_, Packed::Unreadable(_)) => true,
        (Packed::Pointer(new), Packed::Pointer(old)) => {
            Rc::ptr_eq(new, old) || pointer_fits(new, old)
        }
        // NULL is one of the things that such a pointer can be.
        (_, Packed::Pointer(old)) => old.null != 0 && !old.is_acquired() && new.is_zero(),
        _ => new.is_number_of(old),
    }
}

/// Is the pointer a special case, whatever its numbers mean elsewhere in the states?
pub(crate) fn pointer_fits(new: &Pointer, old: &Pointer) -> bool {
    new.fixed == old.fixed
        && (old.null != 0 || new.null == 0)
        && region_fits(new.region, old.region)
        && (new.var == old.var || new.var.leq(&old.var))
}

fn region_fits(new: Region, old: Region) -> bool {
    match (new, old) {
        (Region::Packet { id, range }, Region::Packet { id: of, range: had })
        | (Region::PacketMeta { id, range }, Region::PacketMeta { id: of, range: had }) => {
            range >= had && (of != 0 || id == 0)
        }
        (Region::MapValue { map, .. }, Region::MapValue { map: old, .. }) => map == old,
        (
            Region::Memory { size, reference },
            Region::Memory {
                size: had,
                reference: of,
            },
        ) => size == had && (reference == 0) == (of == 0),
        (
            Region::Socket { kind, reference },
            Region::Socket {
                kind: was,
                reference: of,
            },
        ) => kind == was && (reference == 0) == (of == 0),
        (Region::Dynptr(new), Region::Dynptr(old)) => {
            new.kind == old.kind
                && new.part == old.part
                && (new.reference == 0) == (old.reference == 0)
        }
        (Region::Slice(new), Region::Slice(old)) => {
            new.size == old.size
                && new.of == old.of
                && new.writable >= old.writable
                && (new.buffer == old.buffer || new.buffer.is_none())
                && (new.reference == 0) == (old.reference == 0)
        }
        (new, old) => new == old,
    }
}

/// Is the slot a special case, whatever its numbers mean elsewhere in the states?
pub(crate) fn slot_fits(new: &Slot, old: &Slot) -> bool {
    match (new, old) {
        (Slot::Bytes(new), Slot::Bytes(old)) => {
            new == old || new.iter().zip(old).all(|(new, old)| byte_fits(*new, *old))
        }
        (_, Slot::Bytes(old)) => (0..8).all(|at| byte_fits(new.byte(at), old[at])),
        (Slot::Whole(new), Slot::Whole(old)) => new.is_readable() && fits(new, old),
        (_, Slot::Whole(old)) => new.part(0, 8).is_some_and(|new| fits(&new, old)),
        (Slot::Halves(new), Slot::Halves(old)) if Rc::ptr_eq(new, old) => true,
        (_, Slot::Halves(halves)) => halves.iter().enumerate().all(|(index, half)| match half {
            Half::Bytes(bytes) => (0..4).all(|at| byte_fits(new.byte(4 * index + at), bytes[at])),
            Half::Number(old) => new.part(4 * index, 4).is_some_and(|new| fits(&new, old)),
        }),
    }
}

fn byte_fits(new: Byte, old: Byte) -> bool {
    match old {
        Byte::Unwritten => true,
        Byte::Written => matches!(new, Byte::Written | Byte::Zero),
        Byte::Zero => new == Byte::Zero,
        Byte::Pointer => new == Byte::Pointer,
    }
}

fn same_packet(names: &mut Names, old: u32, new: u32) -> bool {
    if old == 0 {
        return new == 0;
    }
    same(&mut names.packets, old, new)
}

fn same_reference(names: &Names, old: u32, new: u32) -> bool {
    if old == 0 || new == 0 {
        return old == new;
    }
    names.references.contains(&(old, new))
}

/// Records that `old` is `new`, or compares with what was recorded.
fn same(names: &mut Vec<(u32, u32)>, old: u32, new: u32) -> bool {
    if let Some((_, known)) = names.iter().find(|(name, _)| *name == old) {
        return *known == new;
    }
    names.push((old, new));
    true
}

impl Names {
    fn bind_frame(&mut self, new: &Frame, old: &Frame) -> bool {
        Reg::ALL
            .into_iter()
            .all(|reg| self.bind(new.packed(reg), old.packed(reg)))
            && old
                .stack
                .slots()
                .all(|(index, old)| self.bind_slot(new.stack.slot(index), old))
    }

    fn bind_slot(&mut self, new: &Slot, old: &Slot) -> bool {
        match (new, old) {
            (_, Slot::Bytes(_)) => true,
            (Slot::Whole(new), Slot::Whole(old)) => self.bind(new, old),
            (_, Slot::Whole(old)) => new.part(0, 8).is_some_and(|new| self.bind(&new, old)),
            (_, Slot::Halves(halves)) => {
                halves.iter().zip([0, 4]).all(|(half, start)| match half {
                    // What has no link says nothing about other places.
                    Half::Number(old) if old.link_id() != 0 => {
                        new.part(start, 4).is_some_and(|new| self.bind(&new, old))
                    }
                    Half::Number(_) | Half::Bytes(_) => true,
                })
            }
        }
    }

    /// Records what the numbers of a place are, or compares with what was recorded.
    fn bind(&mut self, new: &Packed, old: &Packed) -> bool {
        match (new, old) {
            (_, Packed::Unreadable(_)) => true,
            (Packed::Pointer(new), Packed::Pointer(old)) => {
                (old.null == 0 || same(&mut self.nulls, old.null, new.null))
                    && self.bind_region(new.region, old.region)
                    && self.bind_offset(new, old)
            }
            (_, Packed::Pointer(old)) => same(&mut self.nulls, old.null, NULL),
            (_, Packed::Constant(_)) => true,
            (new, old) => self.bind_link(new, old),
        }
    }

    /// The unknown parts of offsets are numbers too.
    fn bind_offset(&mut self, new: &Pointer, old: &Pointer) -> bool {
        let number = |pointer: &Pointer| Packed::number(&pointer.var, pointer.link);
        !old.link.is_some() || self.bind_link(&number(new), &number(old))
    }

    fn bind_region(&mut self, new: Region, old: Region) -> bool {
        match (new, old) {
            (Region::Packet { id, .. }, Region::Packet { id: of, .. })
            | (Region::PacketMeta { id, .. }, Region::PacketMeta { id: of, .. }) => {
                same_packet(self, of, id)
            }
            (Region::MapValue { object, .. }, Region::MapValue { object: of, .. }) => {
                same(&mut self.objects, of, object)
            }
            (Region::Memory { reference, .. }, Region::Memory { reference: of, .. })
            | (Region::Socket { reference, .. }, Region::Socket { reference: of, .. }) => {
                same_reference(self, of, reference)
            }
            (Region::Dynptr(new), Region::Dynptr(old)) => {
                same(&mut self.dynptrs, old.id, new.id)
                    && same_reference(self, old.reference, new.reference)
            }
            (Region::Slice(new), Region::Slice(old)) => {
                same(&mut self.dynptrs, old.dynptr, new.dynptr)
                    && same_reference(self, old.reference, new.reference)
            }
            _ => true,
        }
    }

    /// What the old state says about linked numbers must hold in the new one: there must be one
    /// number that all places with the old link follow from.
    pub(crate) fn bind_link(&mut self, new: &Packed, old: &Packed) -> bool {
        let id = old.link_id();
        if id == 0 {
            return true;
        }
        let old = old.link();
        let meaning = Meaning::of(new, old);
        let low = Meaning::low_of(new, old);
        let whole = (old.form == Form::Whole).then_some(meaning);
        let Some((_, known)) = self.links.iter_mut().find(|(name, _)| *name == id) else {
            self.links.push((id, Meanings { whole, low }));
            return true;
        };
        match (whole, known.whole) {
            (Some(meaning), Some(known)) => meaning.is(known),
            (None, _) => low.is(known.low),
            // Any number with the right lower half will do so far.
            (Some(_), None) => {
                known.whole = whole;
                low.is(known.low)
            }
        }
    }
}

impl Meaning {
    /// The number that the old link says a place follows from, given what the place is now.
    fn of(new: &Packed, old: Link) -> Meaning {
        let link = new.link();
        let same = link.is_some()
            && new
                .scalar()
                .is_some_and(|scalar| link.is_also(old.form, &scalar));
        let constant = match new {
            Packed::Constant(value) => Some(value.wrapping_sub(i64::from(old.offset) as u64)),
            _ => None,
        };
        Meaning {
            link: if same { link.id } else { 0 },
            plus: i64::from(link.offset) - i64::from(old.offset),
            constant,
        }
    }

    /// The lower half of that number.
    fn low_of(new: &Packed, old: Link) -> Meaning {
        let scalar = new.scalar();
        let constant = scalar.and_then(|scalar| match old.form {
            Form::Shifted => scalar.is_const().map(|value| (value >> 32) as u32),
            _ => (scalar.u32_min() == scalar.u32_max()).then(|| scalar.u32_min()),
        });
        let whole = Meaning::of(new, old);
        Meaning {
            plus: whole.plus & 0xffff_ffff,
            constant: constant.map(|low| u64::from(low.wrapping_sub(old.offset as u32))),
            ..whole
        }
    }

    /// Are both surely the same?
    fn is(self, other: Meaning) -> bool {
        let linked = self.link != 0 && self.link == other.link && self.plus == other.plus;
        linked || (self.constant.is_some() && self.constant == other.constant)
    }
}

/// FNV-1a: enough to tell states apart, the same on every machine.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    // Whole words at once: fingerprints are taken often.
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x100_0000_01b3);
        self.0 ^= self.0 >> 29;
    }

    fn write_i64(&mut self, word: i64) {
        self.write_u64(word as u64);
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

fn hash_value(value: &Packed, hasher: &mut Fnv) {
    core::mem::discriminant(value).hash(hasher);
    match value {
        Packed::Unreadable(_) => {}
        Packed::Constant(value) => value.hash(hasher),
        Packed::Wide { bits, .. } => u32::from(*bits).hash(hasher),
        Packed::Number { number, .. } => {
            let scalar = number.scalar();
            // The bounds say enough; bits and halves follow from them most of the time.
            scalar.umin().hash(hasher);
            scalar.umax().hash(hasher);
            scalar.smin().hash(hasher);
            scalar.bits().value().hash(hasher);
        }
        Packed::Pointer(pointer) => hash_pointer(pointer, hasher),
    }
}

fn hash_pointer(pointer: &Pointer, hasher: &mut Fnv) {
    core::mem::discriminant(&pointer.region).hash(hasher);
    pointer.fixed.hash(hasher);
    pointer.var.umin().hash(hasher);
    pointer.var.umax().hash(hasher);
    (pointer.null != 0).hash(hasher);
    match pointer.region {
        Region::Packet { range, .. } | Region::PacketMeta { range, .. } => range.hash(hasher),
        Region::MapValue { map, .. } => map.hash(hasher),
        _ => {}
    }
}

fn hash_slot(slot: &Slot, hasher: &mut Fnv) {
    match slot {
        Slot::Bytes(bytes) => {
            let word = bytes.map(|byte| byte as u8);
            hasher.write_u64(u64::from_le_bytes(word));
        }
        Slot::Whole(value) => hash_value(value, hasher),
        Slot::Halves(halves) => {
            for half in halves.iter() {
                match half {
                    Half::Bytes(bytes) => {
                        let word = bytes.map(|byte| byte as u8);
                        hasher.write_u32(u32::from_le_bytes(word));
                    }
                    Half::Number(number) => hash_value(number, hasher),
                }
            }
        }
    }
}
