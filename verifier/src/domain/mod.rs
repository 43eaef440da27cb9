//! The abstract domain of numbers: what is known about the number in a register.
//!
//! A [`Scalar`] is a reduced product of known bits ([`Tnum`]), an unsigned and a signed range of the
//! 64-bit register, and the same three of its 32-bit subregister. Each operation of the instruction
//! set has a transfer function whose result contains every result of the operation on members of its
//! operands (soundness), and branches narrow both operands ([`Scalar::refine`]).
//!
//! Invariants: a `Scalar` has at least one member as far as reduction can see (the operations that
//! can empty it return `Option`); all operations are total and deterministic; `no_std`, no
//! allocation. The code is generic in the width, and the tests prove every operation exhaustively at
//! small widths and sample it at 32 and 64 bits.
//!
//! What is left out: relations between registers, pointers, and the special case of an operation
//! between a register and itself; the engine knows registers, this module knows values.

mod arc;
mod arith;
mod bits;
mod bitwise;
mod display;
mod division;
mod extend;
mod halves;
mod relation;
mod scalar;
mod shift;
#[cfg(test)]
mod tests;
mod tnum;
mod transfer;
mod value;
mod widen;

pub use scalar::{Number, Scalar};
pub use tnum::Tnum;
