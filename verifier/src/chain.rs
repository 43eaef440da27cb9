//! How much stack the frames of a chain of calls take together.
//!
//! Each frame has its own limit, checked at every access. Linux has one more for all frames of a
//! chain, and a smaller one for those that wait while a function makes a tail call, because the next
//! program may call as deeply again. Tracing programs have stacks of their own there.

use crate::cfg;
use crate::explore::Env;
use crate::facts::Facts;
use crate::reason::Reason;
use crate::reject::Rejection;
use abi::{Platform, ReturnKind, limits};
use alloc::vec::Vec;
use isa::{CallTarget, Insn, InsnIdx};

/// Linux counts frames in units of so many bytes.
const UNIT: u32 = 16;

/// What is wrong with the stack use of a program whose instructions are all safe.
pub(crate) fn check(env: &Env<'_>, facts: &Facts, later: &[usize]) -> Option<Rejection> {
    let program_type = env.program.program_type;
    if program_type.platform != Platform::Linux || program_type.privileged {
        return None;
    }
    let own = |function: usize| {
        let bytes = facts.stack_bytes.get(function).copied().unwrap_or(0);
        bytes.next_multiple_of(UNIT)
    };
    // Bytes that may be in use when a function is called; callers come first.
    let mut above: Vec<u32> = alloc::vec![0; env.program.functions.len()];
    for function in env.cfg.callees_first().iter().rev().copied() {
        let before = above.get(function).copied().unwrap_or(0);
        let most = limits::CHAIN_STACK_BYTES;
        let bytes = before.saturating_add(own(function));
        if bytes > most {
            return Some(refuse(env, function, Reason::ChainStack { bytes, most }));
        }
        let most = limits::TAIL_CALL_STACK_BYTES;
        if function != 0
            && before >= most
            && let Some(at) = tail_call(env, function)
        {
            let bytes = before;
            return Some(Rejection::of_shape(at, Reason::ChainStack { bytes, most }));
        }
        let calls = cfg::calls_of(env.program, function);
        for (_, callee) in calls.iter().filter(|(_, callee)| !later.contains(callee)) {
            if let Some(above) = above.get_mut(*callee) {
                *above = bytes.max(*above);
            }
        }
    }
    None
}

fn refuse(env: &Env<'_>, function: usize, reason: Reason) -> Rejection {
    let start = env.program.functions.get(function);
    let start = start.map_or(InsnIdx(0), |function| function.start);
    Rejection::of_shape(start, reason)
}

/// The first tail call in a function.
fn tail_call(env: &Env<'_>, function: usize) -> Option<InsnIdx> {
    let function = env.program.functions.get(function)?;
    let slots = function.start.0..function.end.0;
    slots.map(InsnIdx).find(|at| {
        let Some(Insn::Call(CallTarget::Helper(id))) = env.program.insns.get(at.index()) else {
            return false;
        };
        let id = u32::try_from(*id).ok();
        let helper = id.and_then(|id| abi::helper::lookup(env.program.program_type, id));
        helper.is_some_and(|helper| helper.ret == ReturnKind::NoReturnIfSucceed)
    })
}
