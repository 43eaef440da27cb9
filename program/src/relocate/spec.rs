//! The way into a type that a record describes, and the same way found in another BTF.
//!
//! A record says `0:2:1`: element 0 of the array that the pointer points to, its member 2, of that
//! element or member 1. Anonymous structures in between are not part of the way, because the target
//! may nest differently; arrays and named members are.

use super::{Kind, enumerator, malformed};
use crate::{
    btf::{Btf, Kind as TypeKind, Type, TypeId, ext::CoreRecord},
    error::LoadError,
};
use abi::limits;
use std::fmt::Write as _;

/// One step of the way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'d> {
    /// The structure of a member; the element type of an array; the whole type of the first step.
    pub(super) ty: TypeId,
    /// Member or element.
    pub(super) index: u32,
    /// Name of the member; `None` for elements.
    pub(super) name: Option<&'d str>,
}

/// A way into a type.
#[derive(Clone, Debug)]
pub(super) struct Spec<'d> {
    /// The type it starts from, typedefs included.
    pub(super) root: TypeId,
    /// Steps; empty when the type itself is meant. An enumerator is one step with its name.
    pub(super) steps: Vec<Step<'d>>,
    /// Where the last step leads, in bits from the start.
    pub(super) bit_offset: u64,
}

/// What is being followed.
struct Walk<'a, 'd> {
    btf: &'a Btf<'d>,
    spec: Spec<'d>,
    at: TypeId,
}

impl<'d> Spec<'d> {
    /// Reads the way of a record.
    pub(super) fn parse(
        btf: &Btf<'d>,
        kind: Kind,
        record: &CoreRecord,
    ) -> Result<Spec<'d>, LoadError> {
        let text = btf.string(record.access)?;
        let indices = indices(text)?;
        let mut spec = Spec {
            root: record.ty,
            steps: Vec::new(),
            bit_offset: 0,
        };
        btf.ty(record.ty)?;
        match (kind, &*indices) {
            (
                Kind::TypeIdLocal
                | Kind::TypeIdTarget
                | Kind::TypeExists
                | Kind::TypeSize
                | Kind::TypeMatches,
                [0],
            ) => {}
            (Kind::EnumeratorExists | Kind::EnumeratorValue, &[index]) => {
                let name = enumerator::at(btf, record.ty, index)?.name;
                let ty = btf.strip(record.ty)?.0;
                let name = Some(name);
                spec.steps.push(Step { ty, index, name });
            }
            (
                Kind::FieldOffset
                | Kind::FieldSize
                | Kind::FieldExists
                | Kind::FieldSigned
                | Kind::FieldLeftShift
                | Kind::FieldRightShift,
                [first, rest @ ..],
            ) => return Walk::new(btf, spec, *first)?.follow(rest),
            _ => return Err(bad_access(text)),
        }
        Ok(spec)
    }

    /// The last step, of a way that has one.
    pub(super) fn last(&self) -> Result<&Step<'d>, LoadError> {
        let last = self.steps.last();
        last.ok_or_else(|| malformed("CO-RE relocation of a field without a way to it"))
    }

    /// The thing meant, as C has it: `struct task_struct::cpus[2].mask`.
    pub(super) fn text(&self, btf: &Btf<'_>) -> String {
        let mut text = type_text(btf, self.root);
        for (at, step) in self.steps.iter().enumerate() {
            // Writing to a string does not fail.
            let _ = match (at, step.name) {
                (0, None) if step.index == 0 => Ok(()),
                (_, None) => write!(text, "[{}]", step.index),
                (0 | 1, Some(name)) => write!(text, "::{name}"),
                (_, Some(name)) => write!(text, ".{name}"),
            };
        }
        text
    }
}

impl<'a, 'd> Walk<'a, 'd> {
    /// Starts with the element of the array that the root is taken for.
    fn new(btf: &'a Btf<'d>, mut spec: Spec<'d>, first: u32) -> Result<Self, LoadError> {
        let (at, _) = btf.strip(spec.root)?;
        let size = if first == 0 { 0 } else { btf.size_of(at)? };
        spec.bit_offset = element_bits(size, first)?;
        spec.steps.push(Step {
            ty: at,
            index: first,
            name: None,
        });
        Ok(Walk { btf, spec, at })
    }

