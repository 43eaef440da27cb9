//! Hash kinds: plain, per-CPU, least recently used, and hash of maps, over one table.

use super::{Definition, padded};
use crate::{
    Status,
    raw::table::{Shape, Table},
};
use abi::MapKind;

/// A hash map.
pub(crate) struct HashMap {
    pub(crate) table: Table,
    pub(crate) value_size: usize,
    /// Bytes from one CPU's copy to the next.
    pub(crate) stride: usize,
    /// Copies per value.
    pub(crate) cpus: u32,
    /// What the inner maps must look like (hash of maps).
    pub(crate) template: Option<Definition>,
}

impl HashMap {
    pub(crate) fn new(definition: &Definition, cpus: u32, seed: u64) -> Result<HashMap, Status> {
        let evicts = matches!(definition.kind, MapKind::LruHash | MapKind::LruPerCpuHash);
        let nested = definition.kind == MapKind::HashOfMaps;
        let stride = padded(definition.value_size);
        let value_area = stride
            .checked_mul(cpus as usize)
            .ok_or(Status::ArithmeticOverflow)?;
        let shape = Shape {
            key_size: definition.key_size as usize,
            value_area: if nested { 8 } else { value_area },
            max_entries: definition.max_entries,
            evicts,
        };
        Ok(HashMap {
            table: Table::new(shape, seed)?,
            value_size: definition.value_size as usize,
            stride,
            cpus,
            template: None,
        })
    }
}
