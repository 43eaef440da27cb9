//! The shape of a program: where control goes, who calls whom, where paths meet.
//!
//! Checks what holds for every instruction whether reached or not: jumps stay in their function and
//! hit whole instructions, calls hit functions, and no function can call itself.

use crate::live;
use crate::reason::{Reason, WrongTarget};
use alloc::vec::Vec;
use isa::{CallTarget, Imm64, Insn, InsnIdx};
use program::Program;

/// A checked program's shape.
pub(crate) struct Cfg {
    /// Function of each slot.
    function_of: Vec<u32>,
    /// Slots where paths can meet.
    joins: Vec<bool>,
    /// How deeply calls nest below each function.
    heights: Vec<usize>,
    /// Functions, every callee before its callers; only those reached by calls from the entry.
    callees_first: Vec<usize>,
}

/// A problem and where it is.
pub(crate) type Located = (InsnIdx, Reason);

impl Cfg {
    /// Checks the shape of a program.
    pub(crate) fn of(program: &Program) -> Result<Cfg, Located> {
        let slots = program.insns.len();
        let empty =
            program.functions.is_empty() || program.functions.iter().any(|f| f.start >= f.end);
        if empty || slots > abi::limits::PROGRAM_SLOTS as usize {
            let slots = if empty { 0 } else { slots };
            return Err((InsnIdx(0), Reason::Size { slots }));
        }
        let mut cfg = Cfg {
            function_of: function_of(program)?,
            joins: alloc::vec![false; slots],
            heights: Vec::new(),
            callees_first: Vec::new(),
        };
        cfg.check_targets(program)?;
        (cfg.callees_first, cfg.heights) = order_calls(program)?;
        Ok(cfg)
    }

    /// The function that a slot belongs to.
    pub(crate) fn function_of(&self, at: InsnIdx) -> Option<usize> {
        self.function_of
            .get(at.index())
            .filter(|function| **function != u32::MAX)
            .map(|function| *function as usize)
    }

    /// Can different paths meet here?
    pub(crate) fn is_join(&self, at: InsnIdx) -> bool {
        self.joins.get(at.index()).copied().unwrap_or(false)
    }

    /// How deeply calls nest below a function.
    pub(crate) fn height(&self, function: usize) -> usize {
        self.heights.get(function).copied().unwrap_or(0)
    }

    /// The functions reached by calls, callees first.
    pub(crate) fn callees_first(&self) -> &[usize] {
        &self.callees_first
    }

    fn check_targets(&mut self, program: &Program) -> Result<(), Located> {
        let mut entries = alloc::vec![0u8; program.insns.len()];
        for function in &program.functions {
            count(&mut entries, function.start);
        }
        for (at, insn) in instructions(program) {
            if let Some(target) = jump_target(at, insn) {
                self.check_jump(program, at, target)?;
            }
            for next in successors(at, insn).into_iter().flatten() {
                count(&mut entries, next);
            }
            if let Insn::Call(CallTarget::Helper(id)) = insn
                && live::calls_back(program, *id)
            {
                count(&mut entries, at);
            }
            if matches!(insn, Insn::MayGoto { .. }) {
                // Here a loop without a bound of its own closes.
                entries[at.index()] = u8::MAX;
            }
            if matches!(insn, Insn::Call(CallTarget::Local(_))) {
                self.check_call(program, at, insn)?;
                // The callee's paths come back together after the call.
                let next = InsnIdx(at.0.saturating_add(1));
                count(&mut entries, next);
            }
        }
        for (join, entries) in self.joins.iter_mut().zip(&entries) {
            *join = *entries > 1;
        }
        Ok(())
    }

    fn check_jump(
        &self,
        program: &Program,
        at: InsnIdx,
        target: Option<InsnIdx>,
    ) -> Result<(), Located> {
        let refuse = |wrong| Err((at, Reason::Target { target, wrong }));
        let Some(to) = target else {
            return refuse(WrongTarget::OutsideFunction);
        };
        if self.function_of(to).is_none() || self.function_of(to) != self.function_of(at) {
            return refuse(WrongTarget::OutsideFunction);
        }
        if program.insns.get(to.index()) == Some(&Insn::Imm64High) {
            return refuse(WrongTarget::MiddleOfInsn);
        }
        Ok(())
    }

    fn check_call(&self, program: &Program, at: InsnIdx, insn: &Insn) -> Result<(), Located> {
        let target = call_target(at, insn);
        match target.and_then(|target| function_at(program, target)) {
            Some(_) => Ok(()),
            None => Err((
                at,
                Reason::Target {
                    target,
                    wrong: WrongTarget::NotAFunction,
                },
            )),
        }
    }
}

