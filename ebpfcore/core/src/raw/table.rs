//! The hash table behind hash, LRU, trie and hash-of-maps types: lock-free readers, one lock bit
//! per bucket for writers.
//!
//! Nodes are `[header][key, padded to 8][value]` and never move. A bucket is one word: the address
//! of the first node, with the lock in bit 0. Readers follow `next` addresses without writing
//! anything. A node that leaves the table keeps its `next` and waits in *limbo*, stamped with the
//! epoch, until no reader can stand on it; only then its memory serves another key.
//!
//! Invariants: every address in a bucket or a `next` is that of a node of one of the pool's blocks
//! or 0; blocks live as long as the table; a node is in exactly one of: table, limbo, free list.
//! Deliberately absent: resizing. The bucket count follows from `max_entries`.
#![expect(unsafe_code, reason = "nodes are reached by address without locks")]

use super::addresses::{copy_shared, pointer};
use super::block::Block;
use crate::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, spin_loop};
use crate::{
    Platform, Status,
    epoch::{Epoch, FOLLOW},
    sync::{Raised, Spin},
};
use alloc::vec::Vec;
use core::cell::UnsafeCell;

/// Bytes before the key of a node.
const HEADER: usize = 32;
/// Lock bit of a bucket word.
const LOCKED: u64 = 1;
/// The node is in the table.
const LIVE: u32 = 1;
/// The node was looked up since the clock hand passed (LRU).
const USED: u32 = 2;
/// Nodes by which the pool grows when all free ones still wait for readers.
const GROWTH: usize = 64;
/// Upper bound of buckets: 128 MiB of heads.
const MAX_BUCKETS: u32 = 1 << 24;

#[repr(C)]
struct Header {
    next: AtomicU64,
    hash: AtomicU32,
    flags: AtomicU32,
    /// Next node in limbo or in the free list; protected by the pool lock.
    queue: AtomicU64,
    /// Epoch stamp in limbo; protected by the pool lock.
    stamp: AtomicU64,
}

/// What the table needs from the runtime on each writing operation.
#[derive(Clone, Copy)]
pub(crate) struct Env<'a> {
    pub(crate) platform: &'a dyn Platform,
    pub(crate) epoch: &'a Epoch,
}

/// Whether a writer may insert, replace, or both.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Any,
    Insert,
    Replace,
}

/// Sizes of a table.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) key_size: usize,
    /// Bytes of the whole value area of a node (all CPUs), a multiple of 8.
    pub(crate) value_area: usize,
    pub(crate) max_entries: u32,
    /// Full tables evict the least recently used entry instead of refusing.
    pub(crate) evicts: bool,
}

/// The table.
pub(crate) struct Table {
    buckets: Block,
    mask: u64,
    seed: u64,
    shape: Shape,
    value_offset: usize,
    count: AtomicUsize,
    pool: Pool,
}

impl Table {
    pub(crate) fn new(shape: Shape, seed: u64) -> Result<Table, Status> {
        let buckets = shape
            .max_entries
            .checked_next_power_of_two()
            .unwrap_or(MAX_BUCKETS)
            .min(MAX_BUCKETS) as usize;
        let value_offset = HEADER
            .checked_add(
                shape
                    .key_size
                    .checked_next_multiple_of(8)
                    .ok_or(TOO_LARGE)?,
            )
            .ok_or(TOO_LARGE)?;
        let stride = value_offset
            .checked_add(shape.value_area)
            .ok_or(TOO_LARGE)?;
        Ok(Table {
            buckets: Block::try_zeroed(buckets * 8)?,
            mask: buckets as u64 - 1,
            seed,
            shape,
            value_offset,
            count: AtomicUsize::new(0),
            pool: Pool::new(stride, shape.max_entries as usize)?,
        })
    }

    /// Entries in the table.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Address of the value of a key, or 0. Lock-free.
    ///
    /// # Safety
    ///
    /// `key` is readable for the key size, and the epoch is pinned while the result is used.
    #[inline(always)]
    pub(crate) unsafe fn find(&self, key: *const u8) -> u64 {
        // SAFETY: the caller's obligations.
        let node = unsafe { self.find_node(key, self.hash(key)) };
        if node == 0 {
            return 0;
        }
        node + self.value_offset as u64
    }

