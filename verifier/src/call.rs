//! Calls of helpers, subprograms and platform functions, and the way back.

use crate::argument::Arguments;
use crate::cfg;
use crate::domain::Scalar;
use crate::dynptr::{slice_of, writes_packet};
use crate::effect::{Effect, Parting};
use crate::limits;
use crate::map_use::{self, Found};
use crate::reason::{Reason, WrongTarget};
use crate::state::{Frame, Lock, Reference, Role, State};
use crate::step::{Flow, Step, is_context};
use crate::sums::Length;
use crate::value::{Pointer, Region, Unreadable, Value};
use abi::context::SocketKind;
use abi::helper::{LEAST_ERROR, ResultRange};
use abi::{ArgKind, Helper, Platform, ReturnKind};
use alloc::boxed::Box;
use isa::{Insn, InsnIdx, Reg};

impl Step<'_, '_> {
    /// `call id`
    pub(crate) fn call_helper(&mut self, id: i32) -> Result<Flow, Reason> {
        let helper = self.helper(id)?;
        self.call_prototype(helper)
    }

    /// Calls what has a prototype.
    fn call_prototype(&mut self, helper: &'static Helper) -> Result<Flow, Reason> {
        self.check_lock(helper)?;
        if helper.ret == ReturnKind::NoReturnIfSucceed {
            self.check_tail_call()?;
        }
        let arguments = self.check_arguments(helper)?;
        self.facts.call(
            self.at,
            arguments.map.filter(|map| !map.inner).map(|map| map.id),
        );
        self.perform_writes(&arguments);
        self.use_lock(helper, &arguments);
        if helper.releases {
            self.release(helper, &arguments)?;
        }
        if helper.reallocates_packet || writes_packet(helper, &arguments) {
            self.state.move_packet(self.at);
        }
        self.make_dynptr(&arguments)?;
        if let Some(callback) = helper.callback {
            return self.call_back(callback, &arguments);
        }
        self.clobber_arguments();
        let result = self.helper_result(helper, &arguments)?;
        self.set(Reg::R0, result)?;
        if helper.ret == ReturnKind::NoReturnIfSucceed && self.state.depth() > 0 {
            return self.tail_call_in_function();
        }
        self.next(1)
    }

