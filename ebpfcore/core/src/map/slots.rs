//! Arrays of programs and arrays of maps: counted references in words that readers load without
//! locks.
//!
//! Invariant: a non-zero word is the address of a `Shared` value that the slot owns. A reference
//! taken out of a slot is dropped only after all running programs are done.

use super::Definition;
use crate::atomic::{AtomicUsize, Ordering};
use crate::{Status, epoch::FOLLOW, raw::block::Block};
use abi::ProgramType;

/// An array of references.
pub(crate) struct SlotMap {
    words: Block,
    entries: u32,
    /// `Some` for arrays of maps: what the inner maps must look like.
    pub(crate) template: Option<Definition>,
    /// Address of the row of the program type that the first program fixed (program arrays).
    program_type: AtomicUsize,
    used: AtomicUsize,
}

impl SlotMap {
    pub(crate) fn new(
        definition: &Definition,
        template: Option<Definition>,
    ) -> Result<SlotMap, Status> {
        let bytes = (definition.max_entries as usize)
            .checked_mul(8)
            .ok_or(Status::ArithmeticOverflow)?;
        Ok(SlotMap {
            words: Block::try_zeroed(bytes)?,
            entries: definition.max_entries,
            template,
            program_type: AtomicUsize::new(0),
            used: AtomicUsize::new(0),
        })
    }

    pub(crate) fn entries(&self) -> u32 {
        self.entries
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The address in a slot; 0 when it is empty, `None` outside the array.
    #[inline]
    pub(crate) fn load(&self, index: u32) -> Option<u64> {
        if index >= self.entries {
            return None;
        }
        let cell = self.words.cell64(index as usize * 8)?;
        Some(cell.load(FOLLOW))
    }

    /// Whether a program of this type may be stored: the first one fixes the type.
    pub(crate) fn admit(&self, program_type: &'static ProgramType) -> Result<(), Status> {
        let address = core::ptr::from_ref(program_type).addr();
        match self
            .program_type
            .compare_exchange(0, address, Ordering::Relaxed, Ordering::Relaxed)
        {
            Err(other) if other != address => Err(Status::InvalidFd),
            _ => Ok(()),
        }
    }

    /// Puts an address into a slot and returns what was there.
    pub(crate) fn swap(&self, index: u32, address: u64) -> Result<u64, Status> {
        if index >= self.entries {
            return Err(Status::InvalidArgument);
        }
        let cell = self
            .words
            .cell64(index as usize * 8)
            .ok_or(Status::InvalidArgument)?;
        let old = cell.swap(address, Ordering::AcqRel);
        match (old, address) {
            (0, 1..) => _ = self.used.fetch_add(1, Ordering::Relaxed),
            (1.., 0) => _ = self.used.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
        Ok(old)
    }
}
