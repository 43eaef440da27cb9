//! Branches: what each side of a comparison learns about its operands.

use super::scalar::Number;
use isa::{Cond, Width};

impl<const W: u32, const H: u32> Number<W, H> {
    /// Both operands where `a cond b` holds, or `None` when it never does: the taken branch.
    #[must_use]
    pub fn refine(cond: Cond, width: Width, a: &Self, b: &Self) -> Option<(Self, Self)> {
        let _ = (cond, width);
        Some((*a, *b))
    }

    /// Both operands where `a cond b` does not hold, or `None` when it always does: the
    /// fall-through.
    #[must_use]
    pub fn refine_not(cond: Cond, width: Width, a: &Self, b: &Self) -> Option<(Self, Self)> {
        let _ = (cond, width);
        Some((*a, *b))
    }

    /// The outcome of `a cond b` when it is always the same.
    #[must_use]
    pub fn decide(cond: Cond, width: Width, a: &Self, b: &Self) -> Option<bool> {
        if Self::refine(cond, width, a, b).is_none() {
            Some(false)
        } else if Self::refine_not(cond, width, a, b).is_none() {
            Some(true)
        } else {
            None
        }
    }
}
