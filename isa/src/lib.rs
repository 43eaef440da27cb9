//! The eBPF instruction set (RFC 9669 and its later additions) as data.
//!
//! One table ([`opcode`]) names every encoding; decoder, encoder and tests are derived from it.
//! [`semantics`] holds the pure meaning of each operation, shared by the interpreter and by
//! constant folding, so that there is one place where "division by zero gives zero" is written.
//!
//! Invariants: no `std`, no panic on any input; what decodes encodes to the same bytes; what is
//! printed assembles to the same instruction. What is left out: platforms (helper numbers, contexts),
//! which are in the `abi` crate, and everything that needs more than one instruction to decide.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod asm;
pub mod decode;
pub mod encode;
pub mod insn;
pub mod opcode;
pub mod semantics;
mod text;

pub use decode::DecodeError;
pub use insn::{
    AluOp, AtomicOp, CallTarget, Cond, Endian, Imm64, Insn, InsnIdx, MAY_GOTO_TURNS, Operand, Reg,
    Size, Slot, Width,
};
pub use opcode::Group;
