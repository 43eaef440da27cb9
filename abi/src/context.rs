//! Context structures: which bytes a program may read and write, and which hold packet pointers.
//!
//! An access is allowed when it lies in one field, is aligned to its own size, does not cross
//! an element of the field, is as wide as the element unless the field allows narrow accesses,
//! and, for a store, when the field is writable, the attach type does not forbid it, and it is no part of
//! a word where the field has whole ones. Pointer fields are loaded whole. Bytes of no field are padding: not initialised, so not readable.

pub mod linux;
pub mod structures;
pub mod windows;

use crate::program_type::AttachType;

/// What a context field holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FieldKind {
    /// A plain number.
    Scalar,
    /// Start of packet data; on Linux a 32-bit field whose load yields a pointer.
    PacketData,
    /// End of packet data (one past the last byte).
    PacketEnd,
    /// Start of packet metadata, which ends at [`FieldKind::PacketData`].
    PacketMeta,
    /// A socket, which lives as long as the program runs.
    Socket(SocketKind),
    /// The same, or NULL.
    SocketOrNull(SocketKind),
    /// Memory of this many bytes, which may be read and written.
    Memory(u32),
}

/// One field of a context structure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Name, as in the public header.
    pub name: &'static str,
    /// Byte offset.
    pub offset: u16,
    /// Bytes.
    pub size: u16,
    /// Bytes of one element, counted from the start of the field; accesses must not cross elements.
    /// An array that may be read in words of any size is one element.
    pub element: u16,
    /// What it holds.
    pub kind: FieldKind,
    /// The program may write it.
    pub writable: bool,
    /// Accesses narrower than the element are allowed (aligned to their own size).
    pub narrow: bool,
    /// Bytes of zeros behind the field that a load from its start may take in: what became shorter
    /// can still be read as long as it was.
    pub zeros: u16,
    /// Stores are of at least 32 bits.
    pub words: bool,
}

/// A context structure.
#[derive(Debug, PartialEq, Eq)]
pub struct Context {
    /// C name of the structure.
    pub name: &'static str,
    /// Bytes.
    pub size: u16,
    /// Offset of the packet start pointer, as in the context descriptor; -1 when there is none.
    pub data: i32,
    /// Offset of the packet end pointer; -1 when there is none.
    pub end: i32,
    /// Offset of the metadata pointer; -1 when there is none.
    pub meta: i32,
    /// Fields in ascending order of offset; bytes of no field may not be accessed.
    pub fields: &'static [Field],
}

impl Field {
    /// A number that may be read, also in parts.
    #[must_use]
    pub const fn number(name: &'static str, offset: u16, size: u16) -> Field {
        Field {
            name,
            offset,
            size,
            element: size,
            kind: FieldKind::Scalar,
            writable: false,
            narrow: true,
            zeros: 0,
            words: false,
        }
    }

    /// A field whose load yields a pointer; `size` is the width of the field, not of the pointer.
    #[must_use]
    pub const fn pointer(name: &'static str, offset: u16, size: u16, kind: FieldKind) -> Field {
        Field {
            kind,
            narrow: false,
            ..Field::number(name, offset, size)
        }
    }

    /// The same field, read only as a whole.
    #[must_use]
    pub const fn whole(self) -> Field {
        Field {
            narrow: false,
            ..self
        }
    }

    /// The same field, which may also be read with as many bytes of zeros behind it as it has itself.
    #[must_use]
    pub const fn doubled(self) -> Field {
        Field {
            zeros: self.size,
            ..self
        }
    }

    /// The same field, writable in whole words.
    #[must_use]
    pub const fn words(self) -> Field {
        Field {
            words: true,
            ..self.writable()
        }
    }

    /// The same field, writable.
    #[must_use]
    pub const fn writable(self) -> Field {
        Field {
            writable: true,
            ..self
        }
    }

    /// Whether an access of `size` bytes at `offset` of the context is in this field and has a
    /// width and place that the field allows.
    #[must_use]
    pub fn admits(&self, offset: u32, size: u32) -> bool {
        let Some(inside) = offset.checked_sub(u32::from(self.offset)) else {
            return false;
        };
        let element = u32::from(self.element);
        let whole = u32::from(self.size).saturating_add(u32::from(self.zeros));
        if self.zeros != 0 && inside == 0 && size == whole {
            return true;
        }
        let (Some(end), Some(at)) = (inside.checked_add(size), inside.checked_rem(element)) else {
            return false;
        };
        size != 0
            && end <= u32::from(self.size)
            && offset.checked_rem(size) == Some(0)
            && at.saturating_add(size) <= element
            && (self.narrow || size == element)
    }

    /// Whether a store of `size` bytes at `offset` of the context is in this field and has a width and
    /// place that the field allows; whether it is writable at all is another question.
    #[must_use]
    pub fn admits_store(&self, offset: u32, size: u32) -> bool {
        self.admits(offset, size) && !(self.words && size < 4)
    }

    /// Whether programs of this attach type may store to the field.
    #[must_use]
    pub fn is_writable_at(&self, attach: Option<&AttachType>) -> bool {
        self.writable && !attach.is_some_and(|hook| hook.read_only.contains(&self.name))
    }
}

impl Context {
    /// The field that holds a byte.
    #[must_use]
    pub fn field_at(&self, offset: u32) -> Option<&'static Field> {
        let after = self
            .fields
            .partition_point(|field| u32::from(field.offset) <= offset);
        let field = self.fields.get(after.checked_sub(1)?)?;
        (offset < u32::from(field.offset).saturating_add(u32::from(field.size))).then_some(field)
    }

    /// The four numbers of the context descriptor that enter `program_info_hash`.
    #[must_use]
    pub const fn descriptor(&self) -> [i32; 4] {
        [self.size as i32, self.data, self.end, self.meta]
    }
}

/// What is known of a socket of Linux, and so which fields its pointer shows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SocketKind {
    /// A full socket, shown as `bpf_sock`.
    Full,
    /// Maybe a request, or one that waits for its end.
    Common,
    /// One of TCP, shown as `bpf_tcp_sock`.
    Tcp,
}

impl SocketKind {
    /// The fields.
    #[must_use]
    pub fn fields(self) -> &'static Context {
        match self {
            SocketKind::Full => &linux::SOCK,
            SocketKind::Common => &linux::SOCK_COMMON,
            SocketKind::Tcp => &linux::TCP_SOCK,
        }
    }
}
