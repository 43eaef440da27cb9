//! The driver of the analysis: follows every path, one at a time, with an explicit list of what is
//! left to do.
//!
//! Soundness: a program is accepted only when the list is empty, so every path was followed to its
//! end or to a state covered by one whose paths were all followed to their ends. Termination of the
//! analysis: the step budget. Termination of the program: an endless path of an accepted program
//! would be an endless path of the analysis, or pass for ever through covered states, each of which
//! leads to the end of a path within as many steps as the analysis took.

use crate::callback::Invocation;
use crate::cfg::{Cfg, Located};
use crate::facts::Facts;
use crate::limits;
use crate::live::Liveness;
use crate::options::Options;
use crate::reason::Reason;
use crate::reject::{Decision, Rejection, Way};
use crate::state::{Frame, State};
use crate::step::{Flow, Step};
use crate::trace::{Observer, View};
use crate::visited::{NodeId, Visit, Visited};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use isa::{InsnIdx, Reg};
use program::{Object, Program};

/// What stays the same during the analysis of one program.
pub(crate) struct Env<'a> {
    pub(crate) object: &'a Object,
    pub(crate) program: &'a Program,
    pub(crate) cfg: Cfg,
    pub(crate) live: Liveness,
}

impl<'a> Env<'a> {
    /// Checks the shape of a program and finds what is live in it.
    pub(crate) fn of(object: &'a Object, program: &'a Program) -> Result<Env<'a>, Located> {
        let cfg = Cfg::of(program)?;
        let live = Liveness::of(program, &cfg);
        Ok(Env {
            object,
            program,
            cfg,
            live,
        })
    }
}

/// A path that waits to be followed.
struct Pending {
    at: InsnIdx,
    state: State,
    node: Option<NodeId>,
    decisions: Option<DecisionId>,
}

/// A more general state that is being tried in place of one that arrived.
struct Guess {
    /// Where the general state is stored.
    node: NodeId,
    /// How many paths waited when it began.
    pending: usize,
    /// How many steps were taken when it began.
    steps: u64,
    /// The path as it arrived.
    before: Pending,
}

/// A callback being followed; the path behind its helper waits.
struct Running {
    invocation: Invocation,
    /// Where the helper is called, with the path before that.
    at: InsnIdx,
    node: Option<NodeId>,
    decisions: Option<DecisionId>,
    /// How many paths waited before the one behind the helper.
    pending: usize,
}

/// Position in the list of decisions.
#[derive(Clone, Copy)]
struct DecisionId(u32);

/// The analysis of one program.
pub(crate) struct Explorer<'a, 'o> {
    env: &'a Env<'a>,
    options: &'a Options,
    observer: &'o mut dyn Observer,
    visited: Visited,
    pending: Vec<Pending>,
    decisions: Vec<(Decision, Option<DecisionId>)>,
    facts: Facts,
    fresh: u32,
    steps: u64,
    rejections: Vec<Rejection>,
    stopped: bool,
    /// Guesses being tried, each inside the one before.
    guesses: Vec<Guess>,
    /// Guesses that were taken back, by instruction.
    failed_guesses: BTreeMap<InsnIdx, u32>,
    /// Callbacks being followed, each inside the one before.
    running: Vec<Running>,
    /// Functions that something calls later, each followed as a program of its own.
    later: Vec<Frame>,
    /// The path goes on where a guess was taken back: no new one right there.
    is_retry: bool,
}

/// What the analysis ends with.
pub(crate) struct Outcome {
    pub(crate) facts: Facts,
    pub(crate) rejections: Vec<Rejection>,
    pub(crate) steps: u64,
    /// Functions that only run later, with a stack of their own.
    pub(crate) later: Vec<usize>,
}

