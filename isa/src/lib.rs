//! The eBPF instruction set (RFC 9669 and its later additions) as data.
//!
//! One table ([`opcode`]) names every opcode; decoder, encoder, text forms and tests are derived
//! from it. [`semantics`] holds the pure meaning of each operation, shared by the interpreter and by
//! constant folding, so that there is one place where "division by zero gives zero" is written.
//!
//! Invariants: no `std`, no allocation outside the `text` module, no panic on any input.
//! What is left out: platforms (helper numbers, contexts); those are in the `abi` crate.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod decode;
pub mod insn;
pub mod semantics;
pub use decode::DecodeError;
pub use insn::{
    AluOp, AtomicOp, CallTarget, Cond, Endian, Imm64, Insn, InsnIdx, Operand, Reg, Size, Slot,
    Width,
};
