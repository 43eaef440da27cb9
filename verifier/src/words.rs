//! What a register holds, as a phrase for people: "a packet pointer at offset 14", "the number 7".
//!
//! [`Value`]'s own `Display` is the short form for listings of states; this is the form for
//! sentences. Maps are called by their names when the object is at hand.

use crate::domain::Scalar;
use crate::value::{Kernel, Pointer, Region, Value};
use alloc::{format, string::String};
use core::fmt;
use program::{MapId, Object};

/// Where names come from.
#[derive(Clone, Copy, Default)]
pub(crate) struct Names<'a>(pub(crate) Option<&'a Object>);

/// A value in words.
pub(crate) struct Words<'a> {
    value: &'a Value,
    names: Names<'a>,
}

impl<'a> Names<'a> {
    /// The phrase for a value.
    pub(crate) fn of(self, value: &'a Value) -> Words<'a> {
        Words { value, names: self }
    }

    /// What a map is called.
    pub(crate) fn map(self, id: MapId) -> String {
        match self.0.and_then(|object| object.map(id)) {
            Some(map) => format!("map `{}`", map.name),
            None => format!("map {id}"),
        }
    }

    fn kernel(self, ty: Kernel) -> Option<&'a str> {
        match ty {
            Kernel::Unknown => None,
            Kernel::Named(name) => Some(name),
            Kernel::Typed(ty) => Some(self.0?.kernel.as_ref()?.name(ty)),
        }
    }

    fn value_bytes(self, id: MapId) -> String {
        match self.0.and_then(|object| object.map(id)) {
            Some(map) => format!(" ({})", bytes(map.value_size.into())),
            None => String::new(),
        }
    }
}

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Value::Unreadable(why) => write!(f, "{why}"),
            Value::Number { scalar, .. } => f.write_str(&number(scalar)),
            Value::Pointer(pointer) => self.pointer(f, pointer),
        }
    }
}

impl Words<'_> {
    fn pointer(&self, f: &mut fmt::Formatter<'_>, pointer: &Pointer) -> fmt::Result {
        self.region(f, pointer.region)?;
        let offset = offset(pointer);
        match pointer.region {
            Region::Context
            | Region::PacketEnd
            | Region::Kernel { .. }
            | Region::Socket { .. }
            | Region::MapValue { .. }
            | Region::MapKey { .. }
            | Region::Memory { .. }
            | Region::Slice(_)
            | Region::Dynptr(_)
                if offset == "0" => {}
            Region::Map { .. } | Region::Function { .. } => {}
            Region::Stack { .. } => match pointer.known_offset() {
                Some(0) => f.write_str(" (r10)")?,
                Some(known) => write!(f, " (r10 {})", signed(known))?,
                None => write!(f, " (r10 + {offset})")?,
            },
            Region::Context => write!(f, " + {offset}")?,
            _ => write!(f, " at offset {offset}")?,
        }
        if pointer.null != 0 {
            f.write_str(", or NULL")?;
        }
        Ok(())
    }

    fn region(&self, f: &mut fmt::Formatter<'_>, region: Region) -> fmt::Result {
        match region {
            Region::Context => f.write_str("the context pointer"),
            Region::Stack { frame: 0 } => f.write_str("a pointer to the stack"),
            Region::Stack { frame } => {
                write!(f, "a pointer to the stack of the function at depth {frame}")
            }
            Region::Packet { .. } => f.write_str("a packet pointer"),
            Region::PacketMeta { .. } => f.write_str("a pointer to packet metadata"),
            Region::PacketEnd => f.write_str("the end of the packet"),
            Region::MapValue { map, .. } => write!(
                f,
                "a pointer to a value{} of {}",
                self.names.value_bytes(map),
                self.names.map(map)
            ),
            Region::MapKey { map } => write!(f, "a pointer to a key of {}", self.names.map(map)),
            Region::Map { map, inner: false } => f.write_str(&self.names.map(map)),
            Region::Map { map, inner: true } => write!(f, "a map like {}", self.names.map(map)),
            Region::Memory { size, .. } => {
                write!(f, "a pointer to {} of acquired memory", bytes(size.into()))
            }
            Region::Socket { .. } => f.write_str("a socket"),
            Region::Kernel { ty, .. } => match self.names.kernel(ty) {
                Some(name) => write!(f, "a pointer to `struct {name}` of the kernel"),
                None => f.write_str("a kernel object"),
            },
            Region::Function { start } => write!(f, "the function at {start}"),
            Region::Dynptr(dynptr) => write!(f, "a {dynptr}"),
            Region::Slice(slice) => {
                let size = bytes(slice.size.into());
                write!(f, "a pointer to {size} of a dynamic pointer's memory")
            }
        }
    }
}

/// `1 byte`, `8 bytes`.
pub(crate) fn bytes(count: i64) -> String {
    match count {
        1 => "1 byte".into(),
        _ => format!("{count} bytes"),
    }
}

/// A number in words.
pub(crate) fn number(scalar: &Scalar) -> String {
    let text = format!("{scalar}");
    match text.strip_prefix("= ") {
        Some(known) => format!("the number {known}"),
        None if text == "unknown" => "a number of which nothing is known".into(),
        None if text.starts_with('[') => format!("a number in {text}"),
        None => format!("a number with {text}"),
    }
}

/// `14`, `14 + [0, 60] multiple of 4`.
fn offset(pointer: &Pointer) -> String {
    if let Some(known) = pointer.known_offset() {
        return format!("{known}");
    }
    match pointer.fixed {
        0 => format!("{}", pointer.var),
        fixed => format!("{fixed} + {}", pointer.var),
    }
}

/// What a comparison with the end of the packet has proved about this pointer.
pub(crate) fn proved(name: &str, pointer: &Pointer) -> Option<String> {
    let (Region::Packet { id, range } | Region::PacketMeta { id, range }) = pointer.region else {
        return None;
    };
    let end = match pointer.region {
        Region::Packet { .. } => "data_end",
        _ => "data",
    };
    let range = i64::from(range);
    Some(match (id, range) {
        (_, 0) => format!("{name} was not compared with {end} on this path"),
        (0, _) => format!(
            "{end} is only known to be >= {range} (the packet has at least {})",
            bytes(range)
        ),
        _ => {
            let behind = range.saturating_sub(i64::from(pointer.fixed));
            format!("{end} is only known to be >= {name} {}", signed(behind))
        }
    })
}

/// The bytes of the packet that are known to exist, seen from this pointer.
pub(crate) fn existing(pointer: &Pointer) -> Option<String> {
    let (Region::Packet { id, range } | Region::PacketMeta { id, range }) = pointer.region else {
        return None;
    };
    let behind = i64::from(range).saturating_sub(i64::from(pointer.fixed));
    match id {
        _ if range == 0 => None,
        0 => Some(format!(
            "the packet has at least {}",
            bytes(i64::from(range))
        )),
        _ if behind <= 0 => None,
        _ => Some(format!("{} behind it exist", bytes(behind))),
    }
}

/// `+ 4`, `- 4`.
pub(crate) fn signed(number: i64) -> String {
    let sign = if number < 0 { '-' } else { '+' };
    format!("{sign} {}", number.unsigned_abs())
}