    /// Like [`Table::find`] for tables whose key size is `N`: compiles to code without calls.
    ///
    /// # Safety
    ///
    /// As for [`Table::find`], and the key size is `N`.
    #[inline(always)]
    pub(crate) unsafe fn find_fixed<const N: usize>(&self, key: *const u8) -> u64 {
        // SAFETY: the caller's obligations; chains consist of nodes of the pool.
        unsafe {
            let hash = hash_key(key, N, self.seed);
            let mut node = self.head(u64::from(hash));
            while node != 0 {
                if equal_keys(pointer(node + HEADER as u64), key, N) {
                    return node + self.value_offset as u64;
                }
                node = header(node).next.load(FOLLOW);
            }
        }
        0
    }

    /// Calls `action` with the address of each value, in iteration order.
    pub(crate) fn each(&self, mut action: impl FnMut(u64)) {
        for index in 0..=self.mask {
            let mut node = self.head(index);
            while node != 0 {
                action(node + self.value_offset as u64);
                // SAFETY: chains consist of nodes of the pool.
                node = unsafe { header(node).next.load(FOLLOW) };
            }
        }
    }

    /// Like [`Table::find`], and notes the use for the eviction order.
    ///
    /// # Safety
    ///
    /// As for [`Table::find`].
    #[inline]
    pub(crate) unsafe fn find_and_use(&self, key: *const u8) -> u64 {
        // SAFETY: the caller's obligations; a found node is a node of the pool.
        unsafe {
            let node = self.find_node(key, self.hash(key));
            if node == 0 {
                return 0;
            }
            let flags = &header(node).flags;
            if flags.load(Ordering::Relaxed) & USED == 0 {
                flags.fetch_or(USED, Ordering::Relaxed);
            }
            node + self.value_offset as u64
        }
    }

    /// Inserts or replaces the entry of a key. `fill` writes the value area of a zeroed-or-stale
    /// node that nobody else sees yet.
    ///
    /// # Safety
    ///
    /// `key` is readable for the key size, and the epoch is pinned.
    pub(crate) unsafe fn update(
        &self,
        env: Env<'_>,
        key: *const u8,
        mode: Mode,
        fill: impl FnOnce(*mut u8),
    ) -> Result<Replaced, Status> {
        // SAFETY: the caller's obligations.
        let hash = unsafe { self.hash(key) };
        let fresh = self.pool.take(env)?;
        // SAFETY: `fresh` is a node that only this thread knows; the key is readable.
        unsafe {
            header(fresh).hash.store(hash, Ordering::Relaxed);
            copy_shared(pointer(fresh + HEADER as u64), key, self.shape.key_size);
            fill(pointer(fresh + self.value_offset as u64));
        }
        // SAFETY: the caller's obligations.
        let outcome = unsafe { self.link(env, key, hash, mode, fresh) };
        if outcome.is_err() {
            self.pool.give_back(env, fresh);
        }
        outcome
    }

    /// Removes a key; the address of its value stays valid until the caller's epoch ends.
    ///
    /// # Safety
    ///
    /// `key` is readable for the key size, and the epoch is pinned.
    pub(crate) unsafe fn remove(&self, env: Env<'_>, key: *const u8) -> Result<u64, Status> {
        // SAFETY: the caller's obligations.
        unsafe {
            let hash = self.hash(key);
            let bucket = self.lock(env, hash);
            let (link, node) = self.find_link(bucket.word, key);
            if node == 0 {
                return Err(Status::KeyNotFound);
            }
            self.unlink(link, node);
            drop(bucket);
            self.pool.retire(env, node);
            Ok(node + self.value_offset as u64)
        }
    }

    /// Copies the key that follows `previous` in iteration order; starts over when `previous` is
    /// absent or not in the table.
    pub(crate) fn next_key(&self, previous: Option<&[u8]>, next: &mut [u8]) -> Result<(), Status> {
        let (mut index, mut node) = (0, 0);
        let mut fresh = true;
        if let Some(previous) = previous {
            // SAFETY: the caller (Map) checked the length and pinned the epoch.
            unsafe {
                let hash = self.hash(previous.as_ptr());
                let found = self.find_node(previous.as_ptr(), hash);
                if found != 0 {
                    index = u64::from(hash) & self.mask;
                    node = header(found).next.load(FOLLOW);
                    fresh = false;
                }
            }
        }
        if fresh {
            node = self.head(index);
        }
        while node == 0 {
            index += 1;
            if index > self.mask {
                return Err(Status::NoMoreKeys);
            }
            node = self.head(index);
        }
        let from = pointer(node + HEADER as u64);
        // SAFETY: a node of the pool; the key has at least `next.len()` bytes (checked by Map).
        unsafe { core::ptr::copy_nonoverlapping(from, next.as_mut_ptr(), self.shape.key_size) };
        Ok(())
    }

