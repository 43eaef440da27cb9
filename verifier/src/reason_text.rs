//! Texts of [`Reason`]: one line that says what is wrong. What to do about it is in `hint`.

use crate::reason::{Bounds, Reason, WrongTarget};
use crate::value::Value;
use crate::words::{Names, bytes, number, signed};
use abi::helper::ArgKind;
use core::fmt;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.message(Names::default()), f)
    }
}

/// The line for a reason, with names from an object.
pub(crate) struct Message<'a> {
    reason: &'a Reason,
    names: Names<'a>,
}

impl Reason {
    /// One line that says what is wrong.
    pub(crate) const fn message<'a>(&'a self, names: Names<'a>) -> Message<'a> {
        Message {
            reason: self,
            names,
        }
    }
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Reason::Size { slots: 0 } => f.write_str("the program has no instructions"),
            Reason::Size { slots } => write!(
                f,
                "the program has {slots} instruction slots; at most {} are allowed",
                abi::limits::PROGRAM_SLOTS
            ),
            Reason::Target { target, wrong } => write_target(f, *target, *wrong),
            Reason::FallsOff => f.write_str("control runs past the end of the function"),
            Reason::Unsupported { what } => write!(f, "{what} is not supported"),
            Reason::Recursion { function } => write!(f, "function {function} can call itself"),
            Reason::CallDepth { frames } => write!(
                f,
                "calls need {frames} frames; at most {} are allowed",
                abi::limits::CALL_FRAMES
            ),
            Reason::UnknownHelper { id, .. } => write!(f, "there is no helper {id}"),
            Reason::Missing { what } => write!(f, "this needs the {what}"),
            Reason::HelperNotAllowed {
                helper,
                program_type,
            } => write!(f, "programs of type {program_type} may not call {helper}"),
            Reason::Unreadable { reg, why } => write!(f, "{reg} is read, but it is {why}"),
            Reason::FramePointerWrite => f.write_str("r10, the frame pointer, is read-only"),
            Reason::PointerArithmetic { reg, found, what } => {
                write!(
                    f,
                    "{what} is not allowed on {reg}, {}",
                    self.names.of(found)
                )
            }
            Reason::PointerOffset { reg, found, added } => write!(
                f,
                "{} is added to {reg}, {}: the result may lie outside any memory",
                number(added),
                self.names.of(found)
            ),
            Reason::PointerComparison { left, right } => {
                let (left, right) = (self.names.of(left), self.names.of(right));
                write!(f, "{left} cannot be compared with {right}")
            }
            Reason::NotAPointer { reg, found } => write!(
                f,
                "memory is accessed through {reg}, which is {}",
                self.names.of(found)
            ),
            Reason::MaybeNull { reg, found } => {
                write!(f, "{reg} may be NULL here: it is {}", self.names.of(found))
            }
            Reason::NoAccess { reg, found, what } => {
                write!(
                    f,
                    "{what} through {reg}, {}, is not allowed",
                    self.names.of(found)
                )
            }
            Reason::StackBounds(bounds) => write_stack_bounds(f, bounds),
            Reason::PacketBounds(bounds) => write_packet_bounds(f, bounds),
            Reason::MapValueBounds(bounds) => write_memory_bounds(
                f,
                bounds,
                format_args!("{}", Owner(self.names, &bounds.found)),
            ),
            Reason::MemoryBounds(bounds) => {
                write_memory_bounds(f, bounds, format_args!("the acquired memory"))
            }
            _ => self.write_more(f),
        }
    }
}

