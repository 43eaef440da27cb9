//! A value as states store it: 16 bytes, cheap to copy and to compare.
//!
//! States hold hundreds of values, most of them constants, numbers of which only the width is known,
//! or the same number that another state holds as well. The first two are stored in place, all
//! others are shared. Packing loses nothing
//! else: `Packed::from(value).value() == value`.
//!
//! A constant keeps no link: whatever could be learned from it is known (see [`crate::link`]).
//!
//! Invariant: a value has one form. A constant is always [`Packed::Constant`] and a number of which
//! only the width is known always [`Packed::Wide`], so values in different forms differ.

use crate::domain::Scalar;
use crate::link::{Form, Link};
use crate::value::{Pointer, Unreadable, Value};
use alloc::rc::Rc;

/// A stored [`Value`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Packed {
    /// Nothing that may be read.
    Unreadable(Unreadable),
    /// One number.
    Constant(u64),
    /// Every number of so many bits.
    Wide { link: Link, bits: u8 },
    /// Other numbers, with the name of the link.
    Number { id: u32, number: Rc<Number> },
    /// A pointer.
    Pointer(Rc<Pointer>),
}

/// A number with its link, but for the name: that is looked for too often to follow a pointer.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Number {
    scalar: Scalar,
    offset: i32,
    form: Form,
}

impl Number {
    /// The number itself.
    pub(crate) fn scalar(&self) -> &Scalar {
        &self.scalar
    }
}

/// Never written.
pub(crate) const NOTHING: Packed = Packed::Unreadable(Unreadable::Uninitialised);

impl Packed {
    /// Packs a number.
    pub(crate) fn number(scalar: &Scalar, link: Link) -> Packed {
        if let Some(value) = scalar.is_const() {
            return Packed::Constant(value);
        }
        let Link { id, offset, form } = link;
        match scalar.only_width() {
            Some(bits) => Packed::Wide {
                link,
                bits: bits as u8,
            },
            None => Packed::Number {
                id,
                number: Rc::new(Number {
                    scalar: *scalar,
                    offset,
                    form,
                }),
            },
        }
    }

    /// The value that was packed.
    pub(crate) fn value(&self) -> Value {
        match self {
            Packed::Unreadable(why) => Value::Unreadable(*why),
            Packed::Pointer(pointer) => Value::Pointer(**pointer),
            Packed::Constant(_) | Packed::Wide { .. } | Packed::Number { .. } => Value::Number {
                scalar: self.scalar().unwrap_or(Scalar::UNKNOWN),
                link: self.link(),
            },
        }
    }

    /// The number, if it is one.
    pub(crate) fn scalar(&self) -> Option<Scalar> {
        match self {
            Packed::Constant(value) => Some(Scalar::constant(*value)),
            Packed::Wide { bits, .. } => Some(Scalar::of_width(u32::from(*bits))),
            Packed::Number { number, .. } => Some(number.scalar),
            Packed::Unreadable(_) | Packed::Pointer(_) => None,
        }
    }

    /// The pointer, if it is one.
    pub(crate) fn pointer(&self) -> Option<&Pointer> {
        match self {
            Packed::Pointer(pointer) => Some(pointer),
            _ => None,
        }
    }

    /// The name of the link of a number, or of the unknown part of an offset; 0 for none.
    pub(crate) fn link_id(&self) -> u32 {
        match self {
            Packed::Wide { link, .. } => link.id,
            Packed::Number { id, .. } => *id,
            Packed::Pointer(pointer) => pointer.link.id,
            Packed::Constant(_) | Packed::Unreadable(_) => 0,
        }
    }

    /// What a number has to do with others.
    pub(crate) fn link(&self) -> Link {
        match self {
            Packed::Wide { link, .. } => *link,
            Packed::Number { id, number } => Link {
                id: *id,
                offset: number.offset,
                form: number.form,
            },
            Packed::Constant(_) | Packed::Unreadable(_) | Packed::Pointer(_) => Link::NONE,
        }
    }