/// Every instruction with its position; the second slots of wide ones are left out.
pub(crate) fn instructions(program: &Program) -> impl Iterator<Item = (InsnIdx, &Insn)> {
    program
        .insns
        .iter()
        .enumerate()
        .filter(|(_, insn)| **insn != Insn::Imm64High)
        .map(|(at, insn)| (InsnIdx(at as u32), insn))
}

/// The function that starts at a slot.
pub(crate) fn function_at(program: &Program, start: InsnIdx) -> Option<usize> {
    program
        .functions
        .binary_search_by_key(&start, |function| function.start)
        .ok()
}

/// Where a local call or a function address leads.
pub(crate) fn call_target(at: InsnIdx, insn: &Insn) -> Option<InsnIdx> {
    match insn {
        Insn::Call(CallTarget::Local(offset)) => at.jump(*offset),
        Insn::LoadImm64 {
            imm: Imm64::Code(offset),
            ..
        } => at.jump(*offset),
        _ => None,
    }
}

/// The target of a jump: nothing for other instructions, `Some(None)` when it cannot exist.
fn jump_target(at: InsnIdx, insn: &Insn) -> Option<Option<InsnIdx>> {
    match insn {
        Insn::Jump { offset, .. } => Some(at.jump(*offset)),
        Insn::JumpIf { offset, .. } | Insn::MayGoto { offset } => Some(at.jump(i32::from(*offset))),
        _ => None,
    }
}

/// Where control can go within the function: next, then the jump target.
pub(crate) fn successors(at: InsnIdx, insn: &Insn) -> [Option<InsnIdx>; 2] {
    let next = Some(InsnIdx(at.0.saturating_add(insn.slots())));
    match insn {
        Insn::Exit => [None, None],
        Insn::Jump { offset, .. } => [None, at.jump(*offset)],
        Insn::JumpIf { offset, .. } | Insn::MayGoto { offset } => {
            [next, at.jump(i32::from(*offset))]
        }
        _ => [next, None],
    }
}

fn count(entries: &mut [u8], at: InsnIdx) {
    if let Some(entries) = entries.get_mut(at.index()) {
        *entries = entries.saturating_add(1);
    }
}

fn function_of(program: &Program) -> Result<Vec<u32>, Located> {
    let mut function_of = alloc::vec![u32::MAX; program.insns.len()];
    for (index, function) in program.functions.iter().enumerate() {
        let Some(slots) = function_of.get_mut(function.start.index()..function.end.index()) else {
            let slots = program.insns.len();
            return Err((function.start, Reason::Size { slots }));
        };
        slots.fill(index as u32);
    }
    Ok(function_of)
}

/// Orders the functions so that callees come first, and says how deeply calls nest below each;
/// refuses recursion and deep nesting.
fn order_calls(program: &Program) -> Result<(Vec<usize>, Vec<usize>), Located> {
    let count = program.functions.len();
    let mut order = Vec::new();
    let mut height = alloc::vec![0usize; count];
    let mut done = alloc::vec![false; count];
    let mut active = alloc::vec![false; count];
    let mut path = alloc::vec![(0usize, calls_of(program, 0))];
    active[0] = true;
    while let Some((function, calls)) = path.last_mut() {
        let function = *function;
        let Some((at, callee)) = calls.pop() else {
            done[function] = true;
            active[function] = false;
            order.push(function);
            path.pop();
            if let Some((caller, _)) = path.last() {
                height[*caller] = height[*caller].max(height[function] + 1);
            }
            continue;
        };
        if active[callee] {
            // Taking an address is no call: a timer may start itself again.
            if matches!(program.insns[at.index()], Insn::Call(_)) {
                return Err((at, Reason::Recursion { function: callee }));
            }
            continue;
        }
        if done[callee] {
            height[function] = height[function].max(height[callee] + 1);
        } else {
            active[callee] = true;
            path.push((callee, calls_of(program, callee)));
        }
    }
    let frames = height[0] + 1;
    if frames > abi::limits::CALL_FRAMES as usize {
        return Err((InsnIdx(0), Reason::CallDepth { frames }));
    }
    Ok((order, height))
}

/// The calls in a function to others of the program.
pub(crate) fn calls_of(program: &Program, function: usize) -> Vec<(InsnIdx, usize)> {
    let Some(function) = program.functions.get(function) else {
        return Vec::new();
    };
    // Not by skipping over the others: there can be as many functions as instructions.
    let slots = function.start.0..function.end.0;
    slots
        .filter_map(|slot| Some((InsnIdx(slot), program.insns.get(slot as usize)?)))
        .filter_map(|(at, insn)| Some((at, function_at(program, call_target(at, insn)?)?)))
        .collect()
}