impl<'a, 'o> Explorer<'a, 'o> {
    /// Follows all paths of a program.
    pub(crate) fn run(
        env: &'a Env<'a>,
        options: &'a Options,
        observer: &'o mut dyn Observer,
    ) -> Outcome {
        let mut explorer = Explorer {
            env,
            options,
            observer,
            visited: Visited::default(),
            pending: Vec::new(),
            decisions: Vec::new(),
            facts: Facts::unreached(env.program),
            fresh: 0,
            steps: 0,
            rejections: Vec::new(),
            stopped: false,
            guesses: Vec::new(),
            failed_guesses: BTreeMap::new(),
            running: Vec::new(),
            later: Vec::new(),
            is_retry: false,
        };
        explorer.follow_all(InsnIdx(0), State::entry());
        let mut next = 0;
        while let Some(frame) = explorer.later.get(next).cloned()
            && !explorer.stopped
        {
            next += 1;
            let start = env.program.functions.get(frame.function);
            let start = start.map_or(InsnIdx(0), |function| function.start);
            explorer.follow_all(start, State::of(frame));
        }
        explorer.facts.steps = explorer.steps;
        Outcome {
            facts: explorer.facts,
            rejections: explorer.rejections,
            steps: explorer.steps,
            later: explorer.later.iter().map(|frame| frame.function).collect(),
        }
    }

    /// Follows all paths from a state.
    fn follow_all(&mut self, at: InsnIdx, state: State) {
        self.pending.push(Pending {
            at,
            state,
            node: None,
            decisions: None,
        });
        while let Some(path) = self.pending.pop() {
            self.drop_finished_callbacks();
            self.observer.resumed(path.at);
            let node = self.follow(path);
            self.visited.close(node);
            if self.stopped {
                break;
            }
        }
    }

    /// Follows one path to its end; returns the last stored state on it.
    fn follow(&mut self, mut path: Pending) -> Option<NodeId> {
        loop {
            match self.advance(&mut path) {
                Ok(true) => {}
                Ok(false) => return path.node,
                Err(reason) => {
                    if !self.take_back(&mut path) {
                        self.reject(&path, reason);
                        return path.node;
                    }
                }
            }
        }
    }

    /// One instruction further: false when the path has ended.
    fn advance(&mut self, path: &mut Pending) -> Result<bool, Reason> {
        if self.env.cfg.is_join(path.at) && !self.arrive(path)? {
            return Ok(false);
        }
        let budget = self.options.steps.min(limits::STEPS_MOST);
        if self.steps >= budget {
            self.stop(path, Reason::Budget { steps: budget });
            return Ok(false);
        }
        self.steps += 1;
        if self.is_guess_too_long() {
            return Err(Reason::Budget { steps: budget });
        }
        self.observer.step(path.at, &View(&path.state));
        match self.step(path)? {
            Flow::End => return Ok(false),
            Flow::To(next) => path.at = next,
            Flow::Fork {
                taken,
                target,
                fall_through,
            } => self.fork(path, (*taken, target), *fall_through),
            Flow::CallBack(frame) => self.call_back(path, *frame),
            Flow::Later(frame) => {
                self.call_later(*frame);
                path.at = InsnIdx(path.at.0.saturating_add(1));
            }
            Flow::Returned(invocation) => return self.called_back(path, invocation),
        }
        Ok(true)
    }

    /// Puts a more general state in place of the one that arrives, if there is a promising one;
    /// returns the path as it was.
    fn guess(&mut self, path: &mut Pending) -> Option<Pending> {
        self.drop_finished_guesses();
        let failed = self.failed_guesses.get(&path.at).copied().unwrap_or(0);
        if failed >= limits::GUESSES_PER_INSN || self.guesses.len() >= limits::GUESSES {
            return None;
        }
        let general = self.visited.guess(path.at, &path.state)?;
        Some(Pending {
            at: path.at,
            state: core::mem::replace(&mut path.state, general),
            node: path.node,
            decisions: path.decisions,
        })
    }

