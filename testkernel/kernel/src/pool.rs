//! Pool accounting: every block with its tag, guards behind it, and failures on demand.
//!
//! A block that is freed twice, freed with another tag or written past its end is a violation; what
//! is left when a driver is gone is a leak, told by tag. Freed memory is overwritten, so that code
//! which still reads it goes wrong soon. What is left out: look-aside lists, quotas.

use crate::machine::violation;
use crate::report::lock;
use std::alloc::Layout;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes behind each block that nobody may write.
pub(crate) const GUARD_BYTES: usize = 16;
/// What they hold.
pub(crate) const GUARD: u8 = 0xfd;
/// What memory holds when it was not asked to be zero.
pub(crate) const FRESH: u8 = 0xcd;
/// What freed memory holds.
pub(crate) const FREED: u8 = 0xdd;
/// Largest block.
const MAX_BYTES: usize = 1 << 30;
const PAGE_BYTES: usize = 4096;

/// One block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// Four letters, first letter lowest.
    pub tag: u32,
    /// Bytes that were asked for.
    pub len_bytes: usize,
}

/// Blocks and bytes of one tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Blocks.
    pub blocks: u64,
    /// Bytes.
    pub bytes: u64,
}

/// All blocks.
#[derive(Debug, Default)]
pub struct Pool {
    blocks: Mutex<BTreeMap<u64, Block>>,
    allocations: AtomicU64,
    /// Number of the allocation that fails; 0 for none.
    failing: AtomicU64,
    /// Number of the first allocation of those that all fail; 0 for none.
    dry: AtomicU64,
}

impl Pool {
    /// Makes the allocation after `after` further ones fail, once.
    pub fn fail_after(&self, after: u64) {
        let next = self.allocations.load(Ordering::Relaxed) + after + 1;
        self.failing.store(next, Ordering::Relaxed);
    }

    /// Undoes [`Pool::fail_after`]; tells whether the failure had not come yet.
    pub fn stop_failing(&self) -> bool {
        let failing = self.failing.swap(0, Ordering::Relaxed);
        failing > self.allocations.load(Ordering::Relaxed)
    }

    /// Makes all allocations fail after so many further ones: memory is exhausted.
    pub fn dry_up_after(&self, after: u64) {
        let next = self.allocations.load(Ordering::Relaxed) + after + 1;
        self.dry.store(next, Ordering::Relaxed);
    }

    /// There is memory again.
    pub fn refill(&self) {
        self.dry.store(0, Ordering::Relaxed);
    }

    /// Allocations so far, failed ones too.
    #[must_use]
    pub fn allocations(&self) -> u64 {
        self.allocations.load(Ordering::Relaxed)
    }

    /// Counts an allocation; none when it has to fail.
    pub(crate) fn admit(&self, len_bytes: usize) -> Option<Layout> {
        let number = self.allocations.fetch_add(1, Ordering::Relaxed) + 1;
        let dry = self.dry.load(Ordering::Relaxed);
        let is_failing = number == self.failing.load(Ordering::Relaxed);
        if len_bytes > MAX_BYTES || is_failing || (dry != 0 && number >= dry) {
            return None;
        }
        layout(len_bytes)
    }

    pub(crate) fn insert(&self, address: u64, block: Block) {
        lock(&self.blocks).insert(address, block);
    }

    /// Takes a block out; a tag of 0 fits every block.
    pub(crate) fn remove(&self, address: u64, tag: u32) -> Option<Block> {
        let block = lock(&self.blocks).remove(&address)?;
        if tag != 0 && tag != block.tag {
            let (given, own) = (text(tag), text(block.tag));
            violation(|| format!("freed with tag {given}, allocated with {own}"));
        }
        Some(block)
    }

    /// What is allocated, by tag.
    #[must_use]
    pub fn usage(&self) -> BTreeMap<String, Usage> {
        let mut usage: BTreeMap<String, Usage> = BTreeMap::new();
        for block in lock(&self.blocks).values() {
            let of_tag = usage.entry(text(block.tag)).or_default();
            of_tag.blocks += 1;
            of_tag.bytes += block.len_bytes as u64;
        }
        usage
    }
}

/// Layout of a block and its guard; pages are aligned as pages, as in Windows.
pub(crate) fn layout(len_bytes: usize) -> Option<Layout> {
    let align = if len_bytes >= PAGE_BYTES {
        PAGE_BYTES
    } else {
        16
    };
    Layout::from_size_align(len_bytes + GUARD_BYTES, align).ok()
}

/// A tag as its four letters.
#[must_use]
pub fn text(tag: u32) -> String {
    let letter = |byte: u8| match byte {
        0x20..0x7f => char::from(byte),
        _ => '.',
    };
    tag.to_le_bytes().into_iter().map(letter).collect()
}
