//! Program to [`Verified`] or rejections: a path-sensitive abstract interpreter.
//!
//! [`verify`] is the only way to a [`Verified`] value that carries a proof, and a `Verified` is the
//! only key to code generation. `no_std` + `alloc`, no recursion, explicit budgets, no panic on any
//! input: the kernel runs this crate before it interprets bytecode.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![expect(
    clippy::result_large_err,
    reason = "an error ends a path and is kept in the result; boxing it would clutter every check"
)]

extern crate alloc;
#[cfg(test)]
extern crate self as verifier;

mod alu;
mod argument;
mod branch;
mod call;
mod callback;
mod cfg;
mod chain;
mod constants;
mod contract;
pub mod domain;
mod dynptr;
mod effect;
pub mod explain;
mod explore;
pub mod facts;
mod generalise;
mod hint;
mod kernel;
pub mod limits;
pub mod link;
mod live;
mod map_use;
mod measure;
mod memory;
mod need;
pub mod options;
mod packed;
mod places;
pub mod reason;
mod reason_text;
pub mod reject;
mod relax;
pub mod render;
mod replay;
mod size;
mod slice;
mod stack;
mod state;
mod step;
mod subsume;
mod sums;
mod totals;
pub mod trace;
mod trail;
pub mod value;
pub mod verified;
mod visited;
mod words;
mod work;

pub use explain::{Explanation, explain, follow, in_words};
pub use facts::{Facts, InsnFact};
pub use options::Options;
pub use reason::Reason;
pub use reject::{Decision, Rejected, Rejection, Way};
pub use slice::Remark;
pub use sums::PacketSum;
pub use totals::Total;
pub use trace::{Observer, View};
pub use verified::Verified;

use alloc::vec;
use explore::{Env, Explorer};
use isa::InsnIdx;
use program::{Object, ProgramId};

/// Proves that a program of an object is safe.
///
/// # Errors
///
/// [`Rejected`] with every problem found when there is no proof.
pub fn verify<'a>(
    object: &'a Object,
    id: ProgramId,
    options: &Options,
) -> Result<Verified<'a>, Rejected> {
    verify_observed(object, id, options, &mut trace::Silent)
}

/// The same, showing each step to an observer.
///
/// # Errors
///
/// As [`verify`].
pub fn verify_observed<'a>(
    object: &'a Object,
    id: ProgramId,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Verified<'a>, Rejected> {
    let refused = |rejections, steps| Rejected {
        program: id,
        rejections,
        steps,
    };
    let Some(program) = object.programs.get(usize::from(id.0)) else {
        let nothing = Rejection::of_shape(InsnIdx(0), Reason::Size { slots: 0 });
        return Err(refused(vec![nothing], 0));
    };
    let env = match Env::of(object, program) {
        Ok(env) => env,
        Err((at, reason)) => return Err(refused(vec![Rejection::of_shape(at, reason)], 0)),
    };
    let outcome = Explorer::run(&env, options, observer);
    if !outcome.rejections.is_empty() {
        return Err(refused(outcome.rejections, outcome.steps));
    }
    if let Some(rejection) = chain::check(&env, &outcome.facts, &outcome.later) {
        return Err(refused(vec![rejection], outcome.steps));
    }
    let facts = outcome.facts.complete(program, &env.cfg);
    Ok(Verified::proved(object, id, program, facts))
}
