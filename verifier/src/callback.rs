//! Functions that helpers call back.
//!
//! A helper such as `bpf_loop` calls a function any number of times before it returns. What holds
//! in the caller before each of these calls is found by trying: the first guess is the state at the
//! call; when a call of the function leaves a state that the guess does not cover, the guess is
//! loosened and the function followed anew. At the end the guess is an invariant, and the path goes
//! on from it behind the helper: no call at all is one of the cases.
//!
//! Invariant: what is proved about states inside such a function holds for one invariant only, so
//! frames carry the number of the invocation, and states of different ones never cover each other.
//! That the calls come to an end is the helper's promise; that each of them does is proved as for
//! any other function. A function that is called later (a timer's) has no caller: it is followed as
//! a program of its own.

use crate::argument::Arguments;
use crate::cfg;
use crate::domain::Scalar;
use crate::limits;
use crate::link::Link;
use crate::packed::Packed;
use crate::reason::{Reason, WrongTarget};
use crate::stack::{Byte, EMPTY, SLOTS, Slot, Stack};
use crate::state::{Frame, Role, State};
use crate::step::{Flow, Step};
use crate::subsume::{fits, pointer_fits, slot_fits};
use crate::value::{Dynptr, Kernel, Part, Pointer, Region, Trust, Unreadable, Value};
use abi::DynptrKind;
use abi::helper::{Callback, CallbackArg, CallbackTime};
use alloc::boxed::Box;
use isa::{InsnIdx, Reg};

/// A function about to be called back.
pub(crate) struct Invocation {
    /// Its frame, with the arguments.
    pub(crate) frame: Frame,
    /// What holds in the caller before each call.
    pub(crate) invariant: State,
    /// How often the invariant was loosened.
    pub(crate) loosened: u32,
}

impl Invocation {
    /// The number that its frame carries.
    pub(crate) fn id(&self) -> u32 {
        match self.frame.role {
            Role::CalledBack { invocation, .. } => invocation,
            Role::Called | Role::ByContract { .. } | Role::Later { .. } => 0,
        }
    }

    /// The state at the start of the function.
    pub(crate) fn inside(&self) -> State {
        let mut state = self.invariant.clone();
        state.push(self.frame.clone());
        state
    }

    /// The state when the helper has returned.
    pub(crate) fn after(&self) -> State {
        returned(self.invariant.clone())
    }

    /// Is the state that a call leaves one that the invariant covers?
    pub(crate) fn covers(&self, left: &State) -> Result<bool, Reason> {
        let held = &self.invariant.references;
        if let Some(extra) = left.references.iter().find(|one| !held.contains(one)) {
            return Err(Reason::NotReleased {
                acquired: extra.acquired,
                before: "the end of the callback",
            });
        }
        if left.references.len() != held.len() {
            let what = "it releases what its caller holds";
            return Err(Reason::Callback { what });
        }
        if left.lock != self.invariant.lock {
            return Err(Reason::Lock {
                what: "a spin lock is still held where a callback ends",
            });
        }
        Ok(left.is_subsumed_by(&self.invariant))
    }

    /// Makes the invariant cover a state that a call leaves.
    pub(crate) fn loosen(&mut self, left: &State) -> Result<(), Reason> {
        self.loosened += 1;
        let refuse = Reason::Callback {
            what: "what it changes in its caller does not settle",
        };
        if self.loosened > limits::CALLBACK_ROUNDS {
            return Err(refuse);
        }
        let how = match self.loosened {
            1 => Loosen::Join,
            n if n <= limits::CALLBACK_ROUNDS / 2 => Loosen::Widen,
            _ => Loosen::Forget,
        };
        for depth in 0..left.frames().len() {
            let depth = u8::try_from(depth).map_err(|_| refuse.clone())?;
            let (Some(mine), Some(other)) = (self.invariant.frame_mut(depth), left.frame(depth))
            else {
                return Err(refuse);
            };
            loosen_frame(mine, other, how);
        }
        let known = &left.distances;
        self.invariant.distances.retain(|one| known.contains(one));
        let known = &left.sums;
        self.invariant.sums.retain(|one| known.contains(one));
        let known = &left.totals;
        self.invariant.totals.retain(|one| known.contains(one));
        if left.is_subsumed_by(&self.invariant) {
            return Ok(());
        }
        Err(refuse)
    }
}

