//! Branches: what each side of a comparison learns about its operands.

use super::bits;
use super::scalar::Number;
use super::tnum::Tnum;
use super::value::Value;
use isa::{Cond, Width};

/// A comparison with its operands in order; unlike [`Cond`] closed under negation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Relation {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    SignedLess,
    SignedLessEqual,
    CommonBits,
    NoCommonBits,
}

/// A comparison `a relation b`, or `b relation a` when the operands are swapped.
#[derive(Clone, Copy)]
struct Comparison {
    relation: Relation,
    order: Order,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    AsWritten,
    Swapped,
}

impl Comparison {
    fn of(cond: Cond) -> Comparison {
        let (relation, order) = match cond {
            Cond::Eq => (Relation::Equal, Order::AsWritten),
            Cond::Ne => (Relation::NotEqual, Order::AsWritten),
            Cond::Set => (Relation::CommonBits, Order::AsWritten),
            Cond::Lt => (Relation::Less, Order::AsWritten),
            Cond::Le => (Relation::LessEqual, Order::AsWritten),
            Cond::Gt => (Relation::Less, Order::Swapped),
            Cond::Ge => (Relation::LessEqual, Order::Swapped),
            Cond::Slt => (Relation::SignedLess, Order::AsWritten),
            Cond::Sle => (Relation::SignedLessEqual, Order::AsWritten),
            Cond::Sgt => (Relation::SignedLess, Order::Swapped),
            Cond::Sge => (Relation::SignedLessEqual, Order::Swapped),
        };
        Comparison { relation, order }
    }

    /// The opposite: `!(a < b)` is `b <= a`.
    fn negate(self) -> Comparison {
        let swapped = match self.order {
            Order::AsWritten => Order::Swapped,
            Order::Swapped => Order::AsWritten,
        };
        let (relation, order) = match self.relation {
            Relation::Equal => (Relation::NotEqual, self.order),
            Relation::NotEqual => (Relation::Equal, self.order),
            Relation::CommonBits => (Relation::NoCommonBits, self.order),
            Relation::NoCommonBits => (Relation::CommonBits, self.order),
            Relation::Less => (Relation::LessEqual, swapped),
            Relation::LessEqual => (Relation::Less, swapped),
            Relation::SignedLess => (Relation::SignedLessEqual, swapped),
            Relation::SignedLessEqual => (Relation::SignedLess, swapped),
        };
        Comparison { relation, order }
    }

    fn refine<const W: u32>(self, a: &Value<W>, b: &Value<W>) -> Option<(Value<W>, Value<W>)> {
        match self.order {
            Order::AsWritten => a.relate(self.relation, b),
            Order::Swapped => b.relate(self.relation, a).map(|(b, a)| (a, b)),
        }
    }
}

impl<const W: u32, const H: u32> Number<W, H> {
    /// Both operands where `a cond b` holds, or `None` when it never does: the taken branch.
    #[must_use]
    pub fn refine(cond: Cond, width: Width, a: &Self, b: &Self) -> Option<(Self, Self)> {
        Number::compare(Comparison::of(cond), width, a, b)
    }

    /// Both operands where `a cond b` does not hold, or `None` when it always does: the
    /// fall-through.
    #[must_use]
    pub fn refine_not(cond: Cond, width: Width, a: &Self, b: &Self) -> Option<(Self, Self)> {
        Number::compare(Comparison::of(cond).negate(), width, a, b)
    }

    /// The outcome of `a cond b` when it is always the same.
    #[must_use]
    pub fn decide(cond: Cond, width: Width, a: &Self, b: &Self) -> Option<bool> {
        if Self::refine(cond, width, a, b).is_none() {
            Some(false)
        } else if Self::refine_not(cond, width, a, b).is_none() {
            Some(true)
        } else {
            None
        }
    }

