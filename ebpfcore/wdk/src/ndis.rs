//! Network buffers and memory descriptor lists (`nbl.h`, `ndis.h`, `wdm.h`).
//!
//! Addresses are numbers, so that the structures mean the same on every host. Source: the public
//! documentation of these headers.

use crate::layout;

/// Out-of-band information words of a [`NetBufferList`] in NDIS 6.85.
pub const INFO_WORDS: usize = 29;

/// `NET_BUFFER_LIST`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C, align(16))]
pub struct NetBufferList {
    /// Address of the next list.
    pub next: u64,
    /// Address of the first [`NetBuffer`].
    pub first: u64,
    /// Address.
    pub context: u64,
    /// The list that this one is a clone of, or null.
    pub parent: u64,
    /// The pool it came from.
    pub pool: u64,
    /// Padding.
    pub padding: u64,
    /// Of NDIS.
    pub ndis_reserved: [u64; 2],
    /// Of the protocol driver.
    pub protocol_reserved: [u64; 4],
    /// Of the miniport driver.
    pub miniport_reserved: [u64; 2],
    /// Of the owner.
    pub scratch: u64,
    /// Who sent it.
    pub source: u64,
    /// Flags.
    pub nbl_flags: u32,
    /// Clones that are alive.
    pub child_count: i32,
    /// Flags.
    pub flags: u32,
    /// How its sending ended.
    pub status: u32,
    /// Out-of-band information.
    pub info: [u64; INFO_WORDS],
}
layout!(NetBufferList, 384, next @ 0, first @ 8, context @ 16, parent @ 24, pool @ 32,
    ndis_reserved @ 48, protocol_reserved @ 64, miniport_reserved @ 96, scratch @ 112,
    source @ 120, nbl_flags @ 128, child_count @ 132, flags @ 136, status @ 140, info @ 144);

/// `NET_BUFFER`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C, align(16))]
pub struct NetBuffer {
    /// Address of the next buffer.
    pub next: u64,
    /// The [`Mdl`] in which the data begins.
    pub current_mdl: u64,
    /// Where in it.
    pub current_mdl_offset: u32,
    /// Padding.
    pub padding: u32,
    /// Bytes of data.
    pub data_length: u32,
    /// Padding.
    pub padding2: u32,
    /// The first [`Mdl`].
    pub mdl_chain: u64,
    /// Bytes from the start of the chain to the data.
    pub data_offset: u32,
    /// Padding.
    pub padding3: u32,
    /// Of checksums.
    pub checksum_bias: u16,
    /// Padding.
    pub reserved: [u16; 3],
    /// The pool it came from.
    pub pool: u64,
    /// Of NDIS.
    pub ndis_reserved: [u64; 2],
    /// Of the protocol driver.
    pub protocol_reserved: [u64; 6],
    /// Of the miniport driver.
    pub miniport_reserved: [u64; 4],
    /// Of the hardware.
    pub physical_address: u64,
    /// Of the hardware.
    pub shared_memory: u64,
}
layout!(NetBuffer, 176, next @ 0, current_mdl @ 8, current_mdl_offset @ 16, data_length @ 24,
    mdl_chain @ 32, data_offset @ 40, checksum_bias @ 48, pool @ 56, ndis_reserved @ 64,
    protocol_reserved @ 80, miniport_reserved @ 128, physical_address @ 160);

/// `MDL`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Mdl {
    /// Address of the next one.
    pub next: u64,
    /// Bytes of this structure and its page numbers.
    pub size: i16,
    /// `MDL_...`.
    pub flags: i16,
    /// Of the memory manager.
    pub reserved: [u16; 2],
    /// Of the memory manager.
    pub process: u64,
    /// Where the bytes are, when the flags say that they are mapped.
    pub system_address: u64,
    /// Page of the first byte.
    pub start_address: u64,
    /// Bytes.
    pub byte_count: u32,
    /// Offset of the first byte in its page.
    pub byte_offset: u32,
}
layout!(Mdl, 48, next @ 0, size @ 8, flags @ 10, process @ 16, system_address @ 24,
    start_address @ 32, byte_count @ 40, byte_offset @ 44);

/// `MDL_MAPPED_TO_SYSTEM_VA`.
pub const MDL_MAPPED: i16 = 0x1;
/// `MDL_SOURCE_IS_NONPAGED_POOL`.
pub const MDL_NONPAGED: i16 = 0x4;
