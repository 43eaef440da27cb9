//! Follows the path to a problem once more, to see what happened on it.
//!
//! The explorer keeps of a path only how its branches went, which is enough to follow it again from
//! the entry. A path that went through a generalised state may differ in the values it sees, and so
//! in its length, but not in where it leads; when it cannot be followed to the instruction concerned,
//! there is no explanation of the way, and nothing else is lost.

use crate::callback;
use crate::explore::Env;
use crate::facts::Facts;
use crate::limits;
use crate::reject::{CalledBack, Decision, Origin, Rejection, Way};
use crate::state::{Frame, State};
use crate::step::{Flow, Step};
use crate::trail::Trail;
use crate::value::{Region, Value};
use alloc::rc::Rc;
use alloc::vec::Vec;
use isa::{Insn, InsnIdx, Reg};

/// One instruction on a path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    /// The instruction.
    pub(crate) at: InsnIdx,
    /// Depth of its frame.
    pub(crate) depth: u8,
    /// For a conditional jump: which way it went.
    pub(crate) way: Option<Way>,
    /// For a load or store of stack memory at a known place.
    pub(crate) stack: Option<StackSpan>,
}

/// Bytes of a frame, as offsets from its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StackSpan {
    /// Depth of the frame.
    pub(crate) frame: u8,
    /// First byte.
    pub(crate) low: i16,
    /// Bytes.
    pub(crate) size: u8,
}

/// A path that is being followed again.
pub(crate) struct Replay<'e, 'a> {
    env: &'e Env<'a>,
    decisions: &'e [Decision],
    callbacks: &'e [CalledBack],
    facts: Facts,
    fresh: u32,
    trail: Trail,
    arrivals: u32,
    steps: usize,
    /// The next instruction.
    pub(crate) at: InsnIdx,
    /// The state before it.
    pub(crate) state: State,
}

impl<'e, 'a> Replay<'e, 'a> {
    /// At the start of the path.
    pub(crate) fn new(env: &'e Env<'a>, rejection: &'e Rejection) -> Replay<'e, 'a> {
        let Origin {
            later,
            contracts,
            callbacks,
            fresh,
        } = &rejection.origin;
        // What was proved before the path was followed is not followed here either.
        contracts
            .iter()
            .for_each(|known| env.contracts.prove(*known));
        let (at, state) = match later {
            Some(later) => (**later).clone(),
            None => (InsnIdx(0), State::entry()),
        };
        Replay {
            env,
            decisions: &rejection.path,
            callbacks,
            facts: Facts::unreached(env.program),
            fresh: *fresh,
            trail: Trail::new(Vec::new()),
            arrivals: 0,
            steps: 0,
            at,
            state,
        }
    }

    /// One instruction further; `None` where the path ends or cannot be followed.
    pub(crate) fn advance(&mut self, end: InsnIdx) -> Option<Event> {
        self.steps += 1;
        // A loop that does nothing comes back to its start with no decision left.
        self.arrivals += u32::from(self.at == end && self.decisions.is_empty());
        if self.arrivals > 1 || self.steps > limits::REPLAYED_STEPS {
            return None;
        }
        let at = self.at;
        let mut event = Event {
            at,
            depth: u8::try_from(self.state.depth()).ok()?,
            way: None,
            stack: self.stack_span(at),
        };
        let mut step = Step {
            env: self.env,
            at,
            state: &mut self.state,
            facts: &mut self.facts,
            fresh: &mut self.fresh,
            trail: &mut self.trail,
        };
        let flow = step.run().ok()?;
        event.way = self.go(at, flow, end)?;
        Some(event)
    }

