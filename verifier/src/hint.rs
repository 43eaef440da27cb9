//! What to do about a [`Reason`], and what was needed, as concrete as the data allows.

use crate::reason::{Bounds, Reason};
use crate::reason_text::arg_name;
use crate::value::{Region, Unreadable, Value};
use crate::words::{bytes, number, signed};
use alloc::{format, string::String};
use isa::Reg;

impl Reason {
    /// The registers that the problem is about.
    pub(crate) fn subjects(&self) -> [Option<Reg>; 2] {
        match self {
            Reason::Unreadable { reg, .. }
            | Reason::PointerArithmetic { reg, .. }
            | Reason::PointerOffset { reg, .. }
            | Reason::NotAPointer { reg, .. }
            | Reason::MaybeNull { reg, .. }
            | Reason::NoAccess { reg, .. }
            | Reason::ContextAccess { reg, .. }
            | Reason::ReadOnly { reg, .. }
            | Reason::StackUninitialised { reg, .. }
            | Reason::StackPointer { reg, .. }
            | Reason::Leak { reg, .. }
            | Reason::Argument { reg, .. }
            | Reason::ArgumentSize { reg, .. }
            | Reason::ArgumentUnsupported { reg, .. }
            | Reason::NotAcquired { reg, .. }
            | Reason::Atomic { reg, .. }
            | Reason::Dynptr { reg, .. }
            | Reason::PlatformArgument { reg, .. } => [Some(*reg), None],
            Reason::StackBounds(bounds)
            | Reason::PacketBounds(bounds)
            | Reason::MapValueBounds(bounds)
            | Reason::MemoryBounds(bounds) => [Some(bounds.reg), None],
            Reason::ReturnValue { .. }
            | Reason::CallbackResult { .. }
            | Reason::ReturnsStack { .. } => [Some(Reg::R0), None],
            _ => [None, None],
        }
    }

    /// What would have been needed, when that says more than the message.
    pub(crate) fn needed(&self) -> Option<String> {
        Some(match self {
            Reason::PacketBounds(bounds) if bounds.high > 0 && bounds.low >= 0 => {
                format!("{} {} <= data_end", bounds.reg, signed(behind(bounds)))
            }
            Reason::MapValueBounds(bounds)
            | Reason::MemoryBounds(bounds)
            | Reason::StackBounds(bounds)
                if last_start(bounds) >= bounds.first =>
            {
                format!(
                    "{} at an offset between {} and {}",
                    bytes(bounds.size),
                    bounds.first,
                    last_start(bounds)
                )
            }
            Reason::PointerOffset { .. } => format!(
                "a number between -{most} and {most}",
                most = crate::limits::POINTER_OFFSET
            ),
            _ => return None,
        })
    }

    /// What would fix it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Reason::PacketBounds(bounds) if bounds.high > 0 && bounds.low >= 0 => packet(bounds),
            Reason::StackBounds(bounds)
            | Reason::MapValueBounds(bounds)
            | Reason::MemoryBounds(bounds) => bounds_hint(bounds),
            Reason::PointerOffset { added, .. } if added.is_const().is_some() => {
                "correct the number: no memory is so large".into()
            }
            Reason::PointerOffset { added, .. } if added.smin() < 0 => format!(
                "the number may be negative ({}): make it unsigned, or check that it is not below 0 before adding it",
                number(added)
            ),
            Reason::PointerOffset { .. } => {
                "give the number an upper bound before adding it: `if (n > MAX) return ...;` or `n &= MASK`".into()
            }
            Reason::Unreadable { why, .. } => unreadable(*why),
            Reason::UnknownHelper {
                elsewhere: Some(name),
                ..
            } => format!(
                "on the other platform this number is {name}; compile with that platform's headers or use --platform"
            ),
            Reason::MaybeNull { reg, .. } => format!(
                "compare the pointer in {reg} with NULL before this instruction and leave when it is: `if (!p) return ...;`"
            ),
            Reason::NotAPointer { found, .. } if found.is_zero() => {
                "this is the branch where the pointer is NULL: use it on the other one".into()
            }
            Reason::Argument { needs, found, .. } => argument(*needs, found),
            Reason::ArgumentSize { least, reg, found, .. } => size(*least, *reg, found),
            Reason::ReturnValue { range, .. } => {
                format!("return a constant between {} and {}", range.0, range.1)
            }
            Reason::NotReleased { acquired, .. } => format!(
                "release or submit what {acquired} acquired on this path too, before it ends"
            ),
            _ => abi::diagnostic::row(self.code())
                .map_or("", |row| row.help)
                .into(),
        }
    }
}

