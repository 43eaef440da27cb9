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
pub mod verified;

pub use facts::{Facts, InsnFact};
pub use verified::Verified;
