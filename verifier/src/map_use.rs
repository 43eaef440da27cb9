//! Which helper works on which type of map.

use abi::{MapKind, Platform};
use program::MapDef;

/// Kinds whose values a program may look up and change.
const ELEMENTS: &[MapKind] = &[
    MapKind::Hash,
    MapKind::Array,
    MapKind::PerCpuHash,
    MapKind::PerCpuArray,
    MapKind::LruHash,
    MapKind::LruPerCpuHash,
    MapKind::LpmTrie,
];

/// One row: helpers (by name, without the `bpf_` prefix) and what they work on.
struct Row {
    helpers: &'static [&'static str],
    kinds: &'static [MapKind],
    /// Types of [`MapKind::Other`] by name.
    others: &'static [&'static str],
}

#[rustfmt::skip] // one row, one line
const TABLE: &[Row] = &[
    row(&["map_lookup_elem"], ELEMENTS, &[]),
    row(&["map_lookup_elem"], &[MapKind::HashOfMaps, MapKind::ArrayOfMaps], &[]),
    row(&["map_update_elem", "map_delete_elem"], ELEMENTS, &[]),
    row(&["map_lookup_and_delete_elem"], &[MapKind::Hash, MapKind::PerCpuHash, MapKind::LruHash, MapKind::LruPerCpuHash], &[]),
    row(&["map_push_elem", "map_pop_elem", "map_peek_elem"], &[MapKind::Queue, MapKind::Stack], &[]),
    row(&["map_push_elem", "map_peek_elem"], &[], &["bloom_filter"]),
    row(&["map_lookup_percpu_elem"], &[MapKind::PerCpuHash, MapKind::PerCpuArray, MapKind::LruPerCpuHash], &[]),
    row(&["tail_call"], &[MapKind::ProgArray], &[]),
    row(&["ringbuf_output", "ringbuf_reserve", "ringbuf_query", "ringbuf_reserve_dynptr"], &[MapKind::RingBuf], &[]),
    row(&["user_ringbuf_drain"], &[], &["user_ringbuf"]),
    row(&["perf_event_output", "perf_event_read", "perf_event_read_value", "skb_output", "xdp_output"], &[MapKind::PerfEventArray], &[]),
    row(&["get_stackid"], &[], &["stack_trace"]),
    row(&["skb_under_cgroup", "current_task_under_cgroup"], &[], &["cgroup_array"]),
    row(&["redirect_map"], &[], &["devmap", "devmap_hash", "cpumap", "xskmap"]),
    row(&["sk_redirect_map", "msg_redirect_map", "sock_map_update"], &[], &["sockmap"]),
    row(&["sk_redirect_hash", "msg_redirect_hash", "sock_hash_update"], &[], &["sockhash"]),
    row(&["map_update_elem", "map_delete_elem"], &[], &["sockmap", "sockhash"]),
    row(&["map_lookup_elem"], &[], &["devmap", "devmap_hash", "xskmap", "sockmap", "sockhash"]),
    row(&["sk_select_reuseport"], &[], &["reuseport_sockarray", "sockmap", "sockhash"]),
    row(&["get_local_storage"], &[], &["cgroup_storage", "percpu_cgroup_storage"]),
    row(&["sk_storage_get", "sk_storage_delete"], &[], &["sk_storage"]),
    row(&["inode_storage_get", "inode_storage_delete"], &[], &["inode_storage"]),
    row(&["task_storage_get", "task_storage_delete"], &[], &["task_storage"]),
    row(&["cgrp_storage_get", "cgrp_storage_delete"], &[], &["cgrp_storage"]),
    row(&["for_each_map_elem"], &[MapKind::Hash, MapKind::Array, MapKind::PerCpuHash, MapKind::PerCpuArray, MapKind::LruHash, MapKind::LruPerCpuHash], &[]),
    row(&["timer_init"], &[MapKind::Hash, MapKind::Array, MapKind::LruHash], &[]),
    row(&["sample_ext_helper_map_lookup_element", "sample_ext_helper_map_get_value"], &[MapKind::Hash], &[]),
];

const fn row(
    helpers: &'static [&'static str],
    kinds: &'static [MapKind],
    others: &'static [&'static str],
) -> Row {
    Row {
        helpers,
        kinds,
        others,
    }
}

/// Does a helper work on a map? Helpers that are not in the table work on none.
pub(crate) fn fits(platform: Platform, helper: &str, map: &MapDef) -> bool {
    let helper = helper.strip_prefix("bpf_").unwrap_or(helper);
    let name = abi::map::by_number(platform, map.type_number).map_or("", |row| row.name);
    TABLE.iter().any(|row| {
        let kind_fits = match map.kind {
            MapKind::Other => row.others.contains(&name),
            kind => row.kinds.contains(&kind),
        };
        row.helpers.contains(&helper) && kind_fits
    })
}

/// What a lookup of an element finds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A value that may be read and written.
    Value,
    /// A value that only the platform writes.
    ReadOnly,
    /// A socket, which must be released.
    Socket,
}

/// `BPF_F_RDONLY_PROG`: programs of Linux may not write.
const READ_ONLY: u32 = 1 << 7;
/// `BPF_F_WRONLY_PROG`: programs of Linux may not read.
const WRITE_ONLY: u32 = 1 << 8;

/// May programs not write to a map?
pub(crate) fn is_read_only(platform: Platform, map: &MapDef) -> bool {
    map.frozen || platform == Platform::Linux && map.flags & READ_ONLY != 0
}

/// May programs not read what a map holds?
pub(crate) fn is_write_only(platform: Platform, map: &MapDef) -> bool {
    platform == Platform::Linux && map.flags & WRITE_ONLY != 0
}

/// What a lookup finds in a map that holds no maps.
pub(crate) fn found(platform: Platform, map: &MapDef) -> Found {
    if map.kind != MapKind::Other {
        return Found::Value;
    }
    match abi::map::by_number(platform, map.type_number).map_or("", |row| row.name) {
        "devmap" | "devmap_hash" | "xskmap" => Found::ReadOnly,
        "sockmap" | "sockhash" => Found::Socket,
        _ => Found::Value,
    }
}

/// Does a helper change the elements of its map?
pub(crate) fn changes(helper: &str) -> bool {
    let helper = helper.strip_prefix("bpf_").unwrap_or(helper);
    let verbs = ["map_update_", "map_delete_", "map_push_", "map_pop_"];
    helper == "map_lookup_and_delete_elem" || verbs.iter().any(|verb| helper.starts_with(verb))
}
