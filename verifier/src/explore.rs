//! The driver of the analysis: follows every path, one at a time, with an explicit list of what is
//! left to do.
//!
//! Soundness: a program is accepted only when the list is empty, so every path was followed to its
//! end or to a state covered by one whose paths were all followed to their ends. Termination of the
//! analysis: the step budget. Termination of the program: an endless path of an accepted program
//! would be an endless path of the analysis, or pass for ever through covered states, each of which
//! leads to the end of a path within as many steps as the analysis took.

use self::rounds::{Attempts, Suspect};
use crate::callback::Invocation;
use crate::cfg::{self, Cfg, Located};
use crate::contract::{self, Contracts};
use crate::effect::Parting;
use crate::facts::{self, Facts};
use crate::limits;
use crate::live::Liveness;
use crate::options::Options;
use crate::reason::Reason;
use crate::reject::{Decision, Origin, Rejection};
use crate::state::{Frame, State};
use crate::step::{Flow, Step};
use crate::trace::{Observer, View};
use crate::trail::{End, Mark, Trail, Waiting};
use crate::visited::{NodeId, Visit, Visited};
use crate::work;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use isa::{CallTarget, Insn, InsnIdx, Reg};
use program::{Object, Program};

/// What stays the same during the analysis of one program.
pub(crate) struct Env<'a> {
    pub(crate) object: &'a Object,
    pub(crate) program: &'a Program,
    pub(crate) cfg: Cfg,
    pub(crate) live: Liveness,
    pub(crate) contracts: Contracts,
}

impl<'a> Env<'a> {
    /// Checks the shape of a program and finds what is live in it.
    pub(crate) fn of(object: &'a Object, program: &'a Program) -> Result<Env<'a>, Located> {
        let cfg = Cfg::of(program)?;
        let live = Liveness::of(program, &cfg);
        let contracts = Contracts::of(program, &cfg);
        Ok(Env {
            object,
            program,
            cfg,
            live,
            contracts,
        })
    }
}

/// Why a more general state is tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aim {
    /// To cover the paths that still come here.
    Paths,
    /// To sum up the loop that begins here.
    Loop,
}

/// A more general state that is being tried in place of one that arrived.
struct Guess {
    aim: Aim,
    /// The trail up to where the general state is stored.
    trail: Mark,
    /// How many steps were taken when it began.
    steps: u64,
    /// The path as it arrived.
    before: Waiting,
}

/// A callback being followed; the path behind its helper waits.
struct Running {
    invocation: Invocation,
    /// Where the helper is called.
    at: InsnIdx,
    /// The trail up to there.
    trail: Mark,
}