/// Bytes from the register to the end of the access.
fn behind(bounds: &Bounds) -> i64 {
    let fixed = bounds.found.pointer().map_or(0, |p| i64::from(p.fixed));
    bounds.high.saturating_sub(fixed)
}

fn packet(bounds: &Bounds) -> String {
    let (reg, behind) = (bounds.reg, behind(bounds));
    let more = match bounds.found.pointer().map(|pointer| pointer.region) {
        Some(Region::Packet { id, .. }) if id != 0 => {
            "; compare this very pointer: one computed again has another unknown offset"
        }
        _ => "",
    };
    format!(
        "compare {reg} {sign} with data_end before this access: `if ((void *)p {sign} > data_end) return ...;`{more}",
        sign = signed(behind)
    )
}

fn last_start(bounds: &Bounds) -> i64 {
    bounds.end.saturating_sub(bounds.size)
}

/// Where an access of this size may begin.
fn bounds_hint(bounds: &Bounds) -> String {
    let size = bytes(bounds.size);
    let (first, last) = (bounds.first, last_start(bounds));
    if last < first {
        return format!(
            "{size} do not fit: there are only {}",
            bytes(bounds.end.saturating_sub(first))
        );
    }
    let var = bounds.found.pointer().map(|pointer| pointer.var);
    let Some(var) = var.filter(|var| var.is_const().is_none()) else {
        let fit = if bounds.size == 1 { "fits" } else { "fit" };
        return format!(
            "{size} {fit} at offsets {first} to {last}: correct the offset or the size"
        );
    };
    let room = last.saturating_sub(bounds.low.saturating_sub(var.smin()));
    if bounds.low < first {
        return format!(
            "the index may be too small ({}): make it unsigned, or check its lower bound",
            number(&var)
        );
    }
    format!(
        "bound the index before using it: the part of the offset that varies may be at most {room}, it is {}",
        number(&var)
    )
}

fn unreadable(why: Unreadable) -> String {
    match why {
        Unreadable::PacketMoved(_) => {
            "load data and data_end from the context again after the call, and compare again"
        }
        Unreadable::Clobbered => {
            "calls do not keep r1 to r5: keep the value in r6 to r9 or on the stack"
        }
        Unreadable::Released(_) => "use it before it is released",
        Unreadable::DynptrLost(_) => {
            "use the slice before its dynamic pointer is made anew, or keep that one in another variable"
        }
        Unreadable::FrameLeft => "let the caller own the memory and pass a pointer to it",
        Unreadable::Uninitialised | Unreadable::NotPassed => {
            "give the variable a value on every path before it is used"
        }
    }
    .into()
}

fn argument(needs: abi::ArgKind, found: &Value) -> String {
    if found.pointer().is_some_and(|pointer| pointer.null != 0) {
        return "compare it with NULL first and leave when it is: `if (!p) return ...;`".into();
    }
    format!("pass {} here", arg_name(needs))
}

fn size(least: i64, reg: Reg, found: &Value) -> String {
    let Some(scalar) = found.scalar() else {
        return "pass a number".into();
    };
    if scalar.smin() < 0 {
        return format!(
            "{reg} may be negative: make the size unsigned and give it an upper bound, `if (n > MAX) return ...;`"
        );
    }
    if scalar.smin() < least {
        return format!(
            "{reg} may be {}: leave first in that case, `if (n == 0 || n > MAX) return ...;`",
            scalar.smin()
        );
    }
    format!("give {reg} an upper bound: `if (n > MAX) return ...;`")
}
