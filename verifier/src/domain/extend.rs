//! Changes of width: truncation, zero and sign extension.

use super::bits;
use super::value::Value;

impl<const W: u32> Value<W> {
    /// The low `from` bits as an unsigned number, in a word of `V` bits.
    pub(crate) fn zero_extend<const V: u32>(&self, from: u32) -> Value<V> {
        let from = from.min(W).min(V);
        let mut result = Value::UNKNOWN
            .with_bits(self.bits.truncate(from))
            .with_unsigned(0, bits::mask(from));
        for arc in [self.unsigned_arc(), self.signed_arc()] {
            if let Some((min, max)) = arc.truncate(from).and_then(|arc| arc.unsigned(from)) {
                result = result.with_unsigned(min, max);
            }
        }
        result.settled()
    }

    /// The low `from` bits as a signed number, in a word of `V` bits.
    pub(crate) fn sign_extend<const V: u32>(&self, from: u32) -> Value<V> {
        let from = from.min(W).min(V);
        let mut result = Value::UNKNOWN
            .with_bits(self.bits.truncate(from).sign_extend(from))
            .with_signed(bits::signed_min(from), bits::signed_max(from));
        for arc in [self.unsigned_arc(), self.signed_arc()] {
            if let Some((min, max)) = arc.truncate(from).and_then(|arc| arc.signed(from)) {
                result = result.with_signed(min, max);
            }
        }
        result.settled()
    }
}
