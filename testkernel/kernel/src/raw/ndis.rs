//! `ndis.sys`: network buffer lists, and the frames that injection makes of bytes.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::ex::{ExAllocatePool2, ExFreePool};
use super::{exports, get, put};
use crate::irql;
use crate::machine::violation;
use std::mem::offset_of;
use std::sync::atomic::Ordering;
use wdk::ndis::{MDL_MAPPED, MDL_NONPAGED, Mdl, NetBuffer, NetBufferList};

const NONPAGED: u64 = 0x40;
/// Tags of what these functions allocate for drivers.
const TAG_POOL: u32 = u32::from_le_bytes(*b"Npol");
const TAG_LIST: u32 = u32::from_le_bytes(*b"Nnbl");
const TAG_MDL: u32 = u32::from_le_bytes(*b"Nmdl");

/// Most buffers and descriptors of a list that are looked at.
const CHAIN: usize = 1 << 16;

/// A frame in one or two pieces, as a miniport driver would indicate it.
///
/// The structures point at each other, so they are boxed and stay where they are.
pub struct Frame {
    parts: Box<Parts>,
}

#[repr(C)]
struct Parts {
    list: NetBufferList,
    buffer: NetBuffer,
    mdls: [Mdl; 2],
}

fn address<T>(value: &T) -> u64 {
    std::ptr::from_ref(value).expose_provenance() as u64
}

fn describe(bytes: &[u8]) -> Mdl {
    let at = bytes.as_ptr().expose_provenance() as u64;
    Mdl {
        size: size_of::<Mdl>() as i16,
        flags: MDL_MAPPED | MDL_NONPAGED,
        system_address: at,
        start_address: at & !0xfff,
        byte_count: bytes.len() as u32,
        byte_offset: (at & 0xfff) as u32,
        ..Mdl::default()
    }
}

impl Frame {
    /// A frame whose bytes are not set yet.
    #[must_use]
    pub fn new() -> Frame {
        let mut parts = Box::new(Parts {
            list: NetBufferList::default(),
            buffer: NetBuffer::default(),
            mdls: [Mdl::default(); 2],
        });
        parts.list.first = address(&parts.buffer);
        Frame { parts }
    }

    /// Address of the list, for as long as the bytes live and nothing else is set.
    ///
    /// With `split` below the length the frame lies in two pieces.
    pub fn set(&mut self, bytes: &[u8], split: usize) -> u64 {
        let (head, tail) = bytes.split_at(split.min(bytes.len()));
        let parts = &mut *self.parts;
        parts.mdls = [describe(head), describe(tail)];
        if !tail.is_empty() {
            parts.mdls[0].next = address(&parts.mdls[1]);
        }
        let first = address(&parts.mdls[0]);
        parts.buffer = NetBuffer {
            current_mdl: first,
            mdl_chain: first,
            data_length: bytes.len() as u32,
            ..NetBuffer::default()
        };
        address(&parts.list)
    }

    /// Clones that are alive: they must be gone before the frame is.
    #[must_use]
    pub fn clones(&self) -> i32 {
        let count = address(&self.parts.list) + offset_of!(NetBufferList, child_count) as u64;
        // SAFETY: a field of the list, which drivers may have written through its address.
        unsafe { get(count) }.unwrap_or(0)
    }
}

impl Default for Frame {
    fn default() -> Frame {
        Frame::new()
    }
}

/// Copies the data of a network buffer.
///
/// # Safety
/// 1. The address is that of a network buffer whose descriptors are mapped.
unsafe fn gather(buffer: &NetBuffer, length: u32, mut put_byte: impl FnMut(u32, &[u8])) -> bool {
    let (mut at, mut offset, mut done) = (buffer.current_mdl, buffer.current_mdl_offset, 0);
    for _ in 0..CHAIN {
        // SAFETY: the caller's obligation.
        let Ok(mdl) = (unsafe { get::<Mdl>(at) }) else {
            return false;
        };
        let here = mdl.byte_count.saturating_sub(offset).min(length - done);
        let source = mdl.system_address + u64::from(offset);
        let source = std::ptr::with_exposed_provenance::<u8>(source as usize);
        if here != 0 {
            // SAFETY: the caller's obligation: the descriptor's bytes are mapped.
            put_byte(done, unsafe {
                std::slice::from_raw_parts(source, here as usize)
            });
        }
        (at, offset, done) = (mdl.next, 0, done + here);
        if done == length {
            return true;
        }
    }
    false
}

/// The bytes of the first buffer of a list.
///
/// # Safety
/// 1. The address is that of a network buffer list whose descriptors are mapped.
#[must_use]
pub unsafe fn frame_bytes(list: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // SAFETY: the caller's obligation.
    unsafe {
        let buffer = get::<NetBufferList>(list).and_then(|list| get::<NetBuffer>(list.first));
        if let Ok(buffer) = buffer {
            gather(&buffer, buffer.data_length, |_, piece| {
                bytes.extend_from_slice(piece);
            });
        }
    }
    bytes
}

/// Changes the count of a list's clones.
///
/// # Safety
/// 1. The address is that of a live list.
unsafe fn count_clone(parent: u64, change: i32) {
    let at = parent + offset_of!(NetBufferList, child_count) as u64;
    let at = std::ptr::with_exposed_provenance_mut::<i32>(at as usize);
    // SAFETY: the caller's obligation; everybody changes it this way.
    let count = unsafe { std::sync::atomic::AtomicI32::from_ptr(at) };
    if count.fetch_add(change, Ordering::AcqRel) + change < 0 {
        violation(|| "more clones of a network buffer list are freed than were made".to_owned());
    }
}

