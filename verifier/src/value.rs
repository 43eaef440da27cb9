//! What a register or a stack slot holds: nothing readable, a number, or a pointer.
//!
//! Numbers carry a link, which says how they follow from one another, so what a branch learns about
//! one holds for the others. Pointers are a region, a known offset and an unknown part of the
//! offset. Packet pointers with the same number share the unknown part, so that a comparison with the
//! end of the packet proves bytes for all of them; pointers with the same null number are NULL
//! together.
//!
//! Invariant: 0 is never a live link, packet or null number but means "none" (for packets: the start
//! of the packet as the context gives it).

use crate::domain::Scalar;
use crate::link::Link;
use abi::DynptrKind;
use abi::context::SocketKind;
use core::fmt;
use isa::InsnIdx;
use program::{KernelType, MapId};

/// Contents of a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value {
    /// Nothing that may be read.
    Unreadable(Unreadable),
    /// A number.
    Number {
        /// Which numbers are possible.
        scalar: Scalar,
        /// What it has to do with the numbers of other places.
        link: Link,
    },
    /// A pointer.
    Pointer(Pointer),
}

/// Why a place must not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unreadable {
    /// It was never written on this path, or what it holds is not known.
    Uninitialised,
    /// An argument register that nothing was passed in.
    NotPassed,
    /// A call clobbers the argument registers.
    Clobbered,
    /// A packet pointer from before the packet was moved by the call at this instruction.
    PacketMoved(InsnIdx),
    /// A pointer to a resource that was released by the call at this instruction.
    Released(InsnIdx),
    /// A pointer into the frame of a function that has returned.
    FrameLeft,
    /// Memory of a dynamic pointer that was overwritten by this instruction, or a slice whose buffer
    /// was.
    DynptrLost(InsnIdx),
}

/// A pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pointer {
    /// What it points into.
    pub region: Region,
    /// Known part of the byte offset.
    pub fixed: i32,
    /// Unknown part of the byte offset; constant 0 when there is none.
    pub var: Scalar,
    /// What the unknown part has to do with numbers; a constant has no link, and packets have sums
    /// instead.
    pub link: Link,
    /// Not 0: it may be NULL. Pointers with the same number are NULL together.
    pub null: u32,
}

/// What a pointer points into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Region {
    /// The context structure.
    Context,
    /// A stack frame; offsets count from its end, as r10 does.
    Stack {
        /// Depth of the frame; 0 is the main program's.
        frame: u8,
    },
    /// Packet data, from its start.
    Packet {
        /// Pointers with the same number share the unknown part of the offset.
        id: u32,
        /// Bytes from the pointer without its known offset that are proven to be in the packet.
        range: u32,
    },
    /// Packet metadata, from its start; ends where the packet starts.
    PacketMeta {
        /// Pointers with the same number share the unknown part of the offset.
        id: u32,
        /// Proven bytes, as for packet data.
        range: u32,
    },
    /// One past the last byte of the packet.
    PacketEnd,
    /// The value of a map element.
    MapValue {
        /// The map; for maps inside maps, the template.
        map: MapId,
        /// Which element: equal numbers are the same element.
        object: u32,
    },
    /// The key of a map element, as a callback gets it; read-only.
    MapKey {
        /// The map.
        map: MapId,
    },
    /// A map itself.
    Map {
        /// The map, or the template of a map that was found in another map.
        map: MapId,
        /// Found in another map, so not this very map.
        inner: bool,
    },
    /// Memory obtained from the platform, such as a ring-buffer record.
    Memory {
        /// Bytes.
        size: u32,
        /// The reference to release; 0 when there is none.
        reference: u32,
    },
    /// A socket.
    Socket {
        /// What is known of it.
        kind: SocketKind,
        /// The reference to release; 0 when there is none.
        reference: u32,
    },
    /// An object of the Linux kernel.
    Kernel {
        /// What it is.
        ty: Kernel,
        /// How sure that is.
        trust: Trust,
    },
    /// A function of the program.
    Function {
        /// Its first instruction.
        start: InsnIdx,
    },
    /// A dynamic pointer. In a register it belongs to somebody else; half of one is found on the
    /// stack only, where no load can get it.
    Dynptr(Dynptr),
    /// Memory that a dynamic pointer describes.
    Slice(Slice),
}

/// A dynamic pointer: 16 bytes that say where memory is and how much.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dynptr {
    /// What memory.
    pub kind: DynptrKind,
    /// Its number, which the slices have that were got through it.
    pub id: u32,
    /// The reference to release; 0 when there is none.
    pub reference: u32,
    /// How much of it.
    pub part: Part,
}

/// A part of a dynamic pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// All of it.
    Whole,
    /// The eight bytes at the lower address.
    First,
    /// The eight bytes at the higher address.
    Second,
}

