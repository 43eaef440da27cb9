//! Helpers, played by their prototypes.

use super::memory::Access;
use super::step::{Next, start};
use super::{
    Address, CONTEXT, Fault, Kind, MAX_OBJECTS, Machine, NOT_MODELLED, Object, ObjectId, Word,
};
use abi::context::SocketKind;
use abi::helper::{Fills, LEAST_ERROR, ResultRange};
use abi::{ArgKind, DynptrKind, Helper, Platform, ReturnKind};
use isa::{InsnIdx, Reg};
use program::{KernelType, MapId};
use verifier::value::{Kernel, Trust};

/// What the arguments of a call turned out to be.
#[derive(Default)]
pub(super) struct Arguments {
    map: Option<MapId>,
    /// Memory to be written, and how much.
    writes: Vec<(Word, i64)>,
    /// The object of the first socket.
    socket: Option<Address>,
    pub(super) dynptr: Option<ObjectId>,
    pub(super) makes: Option<(Option<DynptrKind>, Address)>,
    pub(super) buffer: Option<Address>,
    pub(super) alloc_size: i64,
    /// How much memory the last sized argument has.
    size: i64,
    /// How much memory is read.
    read: i64,
    kernel_type: Option<KernelType>,
}

impl Machine<'_, '_> {
    pub(super) fn helper(&mut self, at: InsnIdx, id: i32) -> Next {
        if self.objects.len() > MAX_OBJECTS {
            return Err(NOT_MODELLED);
        }
        let helper = self.permitted(id)?;
        self.play(at, helper)
    }

    /// Plays what has a prototype.
    fn play(&mut self, at: InsnIdx, helper: &'static Helper) -> Next {
        let arguments = self.arguments(at, helper)?;
        if helper.ret == ReturnKind::NoReturnIfSucceed {
            self.nothing_held()?;
            if self.random.below(2) == 0 {
                return self.tail_call();
            }
        }
        if helper.releases {
            self.release(&arguments)?;
        }
        if helper.reallocates_packet || self.writes_packet(helper, &arguments) {
            self.move_packet();
        }
        self.make_dynptr(&arguments)?;
        if let Some(callback) = helper.callback {
            return self.call_back(at, helper, callback, arguments.map);
        }
        self.clobber();
        let result = self.result(helper, &arguments)?;
        self.set_plain(Reg::R0, result);
        Ok(Some(InsnIdx(at.0 + 1)))
    }

