//! Global functions, judged once by what type information says of their arguments.
//!
//! A function with a contract is followed from arguments of which only the contract is known. When
//! that finds nothing wrong, a call needs no more than arguments that keep the contract: its result
//! is any number, and memory that it was given holds anything. A function that cannot be proved
//! like this, and a call whose arguments do not keep the contract, are no mistakes: the function is
//! then followed at the call, as any other.
//!
//! Only Linux takes contracts from type information. What a contract does not say must not matter:
//! a call while a lock is held is always followed, and so is one that may end in a tail call where
//! something is held or a callback runs.

use crate::cfg::{self, Cfg};
use crate::dynptr::{check_slice, handed_dynptr};
use crate::effect::{Bytes, Effect};
use crate::explore::Env;
use crate::live;
use crate::memory::{Access, Base};
use crate::places::ARGUMENTS;
use crate::reason::Reason;
use crate::stack::Byte;
use crate::state::{Frame, Role};
use crate::step::{Flow, Step, is_context};
use crate::value::{Dynptr, Part, Pointer, Region, Value};
use abi::{DynptrKind, Platform, ReturnKind};
use alloc::vec::Vec;
use core::cell::Cell;
use isa::{CallTarget, Insn, InsnIdx, Reg};
use program::{Contract, Parameter, Program};

/// What is known about the functions of a program without looking at a call.
pub(crate) struct Contracts {
    /// By function: it was proved.
    proved: Vec<Cell<bool>>,
    effects: Vec<Effects>,
}

/// What a function, or one that it calls, may do.
#[derive(Clone, Copy, Default)]
struct Effects {
    moves_packet: bool,
    tail_calls: bool,
}

impl Contracts {
    /// Nothing is proved yet.
    pub(crate) fn of(program: &Program, cfg: &Cfg) -> Contracts {
        let count = program.functions.len();
        let mut effects = alloc::vec![Effects::default(); count];
        for function in cfg.callees_first().iter().copied() {
            let mut all = own_effects(program, function);
            for (_, callee) in cfg::calls_of(program, function) {
                let of = effects.get(callee).copied().unwrap_or_default();
                all.moves_packet |= of.moves_packet;
                all.tail_calls |= of.tail_calls;
            }
            if let Some(place) = effects.get_mut(function) {
                *place = all;
            }
        }
        Contracts {
            proved: alloc::vec![Cell::new(false); count],
            effects,
        }
    }

    /// The function keeps what its contract says.
    pub(crate) fn prove(&self, function: usize) {
        if let Some(proved) = self.proved.get(function) {
            proved.set(true);
        }
    }

    /// What a function may do, if it is proved.
    fn effects(&self, function: usize) -> Option<Effects> {
        let proved = self.proved.get(function).is_some_and(Cell::get);
        proved.then(|| self.effects.get(function).copied())?
    }
}

fn own_effects(program: &Program, function: usize) -> Effects {
    let mut effects = Effects::default();
    let Some(function) = program.functions.get(function) else {
        return effects;
    };
    let insns = function.start.index()..function.end.index();
    for insn in program.insns.get(insns).unwrap_or_default() {
        match insn {
            Insn::Call(CallTarget::Helper(id)) => {
                let id = u32::try_from(*id).ok();
                let helper = id.and_then(|id| abi::helper::lookup(program.program_type, id));
                let tail_call =
                    helper.is_some_and(|helper| helper.ret == ReturnKind::NoReturnIfSucceed);
                effects.tail_calls |= tail_call;
                // The next program may do so as well.
                effects.moves_packet |= tail_call
                    || helper.is_none_or(|helper| {
                        // The dynamic pointer may be one of a packet.
                        helper.reallocates_packet || helper.writes_dynptr()
                    });
            }
            Insn::Call(CallTarget::Btf(_)) => effects.moves_packet = true,
            _ => {}
        }
    }
    effects
}

/// The contract of a function that is proved by it.
pub(crate) fn contract_of<'a>(env: &Env<'a>, function: usize) -> Option<&'a Contract> {
    let is_linux = env.program.program_type.platform == Platform::Linux;
    let function = env.program.functions.get(function)?;
    // The first function is the program.
    (is_linux && function.start != InsnIdx(0)).then_some(function.contract.as_ref())?
}

/// The frame of a function of whose arguments only the contract is known.
/// Arguments that are not `used` may be anything, whatever the contract says.
pub(crate) fn frame_by(contract: &Contract, function: usize, used: u16, fresh: &mut u32) -> Frame {
    let mut frame = Frame::new(function, InsnIdx(0), 0);
    frame.role = Role::ByContract {
        returns: contract.returns,
    };
    for (reg, parameter) in Reg::ARGS.into_iter().zip(&contract.parameters) {
        if used & (1 << reg.number()) == 0 {
            continue;
        }
        let value = match *parameter {
            Parameter::Number => Value::unknown(),
            Parameter::Context => Value::Pointer(Pointer::to(Region::Context)),
            Parameter::Dynptr => {
                *fresh = fresh.saturating_add(1);
                Value::Pointer(Pointer::to(Region::Dynptr(Dynptr {
                    kind: DynptrKind::Any,
                    id: *fresh,
                    reference: 0,
                    part: Part::Whole,
                })))
            }
            Parameter::Memory { bytes, nullable } => {
                *fresh = fresh.saturating_add(1);
                Value::Pointer(Pointer {
                    null: if nullable { *fresh } else { 0 },
                    ..Pointer::to(Region::Memory {
                        size: bytes,
                        reference: 0,
                    })
                })
            }
        };
        frame.set(reg, value);
    }
    frame
}

