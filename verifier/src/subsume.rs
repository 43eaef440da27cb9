//! Is one state a special case of another?
//!
//! If `new` is subsumed by `old` and everything from `old` on was proved safe, `new` is safe as
//! well. Numbers that only mean "the same as" (links, packet ids, null numbers, elements,
//! references) differ between paths; a partial map from the old state's numbers to the new one's
//! makes them comparable: whatever the old state says is the same must be the same in the new one.

use crate::domain::Scalar;
use crate::stack::{Byte, Half, Slot, Stack};
use crate::state::{Frame, State};
use crate::value::{Pointer, Region, Value};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use isa::Reg;

/// Stands for NULL in the map of null numbers.
const NULL: u32 = u32::MAX;

/// What the numbers of the old state are in the new one.
#[derive(Default)]
struct Names {
    /// Links: the new link, and the constant it is known to be.
    links: Vec<(u32, (u32, Option<u64>))>,
    packets: Vec<(u32, u32)>,
    nulls: Vec<(u32, u32)>,
    objects: Vec<(u32, u32)>,
    references: Vec<(u32, u32)>,
}

impl State {
    /// Is every concrete state of `self` one of `old`?
    pub(crate) fn is_subsumed_by(&self, old: &State) -> bool {
        let mut names = Names::default();
        self.frames().len() == old.frames().len()
            && self.resources_match(old, &mut names)
            && self
                .frames()
                .iter()
                .zip(old.frames())
                .all(|(new, old)| frame_leq(new, old, &mut names))
            && self.lock_matches(old, &mut names)
            && self.distances_match(old, &mut names)
    }

    fn resources_match(&self, old: &State, names: &mut Names) -> bool {
        if self.references.len() != old.references.len() {
            return false;
        }
        for (new, old) in self.references.iter().zip(&old.references) {
            if new.acquired != old.acquired {
                return false;
            }
            names.references.push((old.id, new.id));
        }
        true
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
            let Some((_, (link, _))) = names.links.iter().find(|(name, _)| *name == old.link)
            else {
                // No number holds it.
                return true;
            };
            let link = *link;
            self.distances.iter().any(|new| {
                new.link == link
                    && new.fixed == old.fixed
                    && same_packet(names, old.packet, new.packet)
            })
        })
    }

    /// A number that is equal for states that subsume each other (most of the time).
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
        for frame in self.frames() {
            frame.call.hash(&mut hasher);
            for reg in Reg::ALL {
                hash_value(frame.register(reg), &mut hasher);
            }
            for slot in frame.stack.slots() {
                hash_slot(slot, &mut hasher);
            }
        }
        self.references.len().hash(&mut hasher);
        hasher.0
    }
}

fn frame_leq(new: &Rc<Frame>, old: &Rc<Frame>, names: &mut Names) -> bool {
    new.function == old.function
        && new.call == old.call
        && Reg::ALL
            .into_iter()
            .all(|reg| value_leq(new.register(reg), old.register(reg), names))
        && stack_leq(&new.stack, &old.stack, names)
}

fn value_leq(new: &Value, old: &Value, names: &mut Names) -> bool {
    match (new, old) {
        (_, Value::Unreadable(_)) => true,
        (
            Value::Number { scalar, link },
            Value::Number {
                scalar: old_scalar,
                link: old_link,
            },
        ) => scalar.leq(old_scalar) && names.link(*old_link, *link, scalar),
        (Value::Pointer(new), Value::Pointer(old)) => pointer_leq(new, old, names),
        (Value::Number { .. }, Value::Pointer(old)) => {
            // NULL is one of the things that such a pointer can be.
            old.null != 0
                && old.reference() == 0
                && new.is_zero()
                && same(&mut names.nulls, old.null, NULL)
        }
        _ => false,
    }
}

/// Is the pointer a special case, whatever its numbers mean elsewhere in the states?
pub(crate) fn pointer_fits(new: &Pointer, old: &Pointer) -> bool {
    pointer_leq(new, old, &mut Names::default())
}

/// Is the slot a special case, whatever its numbers mean elsewhere in the states?
pub(crate) fn slot_fits(new: &Slot, old: &Slot) -> bool {
    slot_leq(new, old, &mut Names::default())
}

fn pointer_leq(new: &Pointer, old: &Pointer, names: &mut Names) -> bool {
    if old.null == 0 && new.null != 0 {
        return false;
    }
    new.fixed == old.fixed
        && new.var.leq(&old.var)
        && (old.null == 0 || same(&mut names.nulls, old.null, new.null))
        && region_leq(new, old, names)
}

