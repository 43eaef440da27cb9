//! Bitwise and, or, exclusive or.
//!
//! Known bits give most of the result. Ranges that are not whole aligned blocks say more: each
//! operand is split at its sign into at most two unsigned ranges, and the exact bounds of the
//! operation on two ranges are those of Warren, "Hacker's Delight", §4-3.

use super::bits;
use super::tnum::Tnum;
use super::value::Value;

/// An unsigned range.
type Range = (u64, u64);

impl<const W: u32> Value<W> {
    /// Bitwise and.
    pub(crate) fn and(&self, other: &Self) -> Self {
        // not (not a or not b): complementing swaps and reverses the bounds.
        self.bitwise(other, self.bits.and(other.bits), |a, b| {
            let (a, b) = (complement(a, W), complement(b, W));
            complement((min_or(a, b), max_or(a, b)), W)
        })
    }

    /// Bitwise or.
    pub(crate) fn or(&self, other: &Self) -> Self {
        self.bitwise(other, self.bits.or(other.bits), |a, b| {
            (min_or(a, b), max_or(a, b))
        })
    }

    /// Bitwise exclusive or.
    pub(crate) fn xor(&self, other: &Self) -> Self {
        self.bitwise(other, self.bits.xor(other.bits), |a, b| xor(a, b, W))
    }

    fn bitwise(&self, other: &Self, known: Tnum, op: impl Fn(Range, Range) -> Range) -> Self {
        let from_bits = Value::UNKNOWN.with_bits(known);
        if self.is_only_bits() && other.is_only_bits() {
            return from_bits.settled();
        }
        let (mut unsigned, mut signed) = (None, None);
        for a in self.halves().into_iter().flatten() {
            for b in other.halves().into_iter().flatten() {
                let (min, max) = op((a.umin, a.umax), (b.umin, b.umax));
                widen_range(&mut unsigned, (min, max));
                let (min, max) = (bits::sign_extend(min, W), bits::sign_extend(max, W));
                widen_range(&mut signed, (min, max));
            }
        }
        let (umin, umax) = unsigned.unwrap_or((0, bits::mask(W)));
        let (smin, smax) = signed.unwrap_or((bits::signed_min(W), bits::signed_max(W)));
        from_bits
            .with_unsigned(umin, umax)
            .with_signed(smin, smax)
            .settled()
    }
}

fn widen_range<T: Ord + Copy>(range: &mut Option<(T, T)>, (min, max): (T, T)) {
    *range = Some(match *range {
        Some((low, high)) => (low.min(min), high.max(max)),
        None => (min, max),
    });
}

/// The range of the bitwise complements.
const fn complement((min, max): Range, width: u32) -> Range {
    (!max & bits::mask(width), !min & bits::mask(width))
}

/// The smallest `x | y`.
///
/// One operand's bound can be raised to have a bit that the other needs anyway, if then its lower
/// bits can all be zero; the highest such bit gains most.
fn min_or((a, b): Range, (c, d): Range) -> u64 {
    let mut one_sided = a ^ c;
    while one_sided != 0 {
        let bit = highest_bit(one_sided);
        let cleared = bit.wrapping_neg();
        if a & bit == 0 {
            let raised = (a | bit) & cleared;
            if raised <= b {
                return raised | c;
            }
        } else {
            let raised = (c | bit) & cleared;
            if raised <= d {
                return a | raised;
            }
        }
        one_sided ^= bit;
    }
    a | c
}

/// The largest `x | y`.
///
/// Where both upper bounds have a bit, one of them can go without it and have all lower bits set.
fn max_or((a, b): Range, (c, d): Range) -> u64 {
    let mut common = b & d;
    while common != 0 {
        let bit = highest_bit(common);
        let below = bit.wrapping_sub(1);
        let lowered = b.wrapping_sub(bit) | below;
        if lowered >= a {
            return lowered | d;
        }
        let lowered = d.wrapping_sub(bit) | below;
        if lowered >= c {
            return b | lowered;
        }
        common ^= bit;
    }
    b | d
}

/// The highest bit of a number that is not zero.
const fn highest_bit(value: u64) -> u64 {
    (1_u64 << 63).wrapping_shr(value.leading_zeros())
}

/// Bounds of `x ^ y`: `(x & !y) | (!x & y)` bounded through its two parts.
fn xor(a: Range, b: Range, width: u32) -> Range {
    let and = |x: Range, y: Range| {
        let (x, y) = (complement(x, width), complement(y, width));
        complement((min_or(x, y), max_or(x, y)), width)
    };
    let left = and(a, complement(b, width));
    let right = and(complement(a, width), b);
    (min_or(left, right), max_or(left, right))
}
