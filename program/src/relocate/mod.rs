//! CO-RE relocations: instructions follow the types of the system that the program is to run on.
//!
//! The compiler leaves a record for each instruction that holds the offset of a field, the size of a
//! type, the value of an enumerator and the like: which type, and the way into it (`0:2:1`). Here
//! the same thing is looked up in another BTF (`target.rs` finds the types of the same name,
//! `matching.rs` follows the names), its number computed (`value.rs`) and written into the
//! instruction (`patch.rs`). Rules are those of libbpf: a flavour (`___x`) at the end of a name is
//! ignored; all types of the name that fit must give the same answer; where nothing fits, a question
//! whether it exists is answered with 0 and any other instruction is *poisoned*: it becomes a call
//! that the verifier refuses if it can be reached.
//!
//! Without another BTF each type stands for itself, so records are checked and change nothing.
//!
//! Invariants: work is bounded by a budget of steps for the whole object; an instruction is only
//! changed in operands, or poisoned. What is left out: BTF of kernel modules, 32-bit targets.

mod enumerator;
mod layouts;
mod matching;
mod patch;
mod spec;
mod target;
mod value;

pub(crate) use layouts::{Attachment, Layouts};
pub use target::TargetBtf;

use crate::{
    btf::{Btf, TypeId, ext::CoreRecord},
    error::LoadError,
};
use abi::{diagnostic, limits};
use isa::{Insn, Slot};
use matching::Matcher;
use patch::{Change, Outcome};
use spec::Spec;
use std::collections::BTreeMap;
use std::sync::Arc;
use target::Names;
use value::Number;

/// What a record asks for (`enum bpf_core_relo_kind`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Byte offset of a field.
    FieldOffset,
    /// Size of a field.
    FieldSize,
    /// Whether a field exists.
    FieldExists,
    /// Whether a field is signed.
    FieldSigned,
    /// Left shift that brings a bit field to the top of 64 bits.
    FieldLeftShift,
    /// Right shift that brings it down again.
    FieldRightShift,
    /// Id of a type in the object's own BTF.
    TypeIdLocal,
    /// Id of a type in the target's BTF.
    TypeIdTarget,
    /// Whether a type exists.
    TypeExists,
    /// Size of a type.
    TypeSize,
    /// Whether an enumerator exists.
    EnumeratorExists,
    /// Value of an enumerator.
    EnumeratorValue,
    /// Whether a type exists with the same layout.
    TypeMatches,
}

impl Kind {
    fn from_number(number: u32) -> Option<Kind> {
        use Kind::*;
        const ALL: [Kind; 13] = [
            FieldOffset,
            FieldSize,
            FieldExists,
            FieldSigned,
            FieldLeftShift,
            FieldRightShift,
            TypeIdLocal,
            TypeIdTarget,
            TypeExists,
            TypeSize,
            EnumeratorExists,
            EnumeratorValue,
            TypeMatches,
        ];
        ALL.get(number as usize).copied()
    }

    /// What is asked for, in front of the thing's name.
    fn question(self) -> &'static str {
        match self {
            Kind::FieldOffset => "offset of",
            Kind::FieldSize | Kind::TypeSize => "size of",
            Kind::FieldExists | Kind::TypeExists | Kind::EnumeratorExists => "existence of",
            Kind::FieldSigned => "signedness of",
            Kind::FieldLeftShift | Kind::FieldRightShift => "bit-field position of",
            Kind::TypeIdLocal | Kind::TypeIdTarget => "type id of",
            Kind::EnumeratorValue => "value of",
            Kind::TypeMatches => "match of",
        }
    }
}

const ABSENT: Outcome = Outcome::Impossible("the BTF given has no such thing");

/// An instruction that was poisoned, and what could not be found.
#[derive(Clone, Debug)]
pub(crate) struct Poisoned {
    /// Slot in the function.
    pub(crate) slot: u32,
    /// What is missing.
    pub(crate) what: Arc<str>,
}

/// Relocates the functions of one object.
pub(crate) struct Relocator<'a, 'd> {
    local: Option<&'a Btf<'d>>,
    target: Option<Target<'a>>,
    records: &'a BTreeMap<&'d str, Vec<CoreRecord>>,
    /// What is left of the budget of comparisons.
    steps: usize,
}

/// The other BTF and its types by name.
struct Target<'a> {
    btf: &'a Btf<'a>,
    names: Names<'a>,
}

impl<'a, 'd> Relocator<'a, 'd> {
    /// A relocator for the records of an object, by section; `target` is the other BTF, if any.
    pub(crate) fn new(
        local: Option<&'a Btf<'d>>,
        target: Option<&'a Btf<'a>>,
        records: &'a BTreeMap<&'d str, Vec<CoreRecord>>,
    ) -> Result<Self, LoadError> {
        let mut relocator = Relocator {
            local,
            target: None,
            records,
            steps: limits::CORE_STEPS,
        };
        if let (Some(local), Some(btf)) = (local, target) {
            let roots = records.values().flatten().map(|record| record.ty);
            let names = Names::index(btf, local, roots).map_err(target::unusable)?;
            relocator.target = Some(Target { btf, names });
        }
        Ok(relocator)
    }

