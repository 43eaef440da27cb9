//! One machine word of `W` bits as known bits, an unsigned range and a signed range.
//!
//! The three parts describe the same value, so each can sharpen the others: [`Value::reduce`] does
//! that until nothing changes. Afterwards every bound is itself a possible value, and a
//! contradiction between the parts has been found. `W` is a parameter so that the same code that
//! runs at 64 and 32 bits is proved exhaustively at a few bits.
//!
//! Transfer functions start from [`Value::UNKNOWN`], narrow it with the `with_` methods and end
//! with [`Value::settled`].

use super::arc::Arc;
use super::bits;
use super::tnum::Tnum;

/// A non-empty set of `W`-bit values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Value<const W: u32> {
    pub(crate) bits: Tnum,
    pub(crate) umin: u64,
    pub(crate) umax: u64,
    pub(crate) smin: i64,
    pub(crate) smax: i64,
}

impl<const W: u32> Value<W> {
    /// Every value.
    pub(crate) const UNKNOWN: Value<W> = Value {
        bits: Tnum::UNKNOWN.truncate(W),
        umin: 0,
        umax: bits::mask(W),
        smin: bits::signed_min(W),
        smax: bits::signed_max(W),
    };

    /// Rounds of exchange between the parts. Two settle nearly every value; stopping early is
    /// sound, only less precise.
    const ROUNDS: u32 = 6;

    /// Exactly the low `W` bits of `value`.
    pub(crate) const fn constant(value: u64) -> Value<W> {
        let value = value & bits::mask(W);
        Value {
            bits: Tnum::constant(value),
            umin: value,
            umax: value,
            smin: bits::sign_extend(value, W),
            smax: bits::sign_extend(value, W),
        }
    }

    /// Every value of at most `bits` bits, unsigned; every value from `W` bits on.
    pub(crate) const fn of_width(bits: u32) -> Value<W> {
        if bits >= W {
            return Value::UNKNOWN;
        }
        let most = bits::mask(bits);
        Value {
            bits: Tnum::new(0, most),
            umin: 0,
            umax: most,
            smin: 0,
            smax: most as i64,
        }
    }

    /// The values from `min` to `max`, both below 2 to the `W`.
    pub(crate) fn from_unsigned(min: u64, max: u64) -> Value<W> {
        Value::UNKNOWN.with_unsigned(min, max).settled()
    }

    /// The values from `min` to `max`, both `W`-bit signed numbers.
    pub(crate) fn from_signed(min: i64, max: i64) -> Value<W> {
        Value::UNKNOWN.with_signed(min, max).settled()
    }

    /// The only value, if there is only one.
    pub(crate) fn is_const(&self) -> Option<u64> {
        (self.umin == self.umax).then_some(self.umin)
    }

    /// Is the `W`-bit `value` possible?
    pub(crate) fn contains(&self, value: u64) -> bool {
        let signed = bits::sign_extend(value, W);
        self.bits.contains(value)
            && (self.umin..=self.umax).contains(&value)
            && (self.smin..=self.smax).contains(&signed)
    }

    /// Is every part inside the same part of `other`?
    pub(crate) fn leq(&self, other: &Value<W>) -> bool {
        self.umin >= other.umin
            && self.umax <= other.umax
            && self.smin >= other.smin
            && self.smax <= other.smax
            && self.bits.leq(other.bits)
    }

    /// A value that has the members of both.
    pub(crate) fn join(&self, other: &Value<W>) -> Value<W> {
        Value {
            bits: self.bits.join(other.bits),
            umin: self.umin.min(other.umin),
            umax: self.umax.max(other.umax),
            smin: self.smin.min(other.smin),
            smax: self.smax.max(other.smax),
        }
        .settled()
    }

    /// The common members, or `None` when there is none.
    pub(crate) fn meet(&self, other: &Value<W>) -> Option<Value<W>> {
        self.with_unsigned(other.umin, other.umax)
            .with_signed(other.smin, other.smax)
            .meet_bits(other.bits)?
            .reduce()
    }

    /// The unsigned range as an arc.
    pub(crate) fn unsigned_arc(&self) -> Arc {
        Arc::between(self.umin, self.umax, W)
    }

    /// The signed range as an arc.
    pub(crate) fn signed_arc(&self) -> Arc {
        Arc::between(self.smin as u64, self.smax as u64, W)
    }

    /// Narrows to the range from `min` to `max`; not reduced.
    pub(crate) fn with_unsigned(mut self, min: u64, max: u64) -> Value<W> {
        self.umin = self.umin.max(min);
        self.umax = self.umax.min(max);
        self
    }

    /// Narrows to the signed range from `min` to `max`; not reduced.
    pub(crate) fn with_signed(mut self, min: i64, max: i64) -> Value<W> {
        self.smin = self.smin.max(min);
        self.smax = self.smax.min(max);
        self
    }

    /// Narrows to an arc as far as the ranges can express it; not reduced.
    pub(crate) fn with_arc(mut self, arc: Option<Arc>) -> Value<W> {
        let Some(arc) = arc else { return self };
        if let Some((min, max)) = arc.unsigned(W) {
            self = self.with_unsigned(min, max);
        }
        if let Some((min, max)) = arc.signed(W) {
            self = self.with_signed(min, max);
        }
        self
    }

    /// Replaces the known bits by those of a result; not reduced.
    pub(crate) fn with_bits(mut self, bits: Tnum) -> Value<W> {
        self.bits = bits.truncate(W);
        self
    }

