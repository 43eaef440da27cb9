//! What is known before each instruction, over all visits: one union per instruction.
//!
//! A union covers every state in which the analysis came to the instruction, guesses included that
//! it took back later. Numbers are joined; pointers into the same thing are joined with their
//! offsets; what else differs is listed side by side. A place that some visits could not read says
//! so. For reading only: what the analysis relates across places is lost here.

use isa::{InsnIdx, Reg};
use program::Object;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use verifier::domain::Scalar;
use verifier::link::Link;
use verifier::value::{Dynptr, Pointer, Region, Slice, Value};
use verifier::{Observer, View};

/// Different things listed for one place.
const ALTERNATIVES: usize = 4;

/// The unions of a program's states.
#[derive(Default)]
pub(crate) struct States(BTreeMap<InsnIdx, Joined>);

/// The union of all states before one instruction.
#[derive(Default)]
pub(crate) struct Joined {
    /// How many there were.
    pub(crate) visits: u64,
    places: BTreeMap<Place, Contents>,
}

/// What may hold something, in the order of the listing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Register(u8),
    /// Bytes below r10, and how many bytes are held there.
    Stack(i64, u32),
    /// A reference from this call.
    Reference(InsnIdx),
    Lock,
}

/// What a place holds.
#[derive(Default)]
struct Contents {
    /// Visits in which it could be read.
    visits: u64,
    number: Option<Scalar>,
    others: Vec<Pointer>,
    /// More different things than are listed.
    more: bool,
}

/// How a value is written.
type Writer<'w> = &'w dyn Fn(&Value) -> String;

impl Observer for States {
    fn step(&mut self, at: InsnIdx, state: &View<'_>) {
        self.0.entry(at).or_default().add(state);
    }
}

impl States {
    /// The union before an instruction; `None` when no path reaches it.
    pub(crate) fn at(&self, at: InsnIdx) -> Option<&Joined> {
        self.0.get(&at)
    }
}

impl Joined {
    /// Includes one more state.
    pub(crate) fn add(&mut self, state: &View<'_>) {
        self.visits += 1;
        for reg in Reg::ALL.into_iter().filter(|reg| *reg != Reg::R10) {
            self.hold(Place::Register(reg.number()), &state.register(reg));
        }
        let places = &mut self.places;
        state.stack_at(state.depth(), |offset, size, value| {
            // Single bytes are only known to be written.
            if size > 1 {
                let place = Place::Stack(-offset, size);
                places.entry(place).or_default().add(&value);
            }
        });
        for (_, call) in state.references() {
            self.hold(Place::Reference(call), &Value::unknown());
        }
        if state.lock().is_some() {
            self.hold(Place::Lock, &Value::unknown());
        }
    }

    fn hold(&mut self, place: Place, value: &Value) {
        if value.is_readable() {
            self.places.entry(place).or_default().add(value);
        }
    }

    /// The short form, on one line.
    pub(crate) fn short(&self) -> String {
        let items = self.items(&ToString::to_string, " = ");
        items.join("; ")
    }

    /// Sentences, one per place, with the names of maps.
    pub(crate) fn sentences(&self, object: &Object) -> Vec<String> {
        self.items(&|value| verifier::in_words(object, value), " is ")
    }

    fn items(&self, write: Writer<'_>, is: &str) -> Vec<String> {
        let item = |(place, contents): (&Place, &Contents)| {
            let what = match *place {
                Place::Register(number) => format!("r{number}{is}{}", contents.text(write)),
                // Half of a slot has another size than the slot.
                Place::Stack(offset, 8) => format!("[r10-{offset}]{is}{}", contents.text(write)),
                Place::Stack(offset, size) => {
                    format!("[r10-{offset}, {size} bytes]{is}{}", contents.text(write))
                }
                Place::Reference(call) => format!("holds a reference from {call}"),
                Place::Lock => "holds a lock".to_owned(),
            };
            match contents.visits < self.visits {
                true => format!("{what} (on some paths)"),
                false => what,
            }
        };
        self.places.iter().map(item).collect()
    }
}

impl Contents {
    fn add(&mut self, value: &Value) {
        self.visits += 1;
        match value {
            Value::Unreadable(_) => {}
            Value::Number { scalar, .. } => {
                let joined = self.number.map_or(*scalar, |known| known.join(scalar));
                self.number = Some(joined);
            }
            Value::Pointer(pointer) => self.add_pointer(pointer),
        }
    }

    fn add_pointer(&mut self, pointer: &Pointer) {
        let pointer = anonymous(pointer);
        for known in &mut self.others {
            if let Some(both) = union(known, &pointer) {
                *known = both;
                return;
            }
        }
        match self.others.len() < ALTERNATIVES {
            true => self.others.push(pointer),
            false => self.more = true,
        }
    }

    fn text(&self, write: Writer<'_>) -> String {
        let number = self.number.map(Value::number);
        let pointers = self.others.iter().map(|pointer| Value::Pointer(*pointer));
        let mut out = String::new();
        for value in pointers.chain(number) {
            let or = if out.is_empty() { "" } else { ", or " };
            let _ = write!(out, "{or}{}", write(&value));
        }
        if self.more {
            out += ", or something else";
        }
        out
    }
}

/// Without the numbers that tell one thing from another of its kind.
fn anonymous(pointer: &Pointer) -> Pointer {
    let region = match pointer.region {
        Region::Packet { id, range } => Region::Packet {
            id: id.min(1),
            range,
        },
        Region::PacketMeta { id, range } => Region::PacketMeta {
            id: id.min(1),
            range,
        },
        Region::MapValue { map, .. } => Region::MapValue { map, object: 0 },
        Region::Memory { size, .. } => Region::Memory { size, reference: 0 },
        Region::Socket { kind, .. } => Region::Socket { kind, reference: 0 },
        Region::Dynptr(dynptr) => Region::Dynptr(Dynptr {
            id: 0,
            reference: 0,
            ..dynptr
        }),
        Region::Slice(slice) => Region::Slice(Slice {
            dynptr: 0,
            reference: 0,
            ..slice
        }),
        other => other,
    };
    Pointer {
        region,
        link: Link::NONE,
        null: pointer.null.min(1),
        ..*pointer
    }
}

/// Both pointers in one, when they point into the same thing.
fn union(one: &Pointer, other: &Pointer) -> Option<Pointer> {
    let region = match (one.region, other.region) {
        (Region::Packet { id, range }, Region::Packet { id: also, range: r })
            if id == also && (id == 0 || one.fixed == other.fixed) =>
        {
            let range = range.min(r);
            Region::Packet { id, range }
        }
        (a, b) if a == b => a,
        _ => return None,
    };
    let (fixed, var) = match one.fixed == other.fixed {
        true => (one.fixed, one.var.join(&other.var)),
        false => {
            let ((a, b), (c, d)) = (one.offset_range(), other.offset_range());
            (0, Scalar::from_range_s(a.min(c), b.max(d)))
        }
    };
    Some(Pointer {
        region,
        fixed,
        var,
        link: Link::NONE,
        null: one.null.max(other.null),
    })
}

#[cfg(test)]
#[path = "joined_tests.rs"]
mod tests;