    /// Whether `size` bytes at an address lie in the value of one node.
    pub(crate) fn holds(&self, env: Env<'_>, address: u64, size: u64) -> bool {
        self.pool
            .holds(env, address, size, self.value_offset as u64)
    }

    #[inline(always)]
    unsafe fn find_node(&self, key: *const u8, hash: u32) -> u64 {
        let mut node = self.head(u64::from(hash) & self.mask);
        while node != 0 {
            // SAFETY: nodes in a chain are nodes of the pool; the key is readable by contract.
            unsafe {
                if self.same_key(node, key) {
                    return node;
                }
                node = header(node).next.load(FOLLOW);
            }
        }
        0
    }

    #[inline(always)]
    fn head(&self, index: u64) -> u64 {
        self.bucket(index).load(FOLLOW) & !LOCKED
    }

    #[inline(always)]
    fn bucket(&self, index: u64) -> &AtomicU64 {
        let word = pointer(self.buckets.address() + (index & self.mask) * 8).cast::<u64>();
        // SAFETY: the mask keeps the index below the bucket count; the block is aligned.
        unsafe { AtomicU64::from_ptr(word) }
    }

    #[inline(always)]
    unsafe fn same_key(&self, node: u64, key: *const u8) -> bool {
        let stored = pointer(node + HEADER as u64).cast_const();
        // SAFETY: both sides are readable for the key size; stored keys are padded to 8.
        unsafe { equal_keys(stored, key, self.shape.key_size) }
    }

    #[inline(always)]
    unsafe fn hash(&self, key: *const u8) -> u32 {
        // SAFETY: the key is readable for the key size.
        unsafe { hash_key(key, self.shape.key_size, self.seed) }
    }

    fn lock<'a>(&'a self, env: Env<'a>, hash: u32) -> BucketGuard<'a> {
        let raised = Raised::new(env.platform);
        let word = self.bucket(u64::from(hash));
        loop {
            let old = word.load(Ordering::Relaxed);
            let free = old & LOCKED == 0;
            if free
                && word
                    .compare_exchange_weak(old, old | LOCKED, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            {
                return BucketGuard {
                    word,
                    _raised: raised,
                };
            }
            spin_loop();
        }
    }

    /// The word that points at the node of a key, and the node (0 when absent).
    ///
    /// Safety: the bucket is locked by the caller; the key is readable.
    unsafe fn find_link<'a>(
        &'a self,
        bucket: &'a AtomicU64,
        key: *const u8,
    ) -> (&'a AtomicU64, u64) {
        let mut link = bucket;
        loop {
            let node = link.load(Ordering::Relaxed) & !LOCKED;
            // SAFETY: nodes in a chain are nodes of the pool.
            if node == 0 || unsafe { self.same_key(node, key) } {
                return (link, node);
            }
            // SAFETY: as above; headers live as long as the table.
            link = unsafe { &header(node).next };
        }
    }

    /// Safety: as for [`Table::update`]; `fresh` is filled and unknown to others.
    unsafe fn link(
        &self,
        env: Env<'_>,
        key: *const u8,
        hash: u32,
        mode: Mode,
        fresh: u64,
    ) -> Result<Replaced, Status> {
        loop {
            let bucket = self.lock(env, hash);
            // SAFETY: the bucket is locked.
            let (link, old) = unsafe { self.find_link(bucket.word, key) };
            match (old, mode) {
                (0, Mode::Replace) => return Err(Status::KeyNotFound),
                (1.., Mode::Insert) => return Err(Status::KeyAlreadyExists),
                // SAFETY: `old` is in the chain, `fresh` a node of the pool; the bucket is locked.
                (1.., _) => unsafe {
                    Table::exchange(link, old, fresh);
                    drop(bucket);
                    self.pool.retire(env, old);
                    return Ok(Replaced(old + self.value_offset as u64));
                },
                // SAFETY: as above.
                (0, _) if self.reserve() => unsafe {
                    Table::push(&bucket, fresh);
                    return Ok(Replaced(0));
                },
                (0, _) if !self.shape.evicts => return Err(Status::OutOfSpace),
                (0, _) => {
                    // Another bucket is locked for the eviction, so this one must be free.
                    drop(bucket);
                    self.evict(env);
                }
            }
        }
    }