    /// Relocates the instructions of one function, which starts at slot `start` of its section.
    pub(crate) fn apply(
        &mut self,
        section: &str,
        start: u32,
        insns: &mut [Insn],
    ) -> Result<Vec<Poisoned>, LoadError> {
        let (Some(local), Some(records)) = (self.local, self.records.get(section)) else {
            return Ok(Vec::new());
        };
        let bytes = |slot: usize| slot.saturating_mul(Slot::BYTES);
        let first = bytes(start as usize);
        let end = first.saturating_add(bytes(insns.len()));
        let from = records.partition_point(|record| (record.at as usize) < first);
        let to = records.partition_point(|record| (record.at as usize) < end);
        let mut poisoned = Vec::new();
        for record in &records[from..to] {
            let here = |error: LoadError| error.section(section).offset(u64::from(record.at));
            let slot = record.at / Slot::BYTES as u32 - start;
            let outcome = self.one(local, record, slot, insns).map_err(here)?;
            if let Some(what) = outcome {
                poisoned.push(Poisoned { slot, what });
            }
        }
        Ok(poisoned)
    }

    /// Applies one record; what is missing when the instruction is poisoned.
    fn one(
        &mut self,
        local: &Btf<'_>,
        record: &CoreRecord,
        slot: u32,
        insns: &mut [Insn],
    ) -> Result<Option<Arc<str>>, LoadError> {
        if !record.at.is_multiple_of(Slot::BYTES as u32) {
            return Err(malformed("CO-RE relocation inside an instruction slot"));
        }
        let kind = Kind::from_number(record.kind).ok_or_else(|| {
            let text = format!("CO-RE relocation of unknown kind {}", record.kind);
            malformed(&text)
        })?;
        let spec = Spec::parse(local, kind, record)?;
        let insn = insns.get(slot as usize).map(ToString::to_string);
        let about = |error: LoadError| {
            let (question, thing) = (kind.question(), spec.text(local));
            let insn = insn.as_deref().unwrap_or("nothing");
            error.before(&format!("{question} `{thing}` in `{insn}`"))
        };
        let outcome = self.change(local, kind, &spec).and_then(|change| {
            let apply = |change| patch::apply(insns, slot as usize, &change);
            change.map_or(Ok(ABSENT), apply)
        });
        let Outcome::Impossible(why) = outcome.map_err(about)? else {
            return Ok(None);
        };
        patch::poison(insns, slot as usize);
        let text = format!("{} `{}`: {why}", kind.question(), spec.text(local));
        Ok(Some(text.into()))
    }

    /// The numbers before and after; `None` when there is none on the target.
    fn change(
        &mut self,
        local: &Btf<'_>,
        kind: Kind,
        spec: &Spec<'_>,
    ) -> Result<Option<Change>, LoadError> {
        let old = value::of(local, kind, spec)?;
        let new = self.resolve(local, kind, spec)?;
        Ok(new.map(|new| Change { old, new }))
    }

    /// The number on the target; `None` when there is nothing that could be meant.
    fn resolve(
        &mut self,
        local: &Btf<'_>,
        kind: Kind,
        spec: &Spec<'_>,
    ) -> Result<Option<Number>, LoadError> {
        let Some(target) = &self.target else {
            return value::of(local, kind, spec).map(Some);
        };
        if kind == Kind::TypeIdLocal {
            return value::of(local, kind, spec).map(Some);
        }
        let mut matcher = Matcher::new(local, target.btf, &mut self.steps);
        let mut agreed: Option<(u64, Number, TypeId)> = None;
        for candidate in target.names.of(local, spec.root)? {
            let Some(there) = matcher.find(kind, spec, candidate)? else {
                continue;
            };
            let number = value::of(target.btf, kind, &there)?;
            match agreed {
                None => agreed = Some((there.bit_offset, number, candidate)),
                Some((bits, other, _)) if bits == there.bit_offset && number.agrees(&other) => {}
                Some((_, _, other)) => return Err(ambiguous(other, candidate)),
            }
        }
        Ok(match agreed {
            Some((_, number, _)) => Some(number),
            None => value::of_missing(kind),
        })
    }
}

fn ambiguous(one: TypeId, other: TypeId) -> LoadError {
    let text = format!(
        "types {one} and {other} of the BTF given have the same name and give different answers"
    );
    LoadError::new(diagnostic::CORE_AMBIGUOUS, text)
}

fn malformed(text: &str) -> LoadError {
    LoadError::new(diagnostic::CORE_MALFORMED, text)
}
