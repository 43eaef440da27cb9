//! Shifts. Amounts count modulo the width, as in RFC 9669 §4.1.
//!
//! An amount that is not constant has at most `W` possible values; the result joins them all.

use super::bits;
use super::value::Value;

impl<const W: u32> Value<W> {
    /// Left shifts.
    pub(crate) fn lsh(&self, amount: &Self) -> Self {
        self.shift(amount, Value::lsh_by)
    }

    /// Logical right shifts.
    pub(crate) fn rsh(&self, amount: &Self) -> Self {
        self.shift(amount, Value::rsh_by)
    }

    /// Arithmetic right shifts.
    pub(crate) fn arsh(&self, amount: &Self) -> Self {
        self.shift(amount, Value::arsh_by)
    }

    /// Left shift by a constant below the width.
    pub(crate) fn lsh_by(&self, amount: u32) -> Self {
        self.by_sign(|value| {
            Value::UNKNOWN
                .with_bits(value.bits.lsh(amount))
                .with_arc(value.unsigned_arc().lsh(amount, W))
                .with_arc(value.signed_arc().lsh(amount, W))
                .settled()
        })
    }

    /// Logical right shift by a constant below the width.
    pub(crate) fn rsh_by(&self, amount: u32) -> Self {
        let shifted = |bound: u64| bits::shift_right(bound, amount);
        self.by_sign(|value| {
            Value::UNKNOWN
                .with_bits(value.bits.rsh(amount))
                .with_unsigned(shifted(value.umin), shifted(value.umax))
                .settled()
        })
    }

    /// Arithmetic right shift by a constant below the width.
    pub(crate) fn arsh_by(&self, amount: u32) -> Self {
        let shifted = |bound: i64| bound.wrapping_shr(amount);
        self.by_sign(|value| {
            Value::UNKNOWN
                .with_bits(value.bits.arsh(amount, W))
                .with_signed(shifted(value.smin), shifted(value.smax))
                .settled()
        })
    }

    /// The only possible shift amount, if there is only one.
    pub(crate) fn is_const_amount(&self) -> Option<u32> {
        self.amounts().is_const().map(|amount| amount as u32)
    }

    fn shift(&self, amount: &Self, op: fn(&Self, u32) -> Self) -> Self {
        let amounts = amount.amounts();
        let mut result: Option<Value<W>> = None;
        // The bound holds anyway; the loop must not depend on it.
        for amount in amounts.umin..=amounts.umax.min(u64::from(W)) {
            if result == Some(Value::UNKNOWN) {
                break;
            }
            if amounts.contains(amount) {
                let shifted = match amount {
                    0 => *self,
                    _ => op(self, amount as u32),
                };
                result = Some(match result {
                    Some(other) => other.join(&shifted),
                    None => shifted,
                });
            }
        }
        result.unwrap_or(Value::UNKNOWN)
    }

    /// Amounts modulo the width: fewer than `W`.
    fn amounts(&self) -> Self {
        self.rem(&Value::constant(u64::from(W)))
    }
}