    /// Puts a node in the place of another. Safety: `link` points at `old`, `fresh` is known to
    /// the caller alone, and the bucket is locked.
    unsafe fn exchange(link: &AtomicU64, old: u64, fresh: u64) {
        // SAFETY: nodes of the pool.
        let (from, to) = unsafe { (header(old), header(fresh)) };
        let flags = from.flags.swap(0, Ordering::Relaxed);
        to.flags.store(LIVE | flags, Ordering::Relaxed);
        to.next
            .store(from.next.load(Ordering::Relaxed), Ordering::Relaxed);
        let lock = link.load(Ordering::Relaxed) & LOCKED;
        link.store(fresh | lock, Ordering::Release);
    }

    /// Puts a node in front of its chain. Safety: `fresh` is known to the caller alone.
    unsafe fn push(bucket: &BucketGuard<'_>, fresh: u64) {
        // SAFETY: a node of the pool.
        let header = unsafe { header(fresh) };
        let first = bucket.word.load(Ordering::Relaxed);
        header.flags.store(LIVE, Ordering::Relaxed);
        header.next.store(first & !LOCKED, Ordering::Relaxed);
        bucket.word.store(fresh | LOCKED, Ordering::Release);
    }

    /// Counts one more entry, if there is room. The key's bucket is locked and does not have it:
    /// what is counted is inserted, so nobody finds the table full for an entry that never comes.
    fn reserve(&self) -> bool {
        let (max, relaxed) = (self.shape.max_entries as usize, Ordering::Relaxed);
        let mut count = self.count.load(relaxed);
        while count < max {
            match self
                .count
                .compare_exchange_weak(count, count + 1, relaxed, relaxed)
            {
                Ok(_) => return true,
                Err(now) => count = now,
            }
        }
        false
    }

    /// Removes one entry that was not used lately (second chance), unless there is room already.
    fn evict(&self, env: Env<'_>) {
        while self.len() >= self.shape.max_entries as usize {
            let node = self.pool.candidate(env);
            if node == 0 {
                // All entries are counted and on their way into the table, under their locks.
                spin_loop();
                continue;
            }
            // SAFETY: candidates are nodes of the pool; keys of pool nodes are readable.
            unsafe {
                let hash = header(node).hash.load(Ordering::Relaxed);
                let bucket = self.lock(env, hash);
                let key = pointer(node + HEADER as u64);
                let (link, found) = self.find_link(bucket.word, key);
                if found == node {
                    self.unlink(link, node);
                    drop(bucket);
                    self.pool.retire(env, node);
                    return;
                }
            }
        }
    }

    /// Safety: `link` points at `node` and the bucket is locked.
    unsafe fn unlink(&self, link: &AtomicU64, node: u64) {
        // SAFETY: a node of the pool.
        let header = unsafe { header(node) };
        header.flags.store(0, Ordering::Relaxed);
        let lock = link.load(Ordering::Relaxed) & LOCKED;
        link.store(
            header.next.load(Ordering::Relaxed) | lock,
            Ordering::Release,
        );
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Address of the value that an update replaced, or 0; valid while the epoch is pinned.
pub(crate) struct Replaced(pub(crate) u64);

const TOO_LARGE: Status = Status::ArithmeticOverflow;

struct BucketGuard<'a> {
    word: &'a AtomicU64,
    _raised: Raised<'a>,
}

impl Drop for BucketGuard<'_> {
    fn drop(&mut self) {
        self.word.fetch_and(!LOCKED, Ordering::Release);
    }
}

/// The header of a node. Safety: `node` is the address of a node of a live pool.
#[inline(always)]
unsafe fn header<'a>(node: u64) -> &'a Header {
    // SAFETY: headers are only touched through atomics.
    unsafe { &*pointer(node).cast::<Header>() }
}

