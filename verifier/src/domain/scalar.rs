//! A register's number: the 64-bit value together with its 32-bit subregister.
//!
//! Both views are reduced against each other (see [`Halves`]), so that what a 32-bit comparison
//! finds out reaches the 64-bit bounds and the other way round. The type is generic in the widths
//! for the exhaustive tests; programs use [`Scalar`], which fills one cache line because states of
//! the analysis hold many of them.

use super::bits;
use super::halves::Halves;
use super::tnum::Tnum;
use super::value::Value;

/// What is known about the number in a 64-bit register: a non-empty set of values.
pub type Scalar = Number<64, 32>;

/// A non-empty set of `W`-bit values, also seen through their low `H` bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Number<const W: u32, const H: u32> {
    full: Value<W>,
    low: Ranges,
}

/// The ranges of the subregister; its known bits are among those of the register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Ranges {
    umin: u32,
    umax: u32,
    smin: i32,
    smax: i32,
}

impl<const W: u32, const H: u32> Number<W, H> {
    /// Every value.
    pub const UNKNOWN: Number<W, H> = Number::from_halves(&Halves {
        full: Value::UNKNOWN,
        low: Value::UNKNOWN,
    });

    /// Packs both views, which must be reduced.
    pub(crate) const fn from_halves(halves: &Halves<W, H>) -> Number<W, H> {
        const { assert!(H < W && H <= 32, "the subregister has at most 32 bits") };
        Number {
            full: halves.full,
            low: Ranges {
                umin: halves.low.umin as u32,
                umax: halves.low.umax as u32,
                smin: halves.low.smin as i32,
                smax: halves.low.smax as i32,
            },
        }
    }

    /// Every value.
    #[must_use]
    pub const fn unknown() -> Number<W, H> {
        Number::UNKNOWN
    }

    /// Exactly one value.
    #[must_use]
    pub const fn constant(value: u64) -> Number<W, H> {
        Number::from_halves(&Halves {
            full: Value::constant(value),
            low: Value::constant(value),
        })
    }

    /// Every value of at most `bits` bits, unsigned.
    #[must_use]
    pub const fn of_width(bits: u32) -> Number<W, H> {
        let (full, low) = (Value::of_width(bits), Value::of_width(bits));
        Number::from_halves(&Halves { full, low })
    }

    /// How many bits the values have, if nothing else is known.
    #[must_use]
    pub fn only_width(&self) -> Option<u32> {
        let wide = self.umin() == 0 && self.bits() == Tnum::new(0, self.umax());
        let bits = 64_u32.wrapping_sub(self.umax().leading_zeros());
        (wide && *self == Number::of_width(bits)).then_some(bits)
    }

    /// All values between the two bounds, given in either order.
    #[must_use]
    pub fn from_range_u(a: u64, b: u64) -> Number<W, H> {
        Number::from_full(Value::from_unsigned(
            a.min(b) & bits::mask(W),
            a.max(b) & bits::mask(W),
        ))
    }

    /// All values between the two signed bounds, given in either order.
    #[must_use]
    pub fn from_range_s(a: i64, b: i64) -> Number<W, H> {
        let clamp = |bound: i64| bound.clamp(bits::signed_min(W), bits::signed_max(W));
        Number::from_full(Value::from_signed(clamp(a.min(b)), clamp(a.max(b))))
    }

    /// All values with these bits.
    #[must_use]
    pub fn from_bits(known: Tnum) -> Number<W, H> {
        Number::from_full(Value::UNKNOWN.with_bits(known).settled())
    }

    /// The known bits.
    #[must_use]
    pub const fn bits(&self) -> Tnum {
        self.full.bits
    }

    /// The smallest value, unsigned.
    #[must_use]
    pub const fn umin(&self) -> u64 {
        self.full.umin
    }

    /// The largest value, unsigned.
    #[must_use]
    pub const fn umax(&self) -> u64 {
        self.full.umax
    }

    /// The smallest value, signed.
    #[must_use]
    pub const fn smin(&self) -> i64 {
        self.full.smin
    }

    /// The largest value, signed.
    #[must_use]
    pub const fn smax(&self) -> i64 {
        self.full.smax
    }

    /// The smallest value of the subregister, unsigned.
    #[must_use]
    pub const fn u32_min(&self) -> u32 {
        self.low.umin
    }

    /// The largest value of the subregister, unsigned.
    #[must_use]
    pub const fn u32_max(&self) -> u32 {
        self.low.umax
    }

    /// The smallest value of the subregister, signed.
    #[must_use]
    pub const fn s32_min(&self) -> i32 {
        self.low.smin
    }

    /// The largest value of the subregister, signed.
    #[must_use]
    pub const fn s32_max(&self) -> i32 {
        self.low.smax
    }

    /// The only value, if there is only one.
    #[must_use]
    pub fn is_const(&self) -> Option<u64> {
        self.full.is_const()
    }

    /// Is nothing known?
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Number::UNKNOWN
    }

    /// Is every value a multiple of `alignment` (a power of two)?
    #[must_use]
    pub fn is_multiple_of(&self, alignment: u64) -> bool {
        self.full.bits.max() & alignment.wrapping_sub(1) == 0
    }

    /// Is `value` possible?
    #[must_use]
    pub fn contains(&self, value: u64) -> bool {
        self.full.contains(value) && self.low().contains(value & bits::mask(H))
    }

    /// Is every value of `self` known to be one of `other`? (Subsumption; may miss some cases.)
    #[must_use]
    pub fn leq(&self, other: &Number<W, H>) -> bool {
        self.full.leq(&other.full)
            && self.low.umin >= other.low.umin
            && self.low.umax <= other.low.umax
            && self.low.smin >= other.low.smin
            && self.low.smax <= other.low.smax
    }

    /// A set with the values of both.
    #[must_use]
    pub fn join(&self, other: &Number<W, H>) -> Number<W, H> {
        Halves {
            full: self.full.join(&other.full),
            low: self.low().join(&other.low()),
        }
        .settled()
    }

    /// The values that are in both, or `None` when there is none.
    #[must_use]
    pub fn meet(&self, other: &Number<W, H>) -> Option<Number<W, H>> {
        Halves {
            full: self.full.meet(&other.full)?,
            low: self.low().meet(&other.low())?,
        }
        .reduce()
    }

    /// From what is known about the whole register.
    pub(crate) fn from_full(full: Value<W>) -> Number<W, H> {
        Halves {
            full,
            low: Value::UNKNOWN,
        }
        .settled()
    }

    /// From the result of an operation on the subregister: the upper bits are zero.
    pub(crate) fn from_low(low: Value<H>) -> Number<W, H> {
        Halves {
            full: low.zero_extend(H),
            low,
        }
        .settled()
    }

    /// The whole register.
    pub(crate) const fn full(&self) -> &Value<W> {
        &self.full
    }

    /// The subregister.
    pub(crate) const fn low(&self) -> Value<H> {
        Value {
            bits: self.full.bits.truncate(H),
            umin: self.low.umin as u64,
            umax: self.low.umax as u64,
            smin: self.low.smin as i64,
            smax: self.low.smax as i64,
        }
    }

    /// Both views of the register.
    pub(crate) const fn halves(&self) -> Halves<W, H> {
        Halves {
            full: self.full,
            low: self.low(),
        }
    }
}
