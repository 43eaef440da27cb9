//! Texts of [`Reason`]: one line that says what is wrong, one that says what would fix it.

use crate::reason::{Bounds, Reason, WrongTarget};
use crate::value::Unreadable;
use abi::helper::ArgKind;
use alloc::{format, string::String};
use core::fmt;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
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
            Reason::HelperNotAllowed {
                helper,
                program_type,
            } => write!(f, "programs of type {program_type} may not call {helper}"),
            Reason::Unreadable { reg, why } => write!(f, "{reg} is read, but it is {why}"),
            Reason::FramePointerWrite => f.write_str("r10, the frame pointer, is read-only"),
            Reason::PointerArithmetic { reg, found, what } => {
                write!(f, "{what} is not allowed on {reg} = {found}")
            }
            Reason::PointerOffset { reg, found, added } => write!(
                f,
                "adding number {added} may move {reg} = {found} out of any memory"
            ),
            Reason::PointerComparison { left, right } => {
                write!(f, "{left} cannot be compared with {right}")
            }
            Reason::NotAPointer { reg, found } => {
                write!(f, "memory is accessed through {reg}, but it holds {found}")
            }
            Reason::MaybeNull { reg, found } => {
                write!(f, "{reg} may be NULL here: it holds {found}")
            }
            Reason::NoAccess { reg, found, what } => {
                write!(f, "{what} through {reg} = {found} is not allowed")
            }
            Reason::StackBounds(bounds) => write_bounds(f, "the stack frame", bounds),
            Reason::PacketBounds(bounds) => {
                write_bounds(f, "the proven part of the packet", bounds)
            }
            Reason::MapValueBounds(bounds) => write_bounds(f, "the map value", bounds),
            Reason::MemoryBounds(bounds) => write_bounds(f, "the memory", bounds),
            _ => self.write_more(f),
        }
    }
}

impl Reason {
    /// The second half of the texts.
    fn write_more(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::ContextAccess { .. } => self.write_context(f),
            Reason::ReadOnly { reg, found, what } => {
                write!(f, "write through {reg} = {found}, but {what} is read-only")
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
                write!(f, "{reg} = {found} would be revealed {into}")
            }
            Reason::Argument {
                reg,
                found,
                needs,
                helper,
            } => write!(
                f,
                "{helper} needs {} in {reg}, but it holds {found}",
                arg_name(*needs)
            ),
            Reason::ArgumentSize {
                reg,
                found,
                least,
                helper,
            } => write!(
                f,
                "{helper} needs a size of at least {least} with a known bound in {reg}, but it holds {found}"
            ),
            Reason::ArgumentUnsupported { reg, needs, helper } => write!(
                f,
                "{helper} takes {} in {reg}, which is not supported",
                arg_name(*needs)
            ),
            Reason::MapType { map, helper } => {
                write!(f, "{helper} does not work on the type of map m{map}")
            }
            Reason::NotReleased { acquired, before } => write!(
                f,
                "what the call at {acquired} acquired is not released before {before}"
            ),
            Reason::NotAcquired { reg, found, helper } => write!(
                f,
                "{helper} releases {reg} = {found}, which holds no reference"
            ),
            Reason::Lock { what } => f.write_str(what),
            Reason::ReturnValue { found, range } => write!(
                f,
                "r0 must be between {} and {} at exit, but it is {found}",
                range.0, range.1
            ),
            Reason::ReturnsStack { found } => {
                write!(f, "the function returns r0 = {found}, a part of its own frame")
            }
            Reason::Callback { what } => write!(f, "the callback is refused: {what}"),
            Reason::CallbackResult { found, most } => write!(
                f,
                "the callback returns {found}; only 0 to {most} is allowed"
            ),
            Reason::EndlessLoop => f.write_str("the loop comes back to the same state: it may never end"),
            Reason::Budget { steps } => write!(
                f,
                "the analysis did not finish within {steps} steps: the program is too complex or a loop runs too long"
            ),
            Reason::Memory { states } => write!(
                f,
                "the analysis did not finish with {states} states in memory: the program is too complex"
            ),
            Reason::TailCall => f.write_str(
                "tail call in a subprogram: the platform continues with the other program only after the main function returns",
            ),
            Reason::Atomic { reg, found, what } => {
                write!(f, "atomic operation through {reg} = {found}: {what}")
            }
            Reason::PlatformArgument { reg, found } => write!(
                f,
                "{reg} = {found} is passed to a platform function whose prototype is not known"
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
        } = self
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
                "{context} is accessed at an unknown offset: {reg} = {found}"
            ),
        }
    }

    /// What would fix it, as concrete as the data allows.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Reason::PacketBounds(bounds) if bounds.high > 0 => format!(
                "compare first: `if (data + {} > data_end) return ...;` and use the same pointer for the access",
                bounds.high
            ),
            Reason::MapValueBounds(bounds) | Reason::MemoryBounds(bounds) => bounds_hint(bounds),
            Reason::Unreadable {
                why: Unreadable::PacketMoved(_),
                ..
            } => "load data and data_end from the context again after the call, and compare again"
                .into(),
            Reason::UnknownHelper {
                elsewhere: Some(name),
                ..
            } => format!(
                "on the other platform this number is {name}; compile with that platform's headers or use --platform"
            ),
            Reason::MaybeNull { reg, .. } => {
                format!("compare {reg} with NULL first and leave on NULL")
            }
            Reason::ArgumentSize { least: 1, reg, .. } => format!(
                "make sure that {reg} is not 0 and has an upper bound: `if (n == 0 || n > MAX) return ...;`"
            ),
            Reason::ReturnValue { range, .. } => {
                format!("return a constant between {} and {}", range.0, range.1)
            }
            _ => abi::diagnostic::row(self.code())
                .map_or("", |row| row.help)
                .into(),
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

