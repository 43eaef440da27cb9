//! Does an abstract state contain a concrete one?
//!
//! Every readable register and stack byte of every frame must hold what the state says: numbers in
//! their set, pointers in their region at a possible offset, packet pointers with as many bytes
//! behind them as were proved. What the state says is the same (links, packet and null numbers,
//! elements, references) must be the same: the first place binds the name, all others must agree.

use crate::machine::{Address, Kind, Machine, ObjectId, Word};
use abi::DynptrKind;
use core::fmt;
use isa::Reg;
use verifier::View;
use verifier::link::Link;
use verifier::value::{Part, Pointer, Region, Slice, Trust, Value};

/// Where a concrete state is outside an abstract one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outside {
    place: Place,
    why: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Register(usize, Reg),
    Stack(usize, i64),
    Whole,
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Register(depth, reg) => write!(f, "{reg} of frame {depth}: ")?,
            Place::Stack(depth, offset) => write!(f, "[r10{offset}] of frame {depth}: ")?,
            Place::Whole => {}
        }
        f.write_str(self.why)
    }
}

/// What the names of the abstract state are in the concrete one.
#[derive(Default)]
struct Names {
    links: Vec<(u32, u64)>,
    /// The lower halves of the numbers behind links.
    lows: Vec<(u32, u32)>,
    /// Unknown parts of offsets.
    packets: Vec<(u32, i64)>,
    metas: Vec<(u32, i64)>,
    /// Null numbers: is it NULL?
    nulls: Vec<(u32, bool)>,
    elements: Vec<(u32, ObjectId)>,
    references: Vec<(u32, ObjectId)>,
    dynptrs: Vec<(u32, ObjectId)>,
}

/// Records what a name is, or compares with what was recorded.
fn same<T: PartialEq + Copy>(names: &mut Vec<(u32, T)>, name: u32, is: T) -> bool {
    if let Some((_, known)) = names.iter().find(|(known, _)| *known == name) {
        return *known == is;
    }
    names.push((name, is));
    true
}

fn bound<T: Copy>(names: &[(u32, T)], name: u32) -> Option<T> {
    let known = names.iter().find(|(known, _)| *known == name);
    known.map(|(_, is)| *is)
}

type Check = Result<(), &'static str>;

fn ensure(holds: bool, why: &'static str) -> Check {
    if holds { Ok(()) } else { Err(why) }
}

/// Checks that the machine's state lies in the abstract one.
///
/// # Errors
/// The first place that does not.
pub fn contains(view: &View<'_>, machine: &Machine<'_, '_>) -> Result<(), Outside> {
    let whole = |why| Outside {
        place: Place::Whole,
        why,
    };
    let frames = machine.frames.len();
    let callers = frames.checked_sub(view.depth() + 1);
    let callers = callers.filter(|callers| *callers == 0 || view.is_by_contract());
    let Some(callers) = callers else {
        return Err(whole("another number of frames"));
    };
    let mut check = Checker {
        machine,
        callers: view.is_by_contract().then_some(callers),
        names: Names::default(),
    };
    for depth in 0..=view.depth() {
        check.frame(view, depth)?;
    }
    check.resources(view).map_err(whole)?;
    check.distances(view).map_err(whole)?;
    check.sums(view).map_err(whole)?;
    check.totals(view).map_err(whole)
}

struct Checker<'m, 'a, 'r> {
    machine: &'m Machine<'a, 'r>,
    /// The frames below those of the state, when it is one by contract.
    callers: Option<usize>,
    names: Names,
}

