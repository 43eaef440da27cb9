//! What only the kernel may touch inside a map value: `struct bpf_spin_lock`, `struct bpf_timer`,
//! pointers to its objects, heads and nodes of its lists and trees.
//!
//! Lock and timer have helpers; of the rest it is only known where it lies, so that no program
//! touches it. Arrays are looked into once and then belong to the kernel as a whole.

use crate::{
    btf::{Btf, Kind, Special, Type, TypeId},
    error::LoadError,
};
use abi::{diagnostic, limits};
use core::ops::Range;

/// Byte offsets in the value.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Offsets {
    /// Of the lock.
    pub(super) spin_lock: Option<u32>,
    /// Of the timer.
    pub(super) timer: Option<u32>,
    /// Of the rest.
    pub(super) reserved: Vec<Range<u32>>,
}

/// A part of the value that is yet to be looked at.
struct Part {
    ty: TypeId,
    offset: u32,
    depth: usize,
    /// The outermost array that it lies in.
    array: Option<Range<u32>>,
}

/// Structures inside structures that are looked into.
const DEPTH: usize = 8;
/// Bytes of a pointer.
const POINTER_BYTES: u32 = 8;
/// Tags of pointers that the kernel keeps.
const KEPT: [&str; 5] = ["kptr", "kptr_ref", "kptr_untrusted", "percpu_kptr", "uptr"];

/// Finds lock and timer in a value type, at most one of each, and the rest.
pub(super) fn find(btf: &Btf<'_>, value: TypeId) -> Result<Offsets, LoadError> {
    let mut found = Offsets::default();
    let mut budget = limits::VALUE_MEMBERS;
    let mut work = vec![Part {
        ty: value,
        offset: 0,
        depth: 0,
        array: None,
    }];
    while let Some(part) = work.pop() {
        let (id, ty) = btf.strip(part.ty)?;
        if let Some((special, bytes)) = special(btf, id, &ty)? {
            let own = part.offset..part.offset.saturating_add(bytes);
            match (special, part.array) {
                (Special::SpinLock, None) => {
                    once(&mut found.spin_lock, part.offset, "bpf_spin_lock")?;
                }
                (Special::Timer, None) => once(&mut found.timer, part.offset, "bpf_timer")?,
                (_, array) => found.reserved.push(array.unwrap_or(own)),
            }
        } else if part.depth < DEPTH {
            inside(btf, &part, &ty, (&mut work, &mut budget))?;
        }
    }
    found.reserved.sort_by_key(|part| (part.start, part.end));
    found.reserved.dedup();
    Ok(found)
}

/// What a type means to the kernel, and its bytes.
fn special(btf: &Btf<'_>, id: TypeId, ty: &Type) -> Result<Option<(Special, u32)>, LoadError> {
    if ty.kind != Kind::Pointer {
        return Ok(btf.special(id).map(|special| (special, ty.size_or_type)));
    }
    let target = btf.ty(ty.size_or_type)?;
    let is_kept = target.kind == Kind::TypeTag && KEPT.contains(&btf.name(&target)?);
    Ok(is_kept.then_some((Special::Reserved, POINTER_BYTES)))
}

/// Notes what lies inside a structure or an array.
fn inside(
    btf: &Btf<'_>,
    part: &Part,
    ty: &Type,
    (work, budget): (&mut Vec<Part>, &mut usize),
) -> Result<(), LoadError> {
    let mut note = |ty, offset, array| {
        *budget = budget.checked_sub(1).ok_or_else(too_large)?;
        work.push(Part {
            ty,
            offset: part.offset.saturating_add(offset),
            depth: part.depth + 1,
            array,
        });
        Ok(())
    };
    match ty.kind {
        Kind::Struct => {
            for (member, bits) in btf.member_types(ty)? {
                note(member, bits / 8, part.array.clone())?;
            }
        }
        Kind::Array => {
            let end = part.offset.saturating_add(btf.size_of(part.ty)?);
            let array = part.array.clone().unwrap_or(part.offset..end);
            if let Some((element, 1..)) = btf.array(part.ty)? {
                note(element, 0, Some(array))?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn once(slot: &mut Option<u32>, offset: u32, name: &str) -> Result<(), LoadError> {
    if slot.replace(offset).is_some() {
        let text = format!("the value holds more than one `struct {name}`");
        return Err(LoadError::new(diagnostic::MAP_MALFORMED, text));
    }
    Ok(())
}

fn too_large() -> LoadError {
    let text = format!(
        "value type with more than {} members",
        limits::VALUE_MEMBERS
    );
    LoadError::new(diagnostic::BTF_LIMIT, text)
}