/// Memory that a dynamic pointer describes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slice {
    /// Bytes.
    pub size: u32,
    /// Number of the dynamic pointer.
    pub dynptr: u32,
    /// The reference that it lives as long as; 0 when there is none.
    pub reference: u32,
    /// What memory the dynamic pointer describes.
    pub of: DynptrKind,
    /// It may be written.
    pub writable: bool,
    /// Stack memory that it may be instead.
    pub buffer: Option<Buffer>,
}

/// Stack memory that a slice may be, of as many bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Buffer {
    /// Depth of the frame.
    pub frame: u8,
    /// Offset of the first byte from its end.
    pub low: i16,
}

impl Slice {
    /// May it be stack memory with bytes from `low` up to `high` of a frame?
    #[must_use]
    pub fn overlaps(&self, frame: u8, low: i64, high: i64) -> bool {
        self.buffer.is_some_and(|buffer| {
            let start = i64::from(buffer.low);
            let end = start.saturating_add(i64::from(self.size));
            buffer.frame == frame && start < high && low < end
        })
    }

    /// Is it gone when the packet is moved?
    #[must_use]
    pub const fn moves(&self) -> bool {
        matches!(self.of, DynptrKind::Skb | DynptrKind::Xdp | DynptrKind::Any)
    }
}

/// What a kernel object is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kernel {
    /// Nothing that is known.
    Unknown,
    /// A structure of this name, whose fields are not known.
    Named(&'static str),
    /// A structure of the kernel's BTF.
    Typed(KernelType),
}

/// What may be relied on about a pointer to a kernel object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trust {
    /// The object is there and stays there while the program runs.
    Trusted,
    /// The caller of the traced function meant it to be there.
    Passed,
    /// It was found in another object, and can be NULL or stale: a load through it that faults gives
    /// 0, as the kernel sees to.
    Found,
}

impl Value {
    /// A number without a link.
    #[must_use]
    pub const fn number(scalar: Scalar) -> Value {
        Value::Number {
            scalar,
            link: Link::NONE,
        }
    }

    /// A known number.
    #[must_use]
    pub const fn constant(value: u64) -> Value {
        Value::number(Scalar::constant(value))
    }

    /// A number of which nothing is known.
    #[must_use]
    pub const fn unknown() -> Value {
        Value::number(Scalar::UNKNOWN)
    }

    /// Never written.
    #[must_use]
    pub const fn uninitialised() -> Value {
        Value::Unreadable(Unreadable::Uninitialised)
    }

    /// May it be read?
    #[must_use]
    pub const fn is_readable(&self) -> bool {
        !matches!(self, Value::Unreadable(_))
    }

    /// The pointer, if it is one.
    #[must_use]
    pub const fn pointer(&self) -> Option<&Pointer> {
        match self {
            Value::Pointer(pointer) => Some(pointer),
            _ => None,
        }
    }

    /// What a number has to do with others.
    #[must_use]
    pub const fn link(&self) -> Link {
        match self {
            Value::Number { link, .. } => *link,
            _ => Link::NONE,
        }
    }

    /// The number, if it is one.
    #[must_use]
    pub const fn scalar(&self) -> Option<&Scalar> {
        match self {
            Value::Number { scalar, .. } => Some(scalar),
            _ => None,
        }
    }

    /// Is it the number 0 (which is also how NULL looks)?
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.scalar().and_then(Scalar::is_const) == Some(0)
    }
}

impl Pointer {
    /// A pointer to the start of a region.
    #[must_use]
    pub const fn to(region: Region) -> Pointer {
        Pointer {
            region,
            fixed: 0,
            var: Scalar::constant(0),
            link: Link::NONE,
            null: 0,
        }
    }

    /// The byte offset when it is known exactly.
    #[must_use]
    pub fn known_offset(&self) -> Option<i64> {
        let var = self.var.is_const()? as i64;
        i64::from(self.fixed).checked_add(var)
    }

    /// Smallest and largest byte offset, signed.
    #[must_use]
    pub fn offset_range(&self) -> (i64, i64) {
        let fixed = i64::from(self.fixed);
        (
            fixed.saturating_add(self.var.smin()),
            fixed.saturating_add(self.var.smax()),
        )
    }

    /// The reference that it lives as long as, 0 for none.
    #[must_use]
    pub const fn reference(&self) -> u32 {
        match self.region {
            Region::Memory { reference, .. }
            | Region::Socket { reference, .. }
            | Region::Dynptr(Dynptr { reference, .. })
            | Region::Slice(Slice { reference, .. }) => reference,
            _ => 0,
        }
    }

    /// Is it what an acquiring helper returned, so that nothing is held when it is NULL?
    #[must_use]
    pub const fn is_acquired(&self) -> bool {
        match self.region {
            Region::Memory { reference, .. } | Region::Socket { reference, .. } => reference != 0,
            _ => false,
        }
    }

