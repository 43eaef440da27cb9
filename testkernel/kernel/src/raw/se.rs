//! Security and processes: who calls, and what that allows.
//!
//! Every caller is the same user: an administrator, unless a test says otherwise
//! (`Machine::is_restricted`). Access checks read the descriptor for real. What is left out:
//! privileges, denying entries that stand behind allowing ones, owners' rights.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::{exports, get, put};
use crate::irql;
use crate::machine::{current, violation};
use crate::status;
use std::sync::atomic::Ordering;

/// Security ids behind revision and count: authority, then sub-authorities.
const EVERYONE: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
const ADMINISTRATORS: &[u8] = &[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0];
const USERS: &[u8] = &[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x21, 2, 0, 0];

/// Generic rights, and the order in which a mapping tells what they mean.
const GENERIC: [u32; 4] = [0x8000_0000, 0x4000_0000, 0x2000_0000, 0x1000_0000];

/// Stands for the token of every process.
const TOKEN: u64 = 0xffff_9200_0000_0040;
/// The logon session of the system.
const SYSTEM_LOGON: u64 = 0x3e7;
/// When every process began: a day in 2022.
pub(super) const PROCESS_TIME: u64 = 133_000_000_000_000_000;

fn is_restricted() -> bool {
    current().is_restricted.load(Ordering::Relaxed)
}

fn mapped(rights: u32, mapping: [u32; 4]) -> u32 {
    let meanings = GENERIC.into_iter().zip(mapping);
    let specific = rights & !GENERIC.into_iter().fold(0, |all, bit| all | bit);
    meanings.fold(specific, |rights_so_far, (bit, meaning)| {
        match rights & bit {
            0 => rights_so_far,
            _ => rights_so_far | meaning,
        }
    })
}

/// What the access list of a self-relative descriptor allows the caller.
///
/// # Safety
/// 1. The address is that of a descriptor.
unsafe fn allowed(descriptor: u64, mapping: [u32; 4]) -> Result<u32, u32> {
    const ALLOW: u8 = 0;
    let groups: &[&[u8]] = match is_restricted() {
        true => &[EVERYONE, USERS],
        false => &[EVERYONE, ADMINISTRATORS, USERS],
    };
    // SAFETY: the caller's obligation.
    unsafe {
        let list = descriptor + u64::from(get::<u32>(descriptor + 16)?);
        let count: u16 = get(list + 4)?;
        let (mut at, mut rights) = (list + 8, 0);
        for _ in 0..count {
            let (kind, size): (u8, u16) = (get(at)?, get(at + 2)?);
            let is_own = |group: &&&[u8]| {
                let byte = |index: usize| get::<u8>(at + 8 + index as u64);
                group
                    .iter()
                    .enumerate()
                    .all(|(index, value)| byte(index) == Ok(*value))
            };
            if kind == ALLOW && groups.iter().any(|group| is_own(&group)) {
                rights |= mapped(get(at + 4)?, mapping);
            }
            at += u64::from(size);
        }
        Ok(rights)
    }
}

/// Whether the caller may open a device of this security to read and write.
///
/// # Safety
/// 1. The address is that of a descriptor.
pub(super) unsafe fn may_open(descriptor: u64) -> bool {
    /// What generic rights mean for files.
    const MAPPING: [u32; 4] = [0x0012_0089, 0x0012_0116, 0x0012_00a0, 0x001f_01ff];
    let desired = mapped(GENERIC[0] | GENERIC[1], MAPPING);
    // SAFETY: the caller's obligation.
    let rights = unsafe { allowed(descriptor, MAPPING) };
    rights.is_ok_and(|rights| desired & !rights == 0)
}

