//! Whatever the verifier accepts must be safe: judges of its verdicts, for tests only.
//!
//! - `machine` is the concrete semantics: it runs a program and traps whatever a safe one must not
//!   do. `record` keeps the states of an analysis and `contain` says whether the machine is inside
//!   one: `check` puts them together for one program.
//! - `generate` and `mutate` make programs, `campaign` tries many of them, `minimise` cuts a finding
//!   down to a test case.
//! - `kernel` asks the Linux kernel's verifier for its verdict on the same program.
//! - `sources` finds the programs that are judged: the small cases of the verifier's tests, the
//!   examples, and the corpus of real programs where it is present.
//!
//! `docs/soundness.md` tells what this shows and what it does not.

#![deny(unsafe_code)]

pub mod campaign;
#[expect(
    clippy::unwrap_used,
    reason = "the tests' own files; a malformed one ends the run"
)]
#[path = "../../tests/support/mod.rs"]
pub(crate) mod cases;
pub mod check;
pub mod contain;
mod generate;
#[cfg(target_os = "linux")]
pub mod kernel;
pub mod machine;
pub mod minimise;
pub mod mutate;
pub mod random;
pub mod record;
pub mod sources;