#[inline(always)]
unsafe fn read<T: Copy>(from: *const u8) -> T {
    // SAFETY: the caller says that the bytes are readable.
    unsafe { from.cast::<T>().read_unaligned() }
}

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Safety: both are readable for `size` bytes.
#[inline(always)]
unsafe fn equal_keys(stored: *const u8, key: *const u8, size: usize) -> bool {
    // SAFETY: the caller's obligation.
    unsafe {
        match size {
            4 => read::<u32>(stored) == read::<u32>(key),
            8 => read::<u64>(stored) == read::<u64>(key),
            16 => read::<u128>(stored) == read::<u128>(key),
            _ => same_bytes(stored, key, size),
        }
    }
}

/// A seeded multiplicative hash (folded 64x64 multiplication per 8 bytes, as in wyhash).
///
/// Safety: the key is readable for `size` bytes.
#[inline(always)]
unsafe fn hash_key(key: *const u8, size: usize, seed: u64) -> u32 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    // SAFETY: the caller's obligation.
    let mixed = unsafe {
        match size {
            4 => fold(u64::from(read::<u32>(key)) ^ seed, K),
            8 => fold(read::<u64>(key) ^ seed, K),
            16 => fold(
                fold(read::<u64>(key) ^ seed, K) ^ read::<u64>(key.add(8)),
                K,
            ),
            _ => hash_bytes(key, size, seed),
        }
    };
    (mixed ^ (mixed >> 32)) as u32
}

#[inline]
unsafe fn same_bytes(a: *const u8, b: *const u8, size: usize) -> bool {
    // SAFETY: the caller says that both are readable; keys are not written while compared, and a
    // program that races with itself on its own key only confuses itself.
    unsafe { core::slice::from_raw_parts(a, size) == core::slice::from_raw_parts(b, size) }
}

#[inline]
unsafe fn hash_bytes(key: *const u8, size: usize, seed: u64) -> u64 {
    const K0: u64 = 0xa076_1d64_78bd_642f;
    const K1: u64 = 0xe703_7ed1_a0b4_28db;
    let mut state = fold(seed ^ K0, size as u64 ^ K1);
    let mut at = 0;
    // SAFETY: all reads stay below `size`.
    unsafe {
        while size - at >= 8 {
            state = fold(read::<u64>(key.add(at)) ^ K1, state ^ seed);
            at += 8;
        }
        let mut tail = 0u64;
        while at < size {
            tail = (tail << 8) | u64::from(key.add(at).read());
            at += 1;
        }
        fold(tail ^ K0, state ^ K1)
    }
}

/// Node memory: blocks, a free list, and the limbo queue.
struct Pool {
    lock: Spin,
    inner: UnsafeCell<PoolInner>,
}

struct PoolInner {
    stride: usize,
    blocks: Vec<Block>,
    /// Nodes of the last block never handed out yet start here.
    unused: usize,
    free: u64,
    limbo_first: u64,
    limbo_last: u64,
    /// Clock hand of the eviction: block and byte offset.
    hand: (usize, usize),
}

// SAFETY: `inner` is only touched under `lock`.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    fn new(stride: usize, nodes: usize) -> Result<Pool, Status> {
        // Writers hold a node before they know whether they need it, hence the spare ones.
        let bytes = nodes
            .checked_add(GROWTH)
            .and_then(|count| count.checked_mul(stride))
            .ok_or(TOO_LARGE)?;
        let mut blocks = Vec::new();
        blocks.try_reserve(8).map_err(|_| Status::NoMemory)?;
        blocks.push(Block::try_zeroed(bytes)?);
        Ok(Pool {
            lock: Spin::default(),
            inner: UnsafeCell::new(PoolInner {
                stride,
                blocks,
                unused: 0,
                free: 0,
                limbo_first: 0,
                limbo_last: 0,
                hand: (0, 0),
            }),
        })
    }

    fn with<R>(&self, env: Env<'_>, action: impl FnOnce(&mut PoolInner) -> R) -> R {
        let _guard = self.lock.lock(env.platform);
        // SAFETY: the lock makes this the only reference.
        action(unsafe { &mut *self.inner.get() })
    }

    fn take(&self, env: Env<'_>) -> Result<u64, Status> {
        self.with(env, |pool| pool.take(env.epoch))
    }

    fn give_back(&self, env: Env<'_>, node: u64) {
        self.with(env, |pool| {
            // SAFETY: a node of this pool that nobody else knows.
            unsafe { header(node).queue.store(pool.free, Ordering::Relaxed) };
            pool.free = node;
        });
    }

    fn retire(&self, env: Env<'_>, node: u64) {
        self.with(env, |pool| pool.retire(env.epoch.retire_stamp(), node));
    }

    fn candidate(&self, env: Env<'_>) -> u64 {
        self.with(env, PoolInner::candidate)
    }

    fn holds(&self, env: Env<'_>, address: u64, size: u64, value_offset: u64) -> bool {
        self.with(env, |pool| {
            let stride = pool.stride as u64;
            pool.blocks.iter().any(|block| {
                block.offset_of(address, size).is_some_and(|offset| {
                    let within = offset % stride;
                    within >= value_offset && size <= stride - within
                })
            })
        })
    }
}

