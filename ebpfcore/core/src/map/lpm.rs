//! Longest-prefix match: one hash table keyed by (prefix length, masked bits), and how many
//! entries each prefix length has.
//!
//! A lookup tries the lengths in use from the longest allowed to the shortest. With the few
//! distinct lengths of real routing tables that is faster than walking a bit trie, and readers
//! need no lock.

use super::{Definition, padded};
use crate::atomic::{AtomicU32, Ordering};
use crate::{
    Status,
    raw::table::{Shape, Table},
};
use alloc::vec::Vec;

/// Bytes of the prefix length in front of the data.
pub(crate) const PREFIX_BYTES: usize = 4;
/// Largest key: the prefix length and 256 bytes of data.
pub(crate) const MAX_KEY_BYTES: u32 = 260;

/// A key with all bits beyond the prefix cleared.
pub(crate) type MaskedKey = [u8; MAX_KEY_BYTES as usize];

/// A longest-prefix-match map.
pub(crate) struct LpmMap {
    pub(crate) table: Table,
    pub(crate) key_size: usize,
    pub(crate) value_size: usize,
    /// Entries by prefix length.
    used: Vec<AtomicU32>,
}

impl LpmMap {
    pub(crate) fn new(definition: &Definition, seed: u64) -> Result<LpmMap, Status> {
        let key_size = definition.key_size as usize;
        let lengths = (key_size - PREFIX_BYTES) * 8 + 1;
        let mut used = Vec::new();
        used.try_reserve_exact(lengths)
            .map_err(|_| Status::NoMemory)?;
        used.resize_with(lengths, AtomicU32::default);
        let shape = Shape {
            key_size,
            value_area: padded(definition.value_size),
            max_entries: definition.max_entries,
            evicts: false,
        };
        Ok(LpmMap {
            table: Table::new(shape, seed)?,
            key_size,
            value_size: definition.value_size as usize,
            used,
        })
    }

    /// The prefix length of a key, if it is in range.
    pub(crate) fn prefix(&self, key: &[u8]) -> Result<u32, Status> {
        let bytes = key.first_chunk::<PREFIX_BYTES>();
        let prefix = bytes.map_or(u32::MAX, |bytes| u32::from_ne_bytes(*bytes));
        if (prefix as usize) < self.used.len() && key.len() == self.key_size {
            Ok(prefix)
        } else {
            Err(Status::InvalidArgument)
        }
    }

    /// The key cut to `prefix` bits.
    pub(crate) fn masked(&self, key: &[u8], prefix: u32) -> MaskedKey {
        let mut masked = [0; MAX_KEY_BYTES as usize];
        masked[..PREFIX_BYTES].copy_from_slice(&prefix.to_ne_bytes());
        let data = &key[PREFIX_BYTES..];
        let whole = (prefix / 8) as usize;
        let rest = prefix % 8;
        masked[PREFIX_BYTES..PREFIX_BYTES + whole].copy_from_slice(&data[..whole]);
        if rest != 0 {
            masked[PREFIX_BYTES + whole] = data[whole] & !(0xff >> rest);
        }
        masked
    }

    /// The prefix lengths in use, from `longest` down.
    pub(crate) fn lengths(&self, longest: u32) -> impl Iterator<Item = u32> {
        (0..=longest).rev().filter(|&length| {
            self.used
                .get(length as usize)
                .is_some_and(|used| used.load(Ordering::Acquire) != 0)
        })
    }

    /// Notes one more entry of a length. Called before the entry is visible.
    pub(crate) fn note_added(&self, prefix: u32) {
        if let Some(used) = self.used.get(prefix as usize) {
            used.fetch_add(1, Ordering::Release);
        }
    }

    /// Notes one entry less.
    pub(crate) fn note_removed(&self, prefix: u32) {
        if let Some(used) = self.used.get(prefix as usize) {
            used.fetch_sub(1, Ordering::Release);
        }
    }
}
