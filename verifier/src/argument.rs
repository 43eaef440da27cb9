//! Arguments of helpers, each against what the prototype asks for.

use crate::call::{LOCK, UNLOCK};
use crate::dynptr::{Space, check_slice};
use crate::effect::{Bytes, Effect};
use crate::map_use::{self, Found};
use crate::memory::{Access, Base, Span, stack_fault};
use crate::reason::Reason;
use crate::stack::Byte;
use crate::state::Lock;
use crate::step::{Step, is_context};
use crate::sums::Length;
use crate::value::{Buffer, Dynptr, Kernel, Region, Value};
use abi::helper::Fills;
use abi::{ArgKind, DynptrKind, Helper, MapKind};
use alloc::vec::Vec;
use isa::{InsnIdx, Reg};
use program::{KernelType, MapDef, MapId};

/// What the arguments of one call turned out to be.
pub(crate) struct Arguments {
    /// The first argument.
    pub(crate) first: Value,
    /// The map argument.
    pub(crate) map: Option<MapArgument>,
    /// The constant size for memory to acquire.
    pub(crate) alloc_size: u32,
    /// The largest size of the memory arguments, the last one's if there are several.
    pub(crate) size_most: i64,
    /// The lock argument.
    pub(crate) lock: Option<Lock>,
    /// The function argument.
    pub(crate) callback: Option<InsnIdx>,
    /// What the function argument gets from the caller.
    pub(crate) context: Value,
    /// The map that the timer argument lies in.
    pub(crate) timer: Option<MapArgument>,
    /// The dynamic pointer argument.
    pub(crate) dynptr: Option<Dynptr>,
    /// What dynamic pointer the helper makes, a copy if that is not said, and where.
    pub(crate) makes: Option<(Option<DynptrKind>, Space)>,
    /// Stack memory that the slice to be returned may be.
    pub(crate) buffer: Option<Buffer>,
    /// The type that an address is cast to.
    pub(crate) kernel_type: Option<KernelType>,
    /// Stack bytes that the helper writes.
    writes: Vec<Write>,
}

/// Stack bytes that a helper may write.
#[derive(Clone, Copy)]
struct Write {
    frame: u8,
    low: i64,
    high: i64,
    /// Bytes from `low` on that it surely writes.
    sure: i64,
}

/// A map argument.
#[derive(Clone, Copy)]
pub(crate) struct MapArgument {
    pub(crate) id: MapId,
    /// Found inside another map.
    pub(crate) inner: bool,
}

/// One argument under examination.
#[derive(Clone, Copy)]
pub(crate) struct Argument<'h> {
    pub(crate) reg: Reg,
    pub(crate) kind: ArgKind,
    pub(crate) found: Value,
    pub(crate) helper: &'h Helper,
}

impl Argument<'_> {
    pub(crate) fn refuse(&self) -> Reason {
        if let Some(pointer) = self.found.pointer()
            && pointer.null != 0
        {
            return Reason::MaybeNull {
                reg: self.reg,
                found: self.found,
            };
        }
        Reason::Argument {
            reg: self.reg,
            found: self.found,
            needs: self.kind,
            helper: self.helper.name,
        }
    }

    fn unsupported(&self) -> Reason {
        Reason::ArgumentUnsupported {
            reg: self.reg,
            needs: self.kind,
            helper: self.helper.name,
        }
    }
}

impl Step<'_, '_> {
    /// Checks all arguments of a call.
    pub(crate) fn check_arguments(&mut self, helper: &Helper) -> Result<Arguments, Reason> {
        let mut arguments = Arguments {
            first: self.state.top().register(Reg::R1),
            map: None,
            alloc_size: 0,
            size_most: 0,
            lock: None,
            callback: None,
            context: Value::uninitialised(),
            timer: None,
            dynptr: None,
            makes: None,
            buffer: None,
            kernel_type: None,
            writes: Vec::new(),
        };
        for (reg, kind) in Reg::ARGS.into_iter().zip(helper.present_args()) {
            let found = self.read(reg)?;
            let argument = Argument {
                reg,
                kind,
                found,
                helper,
            };
            self.check_argument(argument, &mut arguments)?;
        }
        Ok(arguments)
    }

