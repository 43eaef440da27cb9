//! A register and its subregister while a result is computed: two [`Value`]s of the same number that
//! sharpen each other.

use super::bits;
use super::scalar::Number;
use super::tnum::Tnum;
use super::value::Value;

/// What is known about a number of `W` bits and about its low `H` bits; not reduced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Halves<const W: u32, const H: u32> {
    pub(crate) full: Value<W>,
    pub(crate) low: Value<H>,
}

impl<const W: u32, const H: u32> Halves<W, H> {
    /// Rounds of exchange; stopping early is sound, only less precise.
    const ROUNDS: u32 = 4;

    /// Reduces a result; see [`Value::settled`].
    pub(crate) fn settled(self) -> Number<W, H> {
        self.reduce().unwrap_or(Number::UNKNOWN)
    }

    /// Lets both views sharpen each other; `None` when they contradict each other.
    pub(crate) fn reduce(mut self) -> Option<Number<W, H>> {
        if let Some(value) = self.full.bits.is_const() {
            return self.contains(value).then_some(Number::constant(value));
        }
        for _ in 0..Self::ROUNDS {
            let before = self;
            self.low = self.low_from_full()?;
            self.full = self.full_from_low()?;
            if self == before {
                break;
            }
        }
        Some(Number::from_halves(&self))
    }

    /// Is `value` possible in both views?
    pub(crate) fn contains(&self, value: u64) -> bool {
        self.full.contains(value) && self.low.contains(value & bits::mask(H))
    }

    fn low_from_full(&self) -> Option<Value<H>> {
        let mut low = self.low.meet_bits(self.full.bits.truncate(H))?;
        for arc in [self.full.unsigned_arc(), self.full.signed_arc()] {
            if let Some(arc) = arc.truncate(H) {
                low = low.meet_arc(arc)?;
            }
        }
        low.reduce()
    }

    fn full_from_low(&self) -> Option<Value<W>> {
        let upper = bits::mask(W) & !bits::mask(H);
        let low_bits = Tnum::new(self.low.bits.value(), self.low.bits.mask() | upper);
        self.full
            .meet_bits(low_bits)?
            .meet_low_arc(self.low.unsigned_arc(), H)?
            .meet_low_arc(self.low.signed_arc(), H)?
            .reduce()
    }
}