/// The state when a helper has returned, from what holds before each call of the function.
pub(crate) fn returned(invariant: State) -> State {
    let mut state = invariant;
    let top = state.top_mut();
    top.set(Reg::R0, Value::unknown());
    for reg in Reg::ARGS {
        top.set(reg, Value::Unreadable(Unreadable::Clobbered));
    }
    state
}

/// How numbers that differ are brought together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loosen {
    /// The smallest set that holds both.
    Join,
    /// A set at which chains end soon.
    Widen,
    /// Anything.
    Forget,
}

fn loosen_frame(mine: &mut Frame, other: &Frame, how: Loosen) {
    for reg in Reg::ALL.into_iter().filter(|reg| *reg != Reg::R10) {
        let loose = loosen_value(&mine.register(reg), &other.register(reg), how);
        mine.set(reg, loose);
    }
    loosen_stack(&mut mine.stack, &other.stack, how);
}

fn loosen_value(mine: &Value, other: &Value, how: Loosen) -> Value {
    match (mine, other) {
        (
            Value::Number { scalar, link },
            Value::Number {
                scalar: new,
                link: of,
            },
        ) => Value::Number {
            scalar: loosen_scalar(scalar, new, how),
            link: if link == of { *link } else { Link::NONE },
        },
        (Value::Pointer(pointer), Value::Pointer(new)) => {
            loosen_pointer(pointer, new).unwrap_or(Value::uninitialised())
        }
        (mine, other) if fits(&Packed::from(*other), &Packed::from(*mine)) => *mine,
        _ => Value::uninitialised(),
    }
}

fn loosen_scalar(mine: &Scalar, other: &Scalar, how: Loosen) -> Scalar {
    match how {
        _ if other.leq(mine) => *mine,
        Loosen::Join => mine.join(other),
        Loosen::Widen => mine.widen(other),
        Loosen::Forget => Scalar::UNKNOWN,
    }
}

/// Of two packet pointers that differ in what is proved, the smaller proof stays.
fn loosen_pointer(mine: &Pointer, other: &Pointer) -> Option<Value> {
    let mut weaker = *mine;
    if mine.link != other.link {
        weaker.link = Link::NONE;
    }
    if let (
        Region::Packet { range, .. } | Region::PacketMeta { range, .. },
        Region::Packet { range: new, .. } | Region::PacketMeta { range: new, .. },
    ) = (&mut weaker.region, other.region)
    {
        *range = new.min(*range);
    }
    pointer_fits(other, &weaker).then_some(Value::Pointer(weaker))
}

fn loosen_stack(mine: &mut Stack, other: &Stack, how: Loosen) {
    for index in 0..SLOTS {
        let (slot, new) = (mine.slot(index), other.slot(index));
        if !slot_fits(new, slot) {
            let loose = loosen_slot(slot, new, how);
            mine.replace(index, loose);
        }
    }
}

fn loosen_slot(mine: &Slot, other: &Slot, how: Loosen) -> Slot {
    if let (Slot::Whole(_), Some(whole), Some(new)) = (mine, mine.part(0, 8), other.part(0, 8)) {
        let value = loosen_value(&whole.value(), &new.value(), how);
        return match value.is_readable() {
            true => Slot::Whole(Packed::from(value)),
            false => EMPTY,
        };
    }
    let halves = [0, 4].map(|at| {
        let (mine, other) = (mine.part(at, 4)?, other.part(at, 4)?);
        let value = loosen_value(&mine.value(), &other.value(), how);
        value.scalar().map(Scalar::truncate32)
    });
    if let [Some(low), Some(high)] = halves {
        return Slot::of_halves([low, high]);
    }
    Slot::Bytes(core::array::from_fn(|at| {
        match (mine.byte(at), other.byte(at)) {
            (Byte::Zero, Byte::Zero) => Byte::Zero,
            (Byte::Zero | Byte::Written, Byte::Zero | Byte::Written) => Byte::Written,
            _ => Byte::Unwritten,
        }
    }))
}

