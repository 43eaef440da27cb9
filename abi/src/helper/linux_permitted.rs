//! Which Linux program types may call which helpers, after the helper pages of docs.ebpf.io.
//!
//! Rejecting a call that the kernel would reject is a service to the user; safety does not depend
//! on it. Where kernels differ, the newest one counts.

/// Helpers of every program type.
#[rustfmt::skip] // groups of related numbers, one line each
const BASE: &[u32] = &[
    1, 2, 3, 87, 88, 89, 195, 12, // maps, tail call
    5, 7, 8, 14, 15, 16, 35, 42, 80, 118, 120, 123, 125, 158, 160, 175, 208, // time, CPU, task
    6, 165, 177, 149, 105, 106, 182, // text
    4, 45, 112, 113, 114, 115, // probe reads
    93, 94, 153, 154, 164, 169, 170, 171, 172, 181, 194, 210, 211, // locks, timers, loops
    130, 131, 132, 133, 134, 197, 198, 199, 200, 201, 202, 203, 209, // ring buffers, dynptrs
];
/// Spin locks.
const LOCKS: &[u32] = &[93, 94];
/// Spin locks and timers, and the clock that is behind a lock.
const LOCKS_AND_TIMERS: &[u32] = &[93, 94, 160, 169, 170, 171, 172];
#[rustfmt::skip]
const TC: &[u32] = &[
    9, 26, 39, 68, // bytes
    10, 11, 28, 40, 135, // checksums
    18, 19, 31, 32, 38, 43, 50, // shape of the packet
    13, 17, 20, 21, 23, 24, 25, 29, 30, 33, 34, 41, 46, 47, 48, 66, 69, 79, 83, 97, 122, 151,
    152, 155, 163, 192,
    84, 85, 86, 95, 96, 98, 99, 100, 107, 108, 110, 124, 128, 129, 136, 137, 138, 139, 140, 178,
    196, 204, 205, 206, 207, // sockets
];
#[rustfmt::skip]
const XDP: &[u32] = &[
    23, 25, 28, 44, 51, 54, 65, 69, 163, 188, 189, 190,
    84, 85, 86, 99, 100, 110, 136, 137, 138, 139, 140, 178, 196, 204, 205, 206, 207, // sockets
];
#[rustfmt::skip]
const TRACING: &[u32] = &[
    22, 25, 27, 36, 37, 55, 67, 109, 117, 141, 148, 156, 157, 174, 176, 180, 191,
];
const KPROBE: &[u32] = &[58, 173];
const PERF_EVENT: &[u32] = &[56, 119];
#[rustfmt::skip]
const TRAMPOLINE: &[u32] = &[
    46, 107, 108, 111, 121, 126, 127, 136, 137, 138, 139, 140, 145, 146, 147, 150, 159, 161, 162,
    173, 178, 183, 184, 185, 193, 196,
];
const CGROUP: &[u32] = &[17, 25, 81, 186, 187];
#[rustfmt::skip]
const CGROUP_SKB: &[u32] = &[
    26, 46, 47, 68, 79, 83, 84, 85, 86, 95, 96, 97, 98, 99, 107, 108, 122, 128, 129, 136, 137,
    138, 139, 140, 178, 196,
];
const CGROUP_SOCK: &[u32] = &[46, 107, 122];
#[rustfmt::skip]
const SOCK_ADDR: &[u32] = &[
    46, 49, 57, 64, 84, 85, 86, 99, 107, 108, 122, 136, 137, 138, 139, 140, 178, 196,
];
#[rustfmt::skip]
const SOCK_OPS: &[u32] = &[
    25, 46, 49, 53, 57, 59, 70, 81, 96, 107, 108, 122, 136, 137, 138, 139, 140, 142, 143, 144,
    178, 196,
];
#[rustfmt::skip]
const SK_SKB: &[u32] = &[
    9, 25, 26, 38, 39, 43, 46, 47, 50, 52, 72, 84, 85, 86, 99, 136, 137, 138, 139, 140, 178, 196,
];
#[rustfmt::skip]
const SK_MSG: &[u32] = &[
    17, 25, 60, 61, 62, 63, 71, 90, 91, 107, 108, 122, 136, 137, 138, 139, 140, 178, 196,
];
const LWT: &[u32] = &[17, 24, 25, 26, 28, 33, 34, 39];
const LWT_ENCAP: &[u32] = &[73];
#[rustfmt::skip]
const LWT_XMIT: &[u32] = &[
    9, 10, 11, 13, 20, 21, 23, 29, 30, 38, 40, 41, 43, 48, 73, 135,
];
const LWT_SEG6LOCAL: &[u32] = &[74, 75, 76];
const LIRC_MODE2: &[u32] = &[77, 78, 92];
const SK_REUSEPORT: &[u32] = &[26, 46, 68, 82];
const FLOW_DISSECTOR: &[u32] = &[26];
const CGROUP_SYSCTL: &[u32] = &[101, 102, 103, 104];
const CGROUP_SOCKOPT: &[u32] = &[49, 57, 96, 107, 108, 122];
const SK_LOOKUP: &[u32] = &[25, 86, 124, 136, 137, 138, 139, 140, 178, 196];
const SYSCALL: &[u32] = &[148, 166, 167, 168, 179];
const STRUCT_OPS: &[u32] = &[49, 57, 86, 107, 108, 116, 156, 157];