fn region_leq(new: &Pointer, old: &Pointer, names: &mut Names) -> bool {
    match (new.region, old.region) {
        (Region::Packet { id, range }, Region::Packet { id: of, range: had }) => {
            range >= had && same_packet(names, of, id)
        }
        (Region::PacketMeta { id, range }, Region::PacketMeta { id: of, range: had }) => {
            range >= had && same_packet(names, of, id)
        }
        (
            Region::MapValue { map, object },
            Region::MapValue {
                map: old_map,
                object: of,
            },
        ) => map == old_map && same(&mut names.objects, of, object),
        (
            Region::Memory { size, reference },
            Region::Memory {
                size: had,
                reference: of,
            },
        ) => size == had && same_reference(names, of, reference),
        (Region::Socket { reference }, Region::Socket { reference: of }) => {
            same_reference(names, of, reference)
        }
        (new, old) => new == old,
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
    /// Numbers that are linked in the old state must be equal in the new one.
    fn link(&mut self, old: u32, new: u32, scalar: &Scalar) -> bool {
        if old == 0 {
            return true;
        }
        let constant = scalar.is_const();
        if let Some((_, (link, value))) = self.links.iter().find(|(name, _)| *name == old) {
            return (*link != 0 && *link == new) || (constant.is_some() && *value == constant);
        }
        self.links.push((old, (new, constant)));
        true
    }
}

fn stack_leq(new: &Stack, old: &Stack, names: &mut Names) -> bool {
    old.slots()
        .iter()
        .enumerate()
        .all(|(index, old)| slot_leq(new.slot(index), old, names))
}

fn slot_leq(new: &Slot, old: &Slot, names: &mut Names) -> bool {
    match old {
        Slot::Bytes(_) => (0..8).all(|at| byte_leq(new.byte(at), old.byte(at))),
        Slot::Whole(old) => new
            .part(0, 8)
            .is_some_and(|new| value_leq(&new, old, names)),
        Slot::Halves(halves) => halves.iter().enumerate().all(|(index, half)| match half {
            Half::Bytes(bytes) => (0..4).all(|at| byte_leq(new.byte(4 * index + at), bytes[at])),
            Half::Number { scalar, link } => {
                let old = Value::Number {
                    scalar: *scalar,
                    link: *link,
                };
                new.part(4 * index, 4)
                    .is_some_and(|new| value_leq(&new, &old, names))
            }
        }),
    }
}

fn byte_leq(new: Byte, old: Byte) -> bool {
    match old {
        Byte::Unwritten => true,
        Byte::Written => matches!(new, Byte::Written | Byte::Zero),
        Byte::Zero => new == Byte::Zero,
        Byte::Pointer => new == Byte::Pointer,
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

fn hash_value(value: &Value, hasher: &mut Fnv) {
    match value {
        Value::Unreadable(_) => 0u32.hash(hasher),
        Value::Number { scalar, .. } => hash_scalar(scalar, hasher),
        Value::Pointer(pointer) => {
            core::mem::discriminant(&pointer.region).hash(hasher);
            pointer.fixed.hash(hasher);
            hash_scalar(&pointer.var, hasher);
            (pointer.null != 0).hash(hasher);
            match pointer.region {
                Region::Packet { range, .. } | Region::PacketMeta { range, .. } => {
                    range.hash(hasher);
                }
                Region::MapValue { map, .. } => map.hash(hasher),
                _ => {}
            }
        }
    }
}

fn hash_scalar(scalar: &Scalar, hasher: &mut Fnv) {
    // The bounds say enough; bits and halves follow from them most of the time.
    scalar.umin().hash(hasher);
    scalar.umax().hash(hasher);
    scalar.smin().hash(hasher);
    scalar.bits().value().hash(hasher);
}

fn hash_slot(slot: &Slot, hasher: &mut Fnv) {
    match slot {
        Slot::Bytes(bytes) => bytes.hash(hasher),
        Slot::Whole(value) => hash_value(value, hasher),
        Slot::Halves(halves) => {
            for half in halves.iter() {
                match half {
                    Half::Bytes(bytes) => bytes.hash(hasher),
                    Half::Number { scalar, .. } => hash_scalar(scalar, hasher),
                }
            }
        }
    }
}