    /// Is it the number 0?
    pub(crate) const fn is_zero(&self) -> bool {
        matches!(self, Packed::Constant(0))
    }

    /// May it be read?
    pub(crate) const fn is_readable(&self) -> bool {
        !matches!(self, Packed::Unreadable(_))
    }

    /// Is every number of `self` one of `old`? False where one is no number.
    pub(crate) fn is_number_of(&self, old: &Packed) -> bool {
        match (self, old) {
            (Packed::Constant(new), Packed::Constant(old)) => new == old,
            (Packed::Wide { bits: new, .. }, Packed::Wide { bits: old, .. }) => new <= old,
            (Packed::Number { number: new, .. }, Packed::Number { number: old, .. }) => {
                Rc::ptr_eq(new, old) || new.scalar.leq(&old.scalar)
            }
            (Packed::Constant(value), Packed::Number { number: old, .. }) => {
                old.scalar.contains(*value)
            }
            // More than one number.
            (Packed::Wide { .. } | Packed::Number { .. }, Packed::Constant(_)) => false,
            (new, old) => match (new.scalar(), old.scalar()) {
                (Some(new), Some(old)) => new.leq(&old),
                _ => false,
            },
        }
    }
}

impl From<Value> for Packed {
    fn from(value: Value) -> Packed {
        match value {
            Value::Unreadable(why) => Packed::Unreadable(why),
            Value::Number { scalar, link } => Packed::number(&scalar, link),
            Value::Pointer(pointer) => Packed::Pointer(Rc::new(pointer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Region;
    use alloc::vec::Vec;

    fn samples() -> Vec<Value> {
        let numbers = [
            Scalar::constant(0),
            Scalar::constant(u64::MAX),
            Scalar::constant(255),
            Scalar::from_range_u(0, 1),
            Scalar::from_range_u(0, 254),
            Scalar::from_range_u(0, 255),
            Scalar::from_range_u(1, 255),
            Scalar::from_range_u(0, 0xffff_ffff),
            Scalar::from_range_s(-1, 255),
            Scalar::from_range_u(0, 0x7fff_ffff_ffff_ffff),
            Scalar::UNKNOWN,
        ];
        let linked = numbers.iter().flat_map(|scalar| {
            let shifted = Link {
                offset: -3,
                form: Form::Low,
                ..Link::to(7)
            };
            let constant = scalar.is_const().is_some();
            [Link::NONE, Link::to(7), shifted].map(|link| Value::Number {
                scalar: *scalar,
                link: if constant { Link::NONE } else { link },
            })
        });
        let others = [
            Value::uninitialised(),
            Value::Unreadable(Unreadable::Released(isa::InsnIdx(3))),
            Value::Pointer(Pointer::to(Region::Packet { id: 4, range: 9 })),
        ];
        linked.chain(others).collect()
    }

    #[test]
    fn packing_loses_nothing() {
        for value in samples() {
            let packed = Packed::from(value);
            assert_eq!(packed.value(), value);
            assert_eq!(packed.is_zero(), value.is_zero());
            assert_eq!(packed.link(), value.link());
            assert_eq!(packed.is_readable(), value.is_readable());
        }
    }

    #[test]
    fn a_value_has_one_form() {
        for one in samples() {
            for other in samples() {
                assert_eq!(Packed::from(one) == Packed::from(other), one == other);
            }
        }
    }

    #[test]
    fn packed_numbers_compare_like_numbers() {
        for one in samples() {
            for other in samples() {
                let expected = match (one.scalar(), other.scalar()) {
                    (Some(one), Some(other)) => one.leq(other),
                    _ => false,
                };
                let packed = Packed::from(one).is_number_of(&Packed::from(other));
                assert_eq!(packed, expected, "{one} in {other}");
            }
        }
    }

    #[test]
    fn a_packed_value_is_small() {
        assert_eq!(size_of::<Packed>(), 16);
    }
}
