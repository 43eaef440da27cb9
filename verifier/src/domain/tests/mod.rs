//! Proofs by exhaustion at small widths, and samples at the real ones.
//!
//! Every abstract value that reduction can produce at a width is enumerated, so "for all pairs"
//! below is meant literally.

mod concrete;
mod exhaustive;
mod universe;
