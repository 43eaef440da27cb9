//! Queues and stacks: a circle of values under one lock.

use super::{Definition, Flags};
use crate::atomic::{AtomicUsize, Ordering::Relaxed};
use crate::{Platform, Status, raw::block::Block, sync::Spin};

/// Which end is taken from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Oldest first.
    Fifo,
    /// Newest first.
    Lifo,
}

/// A queue or stack.
pub(crate) struct QueueMap {
    lock: Spin,
    /// Position of the oldest element, and how many there are; changed under the lock only.
    first: AtomicUsize,
    count: AtomicUsize,
    values: Block,
    value_size: usize,
    capacity: usize,
    order: Order,
}

impl QueueMap {
    pub(crate) fn new(definition: &Definition, order: Order) -> Result<QueueMap, Status> {
        let value_size = definition.value_size as usize;
        let capacity = definition.max_entries as usize;
        let bytes = value_size
            .checked_mul(capacity)
            .ok_or(Status::ArithmeticOverflow)?;
        Ok(QueueMap {
            lock: Spin::default(),
            first: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            values: Block::try_zeroed(bytes)?,
            value_size,
            capacity,
            order,
        })
    }

    pub(crate) fn len(&self, platform: &dyn Platform) -> usize {
        let _guard = self.lock.lock(platform);
        self.count.load(Relaxed)
    }

    /// Adds an element; [`Flags::Exist`] drops the oldest one when there is no room.
    pub(crate) fn push(
        &self,
        platform: &dyn Platform,
        value: &[u8],
        flags: Flags,
    ) -> Result<(), Status> {
        if flags == Flags::NoExist || value.len() != self.value_size {
            return Err(Status::InvalidArgument);
        }
        let _guard = self.lock.lock(platform);
        let (mut first, mut count) = (self.first.load(Relaxed), self.count.load(Relaxed));
        if count == self.capacity {
            if flags != Flags::Exist {
                return Err(Status::OutOfSpace);
            }
            first = (first + 1) % self.capacity;
            count -= 1;
        }
        let at = (first + count) % self.capacity;
        if !self.values.write(at * self.value_size, value) {
            return Err(Status::Failed);
        }
        self.first.store(first, Relaxed);
        self.count.store(count + 1, Relaxed);
        Ok(())
    }

    /// Copies the next element out and removes it.
    pub(crate) fn pop(&self, platform: &dyn Platform, out: &mut [u8]) -> Result<(), Status> {
        let _guard = self.lock.lock(platform);
        self.copy_next(out)?;
        if self.order == Order::Fifo {
            let first = (self.first.load(Relaxed) + 1) % self.capacity;
            self.first.store(first, Relaxed);
        }
        self.count.fetch_sub(1, Relaxed);
        Ok(())
    }

    /// Copies the next element out.
    pub(crate) fn peek(&self, platform: &dyn Platform, out: &mut [u8]) -> Result<(), Status> {
        let _guard = self.lock.lock(platform);
        self.copy_next(out)
    }

    fn copy_next(&self, out: &mut [u8]) -> Result<(), Status> {
        if out.len() != self.value_size {
            return Err(Status::InvalidArgument);
        }
        let count = self.count.load(Relaxed);
        let last = count.checked_sub(1).ok_or(Status::ObjectNotFound)?;
        let skip = if self.order == Order::Fifo { 0 } else { last };
        let at = (self.first.load(Relaxed) + skip) % self.capacity;
        if self.values.read(at * self.value_size, out) {
            Ok(())
        } else {
            Err(Status::Failed)
        }
    }
}
