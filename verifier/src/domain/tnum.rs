//! Known bits: each bit is 0, 1 or unknown ("tristate number").
//!
//! The transfer functions are those of Vishwanathan, Shachnai, Narayana and Nagarakatte, "Sound,
//! Precise, and Fast Abstract Interpretation with Tristate Numbers" (CGO 2022), except the product,
//! which joins the two cases of each unknown multiplier bit. Invariant: `value & mask == 0`, kept
//! by every constructor; so every [`Tnum`] has a member, and "no member" is `None`.
//!
//! A [`Tnum`] always describes 64 bits. Narrower values have their upper bits known to be zero;
//! results of narrower operations go through [`Tnum::truncate`].

use super::bits;

/// A set of 64-bit values that agree with `value` outside `mask`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tnum {
    value: u64,
    mask: u64,
}

impl Tnum {
    /// Nothing is known.
    pub const UNKNOWN: Tnum = Tnum {
        value: 0,
        mask: u64::MAX,
    };

    /// Exactly one value.
    #[must_use]
    pub const fn constant(value: u64) -> Tnum {
        Tnum { value, mask: 0 }
    }

    /// Bits in `mask` are unknown, the others are those of `value`.
    #[must_use]
    pub const fn new(value: u64, mask: u64) -> Tnum {
        Tnum {
            value: value & !mask,
            mask,
        }
    }

    /// The smallest tnum with every value from `min` to `max`: their common leading bits.
    #[must_use]
    pub const fn from_range(min: u64, max: u64) -> Tnum {
        let differing = min ^ max;
        Tnum::new(
            min,
            bits::mask(64_u32.wrapping_sub(differing.leading_zeros())),
        )
    }

