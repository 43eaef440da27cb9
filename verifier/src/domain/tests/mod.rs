//! Proofs by exhaustion at small widths, and samples at the real ones.
//!
//! Every abstract value that reduction can produce at a width is enumerated, so that "all values"
//! is meant literally. The full set of pairs is proved at three bits, every n-th pair at four; the
//! ignored tests prove all pairs of four bits in some minutes.

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