impl Message<'_> {
    /// The second half of the texts.
    fn write_more(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Reason::ContextAccess { .. } => self.write_context(f),
            Reason::ReadOnly { reg, found, what } => {
                write!(
                    f,
                    "{what} is read-only, but it is written through {reg}, {}",
                    self.names.of(found)
                )
            }
            Reason::StackUninitialised { reg, offset } => write!(
                f,
                "the stack byte at r10{offset:+}, read through {reg}, is not initialised"
            ),
            Reason::StackPointer { reg, offset } => write!(
                f,
                "the access through {reg} touches a pointer stored on the stack at r10{offset:+}"
            ),
            Reason::Leak { reg, found, into } => {
                write!(
                    f,
                    "the address in {reg}, {}, would be revealed {into}",
                    self.names.of(found)
                )
            }
            Reason::Argument {
                reg,
                found,
                needs,
                helper,
            } => write!(
                f,
                "{helper} needs {} in {reg}, but it is {}",
                arg_name(*needs),
                self.names.of(found)
            ),
            Reason::ArgumentSize {
                reg,
                found,
                least,
                helper,
            } => write!(
                f,
                "{helper} needs a size {}with a known bound in {reg}, but it is {}",
                AtLeast(*least),
                self.names.of(found)
            ),
            Reason::ArgumentUnsupported { reg, needs, helper } => write!(
                f,
                "{helper} takes {} in {reg}, which is not supported",
                arg_name(*needs)
            ),
            Reason::MapType { map, helper } => {
                write!(
                    f,
                    "{helper} does not work on the type of {}",
                    self.names.map(map_id(*map))
                )
            }
            Reason::NotReleased { acquired, before } => write!(
                f,
                "what the call at {acquired} acquired is not released before {before}"
            ),
            Reason::NotAcquired { reg, found, helper } => write!(
                f,
                "{helper} releases {reg}, {}, which was not acquired",
                self.names.of(found)
            ),
            Reason::Lock { what } => f.write_str(what),
            Reason::ReturnValue { found, range } => write!(
                f,
                "r0 must be between {} and {} at exit, but it is {}",
                range.0,
                range.1,
                self.names.of(found)
            ),
            Reason::ReturnsStack { found } => {
                write!(
                    f,
                    "the function returns {}, which is its own",
                    self.names.of(found)
                )
            }
            Reason::ChainStack { bytes, most } => write!(
                f,
                "the functions that wait here or run take {bytes} bytes of stack; at most {most} are allowed"
            ),
            Reason::Callback { what } => write!(f, "the callback is refused: {what}"),
            Reason::CallbackResult { found, most } => write!(
                f,
                "the callback returns {}; only 0 to {most} is allowed",
                self.names.of(found)
            ),
            Reason::EndlessLoop => f.write_str("the loop comes back to the same state: it may never end"),
            Reason::Budget { steps } => write!(
                f,
                "the analysis did not finish within {steps} steps: the program is too complex or a loop runs too long"
            ),
            Reason::Memory { bytes } => write!(
                f,
                "the analysis did not finish within {} KiB of memory: the program is too complex",
                bytes >> 10
            ),
            Reason::TailCall => f.write_str(
                "tail call in a subprogram: the platform continues with the other program only after the main function returns",
            ),
            Reason::Atomic { reg, found, what } => {
                write!(
                    f,
                    "atomic operation through {reg}, {}: {what}",
                    self.names.of(found)
                )
            }
            Reason::Dynptr { reg, found, what } => write!(
                f,
                "{reg} is {}, the place of a dynamic pointer: {what}",
                self.names.of(found)
            ),
            Reason::PlatformArgument { reg, found } => write!(
                f,
                "{reg}, {}, is passed to a platform function whose prototype is not known",
                self.names.of(found)
            ),
            _ => Ok(()),
        }
    }

    fn write_context(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reason::ContextAccess {
            reg,
            found,
            offset,
            size,
            context,
            field,
        } = self.reason
        else {
            return Ok(());
        };
        match (offset, field) {
            (Some(offset), Some(field)) => write!(
                f,
                "{size} bytes at offset {offset} of {context} are not an access that field {field} allows"
            ),
            (Some(offset), None) => write!(
                f,
                "{context} has no field for {size} bytes at offset {offset}"
            ),
            (None, _) => write!(
                f,
                "{context} is accessed at an unknown offset: {reg} is {}",
                self.names.of(found)
            ),
        }
    }
}

fn write_target(
    f: &mut fmt::Formatter<'_>,
    target: Option<isa::InsnIdx>,
    wrong: WrongTarget,
) -> fmt::Result {
    f.write_str("the target ")?;
    if let Some(target) = target {
        write!(f, "{target} ")?;
    }
    f.write_str(match wrong {
        WrongTarget::OutsideFunction => "is outside the function",
        WrongTarget::MiddleOfInsn => "is the middle of a wide instruction",
        WrongTarget::NotAFunction => "is not the start of a function",
    })
}

/// What a map value belongs to.
struct Owner<'a>(Names<'a>, &'a Value);

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1.pointer().map(|pointer| pointer.region) {
            Some(crate::value::Region::MapValue { map, .. }) => {
                write!(f, "a value of {}", self.0.map(map))
            }
            _ => f.write_str("the map value"),
        }
    }
}

fn map_id(index: usize) -> program::MapId {
    program::MapId(u16::try_from(index).unwrap_or(u16::MAX))
}

/// `byte 3`, `bytes 3 to 6`.
struct Span {
    low: i64,
    high: i64,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.high.saturating_sub(1);
        match self.low >= last {
            true => write!(f, "byte {}", self.low),
            false => write!(f, "bytes {} to {last}", self.low),
        }
    }
}

impl Bounds {
    fn span(&self) -> Span {
        Span {
            low: self.low,
            high: self.high,
        }
    }

    /// `is accessed`, `may be accessed` where the place is not known exactly.
    fn verb(&self) -> &'static str {
        let bytes = self.high.saturating_sub(self.low);
        match bytes <= self.size {
            true if bytes == 1 => "is accessed",
            true => "are accessed",
            false => "may be accessed",
        }
    }
}

