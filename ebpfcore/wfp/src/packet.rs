//! Frames in network buffers: in one piece without a copy, in several pieces through a copy whose
//! changes are written back.

use crate::values::pointer;
use alloc::vec::Vec;
use wdk::ndis::{MDL_MAPPED, MDL_NONPAGED, Mdl, NetBuffer};

/// Largest frame that is gathered; larger ones do not exist on any link.
const FRAME_BYTES: u32 = 1 << 20;

/// Where the bytes of a frame are.
pub(crate) enum Bytes {
    /// In one piece.
    Whole { address: u64, length: u32 },
    /// Gathered from several pieces.
    Gathered(Vec<u8>),
}

/// The bytes of a frame; `None` when they cannot be reached.
///
/// # Safety
///
/// The network buffer and its memory lists are valid.
pub(crate) unsafe fn bytes(buffer: &NetBuffer) -> Option<Bytes> {
    let length = buffer.data_length;
    // SAFETY: the caller's obligation.
    let (address, room) = unsafe { piece(buffer.current_mdl, buffer.current_mdl_offset) }?;
    if length <= room {
        return Some(Bytes::Whole { address, length });
    }
    if length > FRAME_BYTES {
        return None;
    }
    let mut all = Vec::new();
    all.try_reserve_exact(length as usize).ok()?;
    let gather = |address: u64, count: usize, _at: usize| {
        // SAFETY: the piece has so many bytes.
        let piece = unsafe { core::slice::from_raw_parts(pointer::<u8>(address), count) };
        all.extend_from_slice(piece);
    };
    // SAFETY: the caller's obligation.
    unsafe { pieces(buffer, gather) }?;
    Some(Bytes::Gathered(all))
}

/// Writes a gathered frame back to its pieces.
///
/// # Safety
///
/// As for [`bytes`], and `all` came from the same buffer.
pub(crate) unsafe fn scatter(buffer: &NetBuffer, all: &[u8]) -> Option<()> {
    let put = |address: u64, count: usize, at: usize| {
        if let Some(part) = all.get(at..at + count) {
            // SAFETY: the piece has so many bytes, and nobody else uses the frame meanwhile.
            unsafe { core::ptr::copy_nonoverlapping(part.as_ptr(), pointer(address), count) };
        }
    };
    // SAFETY: the caller's obligation.
    unsafe { pieces(buffer, put) }
}

/// Calls `each` with address, length and place of every piece of a frame.
///
/// Safety: as for [`bytes`].
unsafe fn pieces(buffer: &NetBuffer, mut each: impl FnMut(u64, usize, usize)) -> Option<()> {
    let (mut mdl, mut offset) = (buffer.current_mdl, buffer.current_mdl_offset);
    let mut at = 0;
    let length = buffer.data_length as usize;
    while at < length {
        // SAFETY: the caller's obligation.
        let (address, room) = unsafe { piece(mdl, offset) }?;
        let count = (room as usize).min(length - at);
        each(address, count, at);
        at += count;
        // SAFETY: `piece` found a memory list there.
        mdl = unsafe { (*pointer::<Mdl>(mdl)).next };
        offset = 0;
    }
    Some(())
}

/// Address and length of what a memory list holds behind an offset. The platform maps the frames
/// that it shows to callouts, so nothing is mapped here.
///
/// Safety: the address is that of a memory list, or null.
unsafe fn piece(mdl: u64, offset: u32) -> Option<(u64, u32)> {
    // SAFETY: the caller's obligation.
    let mdl = unsafe { pointer::<Mdl>(mdl).as_ref() }?;
    let room = mdl.byte_count.checked_sub(offset)?;
    let is_mapped = mdl.flags & (MDL_MAPPED | MDL_NONPAGED) != 0;
    is_mapped.then(|| (mdl.system_address + u64::from(offset), room))
}