    fn follow(mut self, indices: &[u32]) -> Result<Spec<'d>, LoadError> {
        for &index in indices {
            let (id, ty) = self.btf.strip(self.at)?;
            match ty.kind {
                TypeKind::Struct | TypeKind::Union => self.member(id, &ty, index)?,
                TypeKind::Array => self.element(index)?,
                other => {
                    let text = format!("CO-RE relocation goes into a type of kind {other:?}");
                    return Err(malformed(&text));
                }
            }
        }
        Ok(self.spec)
    }

    fn member(&mut self, id: TypeId, ty: &Type, index: u32) -> Result<(), LoadError> {
        let member = self.btf.member(ty, index)?;
        self.spec.bit_offset = self
            .spec
            .bit_offset
            .saturating_add(u64::from(member.bit_offset));
        self.at = member.ty;
        if !member.name.is_empty() {
            self.spec.steps.push(Step {
                ty: id,
                index,
                name: Some(member.name),
            });
        }
        Ok(())
    }

    fn element(&mut self, index: u32) -> Result<(), LoadError> {
        let (element, bits) = element(self.btf, &self.spec, self.at, index)?
            .ok_or_else(|| malformed("CO-RE relocation goes past the end of an array"))?;
        self.spec.bit_offset = self.spec.bit_offset.saturating_add(bits);
        self.at = element;
        self.spec.steps.push(Step {
            ty: element,
            index,
            name: None,
        });
        Ok(())
    }
}

/// Element type and bit offset of an element of the array `id`, to which `spec` leads; `None` when
/// the array has no such element.
pub(super) fn element(
    btf: &Btf<'_>,
    spec: &Spec<'_>,
    id: TypeId,
    index: u32,
) -> Result<Option<(TypeId, u64)>, LoadError> {
    let Some((element, count)) = btf.array(id)? else {
        return Ok(None);
    };
    if index >= count && !is_flexible(btf, spec, count)? {
        return Ok(None);
    }
    let (element, _) = btf.strip(element)?;
    let bits = element_bits(btf.size_of(element)?, index)?;
    Ok(Some((element, bits)))
}

/// Whether the array that `spec` leads to is the flexible one at the end of a structure.
fn is_flexible(btf: &Btf<'_>, spec: &Spec<'_>, count: u32) -> Result<bool, LoadError> {
    match spec.steps.last() {
        Some(step) if count == 0 && step.name.is_some() => {
            Ok(step.index.saturating_add(1) == btf.ty(step.ty)?.vlen)
        }
        _ => Ok(false),
    }
}

/// Offset of an element in bits.
pub(super) fn element_bits(size: u32, index: u32) -> Result<u64, LoadError> {
    let bytes = u64::from(size).checked_mul(u64::from(index));
    bytes
        .and_then(|bytes| bytes.checked_mul(8))
        .ok_or_else(|| malformed("CO-RE relocation leads more than 2^61 bytes away"))
}

/// A type as C names it.
fn type_text(btf: &Btf<'_>, id: TypeId) -> String {
    let Ok(ty) = btf.ty(id) else {
        return String::new();
    };
    let name = match btf.name(&ty) {
        Ok("") | Err(_) => "(anonymous)",
        Ok(name) => name,
    };
    match ty.kind {
        TypeKind::Struct => format!("struct {name}"),
        TypeKind::Union => format!("union {name}"),
        TypeKind::Enum | TypeKind::Enum64 => format!("enum {name}"),
        _ => name.to_owned(),
    }
}

/// The numbers of `0:2:1`.
fn indices(text: &str) -> Result<Vec<u32>, LoadError> {
    let parts = text.split(':');
    let numbers: Option<Vec<u32>> = parts
        .take(limits::BTF_CHAIN + 1)
        .map(|part| part.parse().ok())
        .collect();
    numbers
        .filter(|numbers| numbers.len() <= limits::BTF_CHAIN)
        .ok_or_else(|| bad_access(text))
}

fn bad_access(text: &str) -> LoadError {
    malformed(&format!("CO-RE access string `{text}` is not understood"))
}