fn write_stack_bounds(f: &mut fmt::Formatter<'_>, bounds: &Bounds) -> fmt::Result {
    let (low, last) = (bounds.low, bounds.high.saturating_sub(1));
    write!(
        f,
        "the bytes from r10 {} to r10 {} {}, but the frame goes from r10 {} to r10 - 1",
        signed(low),
        signed(last),
        bounds.verb(),
        signed(bounds.first)
    )
}

fn write_packet_bounds(f: &mut fmt::Formatter<'_>, bounds: &Bounds) -> fmt::Result {
    let Bounds { reg, found, .. } = bounds;
    let pointer = found.pointer();
    let unknown = pointer.is_some_and(|pointer| pointer.known_offset().is_none());
    if unknown {
        let fixed = pointer.map_or(0, |pointer| i64::from(pointer.fixed));
        let behind = bounds.end.saturating_sub(fixed);
        let size = bytes(bounds.high.saturating_sub(bounds.low));
        let from = signed(bounds.low.saturating_sub(fixed));
        write!(f, "{size} at {reg} {from} {}, but ", bounds.verb())?;
        return match bounds.end {
            0 => write!(f, "{reg} was not compared with the end of the packet"),
            _ => write!(
                f,
                "the packet is only known to reach to {reg} {}",
                signed(behind)
            ),
        };
    }
    if bounds.low < 0 {
        return write!(
            f,
            "{} of the packet: that is before its start",
            bounds.span()
        );
    }
    write!(f, "{} of the packet {}, but ", bounds.span(), bounds.verb())?;
    match bounds.end {
        0 => f.write_str("it may be empty"),
        end => write!(f, "only the first {} are known to exist", bytes(end)),
    }
}

fn write_memory_bounds(
    f: &mut fmt::Formatter<'_>,
    bounds: &Bounds,
    what: fmt::Arguments<'_>,
) -> fmt::Result {
    write!(
        f,
        "{} of {what} {}, but it has {}",
        bounds.span(),
        bounds.verb(),
        bytes(bounds.end.saturating_sub(bounds.first))
    )
}

/// What an argument must be, in words.
pub(crate) const fn arg_name(kind: ArgKind) -> &'static str {
    match kind {
        ArgKind::None => "nothing",
        ArgKind::Anything => "a number",
        ArgKind::ConstSize => "a size, not zero",
        ArgKind::ConstSizeOrZero => "a size",
        ArgKind::Context => "the context pointer",
        ArgKind::ContextOrNull => "the context pointer or NULL",
        ArgKind::Map => "a map",
        ArgKind::MapOfPrograms => "a map of programs",
        ArgKind::MapKey => "a pointer to a key of the map",
        ArgKind::MapValue => "a pointer to a value for the map",
        ArgKind::MapValueOrNull => "a pointer to a value for the map or NULL",
        ArgKind::MapValueOut => "a pointer to space for a value of the map",
        ArgKind::ReadableMem => "a pointer to readable memory",
        ArgKind::ReadableMemOrNull => "a pointer to readable memory or NULL",
        ArgKind::WritableMem | ArgKind::InOutMem => "a pointer to writable memory",
        ArgKind::WritableMemOrNull => "a pointer to writable memory or NULL",
        ArgKind::Stack => "a pointer to the stack",
        ArgKind::FixedMem(_) => "a pointer to readable memory of a fixed size",
        ArgKind::FixedMemOut(_) => "a pointer to writable memory of a fixed size",
        ArgKind::ConstAllocSize => "a constant size",
        ArgKind::AllocMem => "a pointer to acquired memory",
        ArgKind::Socket => "a socket",
        ArgKind::SocketOrNull => "a socket or NULL",
        ArgKind::Callback => "a function of the program",
        ArgKind::CallbackContext => "a pointer to the stack or NULL",
        ArgKind::SpinLock => "a spin lock in a map value",
        ArgKind::Timer => "a timer in a map value",
        ArgKind::MapMem => "a pointer to writable memory in a map value",
        ArgKind::Dynptr => "a dynamic pointer",
        ArgKind::DynptrRecord => "a dynamic pointer to a record of a ring buffer",
        ArgKind::BufferOrNull => "a pointer to the stack or into a map value, or NULL",
        ArgKind::DynptrOut(_) | ArgKind::DynptrCopy => "space for a dynamic pointer on the stack",
        ArgKind::BtfId => "a kernel object",
        ArgKind::ConstStr => "a constant string",
        ArgKind::Address => "something",
        ArgKind::KernelType => "the number of a structure in the kernel's BTF (--btf)",
    }
}

/// A least size, where there is one worth telling.
struct AtLeast(i64);

impl fmt::Display for AtLeast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ..=0 => Ok(()),
            least => write!(f, "of at least {least} "),
        }
    }
}
