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
use crate::step::Step;
use crate::value::{Dynptr, Part, Region, Slice, Value};
use abi::{ArgKind, DynptrKind, Helper};

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

/// Writable memory of a size that a dynamic pointer describes.
pub(crate) fn slice_of(dynptr: Option<Dynptr>, size: u32) -> Option<Slice> {
    let dynptr = dynptr?;
    Some(Slice {
        size,
        dynptr: dynptr.id,
        reference: dynptr.reference,
        of: dynptr.kind,
        writable: true,
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

impl Step<'_, '_> {
    /// The 16 bytes of stack that an argument points to.
    fn dynptr_place(&mut self, argument: &Argument<'_>) -> Result<Space, Reason> {
        let pointer = argument.found.pointer().filter(|pointer| pointer.null == 0);
        let Some(pointer) = pointer else {
            return Err(argument.refuse());
        };
        let Region::Stack { frame } = pointer.region else {
            return Err(argument.refuse());
        };
        let base = Base {
            reg: argument.reg,
            pointer: *pointer,
        };
        let span = base.span(0, BYTES);
        self.check_stack(&base, frame, span)?;
        match pointer.known_offset() {
            Some(low) if low % ALIGN == 0 => Ok(Space { frame, low }),
            Some(_) => Err(misused(argument, "its place is not aligned to 8 bytes")),
            None => Err(misused(argument, "its place is not known exactly")),
        }
    }

    /// A dynamic pointer that a helper uses or makes.
    pub(crate) fn dynptr_argument(
        &mut self,
        argument: Argument<'_>,
        arguments: &mut Arguments,
    ) -> Result<(), Reason> {
        match argument.kind {
            ArgKind::DynptrOut(kind) => {
                arguments.makes = Some((kind, self.dynptr_space(argument)?));
            }
            _ => arguments.dynptr = Some(self.used_dynptr(argument)?),
        }
        Ok(())
    }

    /// A dynamic pointer that was made before.
    fn used_dynptr(&mut self, argument: Argument<'_>) -> Result<Dynptr, Reason> {
        let found = argument.found.pointer();
        if let (ArgKind::Dynptr, Some(pointer)) = (argument.kind, found)
            && let Region::Dynptr(dynptr) = pointer.region
            && dynptr.part == Part::Whole
            && pointer.null == 0
        {
            return Ok(dynptr);
        }
        let place = self.dynptr_place(&argument)?;
        let frame = self.state.frame(place.frame);
        let dynptr = frame.and_then(|frame| frame.stack.dynptr_at(place.low));
        let Some(dynptr) = dynptr else {
            return Err(misused(&argument, "none was made there, or it is gone"));
        };
        if argument.kind == ArgKind::DynptrRecord && dynptr.kind != DynptrKind::Record {
            return Err(misused(&argument, "it is not that of a ring buffer"));
        }
        self.trail.note(Effect::Inspect(place.bytes()));
        Ok(dynptr)
    }

    /// The place where a helper makes a dynamic pointer.
    fn dynptr_space(&mut self, argument: Argument<'_>) -> Result<Space, Reason> {
        let place = self.dynptr_place(&argument)?;
        let base = Base {
            reg: argument.reg,
            pointer: argument.found.pointer().copied().ok_or(argument.refuse())?,
        };
        self.overwrite_dynptrs((&base, place.frame), base.span(0, BYTES))?;
        Ok(place)
    }

    /// Makes the dynamic pointer that a helper makes.
    pub(crate) fn make_dynptr(&mut self, arguments: &Arguments) -> Result<(), Reason> {
        let Some((kind, place)) = arguments.makes else {
            return Ok(());
        };
        let reference = match kind {
            DynptrKind::Record => self.acquire()?,
            _ => 0,
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
        Ok(())
    }
}