    fn compare(comparison: Comparison, width: Width, a: &Self, b: &Self) -> Option<(Self, Self)> {
        if width == Width::W64 && comparison.relation == Relation::Equal {
            let both = a.meet(b)?;
            return Some((both, both));
        }
        let (mut a, mut b) = (a.halves(), b.halves());
        match width {
            Width::W64 => (a.full, b.full) = comparison.refine(&a.full, &b.full)?,
            Width::W32 => (a.low, b.low) = comparison.refine(&a.low, &b.low)?,
        }
        Some((a.reduce()?, b.reduce()?))
    }
}

impl<const W: u32> Value<W> {
    /// Both operands where `a cond b` is as `taken` says: what a register does with one of its
    /// halves, for proofs about words.
    #[cfg(test)]
    pub(crate) fn refine(cond: Cond, taken: bool, a: &Self, b: &Self) -> Option<(Self, Self)> {
        let comparison = Comparison::of(cond);
        match taken {
            true => comparison.refine(a, b),
            false => comparison.negate().refine(a, b),
        }
    }

    fn relate(&self, relation: Relation, other: &Self) -> Option<(Self, Self)> {
        match relation {
            Relation::Equal => self.meet(other).map(|both| (both, both)),
            Relation::NotEqual => Some((self.differ(other)?, other.differ(self)?)),
            Relation::Less => self.below(other, 1),
            Relation::LessEqual => self.below(other, 0),
            Relation::SignedLess => self.signed_below(other, 1),
            Relation::SignedLessEqual => self.signed_below(other, 0),
            Relation::CommonBits => Some((self.meeting(other)?, other.meeting(self)?)),
            Relation::NoCommonBits => Some((self.disjoint(other)?, other.disjoint(self)?)),
        }
    }

    /// `self + distance <= other`.
    fn below(&self, other: &Self, distance: u64) -> Option<(Self, Self)> {
        let max = other.umax.checked_sub(distance)?;
        let min = self.umin.checked_add(distance)?;
        Some((
            self.with_unsigned(0, max).reduce()?,
            other.with_unsigned(min, bits::mask(W)).reduce()?,
        ))
    }

    /// `self + distance <= other`, signed.
    fn signed_below(&self, other: &Self, distance: i64) -> Option<(Self, Self)> {
        let max = other.smax.checked_sub(distance)?;
        let min = self.smin.checked_add(distance)?;
        Some((
            self.with_signed(bits::signed_min(W), max).reduce()?,
            other.with_signed(min, bits::signed_max(W)).reduce()?,
        ))
    }

    /// `self != other`: a constant at a bound moves the bound.
    fn differ(&self, other: &Self) -> Option<Self> {
        let Some(excluded) = other.is_const() else {
            return Some(*self);
        };
        let signed = bits::sign_extend(excluded, W);
        let mut rest = *self;
        if rest.umin == excluded {
            rest.umin = rest.umin.checked_add(1)?;
        }
        if rest.umax == excluded {
            rest.umax = rest.umax.checked_sub(1)?;
        }
        if rest.smin == signed {
            rest.smin = rest.smin.checked_add(1)?;
        }
        if rest.smax == signed {
            rest.smax = rest.smax.checked_sub(1)?;
        }
        rest.reduce()
    }

    /// `self & other != 0`: if only one bit can be common, it is set.
    fn meeting(&self, other: &Self) -> Option<Self> {
        let common = self.bits.max() & other.bits.max();
        if common == 0 {
            return None;
        }
        let some_bit = self.with_unsigned(1, bits::mask(W));
        if common.is_power_of_two() {
            some_bit.meet_bits(Tnum::new(common, !common))?.reduce()
        } else {
            some_bit.reduce()
        }
    }

    /// `self & other == 0`: bits that the other surely has are clear.
    fn disjoint(&self, other: &Self) -> Option<Self> {
        let clear = other.bits.value();
        self.meet_bits(Tnum::new(0, !clear))?.reduce()
    }
}