/// The groups of a program type beyond [`BASE`]; `None` for types without restriction here.
fn groups(program_type: u32) -> Option<&'static [&'static [u32]]> {
    Some(match program_type {
        // Objects whose section says nothing are taken for socket filters, and most of them are
        // old traffic control programs.
        1 | 3 | 4 => &[TC],
        2 => &[TRACING, KPROBE],
        5 | 17 | 24 => &[TRACING],
        6 => &[XDP],
        7 => &[TRACING, PERF_EVENT],
        8 => &[CGROUP, CGROUP_SKB],
        9 => &[CGROUP, CGROUP_SOCK],
        10 => &[LWT, LWT_ENCAP],
        11 => &[LWT],
        12 => &[LWT, LWT_XMIT],
        13 => &[SOCK_OPS],
        14 => &[SK_SKB],
        15 => &[CGROUP],
        16 => &[SK_MSG],
        18 => &[CGROUP, SOCK_ADDR],
        19 => &[LWT, LWT_SEG6LOCAL],
        20 => &[LIRC_MODE2],
        21 => &[SK_REUSEPORT],
        22 => &[FLOW_DISSECTOR],
        23 => &[CGROUP, CGROUP_SYSCTL],
        25 => &[CGROUP, CGROUP_SOCKOPT],
        26 | 29 => &[TRACING, TRAMPOLINE],
        27 => &[STRUCT_OPS],
        30 => &[SK_LOOKUP],
        31 => &[SYSCALL],
        32 => &[],
        _ => return None,
    })
}

/// Whether programs of this type may call this helper. A program that extends another one may
/// call whatever that one may, so it is not restricted.
pub(super) fn is_permitted(program_type: u32, id: u32) -> bool {
    let Some(own) = groups(program_type) else {
        return true;
    };
    let base = BASE.contains(&id) && !denied(program_type).contains(&id);
    base || own.iter().any(|group| group.contains(&id))
}

/// Helpers of [`BASE`] that a program type may not call: programs that can interrupt the code that
/// holds a lock would wait for it for ever.
fn denied(program_type: u32) -> &'static [u32] {
    match program_type {
        1 => LOCKS,
        2 | 5 | 7 | 17 | 24 => LOCKS_AND_TIMERS,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        helper::{LINUX, by_id, lookup},
        program_type::{self, Platform},
    };

    #[test]
    fn groups_name_helpers_that_exist() {
        for number in 1..=32 {
            for id in groups(number).into_iter().flatten().copied().flatten() {
                assert!(
                    by_id(Platform::Linux, *id).is_some(),
                    "type {number} helper {id}"
                );
                assert!(
                    !BASE.contains(id),
                    "type {number} helper {id} is in the base group"
                );
            }
        }
    }

    #[test]
    fn every_helper_has_a_caller() {
        let callers =
            |id| (1..=32).filter(move |kind| groups(*kind).is_some() && is_permitted(*kind, id));
        for row in LINUX {
            assert!(
                callers(row.id).next().is_some(),
                "{} has no caller",
                row.name
            );
        }
    }

    #[test]
    fn lookup_knows_who_may_call() {
        let may = |name, id| {
            let kind = program_type::by_name(Platform::Linux, name);
            kind.is_some_and(|kind| lookup(kind, id).is_some())
        };
        assert!(may("xdp", 44) && !may("sched_cls", 44));
        assert!(may("sched_cls", 9) && !may("xdp", 9) && !may("kprobe", 9));
        assert!(may("sock_ops", 53) && !may("xdp", 53));
        assert!(may("kprobe", 25) && may("xdp", 25) && may("ext", 44));
        assert!(!may("xdp", 0) && !may("xdp", 212) && !may("ext", 212));
    }
}
