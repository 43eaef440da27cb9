//! Array storage: one block of padded elements, one such area per CPU for per-CPU arrays.
//!
//! Element `i` of an array lies at `data + i * pad8(value_size)`; compiled programs that inline
//! lookups rely on that.

use super::{Definition, padded};
use crate::{Status, raw::block::Block};

/// Elements by index.
pub(crate) struct ArrayMap {
    data: u64,
    stride: u64,
    /// Bytes from one CPU's area to the next.
    cpu_stride: u64,
    entries: u32,
    cpus: u32,
    block: Block,
}

impl ArrayMap {
    pub(crate) fn new(definition: &Definition, cpus: u32) -> Result<ArrayMap, Status> {
        let stride = padded(definition.value_size) as u64;
        // Areas start on cache lines of their own.
        let cpu_stride = (stride * u64::from(definition.max_entries)).next_multiple_of(64);
        let bytes = cpu_stride
            .checked_mul(u64::from(cpus))
            .and_then(|bytes| usize::try_from(bytes).ok())
            .ok_or(Status::ArithmeticOverflow)?;
        let block = Block::try_zeroed(bytes)?;
        Ok(ArrayMap {
            data: block.address(),
            stride,
            cpu_stride,
            entries: definition.max_entries,
            cpus,
            block,
        })
    }

    /// Address of the first element (of CPU 0).
    pub(crate) fn data(&self) -> u64 {
        self.data
    }

    /// Address of an element, or 0 outside the array.
    #[inline(always)]
    pub(crate) fn element(&self, index: u32) -> u64 {
        if index < self.entries {
            self.data + u64::from(index) * self.stride
        } else {
            0
        }
    }

    /// Address of one CPU's copy of an element, or 0.
    #[inline(always)]
    pub(crate) fn element_of_cpu(&self, index: u32, cpu: u32) -> u64 {
        if index < self.entries && cpu < self.cpus {
            self.data + u64::from(cpu) * self.cpu_stride + u64::from(index) * self.stride
        } else {
            0
        }
    }

    pub(crate) fn entries(&self) -> u32 {
        self.entries
    }

    pub(crate) fn cpus(&self) -> u32 {
        self.cpus
    }

    pub(crate) fn stride(&self) -> usize {
        self.stride as usize
    }

    /// Sets all copies of an element to zero.
    pub(crate) fn zero(&self, index: u32) -> Result<(), Status> {
        for cpu in 0..self.cpus {
            let address = self.element_of_cpu(index, cpu);
            let offset = self
                .block
                .offset_of(address, self.stride)
                .ok_or(Status::InvalidArgument)?;
            if !self.block.zero(offset as usize, self.stride()) {
                return Err(Status::InvalidArgument);
            }
        }
        Ok(())
    }

    /// Whether `size` bytes at an address lie in one element.
    pub(crate) fn holds(&self, address: u64, size: u64) -> bool {
        self.block.offset_of(address, size).is_some_and(|offset| {
            let within = offset % self.cpu_stride;
            within < self.stride * u64::from(self.entries)
                && within % self.stride + size <= self.stride
        })
    }
}