/// Stack bytes of a frame that a function may write.
type Written = (u8, i64, i64);

impl Step<'_, '_> {
    /// Calls a proved function without following it; `None` when that is not possible here.
    pub(crate) fn call_by_contract(
        &mut self,
        function: usize,
        start: InsnIdx,
    ) -> Option<Result<Flow, Reason>> {
        let effects = self.env.contracts.effects(function)?;
        let contract = contract_of(self.env, function)?;
        let runs_back =
            |frame: &Frame| matches!(frame.role, Role::CalledBack { .. } | Role::Later { .. });
        let waits = !self.state.references.is_empty()
            || self.state.frames().iter().any(|frame| runs_back(frame));
        let frames = self.state.depth() + 2 + self.env.cfg.height(function);
        if self.state.lock.is_some()
            || (effects.tail_calls && waits)
            || frames > abi::limits::CALL_FRAMES as usize
        {
            return None;
        }
        let mut written = Vec::new();
        let used = self.env.live.at(start).registers;
        for (reg, parameter) in Reg::ARGS.into_iter().zip(&contract.parameters) {
            if used & (1 << reg.number()) != 0 {
                written.extend(self.keeps(reg, *parameter)?);
            }
        }
        let checks = used & ARGUMENTS;
        self.note_call(checks, &written);
        Some(self.return_by_contract(contract, effects, &written))
    }

    /// Notes what such a call looks at, and what it leaves unknown.
    fn note_call(&mut self, checks: u16, written: &[Written]) {
        let (writes, _) = live::registers(&Insn::Call(CallTarget::Local(0)));
        self.trail.note(Effect::Registers {
            depth: self.state.depth() as u8,
            writes,
            passes: 0,
            reads: 0,
            checks,
        });
        for (frame, low, high) in written {
            let bytes = Bytes::new(*frame, *low, *high);
            self.trail.note(Effect::Read(bytes));
            self.trail.note(Effect::Overwrite(bytes));
        }
    }

    /// Does an argument keep the contract? Then the stack bytes that the function may write.
    fn keeps(&mut self, reg: Reg, parameter: Parameter) -> Option<Option<Written>> {
        let found = self.state.top().register(reg);
        match parameter {
            Parameter::Number => found.scalar().map(|_| None),
            Parameter::Context => is_context(&found).then_some(None),
            Parameter::Dynptr if handed_dynptr(&found).is_some() => Some(None),
            Parameter::Dynptr => self.made_dynptr(reg, found)?.is_ok().then_some(None),
            Parameter::Memory { nullable, .. } if found.is_zero() => nullable.then_some(None),
            Parameter::Memory { bytes, nullable } => {
                let pointer = found.pointer()?;
                if pointer.null != 0 && !nullable {
                    return None;
                }
                let base = Base {
                    reg,
                    pointer: Pointer {
                        null: 0,
                        ..*pointer
                    },
                };
                self.shared_with_function(&base, i64::from(bytes))
            }
        }
    }

    /// May a function read and write so many bytes? Then those on the stack.
    fn shared_with_function(&mut self, base: &Base, bytes: i64) -> Option<Option<Written>> {
        let span = base.span(0, bytes);
        match base.pointer.region {
            Region::Stack { frame } => {
                self.check_stack(base, frame, span).ok()?;
                let stack = &self.state.frame(frame)?.stack;
                stack.readable(span.low, span.high).ok()?;
                Some(Some((frame, span.low, span.high)))
            }
            Region::Packet { range, .. } => {
                let checked = self.check_packet(base, span, range, Access::Write);
                checked.ok().map(|()| None)
            }
            Region::MapValue { map, .. } => {
                let checked = self.check_map_value(base, map, span, Access::Write);
                checked.ok().map(|()| None)
            }
            Region::Memory { size, .. } => base.within(span, i64::from(size)).ok().map(|()| None),
            Region::Slice(slice) => {
                let checked = check_slice(base, slice, span, Access::Write);
                checked.ok().map(|()| None)
            }
            _ => None,
        }
    }

    fn return_by_contract(
        &mut self,
        contract: &Contract,
        effects: Effects,
        written: &[Written],
    ) -> Result<Flow, Reason> {
        for (frame, low, high) in written {
            if let Some(frame) = self.state.frame_mut(*frame) {
                frame.stack.fill(*low, *high, Byte::Written);
            }
        }
        if effects.moves_packet {
            self.state.move_packet(self.at);
        }
        self.clobber_arguments();
        let result = match contract.returns {
            true => Value::unknown(),
            false => Value::uninitialised(),
        };
        self.set(Reg::R0, result)?;
        self.next(1)
    }

    /// The end of a function that is judged by its contract.
    pub(crate) fn end_by_contract(&self) -> Result<Flow, Reason> {
        self.nothing_held("the end of the function")?;
        if self.state.top().role == (Role::ByContract { returns: true }) {
            let found = self.read(Reg::R0)?;
            self.no_leak(Reg::R0, found, "as the result of a global function")?;
        }
        Ok(Flow::End)
    }
}