    /// Adds known bits; not reduced.
    pub(crate) fn meet_bits(mut self, bits: Tnum) -> Option<Value<W>> {
        self.bits = self.bits.meet(bits)?;
        Some(self)
    }

    /// Narrows both ranges to members of an arc; not reduced.
    pub(crate) fn meet_arc(mut self, arc: Arc) -> Option<Value<W>> {
        (self.umin, self.umax) = clip((self.umin, self.umax), arc, W)?;
        let biased = clip(self.biased(), arc.bias(W), W)?;
        Some(self.with_biased(biased))
    }

    /// Narrows both ranges to values whose low `low_width` bits are in an arc; not reduced.
    pub(crate) fn meet_low_arc(mut self, arc: Arc, low_width: u32) -> Option<Value<W>> {
        (self.umin, self.umax) = clip_low((self.umin, self.umax), arc, (low_width, W))?;
        let biased = clip_low(self.biased(), arc, (low_width, W))?;
        Some(self.with_biased(biased))
    }

    /// Reduces a result. Where the operands contradict themselves beyond what reduction sees, the
    /// code is unreachable and any result is right.
    pub(crate) fn settled(self) -> Value<W> {
        self.reduce().unwrap_or(Value::UNKNOWN)
    }

    /// Lets each part sharpen the others; `None` when they contradict each other.
    pub(crate) fn reduce(mut self) -> Option<Value<W>> {
        if self == Value::UNKNOWN {
            return Some(self);
        }
        if let Some(value) = self.bits.is_const() {
            return self.contains(value).then_some(Value::constant(value));
        }
        for _ in 0..Self::ROUNDS {
            let before = self;
            self = self.meet_arc(self.signed_range()?)?;
            self = self.meet_arc(self.unsigned_range()?)?;
            self = self.clip_to_bits()?;
            self = self.meet_bits(Tnum::from_range(self.umin, self.umax))?;
            if self == before {
                break;
            }
        }
        Some(self)
    }

    /// Joins the results for the members with sign bit 0 and for those with sign bit 1, where the
    /// split makes a difference.
    pub(crate) fn by_sign(&self, op: impl Fn(&Value<W>) -> Value<W>) -> Value<W> {
        if self.smin >= 0 || self.smax < 0 || self.is_only_bits() {
            return op(self);
        }
        match self.halves() {
            [Some(positive), Some(negative)] => op(&positive).join(&op(&negative)),
            [Some(half), None] | [None, Some(half)] => op(&half),
            [None, None] => op(self),
        }
    }

    /// The members with sign bit 0 and those with sign bit 1: each has one range that is both
    /// unsigned and signed.
    pub(crate) fn halves(&self) -> [Option<Value<W>>; 2] {
        [
            self.with_signed(0, bits::signed_max(W)).reduce(),
            self.with_signed(bits::signed_min(W), -1).reduce(),
        ]
    }

    /// Do the ranges say nothing that the known bits do not say?
    pub(crate) fn is_only_bits(&self) -> bool {
        let signed = self.bits.bias(W);
        self.umin == self.bits.value()
            && self.umax == self.bits.max()
            && self.biased() == (signed.value(), signed.max())
    }

    fn unsigned_range(&self) -> Option<Arc> {
        (self.umin <= self.umax).then(|| self.unsigned_arc())
    }

    fn signed_range(&self) -> Option<Arc> {
        (self.smin <= self.smax).then(|| self.signed_arc())
    }

    /// Moves each bound to the nearest value that has the known bits.
    fn clip_to_bits(mut self) -> Option<Value<W>> {
        self.umin = self.bits.ceil(self.umin)?;
        self.umax = self.bits.floor(self.umax)?;
        let biased_bits = self.bits.bias(W);
        let (min, max) = self.biased();
        let biased = (biased_bits.ceil(min)?, biased_bits.floor(max)?);
        let ordered = self.umin <= self.umax && biased.0 <= biased.1;
        ordered.then(|| self.with_biased(biased))
    }

    /// The signed range with inverted sign bits: in unsigned order.
    fn biased(&self) -> (u64, u64) {
        let sign = bits::sign_bit(W);
        (
            bits::pattern(self.smin, W) ^ sign,
            bits::pattern(self.smax, W) ^ sign,
        )
    }

    fn with_biased(mut self, (min, max): (u64, u64)) -> Value<W> {
        let sign = bits::sign_bit(W);
        self.smin = bits::sign_extend(min ^ sign, W);
        self.smax = bits::sign_extend(max ^ sign, W);
        self
    }
}

/// The smallest range with the members of `range` that are in `arc`.
fn clip((min, max): (u64, u64), arc: Arc, width: u32) -> Option<(u64, u64)> {
    clip_low((min, max), arc, (width, width))
}

/// The smallest range with the members of `range` whose low bits are in `arc`.
///
/// The nearest such value above `min` is the arc's first value, the nearest below `max` its last.
fn clip_low(
    (min, max): (u64, u64),
    arc: Arc,
    (low_width, width): (u32, u32),
) -> Option<(u64, u64)> {
    let mut clipped = (min, max);
    if !arc.contains(min, low_width) {
        let up = arc.first().wrapping_sub(min) & bits::mask(low_width);
        clipped.0 = min.checked_add(up)?;
    }
    if !arc.contains(max, low_width) {
        let down = max.wrapping_sub(arc.last(low_width)) & bits::mask(low_width);
        clipped.1 = max.checked_sub(down)?;
    }
    (clipped.0 <= clipped.1 && clipped.1 <= bits::mask(width)).then_some(clipped)
}