    /// A path from a guess failed: goes on with what the guess replaced. False when there is none.
    fn take_back(&mut self, path: &mut Pending) -> bool {
        self.drop_finished_guesses();
        let Some(guess) = self.guesses.pop() else {
            return false;
        };
        self.pending.truncate(guess.pending);
        self.drop_finished_callbacks();
        self.visited.abandon(path.node, guess.before.node);
        let failed = self.failed_guesses.entry(guess.before.at).or_default();
        *failed = failed.saturating_add(1);
        *path = guess.before;
        self.is_retry = true;
        true
    }

    /// A guess must not cost more than a fair part of the budget.
    fn is_guess_too_long(&mut self) -> bool {
        self.drop_finished_guesses();
        let most = self.options.steps / limits::GUESS_SHARE;
        self.guesses
            .last()
            .is_some_and(|guess| self.steps.saturating_sub(guess.steps) > most)
    }

    /// What was proved is no guess any more.
    fn drop_finished_guesses(&mut self) {
        while let Some(guess) = self.guesses.last() {
            if self.visited.is_open(guess.node) {
                return;
            }
            self.guesses.pop();
        }
    }

    fn step(&mut self, path: &mut Pending) -> Result<Flow, Reason> {
        let mut step = Step {
            env: self.env,
            at: path.at,
            state: &mut path.state,
            facts: &mut self.facts,
            fresh: &mut self.fresh,
        };
        step.run()
    }

    /// Arrives where paths meet: false when the path need not be followed further.
    fn arrive(&mut self, path: &mut Pending) -> Result<bool, Reason> {
        self.forget(path);
        let before = match core::mem::take(&mut self.is_retry) {
            true => None,
            false => self.guess(path),
        };
        match self.visited.visit(path.at, &path.state, path.node) {
            Visit::Covered => {
                self.observer.pruned(path.at);
                Ok(false)
            }
            Visit::Endless => Err(Reason::EndlessLoop),
            Visit::Full => {
                self.stop(
                    path,
                    Reason::Memory {
                        states: limits::STATES,
                    },
                );
                Ok(false)
            }
            Visit::Go(node) => {
                path.node = node;
                if let (Some(before), Some(node)) = (before, node) {
                    self.guesses.push(Guess {
                        node,
                        pending: self.pending.len(),
                        steps: self.steps,
                        before,
                    });
                }
                Ok(true)
            }
        }
    }

    /// Forgets what will not be read again, in every frame.
    fn forget(&self, path: &mut Pending) {
        let depth = path.state.depth();
        for frame in 0..depth {
            let Some(callee) = path.state.frames().get(frame + 1) else {
                continue;
            };
            let call = callee.call;
            let after = self.env.live.at(InsnIdx(call.0.saturating_add(1)));
            // r0 to r5 belong to the callee now. The callee may read what its arguments point to,
            // which counts as being read by the call itself.
            let registers = after.registers & !0b11_1111;
            let stack = self.env.live.at(call).stack | after.stack;
            path.state.keep(frame, registers, stack);
        }
        let live = self.env.live.at(path.at);
        path.state.keep(depth, live.registers, live.stack);
        path.state.keep_distances();
    }

    /// Both ways of a branch are possible: the target waits, the fall-through goes on.
    fn fork(&mut self, path: &mut Pending, taken: (State, InsnIdx), fall_through: State) {
        let (state, target) = taken;
        let waiting = self.decide(path.decisions, path.at, Way::Taken);
        self.visited.fork(path.node);
        self.pending.push(Pending {
            at: target,
            state,
            node: path.node,
            decisions: waiting,
        });
        path.decisions = self.decide(path.decisions, path.at, Way::FallThrough);
        path.state = fall_through;
        path.at = InsnIdx(path.at.0.saturating_add(1));
    }

    /// Into a function that a helper calls; the path behind the helper waits.
    fn call_back(&mut self, path: &mut Pending, frame: Frame) {
        self.visited.fork(path.node);
        let running = Running {
            invocation: Invocation {
                frame,
                invariant: path.state.clone(),
                loosened: 0,
            },
            at: path.at,
            node: path.node,
            decisions: path.decisions,
            pending: self.pending.len(),
        };
        self.enter(path, running);
    }

