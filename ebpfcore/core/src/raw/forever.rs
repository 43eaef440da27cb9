//! `Forever`: tables that are made while the runtime runs and stay until it has ended.
//!
//! Program types are `&'static` rows everywhere, also those that extensions describe. A row that was
//! made stays valid even when this value is dropped: memory is given back only by
//! [`Forever::free`], when nothing of the runtime is left. Invariant: `blocks` are allocations of
//! this value, each with its layout, and what lies in them needs no drop.
#![expect(
    unsafe_code,
    reason = "gives out references to memory that it frees itself"
)]

use crate::Status;
use alloc::alloc::{Layout, alloc, dealloc};
use alloc::vec::Vec;

/// Most bytes of tables.
const BYTES: usize = 4 << 20;

/// Tables that stay.
#[derive(Default)]
pub struct Forever {
    blocks: Vec<(usize, Layout)>,
    bytes: usize,
}

impl Forever {
    /// Keeps some rows.
    ///
    /// # Errors
    ///
    /// [`Status::OutOfSpace`] when there are too many, [`Status::NoMemory`].
    pub(crate) fn keep<T: Copy + Sync>(&mut self, rows: &[T]) -> Result<&'static [T], Status> {
        if size_of_val(rows) == 0 {
            return Ok(&[]);
        }
        let memory = self.allocate(Layout::for_value(rows))?.cast::<T>();
        // SAFETY: fresh memory of the layout of the rows, which may be copied; it stays until `free`.
        unsafe {
            core::ptr::copy_nonoverlapping(rows.as_ptr(), memory, rows.len());
            Ok(core::slice::from_raw_parts(memory, rows.len()))
        }
    }

    /// Keeps one row, which needs no drop.
    pub(crate) fn keep_one<T: Sync>(&mut self, row: T) -> Result<&'static T, Status> {
        const { assert!(!core::mem::needs_drop::<T>() && size_of::<T>() != 0) };
        let memory = self.allocate(Layout::new::<T>())?.cast::<T>();
        // SAFETY: fresh memory of the layout of the row; it stays until `free`.
        unsafe {
            memory.write(row);
            Ok(&*memory)
        }
    }

    /// The size is not zero.
    fn allocate(&mut self, layout: Layout) -> Result<*mut u8, Status> {
        let total = self.bytes.checked_add(layout.size());
        let total = total.filter(|bytes| *bytes <= BYTES);
        let total = total.ok_or(Status::OutOfSpace)?;
        let room = self.blocks.try_reserve(1);
        room.map_err(|_| Status::NoMemory)?;
        // SAFETY: the size is not zero.
        let memory = unsafe { alloc(layout) };
        if memory.is_null() {
            return Err(Status::NoMemory);
        }
        self.blocks.push((memory.expose_provenance(), layout));
        self.bytes = total;
        Ok(memory)
    }

    /// Keeps a text.
    pub(crate) fn keep_text(&mut self, text: &str) -> Result<&'static str, Status> {
        let bytes = self.keep(text.as_bytes())?;
        core::str::from_utf8(bytes).map_err(|_| Status::Failed)
    }

    /// Gives the memory back.
    ///
    /// # Safety
    ///
    /// Nobody has a reference to a row any more: no program, link, module or control side of the
    /// runtime is left.
    pub unsafe fn free(self) {
        for (address, layout) in &self.blocks {
            let memory = core::ptr::with_exposed_provenance_mut::<u8>(*address);
            // SAFETY: from `keep`, with this layout, once; the caller's obligation.
            unsafe { dealloc(memory, *layout) };
        }
    }
}