    /// Is it gone when the frame at a depth, and those above it, are left?
    #[must_use]
    pub fn is_in_frames_from(&self, depth: usize) -> bool {
        match self.region {
            Region::Stack { frame }
            | Region::Slice(Slice {
                buffer: Some(Buffer { frame, .. }),
                ..
            }) => usize::from(frame) >= depth,
            _ => false,
        }
    }

    /// Is it gone when the packet is moved?
    #[must_use]
    pub const fn moves(&self) -> bool {
        match self.region {
            Region::Slice(slice) => slice.moves(),
            _ => self.is_packet(),
        }
    }

    /// May it turn out to be NULL, whatever was compared?
    #[must_use]
    pub const fn is_unsure(&self) -> bool {
        match self.region {
            Region::Kernel { trust, .. } => !matches!(trust, Trust::Trusted),
            _ => false,
        }
    }

    /// Does it point into the packet, its metadata, or at its end?
    #[must_use]
    pub const fn is_packet(&self) -> bool {
        matches!(
            self.region,
            Region::Packet { .. } | Region::PacketMeta { .. } | Region::PacketEnd
        )
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Unreadable(why) => write!(f, "{why}"),
            Value::Number { scalar, .. } => write!(f, "number {scalar}"),
            Value::Pointer(pointer) => write!(f, "{pointer}"),
        }
    }
}

impl Unreadable {
    /// Is it certain that no pointer is there? Everything else may stand for a pointer that was
    /// forgotten.
    pub(crate) const fn is_empty(self) -> bool {
        matches!(self, Unreadable::NotPassed | Unreadable::Clobbered)
    }

    /// May programs ask whether it is NULL? It is there, which what is unreadable otherwise need not
    /// be.
    pub(crate) const fn is_there(self) -> bool {
        matches!(self, Unreadable::Released(_))
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Uninitialised | Unreadable::NotPassed => f.write_str("not initialised"),
            Unreadable::Clobbered => f.write_str("not initialised (calls clobber r1 to r5)"),
            Unreadable::PacketMoved(at) => {
                write!(f, "a packet pointer made invalid by the call at {at}")
            }
            Unreadable::Released(at) => write!(f, "a pointer released by the call at {at}"),
            Unreadable::FrameLeft => f.write_str("a pointer to the stack of a finished function"),
            Unreadable::DynptrLost(at) => {
                write!(
                    f,
                    "memory of a dynamic pointer that {at} has overwritten, or its buffer"
                )
            }
        }
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.region)?;
        if self.fixed != 0 {
            write!(f, " {:+}", self.fixed)?;
        }
        match self.var.is_const() {
            Some(0) => {}
            Some(known) => write!(f, " {:+}", known as i64)?,
            None => write!(f, " + ({})", self.var)?,
        }
        if self.null != 0 {
            f.write_str(" or NULL")?;
        }
        Ok(())
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Region::Context => f.write_str("context"),
            Region::Stack { frame: 0 } => f.write_str("stack"),
            Region::Stack { frame } => write!(f, "stack of frame {frame}"),
            Region::Packet { range, .. } => write!(f, "packet ({range} bytes proven)"),
            Region::PacketMeta { range, .. } => write!(f, "packet metadata ({range} bytes proven)"),
            Region::PacketEnd => f.write_str("packet end"),
            Region::MapValue { map, .. } => write!(f, "value of map {map}"),
            Region::MapKey { map } => write!(f, "key of map {map}"),
            Region::Map { map, inner: false } => write!(f, "map {map}"),
            Region::Map { map, inner: true } => write!(f, "map like {map}"),
            Region::Memory { size, .. } => write!(f, "memory of {size} bytes"),
            Region::Socket { .. } => f.write_str("socket"),
            Region::Kernel {
                ty: Kernel::Named(name),
                ..
            } => write!(f, "kernel object {name}"),
            Region::Kernel {
                ty: Kernel::Typed(ty),
                ..
            } => write!(f, "kernel object t{}", ty.0),
            Region::Kernel { .. } => f.write_str("kernel object"),
            Region::Function { start } => write!(f, "function at {start}"),
            Region::Dynptr(dynptr) => write!(f, "{dynptr}"),
            Region::Slice(Slice { size, writable, .. }) => {
                let kind = if writable { "" } else { "read-only " };
                write!(f, "{kind}slice of {size} bytes")
            }
        }
    }
}

impl fmt::Display for Dynptr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match self.kind {
            DynptrKind::Any => "dynptr",
            DynptrKind::Local => "dynptr to memory",
            DynptrKind::Record => "dynptr to a record",
            DynptrKind::Skb => "dynptr to an skb",
            DynptrKind::Xdp => "dynptr to an xdp buffer",
        };
        f.write_str(of)?;
        f.write_str(match self.part {
            Part::Whole => "",
            Part::First => " (first half)",
            Part::Second => " (second half)",
        })
    }
}
