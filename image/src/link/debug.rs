//! The debug directory and the time stamps.
//!
//! Two entries: REPRO says that the stamps are a hash and carries it; EX_DLLCHARACTERISTICS says
//! CET_COMPAT (generated code returns only to where it was called from). The hash covers the whole
//! file before stamping and the module's content hash, so different code never shares a stamp.

use super::layout::Layout;
use object::pe::{IMAGE_DEBUG_TYPE_EX_DLLCHARACTERISTICS, IMAGE_DEBUG_TYPE_REPRO};
use sha2::{Digest, Sha256};

const ENTRY: usize = 28;
/// IMAGE_DLLCHARACTERISTICS_EX_CET_COMPAT.
const CET_COMPAT: u32 = 1;
/// The two directory entries.
pub(super) const DIRECTORY_BYTES: usize = 2 * ENTRY;
const CHARACTERISTICS_AT: u32 = DIRECTORY_BYTES as u32;
const CHARACTERISTICS_LEN: u32 = 4;
const REPRO_AT: u32 = CHARACTERISTICS_AT + CHARACTERISTICS_LEN;
/// Length field and SHA-256.
const REPRO_LEN: u32 = 4 + 32;
/// The directory and the data of its entries.
pub(super) const LEN_BYTES: usize = (REPRO_AT + REPRO_LEN) as usize;
/// TimeDateStamp in the NT headers: signature 4, machine 2, section count 2.
const STAMP_IN_NT_HEADERS: usize = 8;

/// Writes everything but stamps and hash.
pub(super) fn write(layout: &mut Layout, at: u32) {
    let entries = [
        (
            IMAGE_DEBUG_TYPE_EX_DLLCHARACTERISTICS,
            CHARACTERISTICS_LEN,
            CHARACTERISTICS_AT,
        ),
        (IMAGE_DEBUG_TYPE_REPRO, REPRO_LEN, REPRO_AT),
    ];
    let mut bytes = Vec::with_capacity(LEN_BYTES);
    for (kind, len, data) in entries {
        let rva = layout.rdata_span(at + data, 0).0;
        let offset = layout.rdata_file_offset(at + data);
        for field in [0, 0, 0, kind.0, len, rva, offset] {
            bytes.extend_from_slice(&u32::to_le_bytes(field));
        }
    }
    bytes.extend_from_slice(&CET_COMPAT.to_le_bytes());
    bytes.extend_from_slice(&32u32.to_le_bytes());
    layout.write_rdata(at, &bytes);
    // The writer copies `.rdata`; the rest of the hash stays zero until `stamp`.
}

/// Puts the hash of the file into REPRO and its first four bytes into all time stamps.
pub(super) fn stamp(file: &mut [u8], layout: &Layout, at: u32, content_hash: &[u8; 32]) {
    let hash: [u8; 32] = Sha256::new()
        .chain_update(content_hash)
        .chain_update(&*file)
        .finalize()
        .into();
    let directory = layout.rdata_file_offset(at) as usize;
    let nt = u32::from_le_bytes([file[0x3C], file[0x3D], file[0x3E], file[0x3F]]) as usize;
    let mut stamp = [hash[0], hash[1], hash[2], hash[3]];
    // 0 and -1 mean "no stamp" to some tools.
    if matches!(u32::from_le_bytes(stamp), 0 | u32::MAX) {
        stamp = [1, 0, 0, 0];
    }
    for field in [
        nt + STAMP_IN_NT_HEADERS,
        directory + 4,
        directory + ENTRY + 4,
    ] {
        file[field..field + 4].copy_from_slice(&stamp);
    }
    let repro = directory + REPRO_AT as usize + 4;
    file[repro..repro + 32].copy_from_slice(&hash);
}