/// The analysis of one program.
pub(crate) struct Explorer<'a, 'o> {
    env: &'a Env<'a>,
    options: &'a Options,
    observer: &'o mut dyn Observer,
    visited: Visited,
    trail: Trail,
    facts: Facts,
    fresh: u32,
    steps: u64,
    rejections: Vec<Rejection>,
    /// Where the paths that are followed now start.
    origin: Origin,
    stopped: bool,
    /// Guesses being tried, each inside the one before.
    guesses: Vec<Guess>,
    /// Constants of the program that may bound loops, in ascending order.
    ends: Vec<u64>,
    /// Attempts to sum up loops, by their heads.
    attempts: BTreeMap<InsnIdx, Attempts>,
    /// What went wrong in the attempt that got furthest, while its loop is followed instead.
    suspect: Option<Suspect>,
    /// Guesses that were taken back, by instruction.
    failed_guesses: BTreeMap<InsnIdx, u32>,
    /// Callbacks being followed, each inside the one before.
    running: Vec<Running>,
    /// Functions that something calls later, each followed as a program of its own.
    later: Vec<Frame>,
    /// Something is called back, which is not followed round by round.
    calls_back: bool,
    /// The rounds of loops are counted.
    counts_loops: bool,
    /// The most that functions do which are not followed where they are called.
    contract_work: BTreeMap<usize, work::Work>,
    /// The path goes on where a guess was taken back: no new one right there.
    is_retry: bool,
    /// Steps at which the analysis gives up.
    budget: u64,
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
        let mut explorer = Explorer::new(env, options, observer);
        explorer.follow_program();
        explorer.facts.steps = explorer.steps;
        explorer.facts.work = explorer.work();
        Outcome {
            facts: explorer.facts,
            rejections: explorer.rejections,
            steps: explorer.steps,
            later: explorer.later.iter().map(|frame| frame.function).collect(),
        }
    }

    /// The most that the program does, where every round was followed.
    fn work(&self) -> Option<facts::Work> {
        let (most, heads) = self.trail.most();
        let rounds = heads.iter().zip(&most.rounds);
        let loops = rounds.filter(|(_, rounds)| **rounds > 0);
        let loops = loops.map(|(&head, &rounds)| facts::Loop { head, rounds });
        (self.counts_loops && !self.calls_back).then(|| facts::Work {
            insns: most.insns,
            loops: loops.collect(),
        })
    }

    fn new(env: &'a Env<'a>, options: &'a Options, observer: &'o mut dyn Observer) -> Self {
        let heads = work::loop_heads(env.program);
        Explorer {
            env,
            options,
            observer,
            counts_loops: heads.is_some(),
            visited: Visited::new(memory(env, options), heads.clone().unwrap_or_default()),
            trail: Trail::new(heads.unwrap_or_default()),
            facts: Facts::unreached(env.program),
            fresh: 0,
            steps: 0,
            rejections: Vec::new(),
            origin: Origin::default(),
            stopped: false,
            guesses: Vec::new(),
            ends: rounds::ends(env.program),
            attempts: BTreeMap::new(),
            suspect: None,
            failed_guesses: BTreeMap::new(),
            running: Vec::new(),
            later: Vec::new(),
            calls_back: false,
            contract_work: BTreeMap::new(),
            is_retry: false,
            budget: options.steps.min(limits::STEPS_MOST),
        }
    }

    /// Follows the program, and the functions that are called later.
    fn follow_program(&mut self) {
        for function in self.env.cfg.callees_first() {
            self.prove_contract(*function);
        }
        let most = self.options.steps.min(limits::STEPS_MOST);
        let once = self.env.program.insns.len() as u64;
        self.budget = self.steps.saturating_add(most).saturating_add(once);
        self.follow_all(InsnIdx(0), State::entry());
        let mut next = 0;
        while let Some(frame) = self.later.get(next).cloned()
            && !self.stopped
        {
            next += 1;
            let start = self.env.program.functions.get(frame.function);
            let start = start.map_or(InsnIdx(0), |function| function.start);
            let state = State::of(frame);
            self.origin.later = Some(Box::new((start, state.clone())));
            self.follow_all(start, state);
        }
    }

    /// Follows a global function from what its contract says. Whatever is wrong then is forgotten:
    /// the function is followed where it is called.
    fn prove_contract(&mut self, function: usize) {
        let Some(contract) = contract::contract_of(self.env, function) else {
            return;
        };
        let start = self.env.program.functions.get(function);
        let start = start.map_or(InsnIdx(0), |function| function.start);
        let used = self.env.live.at(start).registers;
        let frame = contract::frame_by(contract, function, used, &mut self.fresh);
        let most = self.options.steps.min(limits::STEPS_MOST) / limits::CONTRACT_SHARE;
        self.budget = self.steps.saturating_add(most);
        self.follow_all(start, State::of(frame));
        if self.rejections.is_empty() && !self.stopped {
            self.env.contracts.prove(function);
            self.origin.contracts.push(function);
            self.contract_work
                .insert(function, self.trail.most().0.clone());
        }
        self.rejections.clear();
        self.stopped = false;
        self.trail.restart();
        self.running.clear();
        self.guesses.clear();
        self.failed_guesses.clear();
        self.attempts.clear();
        self.suspect = None;
        let heads = self.trail.most().1.to_vec();
        self.visited = Visited::new(memory(self.env, self.options), heads);
    }

    /// Follows all paths from a state.
    fn follow_all(&mut self, at: InsnIdx, state: State) {
        let mut next = Some(Waiting { at, state });
        while let Some(path) = next {
            self.drop_finished_callbacks();
            self.observer.resumed(path.at);
            let end = self.follow(path);
            if self.stopped {
                break;
            }
            next = self.trail.end(end, &mut self.visited, &mut *self.observer);
        }
    }

    /// Follows one path to its end.
    fn follow(&mut self, mut path: Waiting) -> End {
        loop {
            match self.advance(&mut path) {
                Ok(None) => {}
                Ok(Some(end)) => return end,
                Err(reason) => {
                    self.remember(&path, &reason);
                    if !self.take_back(&mut path) {
                        // The program is refused: what else is needed does not matter.
                        self.reject(&path, reason);
                        return End::default();
                    }
                }
            }
        }
    }

    /// One instruction further; how the path has ended, if it has.
    fn advance(&mut self, path: &mut Waiting) -> Result<Option<End>, Reason> {
        if self.env.cfg.is_join(path.at)
            && let Some(end) = self.arrive(path)?
        {
            return Ok(Some(end));
        }
        let budget = self.options.steps.min(limits::STEPS_MOST);
        if self.steps >= self.budget {
            self.stop(path, Reason::Budget { steps: budget });
            return Ok(Some(End::default()));
        }
        if !self.visited.make_room(self.trail.bytes()) {
            return self.no_memory(path);
        }
        // Before the step is counted: an observer counts the steps that it is shown.
        if self.is_guess_too_long() {
            return Err(Reason::Budget { steps: budget });
        }
        self.steps += 1;
        self.trail.count();
        self.observer.step(path.at, &View(&path.state));
        if self.observer.wants_needs() {
            self.trail.begin(self.steps - 1);
        }
        match self.step(path)? {
            Flow::End => return Ok(Some(End::default())),
            Flow::To(next) => {
                self.jump(path.at, next);
                path.at = next;
            }
            Flow::Fork {
                parting,
                taken,
                target,
                fall_through,
            } => {
                let second = Waiting {
                    at: target,
                    state: *taken,
                };
                self.trail.fork(path.at, parting, second);
                path.state = *fall_through;
                path.at = InsnIdx(path.at.0.saturating_add(1));
            }
            Flow::CallBack(frame) => self.call_back(path, *frame),
            Flow::Later(frame) => {
                self.call_later(*frame);
                path.at = InsnIdx(path.at.0.saturating_add(1));
            }
            Flow::Returned(invocation) => return self.called_back(path, invocation),
        }
        Ok(None)
    }

    /// Notes a jump, and a call that was not followed; other calls and returns lead to other
    /// functions.
    fn jump(&mut self, from: InsnIdx, to: InsnIdx) {
        let insn = self.env.program.insns.get(from.index());
        if let Some(insn @ Insn::Call(CallTarget::Local(_))) = insn {
            let callee = cfg::call_target(from, insn);
            let callee = callee.and_then(|start| self.env.cfg.function_of(start));
            let is_followed = to.0 != from.0.saturating_add(1);
            let work = callee.and_then(|callee| self.contract_work.get(&callee));
            if let Some(work) = work.filter(|_| !is_followed) {
                self.trail.charge(work);
            }
            return;
        }
        if self.env.cfg.function_of(from) == self.env.cfg.function_of(to) {
            self.trail.jump(from, to);
        }
    }

    /// Puts a more general state in place of the one that arrives, if there is a promising one;
    /// returns what to remember of that.
    fn guess(&mut self, path: &mut Waiting) -> Option<Guess> {
        self.drop_finished_guesses();
        let failed = self.failed_guesses.get(&path.at).copied().unwrap_or(0);
        if failed >= limits::GUESSES_PER_INSN || self.guesses.len() >= limits::GUESSES {
            return None;
        }
        let general = self
            .visited
            .next_turns(path.at, &path.state)
            .filter(|_| self.is_counted(path.at))
            .or_else(|| self.visited.guess(path.at, &path.state))?;
        Some(self.replace(path, Aim::Paths, general))
    }

    /// Puts a more general state in place of the one that arrives.
    fn replace(&mut self, path: &mut Waiting, aim: Aim, general: State) -> Guess {
        Guess {
            aim,
            trail: self.trail.mark(),
            steps: self.steps,
            before: Waiting {
                at: path.at,
                state: core::mem::replace(&mut path.state, general),
            },
        }
    }

    /// A path from a guess failed: goes on with what the guess replaced. False when there is none.
    fn take_back(&mut self, path: &mut Waiting) -> bool {
        self.drop_finished_guesses();
        let Some(mut guess) = self.guesses.pop() else {
            return false;
        };
        // A loop that is summed up from a guess fails because of that guess most of the time.
        let is_cause = |outer: &mut Guess| guess.aim == Aim::Loop && outer.aim == Aim::Paths;
        if let Some(outer) = self.guesses.pop_if(is_cause) {
            guess = outer;
        }
        self.trail.take_back(guess.trail, &mut self.visited);
        self.drop_finished_callbacks();
        match guess.aim {
            Aim::Paths => {
                let failed = self.failed_guesses.entry(guess.before.at).or_default();
                *failed = failed.saturating_add(1);
            }
            Aim::Loop => self.attempts.entry(guess.before.at).or_default().fail(),
        }
        *path = guess.before;
        self.observer.resumed(path.at);
        self.is_retry = true;
        true
    }

    /// A guess must not cost more than a fair part of the budget.
    fn is_guess_too_long(&mut self) -> bool {
        self.drop_finished_guesses();
        self.guesses.last().is_some_and(|guess| {
            let share = match guess.aim {
                Aim::Paths => limits::GUESS_SHARE,
                Aim::Loop => limits::LOOP_SHARE,
            };
            self.steps.saturating_sub(guess.steps) > self.options.steps / share
        })
    }

    /// Memory is used up: takes back a guess that is being tried, if there is one.
    fn no_memory(&mut self, path: &Waiting) -> Result<Option<End>, Reason> {
        let reason = Reason::Memory {
            bytes: self.visited.most(),
        };
        self.drop_finished_guesses();
        if !self.guesses.is_empty() {
            return Err(reason);
        }
        self.stop(path, reason);
        Ok(Some(End::default()))
    }

    /// What was proved is no guess any more.
    fn drop_finished_guesses(&mut self) {
        let mark = self.trail.mark();
        self.suspect.take_if(|suspect| suspect.is_cleared_at(mark));
        while let Some(guess) = self.guesses.last() {
            if self.trail.mark() > guess.trail {
                return;
            }
            self.guesses.pop();
        }
    }

    fn step(&mut self, path: &mut Waiting) -> Result<Flow, Reason> {
        let mut step = Step {
            env: self.env,
            at: path.at,
            state: &mut path.state,
            facts: &mut self.facts,
            fresh: &mut self.fresh,
            trail: &mut self.trail,
        };
        step.run()
    }

    /// Arrives where paths meet: how the path ends when it need not be followed further.
    fn arrive(&mut self, path: &mut Waiting) -> Result<Option<End>, Reason> {
        self.forget(path);
        if self.is_counted(path.at)
            && let Some((before, need)) = self.visited.turn(path.at, &path.state)
            && self.takes_turn_since(before, path.at)
        {
            self.observer.pruned(path.at);
            // The turns are not followed one by one: what they do in all is not known.
            self.calls_back = true;
            return Ok(Some(End {
                need,
                rest: work::Work::default(),
            }));
        }
        if let Some(end) = self.close(path)? {
            return Ok(Some(end));
        }
        let mut guess = None;
        let mut measure = None;
        if !core::mem::take(&mut self.is_retry) {
            (guess, measure) = self.sum_up(path).unzip();
            guess = guess.or_else(|| self.guess(path));
        }
        let done = self.trail.done();
        let visit = match measure {
            Some(measure) => self.visited.sum_up(path.at, &path.state, (measure, done)),
            None => self.visited.visit(path.at, &path.state, done),
        };
        match visit {
            Visit::Covered(end) => {
                self.observer.pruned(path.at);
                Ok(Some(end))
            }
            Visit::Endless => Err(Reason::EndlessLoop),
            Visit::Go(node) => {
                if let Some(node) = node {
                    self.trail.store(node);
                    self.guesses.extend(guess);
                }
                Ok(None)
            }
        }
    }

    /// Whether the path has taken a turn of this run of the function since a state was stored, so
    /// that it may lean on that state. The turns of a function are counted together, and no function
    /// calls itself: what it counts in between belongs to the same run.
    fn takes_turn_since(&mut self, node: NodeId, at: InsnIdx) -> bool {
        let program = self.env.program;
        let functions = program.functions.iter();
        let own = functions
            .filter(|function| (function.start..function.end).contains(&at))
            .map(|function| function.start..function.end)
            .next();
        let counts = |place: InsnIdx| {
            let insn = program.insns.get(place.index());
            let is_own = own.as_ref().is_some_and(|own| own.contains(&place));
            is_own && matches!(insn, Some(Insn::MayGoto { .. }))
        };
        self.trail.takes_turn_since(node, counts) && self.trail.lean_on(node, &mut self.visited)
    }

    /// Whether the instruction counts the turns of a loop.
    fn is_counted(&self, at: InsnIdx) -> bool {
        let insn = self.env.program.insns.get(at.index());
        matches!(insn, Some(Insn::MayGoto { .. }))
    }

    /// Forgets what will not be read again, in every frame.
    fn forget(&self, path: &mut Waiting) {
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
        path.state.keep_sums();
        path.state.keep_totals();
    }

    /// Into a function that a helper calls; the path behind the helper waits.
    fn call_back(&mut self, path: &mut Waiting, frame: Frame) {
        self.calls_back = true;
        let running = Running {
            invocation: Invocation {
                frame,
                invariant: path.state.clone(),
                loosened: 0,
            },
            at: path.at,
            trail: self.trail.mark(),
        };
        self.enter(path, running);
    }

    /// To the start of the function, with what is believed to hold before each of its calls.
    fn enter(&mut self, path: &mut Waiting, running: Running) {
        let after = Waiting {
            at: InsnIdx(running.at.0.saturating_add(1)),
            state: running.invocation.after(),
        };
        let parting = Parting::CallBack {
            asks: running.invocation.invariant.asks(),
            invariant: running.invocation.invariant.clone(),
        };
        self.trail.fork(running.at, parting, after);
        let function = running.invocation.frame.function;
        let function = self.env.program.functions.get(function);
        path.at = function.map_or(running.at, |function| function.start);
        path.state = running.invocation.inside();
        let done = self.trail.done();
        let node = self.visited.store_anyway(path.at, &path.state, done);
        self.trail.store(node);
        self.running.push(running);
    }

    /// Back in the helper: the path ends here, or what was believed was wrong.
    fn called_back(&mut self, path: &mut Waiting, invocation: u32) -> Result<Option<End>, Reason> {
        let found = self.running.last();
        let Some(running) = found.filter(|running| running.invocation.id() == invocation) else {
            let what = "its helper is not known any more";
            return Err(Reason::Callback { what });
        };
        if running.invocation.covers(&path.state)? {
            self.observer.pruned(path.at);
            return Ok(Some(End {
                need: running.invocation.invariant.asks(),
                ..End::default()
            }));
        }
        let trail = running.trail;
        self.drop_finished_guesses();
        if self.guesses.last().is_some_and(|guess| guess.trail > trail) {
            let what = "it was followed from a state that is too general";
            return Err(Reason::Callback { what });
        }
        let Some(mut running) = self.running.pop() else {
            return Ok(None);
        };
        if let Err(reason) = running.invocation.loosen(&path.state) {
            self.running.push(running);
            return Err(reason);
        }
        self.trail.take_back(trail, &mut self.visited);
        self.enter(path, running);
        Ok(None)
    }

    /// What waits behind the helper of a callback is taken up: all its paths have ended.
    fn drop_finished_callbacks(&mut self) {
        while let Some(running) = self.running.last()
            && !self.trail.waits(running.trail)
        {
            self.running.pop();
        }
    }

    /// Remembers a function that something calls later.
    fn call_later(&mut self, frame: Frame) {
        self.calls_back = true;
        let known = self.later.iter().any(|known| {
            known.function == frame.function && known.register(Reg::R1) == frame.register(Reg::R1)
        });
        if !known {
            self.later.push(frame);
        }
    }

    fn reject(&mut self, path: &Waiting, kind: Reason) {
        let code = kind.code();
        if self
            .rejections
            .iter()
            .any(|known| known.at == path.at && known.code() == code)
        {
            return;
        }
        let rejection = self.rejection(path, kind);
        self.add(rejection);
    }

    fn add(&mut self, rejection: Rejection) {
        self.rejections.push(rejection);
        self.stopped |= self.rejections.len() >= self.options.rejections;
    }

    fn rejection(&self, path: &Waiting, kind: Reason) -> Rejection {
        let registers = path.state.readable_registers();
        let registers = registers
            .into_iter()
            .filter(|(reg, _)| *reg != Reg::R10)
            .collect();
        Rejection {
            at: path.at,
            kind,
            registers,
            path: self.path(),
            in_any_round_of: None,
            origin: Origin {
                callbacks: self.trail.callbacks(),
                fresh: self.fresh,
                ..self.origin.clone()
            },
        }
    }

    /// The analysis cannot go on. A budget says nothing about the program when real problems are
    /// known; when one is only suspected, because a loop that is followed now could not be summed up
    /// for it, it comes first.
    fn stop(&mut self, path: &Waiting, kind: Reason) {
        self.drop_finished_guesses();
        if self.rejections.is_empty() {
            let suspect = self.suspect.take();
            if let Some(suspect) = suspect.filter(|suspect| self.is_inside(path, suspect)) {
                self.add(suspect.rejection);
            }
            if !self.stopped {
                self.reject(path, kind);
            }
        }
        self.stopped = true;
    }

    fn path(&self) -> Vec<Decision> {
        let mut path: Vec<_> = self.trail.decisions().take(limits::PATH_BRANCHES).collect();
        path.reverse();
        path
    }
}

/// Bytes for what is kept of a program.
fn memory(env: &Env<'_>, options: &Options) -> usize {
    let own = limits::BYTES_PER_INSN.saturating_mul(env.program.insns.len());
    options.memory.saturating_add(own)
}

mod rounds;

#[cfg(test)]
mod recheck;