    /// To the start of the function, with what is believed to hold before each of its calls.
    fn enter(&mut self, path: &mut Pending, running: Running) {
        self.pending.push(Pending {
            at: InsnIdx(running.at.0.saturating_add(1)),
            state: running.invocation.after(),
            node: running.node,
            decisions: running.decisions,
        });
        let function = running.invocation.frame.function;
        let function = self.env.program.functions.get(function);
        let start = function.map_or(running.at, |function| function.start);
        let state = running.invocation.inside();
        *path = Pending {
            at: start,
            node: Some(self.visited.store(start, &state, running.node)),
            state,
            decisions: running.decisions,
        };
        self.running.push(running);
    }

    /// Back in the helper: the path ends here, or what was believed was wrong.
    fn called_back(&mut self, path: &mut Pending, invocation: u32) -> Result<bool, Reason> {
        let found = self.running.last();
        let Some(running) = found.filter(|running| running.invocation.id() == invocation) else {
            let what = "its helper is not known any more";
            return Err(Reason::Callback { what });
        };
        if running.invocation.covers(&path.state)? {
            self.observer.pruned(path.at);
            return Ok(false);
        }
        let pending = running.pending;
        self.drop_finished_guesses();
        if self
            .guesses
            .last()
            .is_some_and(|guess| guess.pending > pending)
        {
            let what = "it was followed from a state that is too general";
            return Err(Reason::Callback { what });
        }
        let Some(mut running) = self.running.pop() else {
            return Ok(false);
        };
        if let Err(reason) = running.invocation.loosen(&path.state) {
            self.running.push(running);
            return Err(reason);
        }
        self.pending.truncate(pending);
        self.visited.abandon(path.node, running.node);
        self.enter(path, running);
        Ok(true)
    }

    /// What waits behind the helper of a callback is taken up: all its paths have ended.
    fn drop_finished_callbacks(&mut self) {
        let waiting = self.pending.len();
        while self
            .running
            .last()
            .is_some_and(|one| one.pending >= waiting)
        {
            self.running.pop();
        }
    }

    /// Remembers a function that something calls later.
    fn call_later(&mut self, frame: Frame) {
        let known = self.later.iter().any(|known| {
            known.function == frame.function && known.register(Reg::R1) == frame.register(Reg::R1)
        });
        if !known {
            self.later.push(frame);
        }
    }

    fn decide(&mut self, before: Option<DecisionId>, at: InsnIdx, way: Way) -> Option<DecisionId> {
        let id = u32::try_from(self.decisions.len()).ok()?;
        self.decisions.push((Decision { at, way }, before));
        Some(DecisionId(id))
    }

    fn reject(&mut self, path: &Pending, kind: Reason) {
        let code = kind.code();
        if self
            .rejections
            .iter()
            .any(|known| known.at == path.at && known.code() == code)
        {
            return;
        }
        let registers = path.state.readable_registers();
        let registers = registers
            .into_iter()
            .filter(|(reg, _)| *reg != Reg::R10)
            .collect();
        self.rejections.push(Rejection {
            at: path.at,
            kind,
            registers,
            path: self.path_to(path.decisions),
        });
        self.stopped |= self.rejections.len() >= self.options.rejections;
    }

    /// The analysis cannot go on. A budget says nothing about the program when real problems are
    /// known.
    fn stop(&mut self, path: &Pending, kind: Reason) {
        if self.rejections.is_empty() {
            self.reject(path, kind);
        }
        self.stopped = true;
    }

    fn path_to(&self, mut last: Option<DecisionId>) -> Vec<Decision> {
        let mut path = Vec::new();
        while let Some((decision, before)) = last.and_then(|id| self.decisions.get(id.0 as usize)) {
            path.push(*decision);
            if path.len() >= limits::PATH_BRANCHES {
                break;
            }
            last = *before;
        }
        path.reverse();
        path
    }
}
