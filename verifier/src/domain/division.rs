//! Quotients and remainders. Division by zero gives 0, remainder by zero leaves the dividend,
//! and the smallest number divided by -1 gives itself with remainder 0 (RFC 9669 §4.1).
//!
//! A remainder keeps the low bits of its dividend that the divisor cannot change: when the divisor
//! is a multiple of 2^k, both agree modulo 2^k. That includes the divisor 0.

use super::arc::Arc;
use super::bits;
use super::tnum::Tnum;
use super::value::Value;

impl<const W: u32> Value<W> {
    /// Unsigned quotients.
    pub(crate) fn div(&self, divisor: &Self) -> Self {
        let zero = Value::constant(0);
        let Some(nonzero) = divisor.without_zero() else {
            return zero;
        };
        let quotient = self.div_nonzero(&nonzero);
        if divisor.contains(0) {
            quotient.join(&zero)
        } else {
            quotient
        }
    }

    fn div_nonzero(&self, divisor: &Self) -> Self {
        let min = self.umin.checked_div(divisor.umax).unwrap_or(0);
        let max = self.umax.checked_div(divisor.umin).unwrap_or(self.umax);
        let bits = match divisor.is_const() {
            Some(divisor) if divisor.is_power_of_two() => self.bits.rsh(divisor.trailing_zeros()),
            _ => Tnum::UNKNOWN,
        };
        Value::UNKNOWN
            .with_bits(bits)
            .with_unsigned(min, max)
            .settled()
    }

    /// Unsigned remainders.
    pub(crate) fn rem(&self, divisor: &Self) -> Self {
        let Some(nonzero) = divisor.without_zero() else {
            return *self;
        };
        let remainder = self.rem_nonzero(&nonzero);
        if divisor.contains(0) {
            remainder.join(self)
        } else {
            remainder
        }
    }

    fn rem_nonzero(&self, divisor: &Self) -> Self {
        if self.umax < divisor.umin {
            return *self;
        }
        let largest = divisor.umax.saturating_sub(1);
        let result = Value::UNKNOWN
            .with_bits(self.low_bits_kept(divisor))
            .with_unsigned(0, self.umax.min(largest));
        match self.rem_same_quotient(divisor) {
            Some((min, max)) => result.with_unsigned(min, max),
            None => result,
        }
        .settled()
    }

    /// Bounds of the remainder when all dividends have the same quotient by a constant.
    fn rem_same_quotient(&self, divisor: &Self) -> Option<(u64, u64)> {
        let divisor = divisor.is_const()?;
        let same = self.umin.checked_div(divisor)? == self.umax.checked_div(divisor)?;
        let bounds = (
            self.umin.checked_rem(divisor)?,
            self.umax.checked_rem(divisor)?,
        );
        same.then_some(bounds)
    }

    /// Signed quotients, rounded towards zero.
    pub(crate) fn sdiv(&self, divisor: &Self) -> Self {
        if self.smin >= 0 && divisor.smin >= 0 {
            return self.div(divisor);
        }
        match divisor.is_const() {
            Some(1) => return *self,
            Some(minus_one) if minus_one == bits::mask(W) => return Value::constant(0).sub(self),
            _ => {}
        }
        let mut result: Option<Value<W>> = divisor.contains(0).then(|| Value::constant(0));
        for part in divisor.signed_nonzero_parts().into_iter().flatten() {
            let quotient = Value::UNKNOWN
                .with_arc(self.signed_quotients(part))
                .settled();
            result = Some(match result {
                Some(other) => quotient.join(&other),
                None => quotient,
            });
        }
        result.unwrap_or(Value::UNKNOWN)
    }

    /// Quotients by divisors of one sign are extreme where the operands are.
    fn signed_quotients(&self, (min, max): (i64, i64)) -> Option<Arc> {
        let quotient = |a: i64, b: i64| i128::from(a).checked_div(i128::from(b));
        let corners = [
            quotient(self.smin, min)?,
            quotient(self.smin, max)?,
            quotient(self.smax, min)?,
            quotient(self.smax, max)?,
        ];
        Arc::from_wide(*corners.iter().min()?, *corners.iter().max()?, W)
    }

    /// Signed remainders; they have the sign of the dividend.
    pub(crate) fn srem(&self, divisor: &Self) -> Self {
        if self.smin >= 0 && divisor.smin >= 0 {
            return self.rem(divisor);
        }
        let mut result: Option<Value<W>> = divisor.contains(0).then_some(*self);
        for part in divisor.signed_nonzero_parts().into_iter().flatten() {
            let remainder = self.srem_part(part, self.low_bits_kept(divisor));
            result = Some(match result {
                Some(other) => remainder.join(&other),
                None => remainder,
            });
        }
        result.unwrap_or(Value::UNKNOWN)
    }

    /// Remainders by divisors of one sign, from `min` to `max`.
    fn srem_part(&self, (min, max): (i64, i64), kept: Tnum) -> Self {
        let near = min.unsigned_abs().min(max.unsigned_abs());
        let far = min.unsigned_abs().max(max.unsigned_abs());
        if self.smin.unsigned_abs().max(self.smax.unsigned_abs()) < near {
            return *self;
        }
        let limit = i64::try_from(far.saturating_sub(1)).unwrap_or(i64::MAX);
        let least = self.smin.max(limit.saturating_neg()).min(0);
        let most = self.smax.min(limit).max(0);
        let result = Value::UNKNOWN.with_bits(kept).with_signed(least, most);
        match self.srem_same_quotient((min, max)) {
            Some((least, most)) => result.with_signed(least, most),
            None => result,
        }
        .settled()
    }

    /// Bounds of the signed remainder when all dividends have the same quotient by a constant and
    /// the same sign.
    fn srem_same_quotient(&self, (min, max): (i64, i64)) -> Option<(i64, i64)> {
        let one_sign = self.smin >= 0 || self.smax < 0;
        let same = self.smin.checked_div(min)? == self.smax.checked_div(min)?;
        let bounds = (self.smin.checked_rem(min)?, self.smax.checked_rem(min)?);
        (min == max && one_sign && same).then_some(bounds)
    }

    /// The known low bits of the dividend that every member of the divisor leaves alone.
    fn low_bits_kept(&self, divisor: &Self) -> Tnum {
        let kept = bits::mask(divisor.bits.trailing_zeros());
        Tnum::new(self.bits.value() & kept, self.bits.mask() | !kept)
    }

    /// The members other than zero.
    fn without_zero(&self) -> Option<Self> {
        self.with_unsigned(1, bits::mask(W)).reduce()
    }

    /// The ranges of the negative and of the positive members.
    fn signed_nonzero_parts(&self) -> [Option<(i64, i64)>; 2] {
        let range = |value: Value<W>| (value.smin, value.smax);
        [
            self.with_signed(bits::signed_min(W), -1)
                .reduce()
                .map(range),
            self.with_signed(1, bits::signed_max(W)).reduce().map(range),
        ]
    }
}