    fn permitted(&self, id: i32) -> Result<&'static Helper, Fault> {
        let number = u32::try_from(id).map_err(|_| "calls an unknown helper")?;
        let program_type = self.verified.program().program_type;
        let helper = abi::helper::lookup(program_type, number).ok_or("calls an unknown helper")?;
        if self.lock.is_some() && helper.name != "bpf_spin_unlock" {
            return Err("calls a helper while it holds a lock");
        }
        Ok(helper)
    }

    /// Takes the arguments, and writes the memory that the helper writes.
    fn arguments(&mut self, at: InsnIdx, helper: &Helper) -> Result<Arguments, Fault> {
        let mut arguments = Arguments::default();
        for (reg, kind) in Reg::ARGS.into_iter().zip(helper.present_args()) {
            self.argument(helper, reg, kind, &mut arguments)?;
        }
        if let Some(said) = self.verified.facts().at(at).map
            && arguments.map != Some(said)
        {
            return Err("uses another map than was said");
        }
        for (word, size) in core::mem::take(&mut arguments.writes) {
            self.helper_may_write(word, size)?;
            let part = self
                .random
                .below(size.max(0).unsigned_abs().saturating_add(1)) as i64;
            let written = match helper.fills {
                Fills::All => size,
                Fills::Some => part,
                Fills::AsMuchAsItReads if arguments.read <= size => arguments.read,
                Fills::AsMuchAsItReads => part,
            };
            self.helper_memory(word, written, Access::Write)?;
        }
        Ok(arguments)
    }

    fn move_packet(&mut self) {
        self.end(self.packet);
        self.new_packet();
    }

    /// Another program takes over. It ends the main program; in a subprogram of a Linux program its
    /// result goes back to the caller, and it may have moved the packet.
    fn tail_call(&mut self) -> Next {
        if self.frames.iter().any(|frame| frame.back.is_some()) {
            return Err("tail call in a function that a helper calls");
        }
        if self.frames.len() == 1 {
            return self.run_later();
        }
        if self.verified.program().program_type.platform == Platform::Windows {
            return Err("tail call in a subprogram");
        }
        self.move_packet();
        let result = Word::Number(self.number());
        self.leave(result)
    }

    fn release(&mut self, arguments: &Arguments) -> Result<(), Fault> {
        let held = match (arguments.dynptr, self.get(Reg::R1)?) {
            (Some(dynptr), _) => self.object(dynptr).of.ok_or("releases what is not held")?,
            (None, Word::Pointer(pointer)) => match self.object(pointer.object) {
                // Of any view.
                Object {
                    kind: Kind::Socket(_),
                    of: Some(of),
                    ..
                } => *of,
                _ => pointer.object,
            },
            (None, _) => return Err("releases a number"),
        };
        if !self.object(held).held {
            return Err("releases what is not held");
        }
        self.end(held);
        Ok(())
    }

    /// A function of the platform: without a prototype it takes numbers and the context, and may
    /// move the packet.
    pub(super) fn call_platform(&mut self, at: InsnIdx, index: i32) -> Next {
        if self.lock.is_some() {
            return Err("calls a function while it holds a lock");
        }
        let functions = &self.verified.object().btf_functions;
        let function = usize::try_from(index)
            .ok()
            .and_then(|index| functions.get(index));
        let function = function.ok_or("calls an unknown function")?;
        let program_type = self.program().program_type;
        if let Some(row) = abi::helper::function(program_type.platform, &function.name) {
            if !abi::helper::may_call(program_type, row.name) {
                return Err("calls a function that is not for its type");
            }
            return self.play(at, row);
        }
        for reg in Reg::ARGS {
            match self.top().registers[reg.index()] {
                Word::Pointer(pointer) if pointer != CONTEXT => {
                    return Err("passes a pointer to a function without prototype");
                }
                _ => {}
            }
        }
        self.move_packet();
        self.clobber();
        let result = Word::Number(self.number());
        self.set_plain(Reg::R0, result);
        Ok(Some(InsnIdx(at.0 + 1)))
    }

    /// A number as the helper returns them, its ends more often than others.
    fn result_number(&mut self, helper: &Helper, arguments: &Arguments) -> u64 {
        let number = self.number();
        let (low, high) = match helper.result {
            ResultRange::Any => return number,
            ResultRange::UpToSize => (LEAST_ERROR, arguments.size),
            ResultRange::Below(limit) => (0, i64::from(limit).saturating_sub(1)),
        };
        let inside = low..=high;
        match self.random.below(3) {
            _ if inside.contains(&(number as i64)) => number,
            0 => low as u64,
            1 => high as u64,
            _ => (low + (number % (high - low + 1) as u64) as i64) as u64,
        }
    }

    fn result(&mut self, helper: &Helper, arguments: &Arguments) -> Result<Word, Fault> {
        let null = self.random.below(3) == 0;
        let object = match helper.ret {
            ReturnKind::Integer | ReturnKind::NoReturnIfSucceed => {
                return Ok(Word::Number(self.result_number(helper, arguments)));
            }
            ReturnKind::Void => return Ok(Word::Nothing),
            ReturnKind::BtfId => self.kernel_result(helper),
            ReturnKind::KernelContext => self.kernel_context()?,
            ReturnKind::KernelCast => {
                let ty = arguments.kernel_type.ok_or(NOT_MODELLED)?;
                self.kernel_object(Kernel::Typed(ty), Trust::Found)
            }
            ReturnKind::MapValue => return self.found(arguments),
            _ if null => return Ok(Word::Number(0)),
            ReturnKind::MapValueOrNull => return self.found(arguments),
            ReturnKind::AllocMemOrNull => self.add(Kind::Memory, 0, arguments.alloc_size),
            ReturnKind::SocketOrNull => self.socket(helper, arguments, SocketKind::Full),
            ReturnKind::SockCommonOrNull => self.socket(helper, arguments, SocketKind::Common),
            ReturnKind::TcpSockOrNull => self.socket(helper, arguments, SocketKind::Tcp),
            ReturnKind::BtfIdOrNull => self.kernel_result(helper),
            ReturnKind::SliceOrNull | ReturnKind::ReadOnlySliceOrNull => {
                return self.slice(helper, arguments);
            }
        };
        self.object_mut(object).held = helper.acquires;
        Ok(start(object))
    }

    /// A new socket, or another view of the one that was passed, which lives as long as that.
    fn socket(&mut self, helper: &Helper, arguments: &Arguments, kind: SocketKind) -> ObjectId {
        let view = self.add(Kind::Socket(kind), 0, i64::from(kind.fields().size));
        if let (true, Some(passed)) = (helper.shows_what_is_passed(), arguments.socket) {
            let of = self.object(passed.object).of.unwrap_or(passed.object);
            self.object_mut(view).of = Some(of);
        }
        view
    }

    /// What a lookup finds: a new element, or one that was found before.
    fn found(&mut self, arguments: &Arguments) -> Result<Word, Fault> {
        let map = arguments.map.ok_or(NOT_MODELLED)?;
        let definition = self.verified.object().map(map).ok_or(NOT_MODELLED)?;
        if definition.kind.is_map_of_maps() {
            let map = definition.inner.ok_or(NOT_MODELLED)?;
            return Ok(start(self.add(Kind::Map { map, inner: true }, 0, 0)));
        }
        if self.holds_sockets(arguments) {
            let size = i64::from(SocketKind::Full.fields().size);
            let socket = self.add(Kind::Socket(SocketKind::Full), 0, size);
            self.object_mut(socket).held = true;
            return Ok(start(socket));
        }
        let known = self
            .objects
            .iter()
            .rposition(|object| object.kind == Kind::MapValue(map));
        let object = match known {
            Some(known) if self.random.below(2) == 0 => ObjectId(known as u32),
            _ => self.map_value(map),
        };
        Ok(start(object))
    }

    fn argument(
        &mut self,
        helper: &Helper,
        reg: Reg,
        kind: ArgKind,
        arguments: &mut Arguments,
    ) -> Result<(), Fault> {
        let word = self.get(reg)?;
        match kind {
            ArgKind::None | ArgKind::Address => Ok(()),
            ArgKind::KernelType => {
                let number = self.number_in(reg)?;
                arguments.kernel_type = u32::try_from(number).ok().map(KernelType);
                Ok(())
            }
            ArgKind::Anything => match word {
                Word::Pointer(_) if !self.may_leak() => Err("shows a pointer to a helper"),
                _ => Ok(()),
            },
            ArgKind::ConstSize | ArgKind::ConstSizeOrZero => self.number_in(reg).map(drop),
            ArgKind::ConstAllocSize => {
                arguments.alloc_size = self.number_in(reg)? as i64;
                Ok(())
            }
            ArgKind::ContextOrNull if word == Word::Number(0) => Ok(()),
            ArgKind::Context | ArgKind::ContextOrNull if word == Word::Pointer(CONTEXT) => Ok(()),
            ArgKind::Context | ArgKind::ContextOrNull => Err("passes something else as context"),
            ArgKind::Map | ArgKind::MapOfPrograms => self.map_argument(word, arguments),
            ArgKind::MapValueOrNull if word == Word::Number(0) => Ok(()),
            ArgKind::MapValue if self.holds_sockets(arguments) => {
                self.object_argument(helper, ArgKind::Socket, word, arguments)
            }
            ArgKind::MapKey
            | ArgKind::MapValue
            | ArgKind::MapValueOut
            | ArgKind::MapValueOrNull => self.element(kind, word, arguments),
            ArgKind::FixedMem(size) => self.helper_memory(word, i64::from(size), Access::Read),
            ArgKind::FixedMemOut(size) => {
                arguments.writes.push((word, i64::from(size)));
                Ok(())
            }
            ArgKind::ReadableMem
            | ArgKind::ReadableMemOrNull
            | ArgKind::WritableMem
            | ArgKind::WritableMemOrNull
            | ArgKind::InOutMem
            | ArgKind::MapMem => self.sized(helper, reg, kind, arguments),
            ArgKind::BufferOrNull if word == Word::Number(0) => Ok(()),
            ArgKind::BufferOrNull => self.buffer_argument(reg, word, arguments),
            kind if kind.is_dynptr() => self.dynptr_argument(kind, word, arguments),
            ArgKind::Callback | ArgKind::CallbackContext | ArgKind::Timer => {
                self.callback_argument(kind, word, &mut arguments.map)
            }
            ArgKind::SocketOrNull if word == Word::Number(0) => Ok(()),
            ArgKind::SocketOrNull => self.object_argument(helper, ArgKind::Socket, word, arguments),
            _ => self.object_argument(helper, kind, word, arguments),
        }
    }

    /// Arguments that stand for an object as a whole.
    fn object_argument(
        &mut self,
        helper: &Helper,
        kind: ArgKind,
        word: Word,
        arguments: &mut Arguments,
    ) -> Result<(), Fault> {
        let Word::Pointer(pointer) = word else {
            return Err("passes a number for an object");
        };
        let object = self.object(pointer.object);
        if !object.alive {
            return Err("passes something that is gone");
        }
        let fits = match (kind, object.kind) {
            (ArgKind::AllocMem, Kind::Memory) | (ArgKind::Socket, Kind::Socket(_)) => {
                pointer.offset == 0
            }
            (ArgKind::BtfId, Kind::Kernel { ty, trust, .. }) => {
                let names = abi::helper::kernel_arguments(helper.name);
                self.is_kernel_object(names, (ty, trust), pointer)
            }
            (ArgKind::Socket, Kind::Kernel { ty, trust, .. }) => {
                self.is_kernel_object(&["sock_common"], (ty, trust), pointer)
            }
            (ArgKind::Stack, Kind::Stack) => pointer.offset >= object.base && pointer.offset <= 0,
            (ArgKind::SpinLock, _) => return self.use_lock(helper, pointer),
            (ArgKind::ConstStr, _) => return Ok(()),
            (ArgKind::AllocMem | ArgKind::BtfId | ArgKind::Socket | ArgKind::Stack, _) => false,
            _ => return Err(NOT_MODELLED),
        };
        if kind == ArgKind::Socket {
            arguments.socket = Some(pointer);
        }
        if fits {
            Ok(())
        } else {
            Err("passes the wrong object")
        }
    }

    fn map_argument(&self, word: Word, arguments: &mut Arguments) -> Result<(), Fault> {
        let Word::Pointer(Address { object, offset: 0 }) = word else {
            return Err("passes something else as map");
        };
        let Kind::Map { map, inner } = self.object(object).kind else {
            return Err("passes something else as map");
        };
        arguments.map = Some(map);
        if inner {
            // A map that was found in a map is never one that the proof could name.
            debug_assert!(self.verified.object().map(map).is_some());
        }
        Ok(())
    }

    fn holds_sockets(&self, arguments: &Arguments) -> bool {
        let map = arguments.map;
        map.is_some_and(|map| self.map_type(map).starts_with("sock"))
    }

    fn element(
        &mut self,
        kind: ArgKind,
        word: Word,
        arguments: &mut Arguments,
    ) -> Result<(), Fault> {
        let map = arguments
            .map
            .and_then(|map| self.verified.object().map(map));
        let map = map.ok_or("passes an element of no map")?;
        let size = match kind {
            ArgKind::MapKey => i64::from(map.key_size),
            _ => i64::from(map.value_size),
        };
        if kind == ArgKind::MapValueOut {
            arguments.writes.push((word, size));
            return Ok(());
        }
        self.helper_memory(word, size, Access::Read)
    }

    fn use_lock(&mut self, helper: &Helper, place: Address) -> Result<(), Fault> {
        let Kind::MapValue(map) = self.object(place.object).kind else {
            return Err("passes something else as lock");
        };
        let map = self.verified.object().map(map);
        if map.and_then(|map| map.spin_lock).map(i64::from) != Some(place.offset) {
            return Err("passes something else as lock");
        }
        match (helper.name, self.lock) {
            ("bpf_spin_lock", None) => self.lock = Some(place),
            ("bpf_spin_unlock", Some(held)) if held == place => self.lock = None,
            _ => return Err("takes a lock twice or gives back another"),
        }
        Ok(())
    }

    /// The size of the memory in an argument, which is the next one.
    fn told_size(&self, helper: &Helper, reg: Reg) -> Result<i64, Fault> {
        let next = usize::from(reg.number());
        let size_reg = Reg::new(reg.number() + 1).ok_or(NOT_MODELLED)?;
        let size = self.number_in(size_reg)?;
        let size = if helper.size_32 {
            i64::from(size as u32)
        } else {
            size as i64
        };
        let least = i64::from(helper.args.get(next) == Some(&ArgKind::ConstSize));
        if size < least || size > 1 << 29 {
            return Err("passes a size that is out of range");
        }
        Ok(size)
    }

    /// Memory whose size is the next argument.
    fn sized(
        &mut self,
        helper: &Helper,
        reg: Reg,
        kind: ArgKind,
        arguments: &mut Arguments,
    ) -> Result<(), Fault> {
        let word = self.get(reg)?;
        let size = self.told_size(helper, reg)?;
        arguments.size = size;
        let or_null = matches!(
            kind,
            ArgKind::ReadableMemOrNull | ArgKind::WritableMemOrNull
        );
        if or_null && word == Word::Number(0) && size == 0 {
            return Ok(());
        }
        if matches!(kind, ArgKind::WritableMem | ArgKind::WritableMemOrNull) {
            arguments.writes.push((word, size));
            return Ok(());
        }
        if kind == ArgKind::InOutMem {
            arguments.writes.push((word, size));
        } else if kind == ArgKind::MapMem {
            self.in_map_value(word)?;
            arguments.writes.push((word, size));
            return Ok(());
        } else {
            arguments.read = size;
        }
        self.helper_memory(word, size, Access::Read)
    }
}
