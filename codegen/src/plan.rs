//! What of a program becomes code, and what its functions need from each other.
//!
//! A [`Plan`] is made before any code is generated: which functions are reached, where their basic
//! blocks start, which hidden arguments they need, which slot of the runtime's tables each helper,
//! map and resolved function has. Dead code is what no path from the entry reaches when branches
//! go only where the proof saw them go. Worklists instead of recursion: programs may have a
//! million instructions.

mod flow;
mod tables;

pub(crate) use flow::{Edges, edges};
pub(crate) use tables::{Tables, global_index, helper_row, is_tail_call, packet_fields};

use crate::error::{Error, Place};
use crate::options::Options;
use flow::Flow;
use isa::{CallTarget, Imm64, Insn, InsnIdx, Operand, Reg};
use program::Program;
use verifier::Verified;

/// The plan of one program.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Functions in the order of the program; `None` for those never reached.
    pub(crate) functions: Vec<Option<FunctionPlan>>,
    /// Slots in the runtime's tables.
    pub(crate) tables: Tables,
    /// Stack accesses can be told from all others, on every path of every function.
    pub(crate) stack_is_separate: bool,
}

/// The plan of one function.
#[derive(Debug, Default)]
pub(crate) struct FunctionPlan {
    /// First slots of its basic blocks, ascending.
    pub(crate) leaders: Vec<InsnIdx>,
    /// It needs the original context, for itself or for a function it calls.
    pub(crate) needs_context: bool,
    /// It needs the runtime context.
    pub(crate) needs_runtime: bool,
    /// A tail call in it, or below it, may end the whole program.
    pub(crate) may_end_program: bool,
    /// Its address is taken: it has the plain signature of five arguments.
    pub(crate) is_callback: bool,
    /// It names r10.
    pub(crate) uses_frame: bool,
    /// It counts the turns of loops (`may_goto`).
    pub(crate) counts_turns: bool,
}

impl Plan {
    /// Looks the program over.
    pub(crate) fn new(verified: &Verified<'_>, options: &Options) -> Result<Plan, Error> {
        let program = verified.program();
        if program.arguments.is_some() {
            return Err(Error::Unsupported {
                at: Place::new(program, InsnIdx(0)),
                what: "its arguments are objects of the Linux kernel, which exist only there",
            });
        }
        let flows = explore(verified)?;
        let live = || flows.iter().flatten().flat_map(|flow| &flow.live).copied();
        let mut tables = Tables::default();
        for at in live() {
            tables.add(verified, options, at)?;
        }
        let is_known = |at: InsnIdx| {
            !is_access(&program.insns[at.index()]) || verified.facts().at(at).memory.is_some()
        };
        let stack_is_separate = live().all(is_known);
        let mut plan = Plan {
            functions: flows
                .iter()
                .map(|flow| flow.as_ref().map(|flow| own_needs(verified, &tables, flow)))
                .collect(),
            tables,
            stack_is_separate,
        };
        plan.mark_callbacks(program, &flows);
        plan.propagate(program, &flows);
        plan.check_callbacks(program)?;
        Ok(plan)
    }

    /// The plan of a function that is reached.
    pub(crate) fn function(&self, index: usize) -> Option<&FunctionPlan> {
        self.functions.get(index)?.as_ref()
    }

    fn mark_callbacks(&mut self, program: &Program, flows: &[Option<Flow>]) {
        for at in flows.iter().flatten().flat_map(|flow| &flow.live) {
            let Some(Reference::Address(target)) = reference(&program.insns[at.index()], *at)
            else {
                continue;
            };
            let callee = target.and_then(|target| function_starting_at(program, target));
            if let Some(plan) = callee.and_then(|index| self.functions[index].as_mut()) {
                plan.is_callback = true;
            }
        }
    }

    /// Lets callers inherit the needs of the functions they call, until nothing changes.
    fn propagate(&mut self, program: &Program, flows: &[Option<Flow>]) {
        let calls: Vec<(usize, usize)> = calls(program, flows);
        let mut changed = true;
        while changed {
            changed = false;
            for &(caller, callee) in &calls {
                let Some(below) = self.function(callee).map(FunctionPlan::needs) else {
                    continue;
                };
                if let Some(function) = self.functions[caller].as_mut() {
                    changed |= function.inherit(below);
                }
            }
        }
    }

    fn check_callbacks(&self, program: &Program) -> Result<(), Error> {
        for (plan, function) in self.functions.iter().zip(&program.functions) {
            let needs_more = |plan: &FunctionPlan| plan.needs().contains(&true);
            if plan
                .as_ref()
                .is_some_and(|plan| plan.is_callback && needs_more(plan))
            {
                return Err(Error::Unsupported {
                    at: Place::new(program, function.start),
                    what: "a callback in native code gets no runtime context, so it cannot call \
                           helpers or use maps; pass what it needs through its context argument",
                });
            }
        }
        Ok(())
    }
}

impl FunctionPlan {
    /// What callers must provide or watch for: context, runtime context, end of program.
    fn needs(&self) -> [bool; 3] {
        [self.needs_context, self.needs_runtime, self.may_end_program]
    }