    fn check_argument(
        &mut self,
        argument: Argument<'_>,
        arguments: &mut Arguments,
    ) -> Result<(), Reason> {
        let found = argument.found;
        match argument.kind {
            ArgKind::Anything => {
                self.no_leak(argument.reg, found, "to a helper that takes a number")
            }
            // Sizes are checked together with the memory before them.
            ArgKind::None | ArgKind::ConstSize | ArgKind::ConstSizeOrZero | ArgKind::Address => {
                Ok(())
            }
            ArgKind::Context if is_context(&found) => Ok(()),
            ArgKind::ContextOrNull if is_context(&found) || found.is_zero() => Ok(()),
            ArgKind::Map | ArgKind::MapOfPrograms => self.map_argument(argument, arguments),
            ArgKind::MapKey
            | ArgKind::MapValue
            | ArgKind::MapValueOrNull
            | ArgKind::MapValueOut => self.element_argument(argument, arguments),
            ArgKind::ReadableMem
            | ArgKind::ReadableMemOrNull
            | ArgKind::WritableMem
            | ArgKind::WritableMemOrNull
            | ArgKind::InOutMem
            | ArgKind::MapMem => self.sized_argument(argument, arguments),
            ArgKind::FixedMem(size) => {
                self.memory(argument, Length::exactly(size.into()), arguments)
            }
            ArgKind::FixedMemOut(size) => {
                self.memory(argument, Length::exactly(size.into()), arguments)
            }
            ArgKind::ConstAllocSize => {
                let size = found.scalar().and_then(crate::domain::Scalar::is_const);
                let size = size.and_then(|size| u32::try_from(size).ok());
                arguments.alloc_size = size
                    .filter(|size| *size < 1 << 30)
                    .ok_or_else(|| argument.refuse())?;
                Ok(())
            }
            ArgKind::SpinLock => {
                debug_assert!([LOCK, UNLOCK].contains(&argument.helper.name));
                arguments.lock = Some(self.lock_argument(argument.reg, found, argument.helper)?);
                Ok(())
            }
            ArgKind::Callback => {
                arguments.callback = Some(function_argument(argument)?);
                Ok(())
            }
            ArgKind::CallbackContext => {
                arguments.context = found;
                callback_context(argument)
            }
            ArgKind::Timer => {
                arguments.timer = Some(self.timer_argument(argument)?);
                Ok(())
            }
            _ => self.linux_argument(argument, arguments),
        }
    }

    /// Arguments that only functions of Linux have, and objects.
    fn linux_argument(
        &mut self,
        argument: Argument<'_>,
        arguments: &mut Arguments,
    ) -> Result<(), Reason> {
        match argument.kind {
            ArgKind::KernelType => self.kernel_type_argument(argument, arguments),
            ArgKind::BufferOrNull => self.buffer_argument(argument, arguments),
            kind if kind.is_dynptr() => self.dynptr_argument(argument, arguments),
            ArgKind::SocketOrNull if argument.found.is_zero() => Ok(()),
            _ => self.object_argument(argument),
        }
    }

    /// The map whose value a timer lies in.
    fn timer_argument(&self, argument: Argument<'_>) -> Result<MapArgument, Reason> {
        let pointer = argument.found.pointer().filter(|pointer| pointer.null == 0);
        let Some(pointer) = pointer else {
            return Err(argument.refuse());
        };
        let Region::MapValue { map: id, .. } = pointer.region else {
            return Err(argument.refuse());
        };
        let place = self.map(id).and_then(|map| map.timer).map(i64::from);
        if place.is_none() || pointer.known_offset() != place {
            return Err(argument.refuse());
        }
        // A map found in another map is only known by its template.
        Ok(MapArgument { id, inner: true })
    }

