//! Widening: makes loops converge.
//!
//! A bound that grew moves on to the next of finitely many thresholds, and where a bit is lost all
//! higher bits are given up with it (unless the widened range implies them): a counter loses one
//! bit after the other otherwise. Reduction afterwards may sharpen a bound below its threshold
//! again, but only by bits that are still known, so every chain ends after at most one step per
//! threshold and bound and one per bit.

use super::bits;
use super::halves::Halves;
use super::scalar::Number;
use super::tnum::Tnum;
use super::value::Value;

/// Unsigned patterns at which growing bounds stop, in ascending order: limits of the usual types
/// and sizes of packets and stacks, so that a loop over one of those keeps its bound.
const THRESHOLDS: [u64; 15] = [
    0,
    1,
    0x7f,
    0xff,
    0x1ff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_8000_0000,
    0xffff_ffff_ffff_8000,
    0xffff_ffff_ffff_ff80,
    0xffff_ffff_ffff_ffff,
];

impl<const W: u32, const H: u32> Number<W, H> {
    /// A set with the values of both that lets chains `old.widen(&new)` end after few steps.
    #[must_use]
    pub fn widen(&self, new: &Self) -> Self {
        self.widen_to(new, &[])
    }

    /// Like [`Number::widen`], stopping a growing bound first at these values.
    #[must_use]
    pub fn widen_to(&self, new: &Self, thresholds: &[u64]) -> Self {
        Halves {
            full: self.full().widen(new.full(), thresholds),
            low: self.low().widen(&new.low(), thresholds),
        }
        .settled()
    }
}

impl<const W: u32> Value<W> {
    fn widen(&self, new: &Self, thresholds: &[u64]) -> Self {
        let mut result = Value {
            bits: widen_bits(self.bits, new.bits).truncate(W),
            ..*self
        };
        let steps = || {
            THRESHOLDS
                .iter()
                .chain(thresholds)
                .map(|step| step & bits::mask(W))
        };
        let signed = || steps().map(|step| bits::sign_extend(step, W));
        if new.umin < self.umin {
            result.umin = steps().filter(|step| *step <= new.umin).max().unwrap_or(0);
        }
        if new.umax > self.umax {
            let above = steps().filter(|step| *step >= new.umax).min();
            result.umax = above.unwrap_or(bits::mask(W));
        }
        if new.smin < self.smin {
            let below = signed().filter(|step| *step <= new.smin).max();
            result.smin = below.unwrap_or(bits::signed_min(W));
        }
        if new.smax > self.smax {
            let above = signed().filter(|step| *step >= new.smax).min();
            result.smax = above.unwrap_or(bits::signed_max(W));
        }
        result.settled()
    }
}

/// Gives up every bit from the lowest on that `new` does not share.
fn widen_bits(old: Tnum, new: Tnum) -> Tnum {
    let joined = old.join(new);
    let lost = joined.mask() & !old.mask();
    Tnum::new(
        joined.value(),
        joined.mask() | !bits::mask(lost.trailing_zeros()),
    )
}
