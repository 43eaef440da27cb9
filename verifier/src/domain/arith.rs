//! Sums, differences and products.
//!
//! Ranges are computed as arcs (see [`super::arc`]): a result range that wraps around is still one
//! arc, and gives whichever of the unsigned and signed range it does not break.

use super::arc::Arc;
use super::value::Value;

impl<const W: u32> Value<W> {
    /// Wrapping sums.
    pub(crate) fn add(&self, other: &Self) -> Self {
        self.wrapping(other, self.bits.add(other.bits), Arc::add)
    }

    /// Wrapping differences.
    pub(crate) fn sub(&self, other: &Self) -> Self {
        self.wrapping(other, self.bits.sub(other.bits), Arc::sub)
    }

    fn wrapping(
        &self,
        other: &Self,
        bits: super::Tnum,
        op: fn(Arc, Arc, u32) -> Option<Arc>,
    ) -> Self {
        Value::UNKNOWN
            .with_bits(bits)
            .with_arc(op(self.unsigned_arc(), other.unsigned_arc(), W))
            .with_arc(op(self.signed_arc(), other.signed_arc(), W))
            .with_arc(op(self.shortest_arc(), other.shortest_arc(), W))
            .settled()
    }

    /// Wrapping products.
    pub(crate) fn mul(&self, other: &Self) -> Self {
        Value::UNKNOWN
            .with_bits(self.bits.mul(other.bits))
            .with_arc(self.unsigned_products(other))
            .with_arc(self.signed_products(other))
            .settled()
    }

    fn unsigned_products(&self, other: &Self) -> Option<Arc> {
        let min = u128::from(self.umin).checked_mul(u128::from(other.umin))?;
        let max = u128::from(self.umax).checked_mul(u128::from(other.umax))?;
        Arc::from_wide(i128::try_from(min).ok()?, i128::try_from(max).ok()?, W)
    }

    fn signed_products(&self, other: &Self) -> Option<Arc> {
        let product = |a: i64, b: i64| i128::from(a).wrapping_mul(i128::from(b));
        let corners = [
            product(self.smin, other.smin),
            product(self.smin, other.smax),
            product(self.smax, other.smin),
            product(self.smax, other.smax),
        ];
        let min = corners.iter().min()?;
        let max = corners.iter().max()?;
        Arc::from_wide(*min, *max, W)
    }

    /// The unsigned or the signed range, whichever has fewer values.
    fn shortest_arc(&self) -> Arc {
        let (unsigned, signed) = (self.unsigned_arc(), self.signed_arc());
        if signed.length() < unsigned.length() {
            signed
        } else {
            unsigned
        }
    }
}
