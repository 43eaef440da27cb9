//! Finding a thing of the object's types in another BTF: names count, places do not.
//!
//! Follows the rules of libbpf: members by name through anonymous structures, arrays by index, and
//! at each step the kinds of both sides must be alike. `exists` asks for kinds only, `matches` for
//! the whole layout that the object knows.

use super::{
    Kind, enumerator,
    spec::{Spec, Step, element, element_bits},
    target::essential,
};
use crate::{
    btf::{Btf, Kind as TypeKind, Type, TypeId},
    error::LoadError,
};
use abi::{diagnostic, limits};

/// Compares types of the object with types of a target. Every comparison costs a step.
pub(super) struct Matcher<'a, 'd, 't> {
    local: &'a Btf<'d>,
    target: &'a Btf<'t>,
    steps: &'a mut usize,
}

/// Nesting that the comparison of whole types follows.
const DEPTH: usize = 32;

/// How two types are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// As they are.
    Direct,
    /// Behind a pointer, where a structure's members do not count.
    BehindPointer,
}

impl<'a, 'd, 't> Matcher<'a, 'd, 't> {
    /// A matcher with what is left of a budget of steps.
    pub(super) fn new(local: &'a Btf<'d>, target: &'a Btf<'t>, steps: &'a mut usize) -> Self {
        Matcher {
            local,
            target,
            steps,
        }
    }