impl PoolInner {
    fn take(&mut self, epoch: &Epoch) -> Result<u64, Status> {
        if self.free != 0 {
            let node = self.free;
            // SAFETY: a node of this pool.
            self.free = unsafe { header(node).queue.load(Ordering::Relaxed) };
            return Ok(node);
        }
        if let Some(node) = self.take_limbo(epoch) {
            return Ok(node);
        }
        if let Some(node) = self.take_unused() {
            return Ok(node);
        }
        epoch.try_advance();
        if let Some(node) = self.take_limbo(epoch) {
            return Ok(node);
        }
        self.blocks.try_reserve(1).map_err(|_| Status::NoMemory)?;
        self.blocks.push(Block::try_zeroed(GROWTH * self.stride)?);
        self.unused = 0;
        self.take_unused().ok_or(Status::NoMemory)
    }

    fn take_unused(&mut self) -> Option<u64> {
        let block = self.blocks.last()?;
        if self.unused + self.stride > block.len() {
            return None;
        }
        let node = block.address() + self.unused as u64;
        self.unused += self.stride;
        Some(node)
    }

    /// The oldest retired node, when no reader can stand on it any more.
    fn take_limbo(&mut self, epoch: &Epoch) -> Option<u64> {
        let node = self.limbo_first;
        if node == 0 {
            return None;
        }
        // SAFETY: a node of this pool.
        let header = unsafe { header(node) };
        if !epoch.is_over(header.stamp.load(Ordering::Relaxed)) {
            epoch.try_advance();
            return None;
        }
        self.limbo_first = header.queue.load(Ordering::Relaxed);
        Some(node)
    }

    fn retire(&mut self, stamp: u64, node: u64) {
        // SAFETY: nodes of this pool.
        unsafe {
            header(node).stamp.store(stamp, Ordering::Relaxed);
            header(node).queue.store(0, Ordering::Relaxed);
            if self.limbo_first == 0 {
                self.limbo_first = node;
            } else {
                header(self.limbo_last).queue.store(node, Ordering::Relaxed);
            }
        }
        self.limbo_last = node;
    }

    /// Advances the clock hand to a live node that was not used since it last passed. Readers may
    /// use all of them faster than the hand goes: after two rounds any live one will do. 0 when
    /// there is none.
    fn candidate(&mut self) -> u64 {
        let mut live = 0;
        let total: usize = self
            .blocks
            .iter()
            .map(|block| block.len() / self.stride)
            .sum();
        for _ in 0..total * 2 {
            let (block, offset) = self.hand;
            let Some(memory) = self.blocks.get(block) else {
                self.hand = (0, 0);
                continue;
            };
            if offset + self.stride > memory.len() {
                self.hand = (block + 1, 0);
                continue;
            }
            self.hand = (block, offset + self.stride);
            let node = memory.address() + offset as u64;
            // SAFETY: a node-sized piece of a pool block; zeroed memory is a valid header.
            let flags = unsafe { &header(node).flags };
            let seen = flags.fetch_and(!USED, Ordering::Relaxed);
            if seen & (LIVE | USED) == LIVE {
                return node;
            }
            if seen & LIVE != 0 {
                live = node;
            }
        }
        live
    }
}
