//! The values of a layer, read with a check of number and type.
//!
//! A value that is missing or of another type reads as nothing, and a record made from it has a
//! zero there: what the platform leaves out is nothing that a program could rely on.

use core::slice;
use wdk::{
    classify::{
        Fields, GROUP_ENABLED, Group, Groups, SID_ADMINISTRATORS, TYPE_TOKEN, Token, fields,
    },
    fwp::{
        Blob, IncomingValues, TYPE_BYTE_ARRAY16, TYPE_BYTE_BLOB, TYPE_UINT8, TYPE_UINT16,
        TYPE_UINT32, TYPE_UINT64, Value,
    },
};

/// Most groups of a token that are looked at.
const GROUPS: u32 = 4096;

/// The values of one classification.
#[derive(Clone, Copy)]
pub(crate) struct Values<'a> {
    values: &'a [Value],
    fields: &'static Fields,
}

/// The pointer that an address stands for.
pub(crate) fn pointer<T>(address: u64) -> *mut T {
    core::ptr::with_exposed_provenance_mut(address as usize)
}

impl<'a> Values<'a> {
    /// Values of a layer that the runtime knows.
    ///
    /// # Safety
    ///
    /// The structure is one that the platform hands to a classify function, valid for `'a`.
    pub(crate) unsafe fn new(incoming: &'a IncomingValues) -> Option<Values<'a>> {
        let fields = fields(incoming.layer)?;
        if incoming.values == 0 {
            return None;
        }
        // SAFETY: the caller's obligation: the array has so many values.
        let values =
            unsafe { slice::from_raw_parts(pointer(incoming.values), incoming.count as usize) };
        Some(Values { values, fields })
    }

    pub(crate) fn fields(&self) -> &'static Fields {
        self.fields
    }

    fn of(&self, field: Option<usize>, kind: u32) -> Option<u64> {
        let value = self.values.get(field?)?;
        (value.kind == kind).then_some(value.value)
    }

    pub(crate) fn u8(&self, field: Option<usize>) -> Option<u8> {
        self.of(field, TYPE_UINT8).map(|value| value as u8)
    }

    pub(crate) fn u16(&self, field: Option<usize>) -> Option<u16> {
        self.of(field, TYPE_UINT16).map(|value| value as u16)
    }

    pub(crate) fn u32(&self, field: Option<usize>) -> Option<u32> {
        self.of(field, TYPE_UINT32).map(|value| value as u32)
    }

    pub(crate) fn u64(&self, field: Option<usize>) -> Option<u64> {
        let address = self.of(field, TYPE_UINT64)?;
        // SAFETY: values of this type are addresses of numbers (`Values::new`).
        unsafe { pointer::<u64>(address).as_ref().copied() }
    }

    /// An address in network byte order.
    pub(crate) fn address(&self, field: Option<usize>) -> Option<[u8; 16]> {
        if let Some(number) = self.u32(field) {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            return Some(bytes);
        }
        let address = self.of(field, TYPE_BYTE_ARRAY16)?;
        // SAFETY: values of this type are addresses of 16 bytes (`Values::new`).
        unsafe { pointer::<[u8; 16]>(address).as_ref().copied() }
    }

    pub(crate) fn blob(&self, field: Option<usize>) -> Option<&'a [u8]> {
        self.blob_of(field, TYPE_BYTE_BLOB)
    }

    fn blob_of(&self, field: Option<usize>, kind: u32) -> Option<&'a [u8]> {
        let address = self.of(field, kind)?;
        // SAFETY: values of these types are addresses of blobs (`Values::new`).
        unsafe {
            let blob = pointer::<Blob>(address).as_ref()?;
            if blob.data == 0 {
                return None;
            }
            let bytes = slice::from_raw_parts(pointer(blob.data), blob.size as usize);
            Some(bytes)
        }
    }

    /// The token of the caller.
    pub(crate) fn token(&self) -> Option<CallerToken> {
        let bytes = self.blob_of(self.fields.user_id(), TYPE_TOKEN)?;
        if bytes.len() < size_of::<Token>() {
            return None;
        }
        // SAFETY: long enough, and what the platform puts there.
        let token = unsafe { bytes.as_ptr().cast::<Token>().read_unaligned() };
        Some(CallerToken {
            logon_id: token.authentication_id,
            // SAFETY: the addresses in a token of the platform are valid.
            is_admin: unsafe { is_admin(token.groups) },
        })
    }
}

/// What programs learn from a token.
#[derive(Clone, Copy)]
pub(crate) struct CallerToken {
    pub(crate) logon_id: u64,
    pub(crate) is_admin: bool,
}

/// Safety: the address is that of the groups of a token, or null.
unsafe fn is_admin(groups: u64) -> bool {
    // SAFETY: the caller's obligation; a SID is at least as long as its first bytes say.
    unsafe {
        let Some(groups) = pointer::<Groups>(groups).as_ref() else {
            return false;
        };
        let array = pointer::<Group>(groups.groups);
        (0..groups.count.min(GROUPS) as usize).any(|at| {
            let group = array.add(at).read();
            let sid = pointer::<u8>(group.sid);
            // Revision and number of sub-authorities come first and give the length.
            group.attributes & GROUP_ENABLED != 0
                && sid.cast::<[u8; 2]>().read() == [SID_ADMINISTRATORS[0], SID_ADMINISTRATORS[1]]
                && sid.cast::<[u8; 16]>().read() == SID_ADMINISTRATORS
        })
    }
}