/// Allocates list, buffer and descriptor in one block over existing bytes.
fn allocate_list(pool: u64, mdl: u64, offset: u32, length: u32) -> u64 {
    let block = ExAllocatePool2(NONPAGED, size_of::<Parts>() as u64, TAG_LIST);
    if block == 0 {
        return 0;
    }
    let buffer_at = block + offset_of!(Parts, buffer) as u64;
    let list = NetBufferList {
        first: buffer_at,
        pool,
        ..NetBufferList::default()
    };
    let buffer = NetBuffer {
        current_mdl: mdl,
        current_mdl_offset: offset,
        data_length: length,
        mdl_chain: mdl,
        data_offset: offset,
        ..NetBuffer::default()
    };
    // SAFETY: a fresh block of this layout.
    let _ = unsafe { put(block, list).and_then(|()| put(buffer_at, buffer)) };
    block
}

/// Makes a clone: its own list and buffer over the same descriptors.
pub(super) fn clone_list(original: u64) -> u64 {
    // SAFETY: the driver passes a live list.
    let buffer =
        unsafe { get::<NetBufferList>(original).and_then(|list| get::<NetBuffer>(list.first)) };
    let Ok(buffer) = buffer else {
        return 0;
    };
    let clone = allocate_list(
        0,
        buffer.current_mdl,
        buffer.current_mdl_offset,
        buffer.data_length,
    );
    if clone != 0 {
        // SAFETY: the fresh clone, and the live original.
        unsafe {
            let _ = put(clone + offset_of!(NetBufferList, parent) as u64, original);
            count_clone(original, 1);
        }
    }
    clone
}

/// Frees a clone.
pub(super) fn free_clone(clone: u64) {
    // SAFETY: the driver passes a clone that was made above.
    unsafe {
        match get::<NetBufferList>(clone) {
            Ok(list) if list.parent != 0 => count_clone(list.parent, -1),
            _ => violation(|| "what is freed as a clone is none".to_owned()),
        }
    }
    ExFreePool(clone);
}

exports! { "ndis.sys", All:
    fn NdisAllocateNetBufferListPool(_ndis: u64, _parameters: u64) -> u64 {
        irql::at_most(irql::DISPATCH, "NdisAllocateNetBufferListPool");
        ExAllocatePool2(NONPAGED, 16, TAG_POOL)
    }

    fn NdisFreeNetBufferListPool(pool: u64) {
        ExFreePool(pool);
    }

    fn NdisAllocateNetBufferAndNetBufferList(
        pool: u64,
        _context_size: u16,
        _context_backfill: u16,
        mdl: u64,
        offset: u32,
        length: u64,
    ) -> u64 {
        irql::at_most(irql::DISPATCH, "NdisAllocateNetBufferAndNetBufferList");
        allocate_list(pool, mdl, offset, length as u32)
    }

    fn NdisFreeNetBufferList(list: u64) {
        irql::at_most(irql::DISPATCH, "NdisFreeNetBufferList");
        ExFreePool(list);
    }

    fn NdisAllocateMdl(_ndis: u64, start: u64, length: u32) -> u64 {
        irql::at_most(irql::DISPATCH, "NdisAllocateMdl");
        let block = ExAllocatePool2(NONPAGED, size_of::<Mdl>() as u64, TAG_MDL);
        if block != 0 {
            let bytes = std::ptr::with_exposed_provenance::<u8>(start as usize);
            // SAFETY: the driver's bytes, only described here.
            let mdl = describe(unsafe { std::slice::from_raw_parts(bytes, length as usize) });
            // SAFETY: a fresh block.
            let _ = unsafe { put(block, mdl) };
        }
        block
    }

    fn NdisFreeMdl(mdl: u64) {
        irql::at_most(irql::DISPATCH, "NdisFreeMdl");
        ExFreePool(mdl);
    }

    /// The bytes in one piece: where they are, or copied into storage.
    fn NdisGetDataBuffer(buffer: u64, needed: u32, storage: u64, _align: u32, _offset: u32) -> u64 {
        irql::at_most(irql::DISPATCH, "NdisGetDataBuffer");
        // SAFETY: the driver passes a live buffer.
        let read = unsafe {
            get::<NetBuffer>(buffer).and_then(|buffer| Ok((buffer, get::<Mdl>(buffer.current_mdl)?)))
        };
        let Ok((buffer, mdl)) = read else {
            return 0;
        };
        if needed == 0 || needed > buffer.data_length {
            return 0;
        }
        if mdl.byte_count.saturating_sub(buffer.current_mdl_offset) >= needed {
            return mdl.system_address + u64::from(buffer.current_mdl_offset);
        }
        if storage == 0 {
            return 0;
        }
        let target = std::ptr::with_exposed_provenance_mut::<u8>(storage as usize);
        // SAFETY: a live buffer; storage of at least `needed` bytes that do not overlap with it.
        let is_whole = unsafe {
            gather(&buffer, needed, |at, piece| {
                std::ptr::copy_nonoverlapping(piece.as_ptr(), target.add(at as usize), piece.len());
            })
        };
        if is_whole { storage } else { 0 }
    }
}