    fn helper(&self, id: i32) -> Result<&'static Helper, Reason> {
        if let Some(what) = self.env.program.missing(self.at) {
            return Err(Reason::Missing { what: what.clone() });
        }
        let program_type = self.env.program.program_type;
        let number = u32::try_from(id).map_err(|_| Reason::UnknownHelper {
            id,
            elsewhere: None,
        })?;
        if let Some(helper) = abi::helper::lookup(program_type, number) {
            return Ok(helper);
        }
        if let Some(helper) = abi::helper::by_id(program_type.platform, number) {
            return Err(Reason::HelperNotAllowed {
                helper: helper.name,
                program_type: program_type.name,
            });
        }
        let other = match program_type.platform {
            Platform::Windows => Platform::Linux,
            Platform::Linux => Platform::Windows,
        };
        let elsewhere = abi::helper::by_id(other, number).map(|helper| helper.name);
        Err(Reason::UnknownHelper { id, elsewhere })
    }

    /// While a lock is held nothing but its release may be called.
    fn check_lock(&self, helper: &Helper) -> Result<(), Reason> {
        let what = match (self.state.lock.is_some(), helper.name) {
            (true, UNLOCK) | (false, _) => return Ok(()),
            (true, LOCK) => "a second spin lock is taken while one is held",
            (true, _) => "a helper is called while a spin lock is held",
        };
        Err(Reason::Lock { what })
    }

    fn use_lock(&mut self, helper: &Helper, arguments: &Arguments) {
        match (helper.name, arguments.lock) {
            (LOCK, lock) => self.state.lock = lock,
            (UNLOCK, _) => self.state.lock = None,
            _ => {}
        }
    }

    /// The other program takes over and never comes back.
    fn check_tail_call(&self) -> Result<(), Reason> {
        self.nothing_held("the tail call")?;
        let frames = self.state.frames().iter();
        let mut roles = frames.map(|frame| frame.role);
        if roles.any(|role| matches!(role, Role::CalledBack { .. } | Role::Later { .. })) {
            let what = "it makes a tail call";
            return Err(Reason::Callback { what });
        }
        let waits = self.env.program.program_type.platform == Platform::Windows;
        if waits && self.state.depth() > 0 {
            return Err(Reason::TailCall);
        }
        Ok(())
    }

    /// Where a tail call in a function succeeds, the other program returns to the function's caller:
    /// with any number, and it may have moved the packet.
    fn tail_call_in_function(&mut self) -> Result<Flow, Reason> {
        let mut returned = self.state.clone();
        returned.move_packet(self.at);
        self.may_return(returned, Value::unknown())
    }

    /// Goes on, or in this state back to the function's caller, with this result; the end of the
    /// program itself must have been looked at.
    pub(crate) fn may_return(
        &mut self,
        mut returned: State,
        result: Value,
    ) -> Result<Flow, Reason> {
        self.next(1)?;
        let Some(call) = returned.pop() else {
            return self.next(1);
        };
        let caller = returned.top_mut();
        for reg in Reg::ARGS {
            caller.set(reg, Value::Unreadable(Unreadable::Clobbered));
        }
        caller.set(Reg::R0, result);
        let next = InsnIdx(call.0.saturating_add(1));
        if self.env.cfg.function_of(next) != Some(caller.function) {
            return Err(Reason::FallsOff);
        }
        let caller = returned.depth() as u8;
        Ok(Flow::Fork {
            parting: Parting::Return { caller },
            taken: Box::new(returned),
            target: next,
            fall_through: Box::new(self.state.clone()),
        })
    }

    fn release(&mut self, helper: &Helper, arguments: &Arguments) -> Result<(), Reason> {
        let found = arguments.first;
        let id = match arguments.dynptr {
            Some(dynptr) => dynptr.reference,
            None => found.pointer().map_or(0, Pointer::reference),
        };
        if id != 0 && self.state.release(id, self.at) {
            return Ok(());
        }
        Err(Reason::NotAcquired {
            reg: Reg::R1,
            found,
            helper: helper.name,
        })
    }

    fn helper_result(&mut self, helper: &Helper, arguments: &Arguments) -> Result<Value, Reason> {
        Ok(match helper.ret {
            ReturnKind::Integer | ReturnKind::NoReturnIfSucceed => number_of(helper, arguments),
            ReturnKind::Void => Value::uninitialised(),
            ReturnKind::MapValueOrNull => return self.found_value(helper, arguments),
            ReturnKind::MapValue => self.own_value(helper, arguments)?,
            ReturnKind::AllocMemOrNull => {
                let reference = self.acquire()?;
                let size = arguments.alloc_size;
                or_null(Region::Memory { size, reference }, reference)
            }
            ReturnKind::SliceOrNull | ReturnKind::ReadOnlySliceOrNull => {
                let slice = slice_of(helper, arguments).ok_or(Reason::Unsupported {
                    what: "a slice of no dynamic pointer",
                })?;
                or_null(Region::Slice(slice), self.fresh())
            }
            ReturnKind::SocketOrNull => self.socket(helper, arguments, SocketKind::Full)?,
            ReturnKind::SockCommonOrNull => self.socket(helper, arguments, SocketKind::Common)?,
            ReturnKind::TcpSockOrNull => self.socket(helper, arguments, SocketKind::Tcp)?,
            ReturnKind::BtfIdOrNull => or_null(self.kernel_result(helper), self.fresh()),
            ReturnKind::KernelContext => self.kernel_context(helper)?,
            ReturnKind::KernelCast => Value::Pointer(Pointer::to(self.kernel_cast(arguments))),
            ReturnKind::BtfId => Value::Pointer(Pointer::to(self.kernel_result(helper))),
        })
    }

    fn socket(
        &mut self,
        helper: &Helper,
        arguments: &Arguments,
        kind: SocketKind,
    ) -> Result<Value, Reason> {
        if helper.acquires {
            let reference = self.acquire()?;
            return Ok(or_null(Region::Socket { kind, reference }, reference));
        }
        let passed = arguments.first.pointer();
        let passed = passed.filter(|_| helper.shows_what_is_passed());
        let reference = passed.map_or(0, Pointer::reference);
        Ok(or_null(Region::Socket { kind, reference }, self.fresh()))
    }

    /// A reference that some pointer carries from now on.
    pub(crate) fn acquire(&mut self) -> Result<u32, Reason> {
        if let Some(first) = self.state.references.first()
            && self.state.references.len() >= limits::REFERENCES
        {
            return Err(Reason::NotReleased {
                acquired: first.acquired,
                before: "still more are acquired",
            });
        }
        let id = self.fresh();
        self.state.references.push(Reference {
            id,
            acquired: self.at,
        });
        Ok(id)
    }

    /// The result of a lookup: a value, or a map inside the map.
    /// The value that a program has of a map by itself.
    fn own_value(&mut self, helper: &Helper, arguments: &Arguments) -> Result<Value, Reason> {
        let found = self.found_value(helper, arguments)?;
        Ok(match found {
            Value::Pointer(pointer) => Value::Pointer(Pointer { null: 0, ..pointer }),
            other => other,
        })
    }

    fn found_value(&mut self, helper: &Helper, arguments: &Arguments) -> Result<Value, Reason> {
        let unknown = Reason::MapType {
            map: 0,
            helper: helper.name,
        };
        let Some(map) = arguments.map else {
            return Err(unknown);
        };
        let refused = Reason::MapType {
            map: usize::from(map.id.0),
            helper: helper.name,
        };
        let Some(definition) = self.map(map.id) else {
            return Err(refused);
        };
        let (kind, inner) = (definition.kind, definition.inner);
        if map_use::found(self.env.object.platform, definition) == Found::Socket {
            let reference = self.acquire()?;
            return Ok(Value::Pointer(Pointer {
                null: reference,
                ..Pointer::to(Region::Socket {
                    kind: SocketKind::Full,
                    reference,
                })
            }));
        }
        let null = self.fresh();
        let region = if kind.is_map_of_maps() {
            let map = inner.ok_or(refused)?;
            Region::Map { map, inner: true }
        } else {
            Region::MapValue {
                map: map.id,
                object: null,
            }
        };
        Ok(Value::Pointer(Pointer {
            null,
            ..Pointer::to(region)
        }))
    }

    /// `call +offset`
    pub(crate) fn call_local(&mut self, insn: &Insn) -> Result<Flow, Reason> {
        let target = cfg::call_target(self.at, insn);
        let found =
            target.and_then(|start| Some((start, cfg::function_at(self.env.program, start)?)));
        let Some((start, function)) = found else {
            let wrong = WrongTarget::NotAFunction;
            return Err(Reason::Target { target, wrong });
        };
        if let Some(flow) = self.call_by_contract(function, start) {
            return flow;
        }
        // The shape check has ruled this out, but not through callbacks.
        let frames = self.state.depth() + 2;
        if frames > abi::limits::CALL_FRAMES as usize {
            return Err(Reason::CallDepth { frames });
        }
        let caller = self.state.depth() as u8;
        self.trail.note(Effect::Enter(caller));
        let mut frame = Frame::new(function, self.at, self.state.depth() + 1);
        frame.run = self.fresh();
        for reg in Reg::ARGS {
            frame.set(reg, self.state.top().register(reg));
        }
        self.clobber_arguments();
        self.state.push(frame);
        self.facts.use_stack(function, 0);
        Ok(Flow::To(start))
    }

    /// A function that the platform resolves by name.
    pub(crate) fn call_platform(&mut self, index: i32) -> Result<Flow, Reason> {
        let index = usize::try_from(index).ok();
        let known = index.and_then(|index| self.env.object.btf_functions.get(index));
        let Some(function) = known else {
            return Err(Reason::Unsupported {
                what: "a call of an unresolved platform function",
            });
        };
        let program_type = self.env.program.program_type;
        match abi::helper::function(program_type.platform, &function.name) {
            Some(row) if !abi::helper::may_call(program_type, row.name) => {
                Err(Reason::HelperNotAllowed {
                    helper: row.name,
                    program_type: program_type.name,
                })
            }
            Some(row) => self.call_prototype(row),
            None => self.call_unknown(),
        }
    }

    /// A function whose prototype is not known: only numbers and the context pointer may be passed,
    /// and registers that surely hold nothing count as not passed. What is only unknown may be a
    /// pointer of another path that this one stands for.
    fn call_unknown(&mut self) -> Result<Flow, Reason> {
        if self.state.lock.is_some() {
            return Err(Reason::Lock {
                what: "a function is called while a spin lock is held",
            });
        }
        for reg in Reg::ARGS {
            let found = self.state.top().register(reg);
            let passes = match found {
                Value::Unreadable(why) => why.is_empty(),
                Value::Number { .. } => true,
                Value::Pointer(_) => is_context(&found),
            };
            if !passes {
                return Err(Reason::PlatformArgument { reg, found });
            }
        }
        // Nothing says that it leaves the packet where it is.
        self.state.move_packet(self.at);
        self.clobber_arguments();
        self.set(Reg::R0, Value::unknown())?;
        self.next(1)
    }

    /// Back to the caller, or the end of the program.
    pub(crate) fn exit(&mut self) -> Result<Flow, Reason> {
        match self.state.top().role {
            Role::CalledBack { invocation, most } => {
                self.check_callback_result(most)?;
                self.state.pop();
                return Ok(Flow::Returned(invocation));
            }
            Role::Later { most } => {
                self.nothing_held("the end of the callback")?;
                self.check_callback_result(most)?;
                return Ok(Flow::End);
            }
            Role::ByContract { .. } => return self.end_by_contract(),
            Role::Called if self.state.depth() == 0 => return self.end(),
            Role::Called => {}
        }
        let found = self.state.top().register(Reg::R0);
        let own = self.state.depth();
        if let Some(pointer) = found.pointer()
            && pointer.is_in_frames_from(own)
        {
            return Err(Reason::ReturnsStack { found });
        }
        let Some(call) = self.state.pop() else {
            return self.end();
        };
        self.clobber_arguments();
        self.set(Reg::R0, found)?;
        self.at = call;
        self.next(1)
    }

    fn end(&self) -> Result<Flow, Reason> {
        self.nothing_held("the end of the program")?;
        let found = self.read(Reg::R0)?;
        self.no_leak(Reg::R0, found, "as the result of the program")?;
        self.check_verdict(found)?;
        Ok(Flow::End)
    }
}