    /// Arguments that stand for an object as a whole.
    fn object_argument(&self, argument: Argument<'_>) -> Result<(), Reason> {
        let pointer = argument.found.pointer().filter(|pointer| pointer.null == 0);
        let Some(pointer) = pointer else {
            return Err(argument.refuse());
        };
        let at_start = pointer.known_offset() == Some(0);
        let fits = match (argument.kind, pointer.region) {
            (ArgKind::AllocMem, Region::Memory { reference, .. }) => at_start && reference != 0,
            (ArgKind::Socket | ArgKind::SocketOrNull, Region::Socket { .. }) => at_start,
            (
                ArgKind::Socket | ArgKind::SocketOrNull,
                Region::Kernel {
                    ty: ty @ Kernel::Typed(_),
                    trust,
                },
            ) => self.is_kernel_object(&["sock_common"], (ty, trust), pointer),
            (ArgKind::BtfId, Region::Kernel { ty, trust }) => {
                let names = abi::helper::kernel_arguments(argument.helper.name);
                self.is_kernel_object(names, (ty, trust), pointer)
            }
            (ArgKind::Stack, Region::Stack { .. }) => {
                let (low, high) = pointer.offset_range();
                low >= -i64::from(abi::limits::STACK_BYTES) && high <= 0
            }
            (ArgKind::ConstStr, Region::MapValue { map, .. }) => {
                self.is_constant_string(map, pointer.known_offset())
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(argument.refuse()) }
    }

    /// Does a zero byte follow in a read-only section?
    fn is_constant_string(&self, map: MapId, offset: Option<i64>) -> bool {
        let start = offset.and_then(|offset| usize::try_from(offset).ok());
        let section = self.env.object.constants(map);
        let rest = section
            .zip(start)
            .and_then(|(section, start)| section.known(start..section.data.len()));
        rest.is_some_and(|rest| rest.contains(&0))
    }

    fn map_argument(
        &self,
        argument: Argument<'_>,
        arguments: &mut Arguments,
    ) -> Result<(), Reason> {
        let pointer = argument.found.pointer().filter(|pointer| pointer.null == 0);
        let Some(Region::Map { map: id, inner }) = pointer.map(|pointer| pointer.region) else {
            return Err(argument.refuse());
        };
        let helper = argument.helper.name;
        let fits = self.map(id).is_some_and(|map| {
            let kind_fits =
                argument.kind != ArgKind::MapOfPrograms || map.kind == MapKind::ProgArray;
            kind_fits && map_use::fits(self.env.object.platform, helper, map)
        });
        if !fits {
            let map = usize::from(id.0);
            return Err(Reason::MapType { map, helper });
        }
        let platform = self.env.object.platform;
        let is_read_only = |map| map_use::is_read_only(platform, map);
        if map_use::changes(helper) && self.map(id).is_some_and(is_read_only) {
            return Err(Reason::ReadOnly {
                reg: argument.reg,
                found: argument.found,
                what: "the map",
            });
        }
        let map = MapArgument { id, inner };
        if arguments
            .timer
            .is_some_and(|timer| !self.is_map_of_timer(map, timer))
        {
            return Err(argument.refuse());
        }
        arguments.map = Some(map);
        Ok(())
    }

    /// Is the map for sure the one that the timer lies in? One that is a template is known to be
    /// several maps.
    fn is_map_of_timer(&self, map: MapArgument, timer: MapArgument) -> bool {
        let maps = &self.env.object.maps;
        map.id == timer.id && !map.inner && maps.iter().all(|one| one.inner != Some(map.id))
    }

    /// A key or value of the map argument.
    fn element_argument(
        &mut self,
        argument: Argument<'_>,
        arguments: &mut Arguments,
    ) -> Result<(), Reason> {
        let map: Option<&MapDef> = arguments.map.and_then(|map| self.map(map.id));
        let Some(map) = map else {
            return Err(argument.unsupported());
        };
        if argument.kind == ArgKind::MapValueOrNull && argument.found.is_zero() {
            return Ok(());
        }
        let is_value = argument.kind == ArgKind::MapValue;
        if is_value && map_use::found(self.env.object.platform, map) == Found::Socket {
            let kind = ArgKind::Socket;
            return self.object_argument(Argument { kind, ..argument });
        }
        let size = match argument.kind {
            ArgKind::MapKey => i64::from(map.key_size),
            _ => i64::from(map.value_size),
        };
        if size == 0 {
            let id = arguments.map.map_or(0, |map| usize::from(map.id.0));
            let helper = argument.helper.name;
            return Err(Reason::MapType { map: id, helper });
        }
        self.memory(argument, Length::exactly(size), arguments)
    }

    /// Memory whose size is the next argument.
    fn sized_argument(
        &mut self,
        argument: Argument<'_>,
        arguments: &mut Arguments,
    ) -> Result<(), Reason> {
        let next = usize::from(argument.reg.number());
        let size_kind = argument.helper.args.get(next).copied();
        let least = match size_kind {
            Some(ArgKind::ConstSize) => 1,
            Some(ArgKind::ConstSizeOrZero) => 0,
            _ => return Err(argument.unsupported()),
        };
        let Some(size_reg) = Reg::new(argument.reg.number() + 1) else {
            return Err(argument.unsupported());
        };
        let may_be_null = matches!(
            argument.kind,
            ArgKind::ReadableMemOrNull | ArgKind::WritableMemOrNull
        );
        let size = self.size_argument(size_reg, least, argument.helper)?;
        arguments.size_most = size.most;
        if may_be_null && argument.found.is_zero() && size.most == 0 {
            return Ok(());
        }
        self.memory(argument, size, arguments)
    }

    /// Memory of a size between two bounds.
    fn memory(
        &mut self,
        argument: Argument<'_>,
        length: Length,
        arguments: &mut Arguments,
    ) -> Result<(), Reason> {
        let pointer = argument.found.pointer().filter(|pointer| pointer.null == 0);
        let Some(pointer) = pointer else {
            return Err(argument.refuse());
        };
        let reg = argument.reg;
        let base = Base {
            reg,
            pointer: *pointer,
        };
        let mut span = base.span(0, length.most);
        if let Some(end) = self.end_by_total(pointer, length) {
            span.high = span.high.min(end).max(span.low);
        }
        let access = match argument.kind {
            ArgKind::WritableMem
            | ArgKind::WritableMemOrNull
            | ArgKind::InOutMem
            | ArgKind::MapValueOut
            | ArgKind::MapMem
            | ArgKind::FixedMemOut(_) => Access::Write,
            _ => Access::Read,
        };
        match pointer.region {
            Region::MapValue { map, .. } => self.check_map_value(&base, map, span, access),
            // Other memory may be gone before the dynamic pointer is.
            _ if argument.kind == ArgKind::MapMem => Err(argument.refuse()),
            Region::Stack { frame } => {
                self.check_stack(&base, frame, span)?;
                self.stack_argument((&base, frame), argument, (span, access, length), arguments)
            }
            Region::Packet { range, .. } | Region::PacketMeta { range, .. } => {
                let range = self.proven_by_sum(pointer, length).unwrap_or(0).max(range);
                self.check_packet(&base, span, range, access)
            }
            Region::Memory { size, .. } => base.within(span, i64::from(size)),
            Region::Slice(slice) => check_slice(&base, slice, span, access),
            Region::MapKey { map } => self.check_key(&base, map, span, access),
            _ => Err(argument.refuse()),
        }
    }

    /// Stack memory must be initialised, but for what a helper only writes.
    fn stack_argument(
        &mut self,
        (base, frame): (&Base, u8),
        argument: Argument<'_>,
        (span, access, length): (Span, Access, Length),
        arguments: &mut Arguments,
    ) -> Result<(), Reason> {
        let is_read = access == Access::Read || argument.kind == ArgKind::InOutMem;
        let bytes = Bytes::new(frame, span.low, span.high);
        self.no_dynptr((base, frame), span, "a helper gets its bytes")?;
        if is_read && let Some(frame) = self.state.frame(frame) {
            // Where addresses are no secret, a helper may see those that are stored.
            let found = match self.may_leak() {
                true => frame.stack.written(span.low, span.high),
                false => frame.stack.readable(span.low, span.high),
            };
            found.map_err(|fault| stack_fault(base, fault))?;
            self.trail.note(Effect::Read(bytes));
        }
        if access == Access::Write {
            let sure = match span.exact {
                true => self.surely_written(argument.helper, length),
                false => 0,
            };
            arguments.writes.push(Write {
                frame,
                low: span.low,
                high: span.high,
                sure: sure.min(span.high.saturating_sub(span.low)),
            });
        }
        Ok(())
    }

    /// Bytes that a helper surely writes of memory of a size.
    fn surely_written(&self, helper: &Helper, length: Length) -> i64 {
        match helper.fills {
            Fills::All => length.least,
            Fills::Some => 0,
            Fills::AsMuchAsItReads => {
                let read = helper.present_args().zip(1..);
                let mut read = read.filter(|(kind, _)| *kind == ArgKind::ReadableMem);
                let size = read.next().and_then(|(_, number)| Reg::new(number + 1));
                let size = size.map(|reg| self.state.top().register(reg));
                let size = size.and_then(|size| size.scalar().copied());
                let most = length.least.max(0).unsigned_abs();
                size.filter(|size| size.umax() <= most)
                    .map_or(0, |size| size.umin().cast_signed())
            }
        }
    }

    /// After the call the bytes that the helper surely wrote hold some number, and so do those that it
    /// may have written where they held one before.
    pub(crate) fn perform_writes(&mut self, arguments: &Arguments) {
        for write in &arguments.writes {
            let from = write.low.saturating_add(write.sure);
            if let Some(state) = self.state.frame_mut(write.frame) {
                state.stack.fill(write.low, from, Byte::Written);
                state.stack.weaken(from, write.high, Byte::Written);
            }
            let sure = Bytes::new(write.frame, write.low, from);
            self.trail.note(Effect::Overwrite(sure));
        }
    }
}

/// The function to call back.
fn function_argument(argument: Argument<'_>) -> Result<InsnIdx, Reason> {
    match argument.found.pointer() {
        Some(pointer) if pointer.known_offset() == Some(0) => match pointer.region {
            Region::Function { start } => Ok(start),
            _ => Err(argument.refuse()),
        },
        _ => Err(argument.refuse()),
    }
}

/// What is handed to the function: stack memory, or NULL.
fn callback_context(argument: Argument<'_>) -> Result<(), Reason> {
    let is_stack = argument.found.pointer().is_some_and(|pointer| {
        matches!(pointer.region, Region::Stack { .. }) && pointer.known_offset().is_some()
    });
    if is_stack || argument.found.is_zero() {
        return Ok(());
    }
    Err(argument.refuse())
}