    /// Goes on where the instruction leads.
    fn go(&mut self, at: InsnIdx, flow: Flow, end: InsnIdx) -> Option<Option<Way>> {
        let next = InsnIdx(at.0.saturating_add(1));
        match flow {
            Flow::End | Flow::Returned(_) => None,
            Flow::Later(_) => {
                self.at = next;
                Some(None)
            }
            Flow::CallBack(frame) => {
                self.call_back(at, *frame, end);
                Some(None)
            }
            Flow::To(to) => {
                self.at = to;
                let insn = self.env.program.insns.get(at.index())?;
                if !matches!(insn, Insn::JumpIf { .. } | Insn::MayGoto { .. }) {
                    return Some(None);
                }
                let way = match to == next {
                    true => Way::FallThrough,
                    false => Way::Taken,
                };
                // In a more general state both ways were possible here.
                if self.decisions.first() == Some(&Decision { at, way }) {
                    self.decisions = &self.decisions[1..];
                }
                Some(Some(way))
            }
            Flow::Fork {
                taken,
                target,
                fall_through,
                ..
            } => {
                let (decision, rest) = self.decisions.split_first()?;
                if decision.at != at {
                    return None;
                }
                self.decisions = rest;
                (self.at, self.state) = match decision.way {
                    Way::Taken => (target, *taken),
                    Way::FallThrough => (next, *fall_through),
                };
                Some(Some(decision.way))
            }
        }
    }

    /// Where the path went on: behind the helper or in the function, from what was found to hold.
    /// Where that was not kept: into the function when what comes next on the path is not in one that
    /// runs already.
    fn call_back(&mut self, at: InsnIdx, frame: Frame, end: InsnIdx) {
        let known = self.callbacks.split_first();
        if let Some((callback, rest)) = known.filter(|(callback, _)| callback.at == at) {
            self.callbacks = rest;
            return self.go_on(callback, frame);
        }
        let goal = self.decisions.first().map_or(end, |decision| decision.at);
        let goal = self.env.cfg.function_of(goal);
        let runs = |running: &Rc<Frame>| Some(running.function) == goal;
        let start = self.env.program.functions.get(frame.function);
        match start.filter(|_| !self.state.frames().iter().any(runs)) {
            Some(function) => {
                self.at = function.start;
                self.state.push(frame);
            }
            None => {
                self.at = InsnIdx(at.0.saturating_add(1));
                self.state.top_mut().set(Reg::R0, Value::unknown());
            }
        }
    }

    fn go_on(&mut self, callback: &CalledBack, frame: Frame) {
        let invariant = callback.invariant.clone();
        let function = self.env.program.functions.get(frame.function);
        match function.filter(|_| !callback.has_returned) {
            Some(function) => {
                self.at = function.start;
                self.state = invariant;
                self.state.push(frame);
            }
            None => {
                self.at = InsnIdx(callback.at.0.saturating_add(1));
                self.state = callback::returned(invariant);
            }
        }
    }

    fn stack_span(&self, at: InsnIdx) -> Option<StackSpan> {
        let (size, base, offset): (_, Reg, i16) = match self.env.program.insns.get(at.index())? {
            Insn::Load {
                size, base, offset, ..
            }
            | Insn::Store {
                size, base, offset, ..
            } => (size, *base, *offset),
            _ => return None,
        };
        let pointer = *self.state.top().register(base).pointer()?;
        let Region::Stack { frame } = pointer.region else {
            return None;
        };
        let low = pointer.known_offset()?.checked_add(offset.into())?;
        Some(StackSpan {
            frame,
            low: i16::try_from(low).ok()?,
            size: u8::try_from(size.bytes()).ok()?,
        })
    }
}

/// The instructions on the path to a problem, when it can be followed; without the one concerned.
pub(crate) fn events<'e, 'a>(
    env: &'e Env<'a>,
    rejection: &'e Rejection,
) -> Option<(Vec<Event>, Replay<'e, 'a>)> {
    if rejection.path.len() >= limits::PATH_BRANCHES {
        return None;
    }
    let mut replay = Replay::new(env, rejection);
    let mut events = Vec::new();
    while let Some(event) = replay.advance(rejection.at) {
        events.push(event);
    }
    (replay.at == rejection.at).then_some((events, replay))
}
