//! Reading and writing fields of messages.
//!
//! Reading is total: a field whose bytes are missing is an error, never a panic. Writing into a
//! buffer that is too short says how many bytes are needed.

use super::{Guid, HEADER_BYTES, Handle, Layout, MESSAGE_BYTES, MapDefinition};
use core::fmt;

/// Why a message is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// Shorter than a header, or than the length it states.
    Truncated {
        /// Bytes there are.
        length: usize,
        /// Bytes there should be.
        needed: usize,
    },
    /// Its operation number is not in the table.
    UnknownOperation(u32),
    /// A message without a tail has another length than it must.
    Length {
        /// What it states.
        length: usize,
        /// What it must be.
        expected: usize,
    },
    /// The tail is no whole number of elements.
    Tail {
        /// Bytes of the tail.
        length: usize,
        /// Bytes of an element.
        element: usize,
    },
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Truncated { length, needed } => {
                write!(f, "message of {length} bytes, {needed} needed")
            }
            Malformed::UnknownOperation(number) => write!(f, "unknown operation {number}"),
            Malformed::Length { length, expected } => {
                write!(f, "message of {length} bytes, exactly {expected} expected")
            }
            Malformed::Tail { length, element } => {
                write!(
                    f,
                    "tail of {length} bytes holds no whole {element}-byte elements"
                )
            }
        }
    }
}

/// The buffer for a message is too small, or the message too long for the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRoom {
    /// Bytes the message has.
    pub needed: usize,
}

/// Little-endian numbers of `N` bytes each, not aligned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Words<'a, const N: usize>(&'a [u8]);

impl<'a, const N: usize> Words<'a, N> {
    /// Numbers from bytes that hold a whole number of them.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Words<'a, N>> {
        bytes.len().is_multiple_of(N).then_some(Words(bytes))
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len() / N
    }

    /// Are there none?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The numbers.
    pub fn iter(&self) -> impl Iterator<Item = u64> + 'a {
        self.0.chunks_exact(N).map(|bytes| {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(bytes) {
                *to = *from;
            }
            u64::from_le_bytes(word)
        })
    }
}

/// Something that a field holds.
pub(super) trait Wire<'a>: Sized {
    /// Reads it from the offset on; tails take everything there.
    fn read(message: &'a [u8], offset: usize) -> Result<Self, Malformed>;
    /// Bytes it takes.
    fn size(&self) -> usize;
    /// Writes it; `out` starts at the field and has room.
    fn write(&self, out: &mut [u8]);
}

fn array<const N: usize>(message: &[u8], offset: usize) -> Result<[u8; N], Malformed> {
    let rest = message.get(offset..).unwrap_or_default();
    rest.first_chunk().copied().ok_or(Malformed::Truncated {
        length: message.len(),
        needed: offset.saturating_add(N),
    })
}

fn put(out: &mut [u8], bytes: &[u8]) {
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
}

/// Fields of a fixed size, from and to arrays of bytes.
macro_rules! fixed {
    ($($type:ty, $bytes:literal: $from:expr, $to:expr;)*) => {$(
        impl<'a> Wire<'a> for $type {
            fn read(message: &'a [u8], offset: usize) -> Result<Self, Malformed> {
                let from: fn([u8; $bytes]) -> $type = $from;
                array(message, offset).map(from)
            }
            fn size(&self) -> usize {
                $bytes
            }
            fn write(&self, out: &mut [u8]) {
                let to: fn(&$type) -> [u8; $bytes] = $to;
                put(out, &to(self));
            }
        }
    )*};
}

fixed! {
    bool, 1: |[byte]| byte != 0, |value| [u8::from(*value)];
    u16, 2: u16::from_le_bytes, |value| value.to_le_bytes();
    u32, 4: u32::from_le_bytes, |value| value.to_le_bytes();
    u64, 8: u64::from_le_bytes, |value| value.to_le_bytes();
    Handle, 8: |bytes| Handle(u64::from_le_bytes(bytes)), |value| value.0.to_le_bytes();
    Guid, 16: Guid::from_bytes, |value| value.to_bytes();
    [u8; 32], 32: |bytes| bytes, |value| *value;
    MapDefinition, 24: definition, definition_bytes;
}

fn definition(bytes: [u8; 24]) -> MapDefinition {
    let word = |index: usize| {
        let at = index * 4;
        bytes[at..]
            .first_chunk()
            .map_or(0, |word| u32::from_le_bytes(*word))
    };
    MapDefinition {
        map_type: word(0),
        key_size: word(1),
        value_size: word(2),
        max_entries: word(3),
        inner_map_id: word(4),
        pinning: word(5),
    }
}

fn definition_bytes(map: &MapDefinition) -> [u8; 24] {
    let words = [
        map.map_type,
        map.key_size,
        map.value_size,
        map.max_entries,
        map.inner_map_id,
        map.pinning,
    ];
    let mut bytes = [0; 24];
    for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
        put(to, &word.to_le_bytes());
    }
    bytes
}

impl<'a> Wire<'a> for &'a [u8] {
    fn read(message: &'a [u8], offset: usize) -> Result<Self, Malformed> {
        message.get(offset..).ok_or(Malformed::Truncated {
            length: message.len(),
            needed: offset,
        })
    }
    fn size(&self) -> usize {
        self.len()
    }
    fn write(&self, out: &mut [u8]) {
        put(out, self);
    }
}

impl<'a, const N: usize> Wire<'a> for Words<'a, N> {
    fn read(message: &'a [u8], offset: usize) -> Result<Self, Malformed> {
        let bytes = <&[u8]>::read(message, offset)?;
        Words::new(bytes).ok_or(Malformed::Tail {
            length: bytes.len(),
            element: N,
        })
    }
    fn size(&self) -> usize {
        self.0.len()
    }
    fn write(&self, out: &mut [u8]) {
        put(out, self.0);
    }
}

/// Reads the header: the message cut to its length, and the operation number.
pub(super) fn open(bytes: &[u8]) -> Result<(&[u8], u32), Malformed> {
    let truncated = |needed| Malformed::Truncated {
        length: bytes.len(),
        needed,
    };
    let length = usize::from(u16::read(bytes, 0).map_err(|_| truncated(HEADER_BYTES))?);
    let number = u32::read(bytes, 4).map_err(|_| truncated(HEADER_BYTES))?;
    if length < HEADER_BYTES {
        return Err(Malformed::Length {
            length,
            expected: HEADER_BYTES,
        });
    }
    let message = bytes.get(..length).ok_or(truncated(length))?;
    Ok((message, number))
}

/// Checks the length against the layout.
pub(super) fn check(message: &[u8], layout: &Layout) -> Result<(), Malformed> {
    let (length, least) = (message.len(), layout.least());
    match layout.tail() {
        None if length != least => Err(Malformed::Length {
            length,
            expected: least,
        }),
        _ if length < least => Err(Malformed::Truncated {
            length,
            needed: least,
        }),
        _ => Ok(()),
    }
}

/// Writes the header of a message of `needed` bytes and zeroes the rest of it.
pub(super) fn begin(out: &mut [u8], number: u32, needed: usize) -> Result<&mut [u8], NoRoom> {
    let length = u16::try_from(needed).map_err(|_| NoRoom { needed })?;
    debug_assert!(needed <= MESSAGE_BYTES, "a u16 is no larger");
    let message = out.get_mut(..needed).ok_or(NoRoom { needed })?;
    message.fill(0);
    put(message, &length.to_le_bytes());
    if let Some(rest) = message.get_mut(4..) {
        put(rest, &number.to_le_bytes());
    }
    Ok(message)
}
