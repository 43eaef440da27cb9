//! The device protocol between user mode and the runtime: one control code, 46 operations.
//!
//! A message is a header (length, operation) and fields at fixed offsets, little-endian; the last
//! field may be a *tail* that runs to the end of the message. Module `operations` holds one row per
//! operation; [`Request`] and [`Reply`] with their codecs are derived from the same rows, so a
//! field cannot be read before its bytes are known to be there. Messages come from other processes
//! and are untrusted: [`Request::decode`] checks every length and offset once.
//!
//! Source: `ebpf_protocol.h` and `EbpfProtocol.3d` of eBPF for Windows. Left out: what a tail
//! contains (names, keys, values), which depends on the object that the handle names.

mod codec;
mod operations;

pub use codec::{Malformed, NoRoom, Words};
pub use operations::{Operation, Reply, Request, TABLE};

use crate::guid::Guid;

/// Name of the device object.
pub const DEVICE: &str = r"\Device\EbpfIoDevice";
/// Symbolic link that user mode opens as `\\.\EbpfIoDevice`. Made when a driver starts, which is in
/// the system's process, it is the same for everybody (`\GLOBAL??\EbpfIoDevice`).
pub const LINK: &str = r"\DosDevices\EbpfIoDevice";
/// Who may open the device: the eBPF service, administrators, the system (SDDL).
pub const SDDL: &str = concat!(
    "D:P(A;;GA;;;S-1-5-80-3453964624-2861012444-1105579853-3193141192-1897355174)",
    "(A;;GA;;;BA)(A;;GA;;;SY)"
);
/// The only control code: `CTL_CODE(0x12, 0x900, METHOD_BUFFERED, FILE_ANY_ACCESS)`.
pub const CONTROL_CODE: u32 = 0x0012_2400;
/// Bytes of the header: `u16` length, padding, `u32` operation.
pub const HEADER_BYTES: usize = 8;
/// Longest message, because its length is a `u16`.
pub const MESSAGE_BYTES: usize = 0xffff;

/// A handle of the calling process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Handle(pub u64);

impl Handle {
    /// `ebpf_handle_invalid`: no object.
    pub const INVALID: Handle = Handle(u64::MAX);
}

/// `ebpf_map_definition_in_memory_t`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MapDefinition {
    /// Windows number of the map type.
    pub map_type: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Most elements.
    pub max_entries: u32,
    /// Id of the template of maps inside, 0 for none.
    pub inner_map_id: u32,
    /// 0 or 1 (pinned by name).
    pub pinning: u32,
}

/// Which kind of code must be permitted for an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Any.
    Any,
    /// Code made at run time, which memory integrity forbids.
    Jit,
    /// Code made at run time, or interpreted.
    JitOrInterpreted,
    /// Native modules.
    Native,
}

/// Who may ask for an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Whoever could open the device.
    Anyone,
    /// The eBPF service, administrators and the system.
    Privileged,
}

/// When an operation ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Completion {
    /// Before the call returns.
    AtOnce,
    /// Perhaps later; it can be cancelled.
    Pends,
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Which.
    pub operation: Operation,
    /// The name that documents use.
    pub name: &'static str,
    /// What must be permitted.
    pub mode: Mode,
    /// Who may ask for it.
    pub access: Access,
    /// When it ends.
    pub completion: Completion,
    /// What is asked.
    pub request: Layout,
    /// What is answered; `None` when the status says it all.
    pub reply: Option<Layout>,
}

/// The fields of a message.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Length of a message without a tail, with padding.
    pub size: usize,
    /// Ascending by offset.
    pub fields: &'static [Field],
}

/// One field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Bytes from the start of the message.
    pub offset: usize,
    /// What it holds.
    pub kind: Kind,
}

/// What a field holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `u8`, 0 for no.
    Bool,
    /// `u16`.
    U16,
    /// `u32`.
    U32,
    /// `u64`.
    U64,
    /// [`Handle`].
    Handle,
    /// [`Guid`].
    Guid,
    /// A SHA-256 hash.
    Hash,
    /// [`MapDefinition`].
    Definition,
    /// Bytes to the end of the message.
    Bytes,
    /// `u32`s to the end of the message.
    Ids,
    /// `u64`s (handles, addresses) to the end of the message.
    Handles,
}

impl Kind {
    /// Bytes of the field; `None` for a tail.
    #[must_use]
    pub const fn size(self) -> Option<usize> {
        match self {
            Kind::Bool => Some(1),
            Kind::U16 => Some(2),
            Kind::U32 => Some(4),
            Kind::U64 | Kind::Handle => Some(8),
            Kind::Guid => Some(16),
            Kind::Hash => Some(32),
            Kind::Definition => Some(24),
            Kind::Bytes | Kind::Ids | Kind::Handles => None,
        }
    }
}

impl Layout {
    /// A header and nothing else.
    pub const EMPTY: Layout = Layout {
        size: HEADER_BYTES,
        fields: &[],
    };

    /// The tail, if there is one: always the last field.
    #[must_use]
    pub const fn tail(&self) -> Option<&Field> {
        match self.fields.last() {
            Some(field) if field.kind.size().is_none() => Some(field),
            _ => None,
        }
    }

    /// Fewest bytes of a message: all of it without a tail, up to the tail with one.
    #[must_use]
    pub const fn least(&self) -> usize {
        match self.tail() {
            Some(tail) => tail.offset,
            None => self.size,
        }
    }
}

/// The row of an operation number.
#[must_use]
pub fn row(number: u32) -> Option<&'static Row> {
    TABLE.get(usize::try_from(number).ok()?)
}
