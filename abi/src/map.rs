//! Map types of both platforms.

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