impl Step<'_, '_> {
    /// The helper that was just checked calls its function argument.
    pub(crate) fn call_back(
        &mut self,
        callback: &Callback,
        arguments: &Arguments,
    ) -> Result<Flow, Reason> {
        let target = arguments.callback;
        let function = target.and_then(|start| cfg::function_at(self.env.program, start));
        let (Some(_), Some(function)) = (target, function) else {
            let wrong = WrongTarget::NotAFunction;
            return Err(Reason::Target { target, wrong });
        };
        let rounds = self.rounds(callback);
        self.next(1)?;
        self.clobber_arguments();
        self.facts.use_stack(function, 0);
        match callback.time {
            CallbackTime::During if rounds == 0 => {
                self.set(Reg::R0, Value::unknown())?;
                self.next(1)
            }
            CallbackTime::During => {
                let depth = self.state.depth() + 1;
                let frames = depth + 1;
                if frames > abi::limits::CALL_FRAMES as usize {
                    return Err(Reason::CallDepth { frames });
                }
                // Calls of the function leave nothing there that the invariant could tell.
                for reg in Reg::ARGS.into_iter().chain([Reg::R0]) {
                    self.set(reg, Value::uninitialised())?;
                }
                let mut frame = Frame::new(function, self.at, depth);
                frame.run = self.fresh();
                frame.role = Role::CalledBack {
                    invocation: frame.run,
                    most: callback.result_most,
                };
                self.pass(&mut frame, callback, (arguments, rounds));
                Ok(Flow::CallBack(Box::new(frame)))
            }
            CallbackTime::Later => {
                self.set(Reg::R0, Value::unknown())?;
                let mut frame = Frame::new(function, InsnIdx(0), 0);
                frame.role = Role::Later {
                    most: callback.result_most,
                };
                self.pass(&mut frame, callback, (arguments, rounds));
                Ok(Flow::Later(Box::new(frame)))
            }
        }
    }

    /// How often the function is called at most, where an argument says so.
    fn rounds(&self, callback: &Callback) -> u32 {
        let most = abi::limits::LOOP_ROUNDS;
        if !callback.args.contains(&CallbackArg::Index) {
            return most;
        }
        // The helper takes a 32-bit number.
        let told = self.state.top().register(Reg::R1);
        told.scalar().map_or(most, |rounds| {
            u32::try_from(rounds.truncate32().umax())
                .unwrap_or(most)
                .min(most)
        })
    }

    /// Puts the arguments of the function in its frame.
    fn pass(
        &mut self,
        frame: &mut Frame,
        callback: &Callback,
        (arguments, rounds): (&Arguments, u32),
    ) {
        let pointer = |region| Value::Pointer(Pointer::to(region));
        let map = arguments.map.or(arguments.timer);
        // The helper passes the others as 0; nothing may rely on that.
        for reg in Reg::ARGS {
            frame.set(reg, Value::Unreadable(Unreadable::NotPassed));
        }
        for (reg, kind) in Reg::ARGS.into_iter().zip(callback.args) {
            let value = match (kind, map) {
                (CallbackArg::Index, _) => {
                    let last = u64::from(rounds.saturating_sub(1));
                    Value::number(Scalar::from_range_u(0, last))
                }
                (CallbackArg::Context, _) => arguments.context,
                (CallbackArg::Object, _) => pointer(Region::Kernel {
                    ty: Kernel::Unknown,
                    trust: Trust::Trusted,
                }),
                (CallbackArg::Map, Some(map)) => pointer(Region::Map {
                    map: map.id,
                    inner: map.inner,
                }),
                (CallbackArg::Key, Some(map)) => pointer(Region::MapKey { map: map.id }),
                (CallbackArg::Value, Some(map)) => {
                    let object = self.fresh();
                    pointer(Region::MapValue {
                        map: map.id,
                        object,
                    })
                }
                (CallbackArg::Dynptr, _) => pointer(Region::Dynptr(Dynptr {
                    kind: DynptrKind::Local,
                    id: self.fresh(),
                    reference: 0,
                    part: Part::Whole,
                })),
                (CallbackArg::Map | CallbackArg::Key | CallbackArg::Value, None) => {
                    Value::uninitialised()
                }
            };
            frame.set(reg, value);
        }
    }

    /// The end of a function that a helper calls: its result must be one that the helper takes.
    pub(crate) fn check_callback_result(&self, most: u32) -> Result<(), Reason> {
        let found = self.read(Reg::R0)?;
        match found.scalar() {
            Some(scalar) if scalar.umax() <= u64::from(most) => Ok(()),
            _ => Err(Reason::CallbackResult { found, most }),
        }
    }
}
