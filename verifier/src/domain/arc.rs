//! Intervals on the circle of `width`-bit values: machine arithmetic has no ends.
//!
//! `-2..=3` and `254..=3` are the same arc of bytes. Sums, differences and shifts of arcs are arcs
//! again unless they go round the whole circle, so one computation gives both the unsigned and
//! the signed range of a result: an arc that does not pass the unsigned (signed) wrap-around point
//! is an unsigned (signed) range.

use super::bits;

/// The values `first`, `first + 1`, ... `first + length`, modulo 2 to the `width`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Arc {
    first: u64,
    /// Steps from the first to the last value: one less than the number of values.
    length: u64,
}

impl Arc {
    /// From `first` upwards to `last`.
    pub(crate) const fn between(first: u64, last: u64, width: u32) -> Arc {
        Arc {
            first: first & bits::mask(width),
            length: last.wrapping_sub(first) & bits::mask(width),
        }
    }

    /// From `first` upwards to `last`, given without wrap-around; `None` for the whole circle.
    pub(crate) const fn from_wide(first: i128, last: i128, width: u32) -> Option<Arc> {
        match last.checked_sub(first) {
            Some(length) if length >= 0 && length < bits::mask(width) as i128 => Some(Arc {
                first: first as u64 & bits::mask(width),
                length: length as u64,
            }),
            _ => None,
        }
    }

    /// Steps from the first to the last value.
    pub(crate) const fn length(self) -> u64 {
        self.length
    }

    /// The first value.
    pub(crate) const fn first(self) -> u64 {
        self.first
    }

    /// The last value.
    pub(crate) const fn last(self, width: u32) -> u64 {
        self.first.wrapping_add(self.length) & bits::mask(width)
    }

    /// Sums of members; `None` when every value is possible.
    pub(crate) fn add(self, other: Arc, width: u32) -> Option<Arc> {
        let length = self.length.checked_add(other.length)?;
        let first = self.first.wrapping_add(other.first) & bits::mask(width);
        (length < bits::mask(width)).then_some(Arc { first, length })
    }

    /// Differences of members; `None` when every value is possible.
    pub(crate) fn sub(self, other: Arc, width: u32) -> Option<Arc> {
        let length = self.length.checked_add(other.length)?;
        let first = self.first.wrapping_sub(other.last(width)) & bits::mask(width);
        (length < bits::mask(width)).then_some(Arc { first, length })
    }

    /// Members shifted left; `None` when every value is possible.
    pub(crate) fn lsh(self, amount: u32, width: u32) -> Option<Arc> {
        let mask = bits::mask(width);
        (self.length <= bits::shift_right(mask, amount)).then(|| Arc {
            first: bits::shift_left(self.first, amount) & mask,
            length: bits::shift_left(self.length, amount) & mask,
        })
    }

    /// The low `to` bits of members; `None` when every `to`-bit value is possible.
    pub(crate) fn truncate(self, to: u32) -> Option<Arc> {
        let first = self.first & bits::mask(to);
        let length = self.length;
        (length < bits::mask(to)).then_some(Arc { first, length })
    }

    /// As an unsigned range, unless it contains both the largest value and 0 after it.
    pub(crate) fn unsigned(self, width: u32) -> Option<(u64, u64)> {
        let last = self.last(width);
        (self.first <= last).then_some((self.first, last))
    }

    /// As a signed range, unless it contains both the largest value and the smallest after it.
    pub(crate) fn signed(self, width: u32) -> Option<(i64, i64)> {
        let first = bits::sign_extend(self.first, width);
        let last = bits::sign_extend(self.last(width), width);
        (first <= last).then_some((first, last))
    }

    /// The same values with inverted sign bits.
    pub(crate) const fn bias(self, width: u32) -> Arc {
        Arc {
            first: self.first ^ bits::sign_bit(width),
            length: self.length,
        }
    }

    /// Is `value` (its low `width` bits) a member?
    pub(crate) const fn contains(self, value: u64, width: u32) -> bool {
        value.wrapping_sub(self.first) & bits::mask(width) <= self.length
    }
}
