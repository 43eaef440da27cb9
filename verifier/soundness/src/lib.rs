//! Other judges of the verifier, for tests and measurements only.
//!
//! `kernel` asks the Linux kernel's verifier for its verdict on the same program. `sources` finds
//! the programs that are judged: the small cases of the verifier's tests, the examples, and the
//! corpus of real programs where it is present.

#![deny(unsafe_code)]

#[expect(
    clippy::unwrap_used,
    reason = "the tests' own files; a malformed one ends the run"
)]
#[path = "../../tests/support/mod.rs"]
pub(crate) mod cases;
#[cfg(target_os = "linux")]
pub mod kernel;
pub mod sources;