    /// Adds needs of a callee; true when they are new.
    fn inherit(&mut self, below: [bool; 3]) -> bool {
        let before = self.needs();
        self.needs_context |= below[0];
        self.needs_runtime |= below[1];
        self.may_end_program |= below[2];
        self.needs() != before
    }
}

/// How an instruction refers to a function of the program.
enum Reference {
    Call(Option<InsnIdx>),
    Address(Option<InsnIdx>),
}

fn reference(insn: &Insn, at: InsnIdx) -> Option<Reference> {
    match *insn {
        Insn::Call(CallTarget::Local(offset)) => Some(Reference::Call(at.jump(offset))),
        Insn::LoadImm64 {
            imm: Imm64::Code(offset),
            ..
        } => Some(Reference::Address(at.jump(offset))),
        _ => None,
    }
}

/// Index of the function that starts at a slot.
pub(crate) fn function_starting_at(program: &Program, at: InsnIdx) -> Option<usize> {
    program
        .functions
        .binary_search_by_key(&at, |function| function.start)
        .ok()
}

/// The flow of every function that the entry reaches through live calls and addresses.
fn explore(verified: &Verified<'_>) -> Result<Vec<Option<Flow>>, Error> {
    let program = verified.program();
    let malformed = |at, what| {
        Err(Error::Malformed {
            at: Place::new(program, at),
            what,
        })
    };
    let mut flows: Vec<Option<Flow>> = Vec::new();
    flows.resize_with(program.functions.len(), || None);
    let mut pending = vec![0];
    while let Some(index) = pending.pop() {
        let Some(function) = program.functions.get(index) else {
            return malformed(InsnIdx(0), "the program has no function");
        };
        if flows[index].is_some() {
            continue;
        }
        let flow = flow::explore(verified, function)?;
        for &at in &flow.live {
            let target = match reference(&program.insns[at.index()], at) {
                Some(Reference::Call(target) | Reference::Address(target)) => target,
                None => continue,
            };
            match target.and_then(|target| function_starting_at(program, target)) {
                Some(0) => return malformed(at, "the entry of a program cannot be called"),
                Some(callee) => pending.push(callee),
                None => return malformed(at, "the target is not the start of a function"),
            }
        }
        flows[index] = Some(flow);
    }
    Ok(flows)
}

/// Pairs of caller and callee, by live calls, without repetition.
fn calls(program: &Program, flows: &[Option<Flow>]) -> Vec<(usize, usize)> {
    let mut calls = Vec::new();
    for (caller, flow) in flows.iter().enumerate() {
        for &at in flow.iter().flat_map(|flow| &flow.live) {
            if let Some(Reference::Call(Some(target))) = reference(&program.insns[at.index()], at) {
                calls.extend(function_starting_at(program, target).map(|callee| (caller, callee)));
            }
        }
    }
    calls.sort_unstable();
    calls.dedup();
    calls
}

/// What a function needs by its own instructions.
fn own_needs(verified: &Verified<'_>, tables: &Tables, flow: &Flow) -> FunctionPlan {
    let program = verified.program();
    let mut plan = FunctionPlan {
        leaders: flow.leaders.clone(),
        ..FunctionPlan::default()
    };
    for &at in &flow.live {
        let insn = &program.insns[at.index()];
        plan.uses_frame |= names_frame_pointer(insn);
        match insn {
            Insn::Call(CallTarget::Helper(_)) if tables.inlined_lookup(at).is_some() => {
                plan.needs_runtime = true;
            }
            Insn::Call(CallTarget::Helper(id)) => {
                plan.needs_context = true;
                plan.needs_runtime = true;
                plan.may_end_program |= tables::is_tail_call(program, *id);
            }
            Insn::LoadPacket { .. } => plan.needs_context = true,
            Insn::MayGoto { .. } => plan.counts_turns = true,
            Insn::Call(CallTarget::Btf(_)) => {
                plan.needs_context = true;
                plan.needs_runtime = true;
            }
            Insn::LoadImm64 { imm, .. } if !matches!(imm, Imm64::Const(_) | Imm64::Code(_)) => {
                plan.needs_runtime = true;
            }
            _ => {}
        }
    }
    plan
}

fn is_access(insn: &Insn) -> bool {
    matches!(
        insn,
        Insn::Load { .. }
            | Insn::Store { .. }
            | Insn::Atomic { .. }
            | Insn::LoadAcquire { .. }
            | Insn::StoreRelease { .. }
    )
}

fn names_frame_pointer(insn: &Insn) -> bool {
    let reg = |operand: &Operand| *operand == Operand::Reg(Reg::R10);
    match insn {
        Insn::Alu { dst, src, .. } | Insn::JumpIf { dst, src, .. } => *dst == Reg::R10 || reg(src),
        Insn::MovSx { src, .. } => *src == Reg::R10,
        Insn::Load { base, .. } | Insn::LoadAcquire { base, .. } => *base == Reg::R10,
        Insn::Store { base, src, .. } => *base == Reg::R10 || reg(src),
        Insn::Atomic { base, src, .. } | Insn::StoreRelease { base, src, .. } => {
            *base == Reg::R10 || *src == Reg::R10
        }
        _ => false,
    }
}
