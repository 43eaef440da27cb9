//! Proofs by exhaustion at small widths, and samples at the real ones.
//!
//! Every abstract value that reduction can produce at a width is enumerated, so that "all values"
//! is meant literally; `exhaustive` says which pairs are proved.

mod concrete;
mod exhaustive;
mod idioms;
mod known_bits;
mod lattice;
mod precision;
mod sampled;
mod text;
mod unary;
mod universe;
