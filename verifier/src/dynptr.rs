//! Dynamic pointers: 16 bytes of stack that only helpers look into, and say where memory is and how
//! much of it there is.
//!
//! A helper makes one in space on the stack, others read and write through it with bounds that are
//! checked when the program runs, and some hand out a *slice*: a pointer to memory of a constant
//! size, or NULL. One that describes a record of a ring buffer is a reference, whether or not there
//! was room for the record, until it is submitted or discarded.
//!
//! Invariant: the two halves of a dynamic pointer are stored like pointers in the two slots, with
//! one number. Nothing but a helper that makes one puts them there, and no load gets them, so they
//! are what the helper made as long as both are there.
//!
//! Invariant: memory outlives its slices. That of a map value lives as long as the program runs; a
//! slice of a record carries its reference, and one of a packet dies when the packet is moved. That
//! slices also end when their dynamic pointer is overwritten is the kernel's wish, not needed for
//! that.

use crate::argument::{Argument, Arguments};
use crate::effect::{Bytes, Effect};
use crate::memory::{Access, Base, Span};
use crate::reason::Reason;
use crate::stack::Byte;
use crate::step::Step;
use crate::value::{Buffer, Dynptr, Part, Region, Slice, Value};
use abi::{ArgKind, DynptrKind, Helper, ReturnKind};
use isa::Reg;

/// Bytes of `struct bpf_dynptr`.
const BYTES: i64 = 16;
/// Its alignment.
const ALIGN: i64 = 8;

/// The place of a dynamic pointer on the stack.
#[derive(Clone, Copy)]
pub(crate) struct Space {
    frame: u8,
    low: i64,
}

impl Space {
    fn bytes(self) -> Bytes {
        Bytes::new(self.frame, self.low, self.low.saturating_add(BYTES))
    }
}

/// Does the helper write to a packet through its dynamic pointer, which may move the packet?
pub(crate) fn writes_packet(helper: &Helper, arguments: &Arguments) -> bool {
    let kind = arguments.dynptr.map(|dynptr| dynptr.kind);
    helper.writes_dynptr() && matches!(kind, Some(DynptrKind::Skb | DynptrKind::Any))
}

/// The slice that a helper returns.
pub(crate) fn slice_of(helper: &Helper, arguments: &Arguments) -> Option<Slice> {
    let dynptr = arguments.dynptr?;
    Some(Slice {
        size: arguments.alloc_size,
        dynptr: dynptr.id,
        reference: dynptr.reference,
        of: dynptr.kind,
        writable: helper.ret == ReturnKind::SliceOrNull,
        buffer: arguments.buffer,
    })
}

/// Checks an access to a slice.
pub(crate) fn check_slice(
    base: &Base,
    slice: Slice,
    span: Span,
    access: Access,
) -> Result<(), Reason> {
    if access == Access::Write && !slice.writable {
        return Err(Reason::ReadOnly {
            reg: base.reg,
            found: base.found(),
            what: "the slice",
        });
    }
    base.within(span, i64::from(slice.size))
}

fn misused(argument: &Argument<'_>, what: &'static str) -> Reason {
    Reason::Dynptr {
        reg: argument.reg,
        found: argument.found,
        what,
    }
}

/// The dynamic pointer of somebody else that a register points to.
pub(crate) fn handed_dynptr(found: &Value) -> Option<Dynptr> {
    let pointer = found.pointer().filter(|pointer| pointer.null == 0)?;
    match pointer.region {
        Region::Dynptr(dynptr) if dynptr.part == Part::Whole => Some(dynptr),
        _ => None,
    }
}

impl Step<'_, '_> {
    /// The 16 bytes of stack that a register points to; `None` when that is no pointer to the stack.
    fn dynptr_place(&mut self, reg: Reg, found: Value) -> Option<Result<Space, Reason>> {
        let pointer = *found.pointer().filter(|pointer| pointer.null == 0)?;
        let Region::Stack { frame } = pointer.region else {
            return None;
        };
        let base = Base { reg, pointer };
        if let Err(outside) = self.check_stack(&base, frame, base.span(0, BYTES)) {
            return Some(Err(outside));
        }
        let what = match pointer.known_offset() {
            Some(low) if low % ALIGN == 0 => return Some(Ok(Space { frame, low })),
            Some(_) => "its place is not aligned to 8 bytes",
            None => "its place is not known exactly",
        };
        Some(Err(Reason::Dynptr { reg, found, what }))
    }

    /// The dynamic pointer that a register points to; `None` when it cannot point to one.
    pub(crate) fn made_dynptr(&mut self, reg: Reg, found: Value) -> Option<Result<Dynptr, Reason>> {
        let place = match self.dynptr_place(reg, found)? {
            Ok(place) => place,
            Err(wrong) => return Some(Err(wrong)),
        };
        self.trail.note(Effect::Inspect(place.bytes()));
        let frame = self.state.frame(place.frame);
        let dynptr = frame.and_then(|frame| frame.stack.dynptr_at(place.low));
        let what = "none was made there, or it is gone";
        Some(dynptr.ok_or(Reason::Dynptr { reg, found, what }))
    }

    /// A dynamic pointer that a helper uses or makes.
    pub(crate) fn dynptr_argument(
        &mut self,
        argument: Argument<'_>,
        arguments: &mut Arguments,
    ) -> Result<(), Reason> {
        match argument.kind {
            ArgKind::DynptrOut(kind) => {
                arguments.makes = Some((Some(kind), self.dynptr_space(argument)?));
            }
            ArgKind::DynptrCopy => {
                let of = arguments.first.pointer().map(|pointer| pointer.region);
                if !matches!(of, Some(Region::Stack { .. })) {
                    return Err(misused(&argument, "a copy of that of somebody else"));
                }
                arguments.makes = Some((None, self.dynptr_space(argument)?));
            }
            _ => {
                let used = self.used_dynptr(argument)?;
                arguments.dynptr.get_or_insert(used);
            }
        }
        Ok(())
    }