    /// The way of `spec` in the type `candidate`, if it is there.
    pub(super) fn find(
        &mut self,
        kind: Kind,
        spec: &Spec<'_>,
        candidate: TypeId,
    ) -> Result<Option<Spec<'t>>, LoadError> {
        let mut found = Spec {
            root: candidate,
            steps: Vec::new(),
            bit_offset: 0,
        };
        let is_there = match kind {
            Kind::TypeIdLocal | Kind::TypeIdTarget | Kind::TypeExists | Kind::TypeSize => {
                self.exists(spec.root, candidate)?
            }
            Kind::TypeMatches => self.matches(spec.root, candidate, Place::Direct, DEPTH)?,
            Kind::EnumeratorExists | Kind::EnumeratorValue => {
                self.enumerator(spec, candidate, &mut found)?
            }
            Kind::FieldOffset
            | Kind::FieldSize
            | Kind::FieldExists
            | Kind::FieldSigned
            | Kind::FieldLeftShift
            | Kind::FieldRightShift => self.field(spec, candidate, &mut found)?,
        };
        Ok(is_there.then_some(found))
    }

    fn step(&mut self) -> Result<(), LoadError> {
        *self.steps = self.steps.checked_sub(1).ok_or_else(|| {
            let text = "comparing the object's types with the BTF given takes too many steps";
            LoadError::new(diagnostic::BTF_LIMIT, text)
        })?;
        Ok(())
    }

    fn enumerator(
        &mut self,
        spec: &Spec<'_>,
        candidate: TypeId,
        found: &mut Spec<'t>,
    ) -> Result<bool, LoadError> {
        self.step()?;
        let wanted = spec.last()?.name.unwrap_or_default();
        let position = enumerator::position(self.target, candidate, wanted)?;
        found.steps.extend(position.map(|(ty, index)| Step {
            ty,
            index,
            name: Some(""),
        }));
        Ok(position.is_some())
    }

    /// Follows members and elements.
    fn field(
        &mut self,
        spec: &Spec<'_>,
        candidate: TypeId,
        found: &mut Spec<'t>,
    ) -> Result<bool, LoadError> {
        let (mut at, _) = self.target.strip(candidate)?;
        for (depth, step) in spec.steps.iter().enumerate() {
            self.step()?;
            let next = match step.name {
                Some(name) => self.member(step, name, at, found)?,
                None if depth == 0 => Some((at, self.first(at, step.index)?)),
                None => element(self.target, found, at, step.index)?,
            };
            let Some((ty, bits)) = next else {
                return Ok(false);
            };
            if step.name.is_none() {
                let index = step.index;
                found.steps.push(Step {
                    ty,
                    index,
                    name: None,
                });
            }
            found.bit_offset = found.bit_offset.saturating_add(bits);
            at = ty;
        }
        Ok(true)
    }

    /// Offset in bits of the element that the way starts from.
    fn first(&self, at: TypeId, index: u32) -> Result<u64, LoadError> {
        match index {
            0 => Ok(0),
            _ => element_bits(self.target.size_of(at)?, index),
        }
    }

    /// Looks for a member by name, through anonymous structures, in their order; the first of the
    /// name decides. Its type and its bit offset.
    fn member(
        &mut self,
        wanted: &Step<'_>,
        name: &str,
        id: TypeId,
        found: &mut Spec<'t>,
    ) -> Result<Option<(TypeId, u64)>, LoadError> {
        let mut open = vec![(id, 0u64, 0u32)];
        while let Some((id, bits, index)) = open.pop() {
            self.step()?;
            let (id, ty) = self.target.strip(id)?;
            if !ty.kind.is_composite() || index >= ty.vlen || open.len() > limits::BTF_CHAIN {
                continue;
            }
            open.push((id, bits, index.saturating_add(1)));
            let member = self.target.member(&ty, index)?;
            let here = bits.saturating_add(u64::from(member.bit_offset));
            if member.name.is_empty() {
                open.push((member.ty, here, 0));
            } else if member.name == name {
                let of = self.local.ty(wanted.ty)?;
                let local = self.local.member(&of, wanted.index)?;
                found.steps.push(Step {
                    ty: id,
                    index,
                    name: Some(member.name),
                });
                let fits = self.field_fits(local.ty, member.ty)?;
                return Ok(fits.then_some((member.ty, here)));
            }
        }
        Ok(None)
    }

    /// Whether a field of the object's type may stand for a field of the target's type.
    fn field_fits(&mut self, local: TypeId, target: TypeId) -> Result<bool, LoadError> {
        let (mut local, mut target) = (local, target);
        for _ in 0..limits::BTF_CHAIN {
            self.step()?;
            let (_, ours) = self.local.strip(local)?;
            let (_, theirs) = self.target.strip(target)?;
            if ours.kind.is_composite() && theirs.kind.is_composite() {
                return Ok(true);
            }
            if !ours.kind.is_like(theirs.kind) {
                return Ok(false);
            }
            match ours.kind {
                TypeKind::Array => {
                    (local, target) = self.elements(local, target)?;
                }
                TypeKind::Enum | TypeKind::Enum64 | TypeKind::Forward => {
                    let (ours, theirs) = (self.local.name(&ours)?, self.target.name(&theirs)?);
                    return Ok(ours.is_empty()
                        || theirs.is_empty()
                        || essential(ours) == essential(theirs));
                }
                TypeKind::Pointer | TypeKind::Float | TypeKind::Int => return Ok(true),
                _ => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Whether two types are of one kind, all the way through pointers, arrays and prototypes.
    fn exists(&mut self, local: TypeId, target: TypeId) -> Result<bool, LoadError> {
        let mut open = vec![(local, target, 0usize)];
        while let Some((local, target, depth)) = open.pop() {
            self.step()?;
            let (_, ours) = self.local.strip(local)?;
            let (_, theirs) = self.target.strip(target)?;
            if !ours.kind.is_like(theirs.kind) || depth > DEPTH {
                return Ok(false);
            }
            let depth = depth.saturating_add(1);
            match ours.kind {
                TypeKind::Void
                | TypeKind::Struct
                | TypeKind::Union
                | TypeKind::Enum
                | TypeKind::Enum64
                | TypeKind::Forward
                | TypeKind::Int => {}
                TypeKind::Pointer => open.push((ours.size_or_type, theirs.size_or_type, depth)),
                TypeKind::Array => {
                    let (ours, theirs) = self.elements(local, target)?;
                    open.push((ours, theirs, depth));
                }
                TypeKind::FunctionProto => {
                    let Some(pairs) = self.prototypes(&ours, &theirs)? else {
                        return Ok(false);
                    };
                    open.extend(pairs.into_iter().map(|(a, b)| (a, b, depth)));
                }
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    fn elements(&self, local: TypeId, target: TypeId) -> Result<(TypeId, TypeId), LoadError> {
        let ours = self.local.array(local)?.map_or(0, |(element, _)| element);
        let theirs = self.target.array(target)?.map_or(0, |(element, _)| element);
        Ok((ours, theirs))
    }

    /// Return types and parameters of two prototypes; `None` when their numbers differ.
    fn prototypes(
        &mut self,
        ours: &Type,
        theirs: &Type,
    ) -> Result<Option<Vec<(TypeId, TypeId)>>, LoadError> {
        if ours.vlen != theirs.vlen {
            return Ok(None);
        }
        let mut pairs = vec![(ours.size_or_type, theirs.size_or_type)];
        for index in 0..ours.vlen {
            self.step()?;
            pairs.push((
                self.local.parameter(ours, index)?,
                self.target.parameter(theirs, index)?,
            ));
        }
        Ok(Some(pairs))
    }

    /// Whether all that the object knows of a type holds for the target's type. Recursion is bounded
    /// by the depth and all of it by the budget.
    fn matches(
        &mut self,
        local: TypeId,
        target: TypeId,
        place: Place,
        depth: usize,
    ) -> Result<bool, LoadError> {
        self.step()?;
        let Some(depth) = depth.checked_sub(1) else {
            return Ok(false);
        };
        let (local, ours) = self.local.strip(local)?;
        let (target, theirs) = self.target.strip(target)?;
        if essential(self.local.name(&ours)?) != essential(self.target.name(&theirs)?) {
            return Ok(false);
        }
        let same = ours.kind == theirs.kind;
        match ours.kind {
            TypeKind::Void => Ok(same),
            TypeKind::Int => Ok(same
                && ours.size_or_type == theirs.size_or_type
                && self.local.is_signed(local)? == self.target.is_signed(target)?),
            TypeKind::Enum | TypeKind::Enum64 => self.enums_match(&ours, target, &theirs),
            TypeKind::Forward => {
                Ok(ours.aggregate() == theirs.aggregate()
                    && (same || place == Place::BehindPointer))
            }
            TypeKind::Struct | TypeKind::Union if place == Place::BehindPointer => {
                Ok(ours.aggregate() == theirs.aggregate())
            }
            TypeKind::Struct | TypeKind::Union => {
                Ok(same && self.composites_match(&ours, &theirs, depth)?)
            }
            TypeKind::Pointer if same => {
                let (ours, theirs) = (ours.size_or_type, theirs.size_or_type);
                self.matches(ours, theirs, Place::BehindPointer, depth)
            }
            TypeKind::Array if same => self.arrays_match(local, target, place, depth),
            TypeKind::FunctionProto if same => self.prototypes_match(&ours, &theirs, depth),
            _ => Ok(false),
        }
    }

    fn arrays_match(
        &mut self,
        local: TypeId,
        target: TypeId,
        place: Place,
        depth: usize,
    ) -> Result<bool, LoadError> {
        let count = |array: Option<(TypeId, u32)>| array.map(|(_, count)| count);
        let counts = (self.local.array(local)?, self.target.array(target)?);
        let (ours, theirs) = self.elements(local, target)?;
        Ok(count(counts.0) == count(counts.1) && self.matches(ours, theirs, place, depth)?)
    }

    fn prototypes_match(
        &mut self,
        ours: &Type,
        theirs: &Type,
        depth: usize,
    ) -> Result<bool, LoadError> {
        let Some(pairs) = self.prototypes(ours, theirs)? else {
            return Ok(false);
        };
        for (ours, theirs) in pairs {
            if !self.matches(ours, theirs, Place::Direct, depth)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Each enumerator that the object knows must be there; values do not count.
    fn enums_match(
        &mut self,
        ours: &Type,
        target: TypeId,
        theirs: &Type,
    ) -> Result<bool, LoadError> {
        if !ours.kind.is_like(theirs.kind) || ours.vlen > theirs.vlen {
            return Ok(false);
        }
        for index in 0..ours.vlen {
            self.step()?;
            let name = match self.local.enumerator(ours, index)? {
                Some(found) => found.name,
                None => return Ok(false),
            };
            if enumerator::position(self.target, target, name)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Each member that the object knows must be there by name and match.
    fn composites_match(
        &mut self,
        ours: &Type,
        theirs: &Type,
        depth: usize,
    ) -> Result<bool, LoadError> {
        if ours.vlen > theirs.vlen {
            return Ok(false);
        }
        for index in 0..ours.vlen {
            let member = self.local.member(ours, index)?;
            let mut found = false;
            for other in 0..theirs.vlen {
                self.step()?;
                let there = self.target.member(theirs, other)?;
                let named = essential(member.name) == essential(there.name);
                if named && self.matches(member.ty, there.ty, Place::Direct, depth)? {
                    found = true;
                    break;
                }
            }
            if !found {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