pub(crate) const LOCK: &str = "bpf_spin_lock";
pub(crate) const UNLOCK: &str = "bpf_spin_unlock";

impl Step<'_, '_> {
    /// The lock that an argument points to.
    pub(crate) fn lock_argument(
        &self,
        reg: Reg,
        found: Value,
        helper: &Helper,
    ) -> Result<Lock, Reason> {
        let needs = ArgKind::SpinLock;
        let refuse = Reason::Argument {
            reg,
            found,
            needs,
            helper: helper.name,
        };
        let Some(pointer) = found.pointer().filter(|pointer| pointer.null == 0) else {
            return Err(refuse);
        };
        let Region::MapValue { map, object } = pointer.region else {
            return Err(refuse);
        };
        let place = self.map(map).and_then(|map| map.spin_lock).map(i64::from);
        if place.is_none() || pointer.known_offset() != place {
            return Err(refuse);
        }
        let lock = Lock { map, object };
        if helper.name == UNLOCK && self.state.lock != Some(lock) {
            return Err(Reason::Lock {
                what: "a spin lock is released that is not held",
            });
        }
        Ok(lock)
    }

    /// A size that a helper is told, as smallest and largest value.
    pub(crate) fn size_argument(
        &self,
        reg: Reg,
        least: i64,
        helper: &Helper,
    ) -> Result<Length, Reason> {
        let found = self.read(reg)?;
        let refuse = Reason::ArgumentSize {
            reg,
            found,
            least,
            helper: helper.name,
        };
        let Some(scalar) = found.scalar() else {
            return Err(refuse);
        };
        let scalar = if helper.size_32 {
            &scalar.truncate32()
        } else {
            scalar
        };
        if scalar.smin() < least || scalar.smax() > limits::MEMORY_BYTES {
            return Err(refuse);
        }
        Ok(Length {
            least: scalar.smin(),
            most: scalar.smax(),
            link: found.link(),
        })
    }
}

/// The numbers that a helper can return. A size decides whether the call is safe, so that it is
/// needed exactly wherever the result is made of it.
fn number_of(helper: &Helper, arguments: &Arguments) -> Value {
    let (low, high) = match helper.result {
        ResultRange::Any => return Value::unknown(),
        ResultRange::UpToSize => (LEAST_ERROR, arguments.size_most.max(0)),
        ResultRange::Below(limit) => (0, i64::from(limit).saturating_sub(1)),
    };
    Value::number(Scalar::from_range_s(low, high))
}

/// A pointer that is NULL, or known to be none, with others of that number.
fn or_null(region: Region, null: u32) -> Value {
    Value::Pointer(Pointer {
        null,
        ..Pointer::to(region)
    })
}