fn write_bounds(f: &mut fmt::Formatter<'_>, what: &str, bounds: &Bounds) -> fmt::Result {
    let Bounds {
        reg,
        found,
        low,
        high,
        first,
        end,
        ..
    } = bounds;
    write!(
        f,
        "the access through {reg} = {found} may touch bytes {low} to {}, ",
        high.saturating_sub(1)
    )?;
    if end <= first {
        write!(f, "but no byte of {what} is")?;
        return f.write_str(" known to exist");
    }
    write!(f, "outside {what} ({first} to {})", end.saturating_sub(1))
}

/// Where an access of this size may begin.
fn bounds_hint(bounds: &Bounds) -> String {
    let size = bounds.size;
    let last = bounds.end.saturating_sub(size);
    if last < bounds.first {
        return format!(
            "{size} bytes are accessed, but there are only {}",
            bounds.end.saturating_sub(bounds.first)
        );
    }
    format!(
        "{size} bytes fit at offsets {} to {last}; bound the index before using it",
        bounds.first
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
        ArgKind::WritableMem => "a pointer to writable memory",
        ArgKind::WritableMemOrNull => "a pointer to writable memory or NULL",
        ArgKind::Stack => "a pointer to the stack",
        ArgKind::FixedMem(_) => "a pointer to readable memory of a fixed size",
        ArgKind::FixedMemOut(_) => "a pointer to writable memory of a fixed size",
        ArgKind::ConstAllocSize => "a constant size",
        ArgKind::AllocMem => "a pointer to acquired memory",
        ArgKind::Socket => "a socket",
        ArgKind::Callback => "a function of the program",
        ArgKind::CallbackContext => "a pointer to the stack or NULL",
        ArgKind::SpinLock => "a spin lock in a map value",
        ArgKind::Timer => "a timer in a map value",
        ArgKind::DynPtr => "a dynamic pointer",
        ArgKind::BtfId => "a kernel object",
        ArgKind::ConstStr => "a constant string",
    }
}