exports! { "ntoskrnl.exe", All:
    fn SeCaptureSubjectContext(context: u64) {
        irql::at_most(irql::PASSIVE, "SeCaptureSubjectContext");
        // SAFETY: the driver's structure of four words.
        let _ = unsafe { put(context, [TOKEN, 0, 0, 0]) };
    }

    fn SeReleaseSubjectContext(context: u64) {
        irql::at_most(irql::PASSIVE, "SeReleaseSubjectContext");
        // SAFETY: the driver's structure of four words.
        if unsafe { get::<u64>(context) } != Ok(TOKEN) {
            violation(|| "SeReleaseSubjectContext of what was not captured".to_owned());
        }
    }

    fn SeAccessCheck(
        descriptor: u64,
        _context: u64,
        _is_locked: u8,
        desired: u32,
        granted_before: u32,
        _privileges: u64,
        mapping: u64,
        _mode: i8,
        granted: u64,
        answer: u64,
    ) -> u8 {
        irql::at_most(irql::PASSIVE, "SeAccessCheck");
        // SAFETY: the driver's structures.
        let rights = unsafe {
            get::<[u32; 4]>(mapping).and_then(|mapping| {
                let rights = allowed(descriptor, mapping)? | granted_before;
                Ok((mapped(desired, mapping), rights))
            })
        };
        let is_granted = rights.is_ok_and(|(desired, rights)| desired & !rights == 0);
        let status = if is_granted { status::SUCCESS } else { status::ACCESS_DENIED };
        let given = if is_granted { rights.map_or(0, |(desired, _)| desired) } else { 0 };
        // SAFETY: the driver's variables.
        let _ = unsafe { put(granted, given).and_then(|()| put(answer, status)) };
        u8::from(is_granted)
    }

    fn PsReferencePrimaryToken(_process: u64) -> u64 {
        TOKEN
    }

    fn PsDereferencePrimaryToken(_token: u64) {}

    fn SeQueryAuthenticationIdToken(token: u64, id: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "SeQueryAuthenticationIdToken");
        if token != TOKEN {
            return status::INVALID_PARAMETER;
        }
        // SAFETY: the driver's variable.
        super::answer(unsafe { put(id, SYSTEM_LOGON) })
    }

    fn SeTokenIsAdmin(_token: u64) -> u8 {
        u8::from(!is_restricted())
    }

    fn PsGetProcessCreateTimeQuadPart(_process: u64) -> u64 {
        PROCESS_TIME
    }

    fn ZwClose(handle: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "ZwClose");
        super::zw::close(handle)
    }

    fn ObCloseHandle(handle: u64, _mode: i8) -> u32 {
        irql::at_most(irql::PASSIVE, "ObCloseHandle");
        super::zw::close(handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Machine;
    use std::sync::Arc;

    fn at<T>(value: &T) -> u64 {
        std::ptr::from_ref(value).expose_provenance() as u64
    }

    /// A descriptor that allows administrators everything and everybody to read.
    fn descriptor() -> Vec<u8> {
        let entry = |rights: u32, id: &[u8]| {
            let size = (8 + id.len()) as u16;
            [&[0, 0][..], &size.to_le_bytes(), &rights.to_le_bytes(), id].concat()
        };
        let entries = [
            entry(GENERIC[3], ADMINISTRATORS),
            entry(GENERIC[0], EVERYONE),
        ]
        .concat();
        let list = [
            &[2, 0][..],
            &(8 + entries.len() as u16).to_le_bytes(),
            &[2, 0, 0, 0],
            &entries,
        ];
        [
            &[1, 0, 4, 0x80][..],
            &[0; 12],
            &20u32.to_le_bytes(),
            &list.concat(),
        ]
        .concat()
    }

    #[test]
    fn access_is_what_the_descriptor_says() {
        const READ: u32 = 0x12_0089;
        const WRITE: u32 = 0x12_0116;
        let machine: Arc<Machine> = Arc::default();
        let (descriptor, mapping) = (descriptor(), [READ, WRITE, 0x12_00a0, 0x1f_01ff]);
        let check = |desired: u32| {
            let mut results = [0u32; 2];
            let place = (&raw mut results).expose_provenance() as u64;
            let (descriptor, mapping) = (at(&descriptor[0]), at(&mapping));
            let is_granted = machine.enter(|| {
                SeAccessCheck(
                    descriptor,
                    0,
                    0,
                    desired,
                    0,
                    0,
                    mapping,
                    1,
                    place,
                    place + 4,
                )
            });
            (is_granted, results)
        };
        assert_eq!(check(GENERIC[1]), (1, [WRITE, 0]));
        machine.is_restricted.store(true, Ordering::Relaxed);
        assert_eq!(check(GENERIC[0]), (1, [READ, 0]));
        assert_eq!(check(GENERIC[1]), (0, [0, status::ACCESS_DENIED]));
        assert_eq!(machine.enter(|| SeTokenIsAdmin(TOKEN)), 0);
    }
}
