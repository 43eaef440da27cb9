//! `struct bpf_spin_lock` and `struct bpf_timer` inside a map value.

use crate::{
    btf::{Btf, Kind, TypeId},
    error::LoadError,
};
use abi::diagnostic;

/// Byte offsets in the value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Special {
    /// Of the lock.
    pub(super) spin_lock: Option<u32>,
    /// Of the timer.
    pub(super) timer: Option<u32>,
}

/// Structures inside structures that are looked into.
const DEPTH: usize = 8;
/// Members looked at in one value; more is no value anybody wrote by hand.
const MEMBERS: usize = 65_536;

/// Finds lock and timer in a value type, at most one of each.
pub(super) fn find(btf: &Btf<'_>, value: TypeId) -> Result<Special, LoadError> {
    let mut found = Special::default();
    let mut budget = MEMBERS;
    let mut work = vec![(value, 0u32, 0usize)];
    while let Some((id, base, depth)) = work.pop() {
        let (_, ty) = btf.strip(id)?;
        if ty.kind != Kind::Struct {
            continue;
        }
        match btf.name(&ty)? {
            "bpf_spin_lock" => once(&mut found.spin_lock, base, "bpf_spin_lock")?,
            "bpf_timer" => once(&mut found.timer, base, "bpf_timer")?,
            _ if depth < DEPTH => {
                let members = btf.members(&ty)?;
                budget = budget.checked_sub(members.len()).ok_or_else(|| {
                    let text = format!("value type with more than {MEMBERS} members");
                    LoadError::new(diagnostic::BTF_LIMIT, text)
                })?;
                for member in members {
                    let offset = base.saturating_add(member.bit_offset / 8);
                    work.push((member.ty, offset, depth + 1));
                }
            }
            _ => {}
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
