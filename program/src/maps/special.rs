//! `struct bpf_spin_lock` and `struct bpf_timer` inside a map value.

use crate::{
    btf::{Btf, Kind, Special, TypeId},
    error::LoadError,
};
use abi::{diagnostic, limits};

/// Byte offsets in the value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Offsets {
    /// Of the lock.
    pub(super) spin_lock: Option<u32>,
    /// Of the timer.
    pub(super) timer: Option<u32>,
}

/// Structures inside structures that are looked into.
const DEPTH: usize = 8;

/// Finds lock and timer in a value type, at most one of each.
pub(super) fn find(btf: &Btf<'_>, value: TypeId) -> Result<Offsets, LoadError> {
    let mut found = Offsets::default();
    let mut budget = limits::VALUE_MEMBERS;
    let mut work = vec![(value, 0u32, 0usize)];
    while let Some((id, base, depth)) = work.pop() {
        let (id, ty) = btf.strip(id)?;
        match btf.special(id) {
            Some(Special::SpinLock) => once(&mut found.spin_lock, base, "bpf_spin_lock")?,
            Some(Special::Timer) => once(&mut found.timer, base, "bpf_timer")?,
            None if ty.kind == Kind::Struct && depth < DEPTH => {
                for (member, bits) in btf.member_types(&ty)? {
                    budget = budget.checked_sub(1).ok_or_else(too_large)?;
                    work.push((member, base.saturating_add(bits / 8), depth + 1));
                }
            }
            None => {}
        }
    }
    Ok(found)
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