    /// A dynamic pointer that was made before.
    fn used_dynptr(&mut self, argument: Argument<'_>) -> Result<Dynptr, Reason> {
        let handed = handed_dynptr(&argument.found);
        if let Some(dynptr) = handed.filter(|_| argument.kind == ArgKind::Dynptr) {
            return Ok(dynptr);
        }
        let made = self.made_dynptr(argument.reg, argument.found);
        let dynptr = made.ok_or_else(|| argument.refuse())??;
        if argument.kind == ArgKind::DynptrRecord && dynptr.kind != DynptrKind::Record {
            return Err(misused(&argument, "it is not that of a ring buffer"));
        }
        Ok(dynptr)
    }

    /// The place where a helper makes a dynamic pointer.
    fn dynptr_space(&mut self, argument: Argument<'_>) -> Result<Space, Reason> {
        let place = self.dynptr_place(argument.reg, argument.found);
        let place = place.ok_or_else(|| argument.refuse())??;
        let pointer = argument.found.pointer().copied();
        let base = Base {
            reg: argument.reg,
            pointer: pointer.ok_or_else(|| argument.refuse())?,
        };
        self.overwrite_dynptrs((&base, place.frame), base.span(0, BYTES))?;
        Ok(place)
    }

    /// Makes the dynamic pointer that a helper makes.
    pub(crate) fn make_dynptr(&mut self, arguments: &Arguments) -> Result<(), Reason> {
        let Some((kind, place)) = arguments.makes else {
            return Ok(());
        };
        let (kind, reference) = match (kind, arguments.dynptr) {
            (Some(kind @ DynptrKind::Record), _) => (kind, self.acquire()?),
            (Some(kind), _) => (kind, 0),
            (None, Some(of)) => (of.kind, of.reference),
            (None, None) => return Ok(()),
        };
        let dynptr = Dynptr {
            kind,
            id: self.fresh(),
            reference,
            part: Part::Whole,
        };
        if let Some(frame) = self.state.frame_mut(place.frame) {
            frame.stack.put_dynptr(place.low, dynptr);
        }
        self.trail.note(Effect::Overwrite(place.bytes()));
        Ok(())
    }

    /// Refuses what is done to stack bytes where there is a dynamic pointer.
    pub(crate) fn no_dynptr(
        &self,
        (base, frame): (&Base, u8),
        span: Span,
        what: &'static str,
    ) -> Result<(), Reason> {
        let frame = self.state.frame(frame);
        match frame.and_then(|frame| frame.stack.dynptr_in(span.low, span.high)) {
            Some(_) => Err(Reason::Dynptr {
                reg: base.reg,
                found: Value::Pointer(base.pointer),
                what,
            }),
            None => Ok(()),
        }
    }

    /// The program writes stack bytes: a dynamic pointer there is lost, with its slices. One that
    /// must be released must not be.
    pub(crate) fn overwrite_dynptrs(
        &mut self,
        (base, frame): (&Base, u8),
        span: Span,
    ) -> Result<(), Reason> {
        while let Some(state) = self.state.frame(frame)
            && let Some(lost) = state.stack.dynptr_in(span.low, span.high)
        {
            if lost.reference != 0 {
                return self.no_dynptr((base, frame), span, "it must be released first");
            }
            self.state.lose_dynptr(lost.id, self.at);
        }
        let bytes = (frame, span.low, span.high);
        self.state.take_back_buffer(bytes, self.at);
        Ok(())
    }

    /// Memory that the slice to be returned may be: of a map value, which stays, or of the stack,
    /// where the slice is given up as soon as the program writes there by itself. Other memory may
    /// be gone before the slice is.
    pub(crate) fn buffer_argument(
        &mut self,
        argument: Argument<'_>,
        arguments: &mut Arguments,
    ) -> Result<(), Reason> {
        let writes = argument.helper.ret == ReturnKind::SliceOrNull;
        if writes && !self.env.program.program_type.packet_writable {
            return Err(Reason::ReadOnly {
                reg: Reg::R1,
                found: arguments.first,
                what: "the packet in this program type",
            });
        }
        if argument.found.is_zero() {
            return Ok(());
        }
        let size_reg = Reg::new(argument.reg.number().saturating_add(1));
        let size = size_reg.map(|reg| self.size_argument(reg, 0, argument.helper));
        let size = size.ok_or_else(|| argument.refuse())??.most;
        let pointer = argument.found.pointer().filter(|pointer| pointer.null == 0);
        let pointer = *pointer.ok_or_else(|| argument.refuse())?;
        let base = Base {
            reg: argument.reg,
            pointer,
        };
        let span = base.span(0, size);
        match pointer.region {
            Region::MapValue { map, .. } => self.check_map_value(&base, map, span, Access::Write),
            Region::Stack { frame } if span.exact => {
                self.check_stack(&base, frame, span)?;
                self.no_dynptr((&base, frame), span, "a helper gets its bytes")?;
                arguments.buffer = Some(Buffer {
                    frame,
                    low: span.low as i16,
                });
                let bytes = (frame, span.low, span.high);
                self.state.take_back_buffer(bytes, self.at);
                if let Some(frame) = self.state.frame_mut(frame) {
                    frame.stack.weaken(span.low, span.high, Byte::Written);
                }
                Ok(())
            }
            _ => Err(argument.refuse()),
        }
    }
}