    /// The known bits; unknown bits are zero here. Also the smallest member.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.value
    }

    /// The unknown bits.
    #[must_use]
    pub const fn mask(self) -> u64 {
        self.mask
    }

    /// The largest member: every unknown bit set.
    #[must_use]
    pub const fn max(self) -> u64 {
        self.value | self.mask
    }

    /// The only member, if there is only one.
    #[must_use]
    pub const fn is_const(self) -> Option<u64> {
        if self.mask == 0 {
            Some(self.value)
        } else {
            None
        }
    }

    /// Is `value` a member?
    #[must_use]
    pub const fn contains(self, value: u64) -> bool {
        value & !self.mask == self.value
    }

    /// Is every member of `self` a member of `other`?
    #[must_use]
    pub const fn leq(self, other: Tnum) -> bool {
        self.mask & !other.mask == 0 && self.value & !other.mask == other.value
    }

    /// The smallest tnum with the members of both.
    #[must_use]
    pub const fn join(self, other: Tnum) -> Tnum {
        let mask = self.mask | other.mask | (self.value ^ other.value);
        Tnum::new(self.value, mask)
    }

    /// The common members, or `None` when a known bit differs.
    #[must_use]
    pub const fn meet(self, other: Tnum) -> Option<Tnum> {
        if (self.value ^ other.value) & !(self.mask | other.mask) != 0 {
            return None;
        }
        Some(Tnum::new(self.value | other.value, self.mask & other.mask))
    }

    /// How many low bits are known to be zero (64 for the constant 0).
    #[must_use]
    pub const fn trailing_zeros(self) -> u32 {
        self.max().trailing_zeros()
    }

    /// The smallest member that is at least `bound`.
    #[must_use]
    pub const fn ceil(self, bound: u64) -> Option<u64> {
        let wrong = (bound ^ self.value) & !self.mask;
        if wrong == 0 {
            return Some(bound);
        }
        // Above its highest wrong bit, `bound` is already like a member.
        let below = bits::mask(64_u32.wrapping_sub(wrong.leading_zeros()));
        if bound & wrong & !(below >> 1) == 0 {
            // The member has a 1 where `bound` has a 0: it is larger whatever follows.
            return Some((bound & !below) | (self.value & below));
        }
        // Otherwise the next larger leading part: carry into the lowest unknown zero bit above.
        let free = self.mask & !bound & !below;
        if free == 0 {
            return None;
        }
        let carry = free & free.wrapping_neg();
        let kept = !(carry | carry.wrapping_sub(1));
        Some((bound & kept) | carry | (self.value & !kept & !carry))
    }

    /// The largest member that is at most `bound`.
    #[must_use]
    pub const fn floor(self, bound: u64) -> Option<u64> {
        // Complementing reverses the order of numbers.
        match Tnum::new(!self.value, self.mask).ceil(!bound) {
            Some(member) => Some(!member),
            None => None,
        }
    }

    /// The low `width` bits; the others become zero.
    #[must_use]
    pub const fn truncate(self, width: u32) -> Tnum {
        let mask = bits::mask(width);
        Tnum::new(self.value & mask, self.mask & mask)
    }

    /// Copies bit `width - 1` into all higher bits.
    #[must_use]
    pub const fn sign_extend(self, width: u32) -> Tnum {
        let mask = bits::sign_extend(self.mask, width) as u64;
        Tnum::new(bits::sign_extend(self.value, width) as u64, mask)
    }

    /// The sign bit of `width`-bit members inverted.
    ///
    /// This maps signed order to unsigned order.
    #[must_use]
    pub(crate) const fn bias(self, width: u32) -> Tnum {
        Tnum::new(self.value ^ bits::sign_bit(width), self.mask)
    }

    /// Wrapping sums.
    #[must_use]
    pub const fn add(self, other: Tnum) -> Tnum {
        let masks = self.mask.wrapping_add(other.mask);
        let values = self.value.wrapping_add(other.value);
        let carries = masks.wrapping_add(values) ^ values;
        Tnum::new(values, carries | self.mask | other.mask)
    }

    /// Wrapping differences.
    #[must_use]
    pub const fn sub(self, other: Tnum) -> Tnum {
        let values = self.value.wrapping_sub(other.value);
        let highest = values.wrapping_add(self.mask);
        let lowest = values.wrapping_sub(other.mask);
        Tnum::new(values, (highest ^ lowest) | self.mask | other.mask)
    }

    /// Wrapping products.
    #[must_use]
    pub const fn mul(self, other: Tnum) -> Tnum {
        // Fewer unknown multiplier bits are fewer joins: faster and more precise.
        let (mut multiplier, mut shifted) = if self.mask.count_ones() <= other.mask.count_ones() {
            (self, other)
        } else {
            (other, self)
        };
        let mut sum = Tnum::constant(0);
        while multiplier.max() != 0 {
            if multiplier.value & 1 == 1 {
                sum = sum.add(shifted);
            } else if multiplier.mask & 1 == 1 {
                sum = sum.join(sum.add(shifted));
            }
            multiplier = multiplier.rsh(1);
            shifted = shifted.lsh(1);
        }
        sum
    }

    /// Bitwise and.
    #[must_use]
    pub const fn and(self, other: Tnum) -> Tnum {
        let ones = self.value & other.value;
        Tnum::new(ones, self.max() & other.max() & !ones)
    }

    /// Bitwise or.
    #[must_use]
    pub const fn or(self, other: Tnum) -> Tnum {
        let ones = self.value | other.value;
        Tnum::new(ones, (self.mask | other.mask) & !ones)
    }

    /// Bitwise exclusive or.
    #[must_use]
    pub const fn xor(self, other: Tnum) -> Tnum {
        Tnum::new(self.value ^ other.value, self.mask | other.mask)
    }

    /// Shift left by a known amount.
    #[must_use]
    pub const fn lsh(self, amount: u32) -> Tnum {
        Tnum::new(
            bits::shift_left(self.value, amount),
            bits::shift_left(self.mask, amount),
        )
    }

    /// Logical shift right by a known amount.
    #[must_use]
    pub const fn rsh(self, amount: u32) -> Tnum {
        Tnum::new(
            bits::shift_right(self.value, amount),
            bits::shift_right(self.mask, amount),
        )
    }

    /// Arithmetic shift right of `width`-bit members by a known amount.
    #[must_use]
    pub const fn arsh(self, amount: u32, width: u32) -> Tnum {
        let amount = if amount > 63 { 63 } else { amount };
        let wide = self.sign_extend(width);
        let value = (wide.value as i64 >> amount) as u64;
        let mask = (wide.mask as i64 >> amount) as u64;
        Tnum::new(value, mask).truncate(width)
    }

    /// Byte order of the low `bytes` bytes (2, 4 or 8) reversed; the others become zero.
    #[must_use]
    pub const fn swap_bytes(self, bytes: u32) -> Tnum {
        let unused = 64_u32.saturating_sub(bytes.saturating_mul(8));
        Tnum::new(
            bits::shift_right(self.value.swap_bytes(), unused),
            bits::shift_right(self.mask.swap_bytes(), unused),
        )
    }
}
