//! Context structures: which bytes a program may read and write, and which hold packet pointers.

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
}

/// One field of a context structure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Name, as in the public header.
    pub name: &'static str,
    /// Byte offset.
    pub offset: u16,
    /// Bytes; an array of u32 is one field with `element` 4.
    pub size: u16,
    /// Bytes of one element; accesses must not cross elements.
    pub element: u16,
    /// What it holds.
    pub kind: FieldKind,
    /// The program may write it.
    pub writable: bool,
    /// Loads narrower than the element are allowed (aligned to their own size).
    pub narrow: bool,
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
