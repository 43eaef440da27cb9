//! Structures and constants of the Windows kernel that drivers use and the stand-ins implement.
//!
//! One table, two users: `ebpfcore/driver` calls Windows with them, `testkernel` is called with them.
//! Layouts are those of x64 and are checked when this compiles. What is left out: policy.
#![no_std]
#![forbid(unsafe_code)]

pub mod classify;
pub mod fwp;
pub mod ndis;
pub mod nt;
pub mod sddl;

/// Checks the size of a structure and the places of its fields.
macro_rules! layout {
    ($type:ty, $size:literal $(, $field:ident @ $offset:literal)* $(,)?) => {
        const _: () = {
            assert!(size_of::<$type>() == $size);
            $(assert!(core::mem::offset_of!($type, $field) == $offset);)*
        };
    };
}
pub(crate) use layout;
