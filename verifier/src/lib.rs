//! Program to [`Verified`] or rejections: a path-sensitive abstract interpreter.
//!
//! [`verify`] is the only way to a [`Verified`] value that carries a proof, and a `Verified` is the
//! only key to code generation. `no_std` + `alloc`, no recursion, explicit budgets, no panic on any
//! input: the kernel runs this crate before it interprets bytecode.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod domain;
pub mod facts;
pub mod limits;
pub mod options;
pub mod reason;
mod reason_text;
pub mod reject;
mod stack;
mod state;
pub mod trace;
pub mod value;
pub mod verified;

pub use facts::{Facts, InsnFact};
pub use options::Options;
pub use reason::Reason;
pub use reject::{Decision, Rejected, Rejection, Way};
pub use trace::{Observer, View};
pub use verified::Verified;

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
    let _ = (object, options, observer);
    Err(Rejected {
        program: id,
        rejections: alloc::vec![Rejection {
            at: isa::InsnIdx(0),
            kind: Reason::Budget { steps: 0 },
            registers: alloc::vec::Vec::new(),
            path: alloc::vec::Vec::new(),
        }],
        steps: 0,
    })
}
