//! Map types of both platforms.
//!
//! Source compatible, not binary compatible: the platforms number the same types differently.
//! `sample_hash_map` and `xskmap` are custom maps of extensions; the first behaves as a hash map.

use crate::program_type::Platform;

/// What a map does, independent of a platform's numbering.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(
    missing_docs,
    reason = "the variants are the well-known map type names"
)]
pub enum MapKind {
    Hash,
    Array,
    ProgArray,
    PerCpuHash,
    PerCpuArray,
    HashOfMaps,
    ArrayOfMaps,
    LruHash,
    LruPerCpuHash,
    LpmTrie,
    Queue,
    Stack,
    RingBuf,
    PerfEventArray,
    /// A type of the platform that needs no distinction here (devmap, sockmap, xskmap, ...).
    Other,
}

/// One map type of one platform.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapTypeRow {
    /// What it does.
    pub kind: MapKind,
    /// Number on Windows, if it exists there.
    pub windows: Option<u32>,
    /// Number on Linux, if it exists there.
    pub linux: Option<u32>,
    /// Display name, for example `percpu_hash`.
    pub name: &'static str,
}

/// All map types, ascending by Windows number, then those that only Linux has.
#[rustfmt::skip] // one row, one line
pub static TABLE: &[MapTypeRow] = &[
    row(MapKind::Hash, Some(1), Some(1), "hash"),
    row(MapKind::Array, Some(2), Some(2), "array"),
    row(MapKind::ProgArray, Some(3), Some(3), "prog_array"),
    row(MapKind::PerCpuHash, Some(4), Some(5), "percpu_hash"),
    row(MapKind::PerCpuArray, Some(5), Some(6), "percpu_array"),
    row(MapKind::HashOfMaps, Some(6), Some(13), "hash_of_maps"),
    row(MapKind::ArrayOfMaps, Some(7), Some(12), "array_of_maps"),
    row(MapKind::LruHash, Some(8), Some(9), "lru_hash"),
    row(MapKind::LpmTrie, Some(9), Some(11), "lpm_trie"),
    row(MapKind::Queue, Some(10), Some(22), "queue"),
    row(MapKind::LruPerCpuHash, Some(11), Some(10), "lru_percpu_hash"),
    row(MapKind::Stack, Some(12), Some(23), "stack"),
    row(MapKind::RingBuf, Some(13), Some(27), "ringbuf"),
    row(MapKind::PerfEventArray, Some(14), Some(4), "perf_event_array"),
    row(MapKind::Hash, Some(15), None, "sample_hash_map"),
    row(MapKind::Other, Some(16), Some(17), "xskmap"),
    row(MapKind::Other, None, Some(7), "stack_trace"),
    row(MapKind::Other, None, Some(8), "cgroup_array"),
    row(MapKind::Other, None, Some(14), "devmap"),
    row(MapKind::Other, None, Some(15), "sockmap"),
    row(MapKind::Other, None, Some(16), "cpumap"),
    row(MapKind::Other, None, Some(18), "sockhash"),
    row(MapKind::Other, None, Some(19), "cgroup_storage"),
    row(MapKind::Other, None, Some(20), "reuseport_sockarray"),
    row(MapKind::Other, None, Some(21), "percpu_cgroup_storage"),
    row(MapKind::Other, None, Some(24), "sk_storage"),
    row(MapKind::Other, None, Some(25), "devmap_hash"),
    row(MapKind::Other, None, Some(26), "struct_ops"),
    row(MapKind::Other, None, Some(28), "inode_storage"),
    row(MapKind::Other, None, Some(29), "task_storage"),
    row(MapKind::Other, None, Some(30), "bloom_filter"),
    row(MapKind::Other, None, Some(31), "user_ringbuf"),
    row(MapKind::Other, None, Some(32), "cgrp_storage"),
    row(MapKind::Other, None, Some(33), "arena"),
];

const fn row(
    kind: MapKind,
    windows: Option<u32>,
    linux: Option<u32>,
    name: &'static str,
) -> MapTypeRow {
    MapTypeRow {
        kind,
        windows,
        linux,
        name,
    }
}

impl MapTypeRow {
    /// The number on a platform.
    #[must_use]
    pub const fn number(&self, platform: Platform) -> Option<u32> {
        match platform {
            Platform::Windows => self.windows,
            Platform::Linux => self.linux,
        }
    }
}

impl MapKind {
    /// The type of a platform that does this; the plain one where several do.
    #[must_use]
    pub fn row(self, platform: Platform) -> Option<&'static MapTypeRow> {
        let is_meant = |row: &&MapTypeRow| row.kind == self && row.number(platform).is_some();
        TABLE.iter().find(is_meant)
    }

    /// Whether each CPU has its own value.
    #[must_use]
    pub const fn is_per_cpu(self) -> bool {
        matches!(
            self,
            MapKind::PerCpuHash | MapKind::PerCpuArray | MapKind::LruPerCpuHash
        )
    }

    /// Whether the values are maps.
    #[must_use]
    pub const fn is_map_of_maps(self) -> bool {
        matches!(self, MapKind::HashOfMaps | MapKind::ArrayOfMaps)
    }

    /// Whether the key is a u32 index below `max_entries`.
    #[must_use]
    pub const fn is_indexed(self) -> bool {
        matches!(
            self,
            MapKind::Array | MapKind::PerCpuArray | MapKind::ProgArray | MapKind::ArrayOfMaps
        )
    }

    /// Whether the map is a stream or queue, which has no keys.
    #[must_use]
    pub const fn has_no_key(self) -> bool {
        matches!(
            self,
            MapKind::Queue | MapKind::Stack | MapKind::RingBuf | MapKind::PerfEventArray
        )
    }
}

/// The row of a map type number.
#[must_use]
pub fn by_number(platform: Platform, number: u32) -> Option<&'static MapTypeRow> {
    TABLE
        .iter()
        .find(|row| row.number(platform) == Some(number))
}

/// The row of a display name.
#[must_use]
pub fn by_name(platform: Platform, name: &str) -> Option<&'static MapTypeRow> {
    TABLE
        .iter()
        .find(|row| row.name == name && row.number(platform).is_some())
}