impl Checker<'_, '_, '_> {
    fn frame(&mut self, view: &View<'_>, depth: usize) -> Result<(), Outside> {
        let frame = &self.machine.frames[self.depth(depth)];
        if depth > 0 && view.call_of(depth) != Some(frame.call) {
            return Err(Outside {
                place: Place::Whole,
                why: "called from somewhere else",
            });
        }
        for reg in Reg::ALL {
            let value = view.register_at(depth, reg);
            let place = Place::Register(depth, reg);
            self.value(&value, frame.registers[reg.index()])
                .map_err(|why| Outside { place, why })?;
        }
        let mut result = Ok(());
        view.stack_at(depth, |offset, bytes, value| {
            if result.is_ok() {
                let word = self.machine.stack_word(frame.stack, offset, bytes as usize);
                let place = Place::Stack(depth, offset);
                let checked = self.value(&value, word);
                result = checked.map_err(|why| Outside { place, why });
            }
        });
        result
    }

    /// The depth in the machine of a frame of the state.
    fn depth(&self, depth: usize) -> usize {
        depth + self.callers.unwrap_or(0)
    }

    fn value(&mut self, value: &Value, word: Word) -> Check {
        match (value, word) {
            (Value::Unreadable(_), _) => Ok(()),
            (Value::Number { scalar, link }, Word::Number(number)) => {
                ensure(scalar.contains(number), "a number that is not in the set")?;
                ensure(
                    self.link(*link, number),
                    "linked numbers do not fit together",
                )
            }
            (Value::Pointer(pointer), Word::Number(0)) if pointer.null != 0 => {
                let is_null = same(&mut self.names.nulls, pointer.null, true);
                ensure(is_null, "NULL, but another one with its number is not")
            }
            (Value::Pointer(pointer), Word::Pointer(address)) => {
                let known = pointer.null == 0 || same(&mut self.names.nulls, pointer.null, false);
                ensure(known, "not NULL, but another one with its number is")?;
                self.pointer(pointer, address)
            }
            (Value::Number { .. }, Word::Pointer(_)) => {
                Err("a pointer where a number was expected")
            }
            (Value::Pointer(_), Word::Number(_)) => Err("a number where a pointer was expected"),
            (_, Word::Nothing) => Err("nothing where something was expected"),
        }
    }

    fn pointer(&mut self, pointer: &Pointer, address: Address) -> Check {
        let object = self.machine.object(address.object);
        ensure(object.alive, "points to something that is gone")?;
        if self.callers.is_some() && matches!(pointer.region, Region::Memory { reference: 0, .. }) {
            let shared = matches!(
                object.kind,
                Kind::Stack
                    | Kind::Packet { .. }
                    | Kind::MapValue(_)
                    | Kind::Memory
                    | Kind::Slice { .. }
            );
            return ensure(shared, "points to what functions are not given");
        }
        // Metadata counts from its own start, packet data from the start of the data.
        let origin = match pointer.region {
            Region::PacketMeta { .. } => object.base,
            Region::PacketEnd => self.packet_end(),
            Region::Dynptr(dynptr) if dynptr.part == Part::Second => 8,
            // Where it is the buffer.
            Region::Slice(slice) if object.kind == Kind::Stack => {
                slice.buffer.map_or(0, |buffer| i64::from(buffer.low))
            }
            _ => 0,
        };
        let var = address.offset - origin - i64::from(pointer.fixed);
        ensure(
            pointer.var.contains(var as u64),
            "an offset that is not in the set",
        )?;
        ensure(
            self.link(pointer.link, var as u64),
            "an offset that is not the number it is linked to",
        )?;
        ensure(
            self.region(pointer.region, address.object, var)?,
            "points into another region",
        )
    }

    fn packet_end(&self) -> i64 {
        match self.machine.object(self.machine.packet).kind {
            Kind::Packet { end } => end,
            _ => 0,
        }
    }

    fn region(&mut self, region: Region, id: ObjectId, var: i64) -> Result<bool, &'static str> {
        let object = self.machine.object(id);
        Ok(match (region, object.kind) {
            (Region::Context, Kind::Context) => true,
            (Region::Stack { frame }, Kind::Stack) => {
                let frame = self.machine.frames.get(self.depth(usize::from(frame)));
                frame.is_some_and(|frame| frame.stack == id)
            }
            (Region::Packet { id, range }, Kind::Packet { end }) => {
                offset(&mut self.names.packets, id, var)?;
                proven(var, range, end)?;
                true
            }
            (Region::PacketMeta { id, range }, Kind::Packet { .. }) => {
                offset(&mut self.names.metas, id, var)?;
                proven(var, range, -object.base)?;
                true
            }
            (Region::PacketEnd, Kind::Packet { .. }) => true,
            (Region::MapValue { map, object: name }, Kind::MapValue(is)) => {
                ensure(
                    same(&mut self.names.elements, name, id),
                    "another element with the same number",
                )?;
                map == is
            }
            (
                Region::Map { map, inner },
                Kind::Map {
                    map: is,
                    inner: found,
                },
            ) => {
                // What may be another map may be this one.
                map == is && (inner || !found)
            }
            (Region::Memory { size, reference }, Kind::Memory) => {
                self.reference(reference, id)?;
                i64::from(size) == object.size
            }
            (Region::Socket { kind, reference }, Kind::Socket(is)) => {
                self.reference(reference, object.of.unwrap_or(id))?;
                kind == is
            }
            (Region::MapKey { map }, Kind::Key(is)) => map == is,
            (Region::Kernel { ty, trust }, found @ Kind::Kernel { .. }) => {
                ensure(
                    is_as_sure(trust, found),
                    "a kernel object that is less sure than was proved",
                )?;
                matches!(found, Kind::Kernel { ty: is, .. } if is == ty)
            }
            (Region::Dynptr(_) | Region::Slice(_), _) => return self.dynamic(region, id),
            (Region::Function { start }, Kind::Function(is)) => start == is,
            _ => false,
        })
    }

    fn reference(&mut self, name: u32, id: ObjectId) -> Check {
        let known = name == 0 || same(&mut self.names.references, name, id);
        ensure(known, "another object with the same reference")
    }

    /// Dynamic pointers and their slices.
    fn dynamic(&mut self, region: Region, id: ObjectId) -> Result<bool, &'static str> {
        let object = self.machine.object(id);
        let (name, reference, dynptr) = match (region, object.kind) {
            (Region::Dynptr(dynptr), Kind::Dynptr(is))
                if dynptr.kind == is || dynptr.kind == DynptrKind::Any =>
            {
                (dynptr.id, dynptr.reference, id)
            }
            (Region::Slice(slice), Kind::Slice { dynptr, writable })
                if i64::from(slice.size) == object.size && slice.writable <= writable =>
            {
                (slice.dynptr, slice.reference, dynptr)
            }
            (
                Region::Slice(Slice {
                    buffer: Some(buffer),
                    ..
                }),
                Kind::Stack,
            ) => {
                let frame = self.depth(usize::from(buffer.frame));
                let frame = self.machine.frames.get(frame);
                return Ok(frame.is_some_and(|frame| frame.stack == id));
            }
            _ => return Ok(false),
        };
        self.dynptr(name, dynptr)?;
        self.goes_with(reference, object.of)?;
        Ok(true)
    }

    fn dynptr(&mut self, name: u32, id: ObjectId) -> Check {
        let known = same(&mut self.names.dynptrs, name, id);
        ensure(known, "another dynamic pointer with the same number")
    }

    /// A reference that something carries is the object that it goes with.
    fn goes_with(&mut self, reference: u32, of: Option<ObjectId>) -> Check {
        match of {
            Some(of) => self.reference(reference, of),
            None => ensure(reference == 0, "a reference to nothing"),
        }
    }

    /// Whatever is held is known to be held.
    fn resources(&mut self, view: &View<'_>) -> Check {
        let known: Vec<u32> = view.references().map(|(id, _)| id).collect();
        let held: Vec<ObjectId> = self.machine.held().collect();
        let callers_hold = self.callers.is_some_and(|callers| callers > 0);
        let is_known = callers_hold || held.len() <= known.len();
        ensure(is_known, "holds more than is known")?;
        for name in known {
            if let Some(object) = bound(&self.names.references, name) {
                ensure(held.contains(&object), "a reference that is not held")?;
            }
        }
        match (view.lock(), self.machine.lock) {
            (None, None) => Ok(()),
            (Some((map, name)), Some(place)) => {
                let is_map = self.machine.object(place.object).kind == Kind::MapValue(map);
                let is_element = same(&mut self.names.elements, name, place.object);
                ensure(is_map && is_element, "holds another lock")
            }
            _ => Err("a lock is held where none is known, or not held"),
        }
    }

    /// Do all places with a link follow from one number?
    fn link(&mut self, link: Link, number: u64) -> bool {
        let names = &mut self.names;
        let whole = |origin| same(&mut names.links, link.id, origin);
        !link.is_some()
            || link.origin(number).is_none_or(whole)
                && same(&mut names.lows, link.id, link.origin_low(number))
    }

    fn distances(&self, view: &View<'_>) -> Check {
        for known in view.distances() {
            let Some(value) = bound(&self.names.links, known.link) else {
                continue;
            };
            let var = match known.packet {
                0 => Some(0),
                packet => bound(&self.names.packets, packet),
            };
            let Some(var) = var else { continue };
            let distance = self.packet_end() - var - i64::from(known.fixed);
            ensure(
                value as i64 == distance,
                "a wrong distance to the packet's end",
            )?;
        }
        Ok(())
    }

    /// Sums of two numbers.
    fn totals(&self, view: &View<'_>) -> Check {
        for total in view.totals() {
            let part = |link: Link| {
                let low = bound(&self.names.lows, link.id)?;
                Some(i64::from(low.wrapping_add(link.offset as u32) as i32))
            };
            let (Some(first), Some(second)) = (part(total.parts[0]), part(total.parts[1])) else {
                continue;
            };
            let sum = first + second;
            let low = bound(&self.names.lows, total.sum);
            let is_sum = low.is_none_or(|low| low == sum as u32);
            ensure(is_sum, "another number than the sum")?;
            ensure(sum <= total.most, "a sum that is larger than was proved")?;
        }
        Ok(())
    }

    /// Moved packet pointers, and what is proved of them.
    fn sums(&self, view: &View<'_>) -> Check {
        let offset = |name| match name {
            0 => Some(0),
            name => bound(&self.names.packets, name),
        };
        for sum in view.sums() {
            let Some(from) = offset(sum.from) else {
                continue;
            };
            let apart = offset(sum.to).is_none_or(|to| to - from >= sum.least);
            ensure(apart, "a packet pointer moved by less than was known")?;
            let Some(low) = bound(&self.names.lows, sum.link.id) else {
                continue;
            };
            let by = low.wrapping_add(sum.link.offset as u32) as i32;
            ensure(i64::from(by) >= sum.least, "a number less than was known")?;
            let to = from + i64::from(by);
            let is_there = offset(sum.to).is_none_or(|found| found == to);
            ensure(is_there, "a packet pointer moved by another number")?;
            let bytes = sum.proven.unwrap_or(0);
            let exists = sum.proven.is_none() || to + i64::from(bytes) <= self.packet_end();
            ensure(
                exists,
                "fewer bytes behind a moved pointer than were proved",
            )?;
        }
        Ok(())
    }
}

/// Is a kernel object what a pointer promises about it?
fn is_as_sure(promised: Trust, found: Kind) -> bool {
    let Kind::Kernel { trust, null, .. } = found else {
        return false;
    };
    match promised {
        Trust::Trusted => trust == Trust::Trusted && !null,
        Trust::Passed => trust != Trust::Found,
        Trust::Found => true,
    }
}

/// So many bytes from an offset on must exist.
fn proven(var: i64, range: u32, end: i64) -> Check {
    let fits = range == 0 || var.saturating_add(i64::from(range)) <= end;
    ensure(fits, "fewer bytes of packet than were proved")
}

/// Packet pointers with one number have one unknown offset.
fn offset(names: &mut Vec<(u32, i64)>, name: u32, var: i64) -> Check {
    let known = same(names, name, var);
    ensure(known, "another unknown offset with the same number")
}
