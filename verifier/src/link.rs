//! Which numbers follow from one another: the same, equal up to a constant, or copies of the lower
//! half.
//!
//! A link names an unknown 64-bit number `x`. A place with that link holds a number that follows
//! from `x` in one of four ways ([`Form`]), after a known offset is added. Whatever a branch learns
//! about one place says something about `x`, and so about all others ([`Link::infer`]).
//!
//! Soundness: a link is a fact about the concrete run, true when it is made and true for ever,
//! because `x` never changes; only places change, and then lose or change their links. `infer` goes
//! from one place to `x` and on to the other: where only the lower half of `x` is known, the upper
//! half may be anything ([`Scalar::any_upper`]), and adding in 64 bits gives the right lower half
//! whatever the upper one is. Offsets that do not fit are dropped with the link.
//!
//! Left out: scaled copies. Sums of two unknown numbers are facts of their own (`totals.rs`).

use crate::domain::Scalar;
use isa::{AluOp, Width};

/// How a number follows from `x + offset`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Form {
    /// It is the number itself.
    #[default]
    Whole,
    /// Its lower half, zero-extended.
    Low,
    /// Its lower half, sign-extended.
    SignedLow,
    /// Its lower half in the place of the upper one: between the two shifts of an extension.
    Shifted,
}

/// What a number has to do with others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Link {
    /// Names the unknown number; 0 for none.
    pub id: u32,
    /// What is added to it.
    pub offset: i32,
    /// What is taken of the sum.
    pub form: Form,
}

impl Link {
    /// Nothing is known to follow from the number.
    pub const NONE: Link = Link {
        id: 0,
        offset: 0,
        form: Form::Whole,
    };

    /// The unknown number itself.
    #[must_use]
    pub const fn to(id: u32) -> Link {
        Link { id, ..Link::NONE }
    }

    /// Does it link anything?
    #[must_use]
    pub const fn is_some(self) -> bool {
        self.id != 0
    }

    /// Is it between the two shifts of an extension?
    pub(crate) fn is_shifted(self) -> bool {
        self.form == Form::Shifted
    }

    fn difference(self, from: Link) -> i64 {
        i64::from(self.offset) - i64::from(from.offset)
    }

    /// By how much the number with this link is larger than the one with the other, modulo 2 to the
    /// width.
    #[must_use]
    pub fn minus(self, other: Link, width: Width) -> Option<i64> {
        let related = self.is_some() && self.id == other.id;
        let exact = match width {
            Width::W64 => self.form == other.form && self.form == Form::Whole,
            Width::W32 => self.form != Form::Shifted && other.form != Form::Shifted,
        };
        let same = self == other;
        (related && (exact || same)).then(|| self.difference(other))
    }

    /// What a place with the link `other` can hold when one with this link holds `known`.
    #[must_use]
    pub fn infer(self, known: &Scalar, other: Link) -> Scalar {
        let amount = Scalar::constant(32);
        let x = match self.form {
            Form::Whole => *known,
            Form::Low | Form::SignedLow => known.any_upper(),
            Form::Shifted => Scalar::alu(AluOp::Rsh, Width::W64, known, &amount).any_upper(),
        };
        let by = Scalar::constant(other.difference(self) as u64);
        let sum = Scalar::alu(AluOp::Add, Width::W64, &x, &by);
        match other.form {
            Form::Whole => sum,
            Form::Low => sum.truncate32(),
            Form::SignedLow => sum.sign_extend(Width::W64, 32),
            Form::Shifted => Scalar::alu(AluOp::Lsh, Width::W64, &sum, &amount),
        }
    }

    /// The unknown number when a place with this link holds `number`; `None` when that tells the lower
    /// half only.
    #[must_use]
    pub fn origin(self, number: u64) -> Option<u64> {
        let whole = self.form == Form::Whole;
        whole.then(|| number.wrapping_sub(i64::from(self.offset) as u64))
    }

    /// The lower half of the unknown number when a place with this link holds `number`.
    #[must_use]
    pub fn origin_low(self, number: u64) -> u32 {
        let half = match self.form {
            Form::Shifted => number >> 32,
            _ => number,
        };
        (half as u32).wrapping_sub(self.offset as u32)
    }

    /// The link of the result of `op` on a number and a constant.
    #[must_use]
    pub fn after(self, op: AluOp, width: Width, number: &Scalar, constant: u64) -> Link {
        if !self.is_some() {
            return Link::NONE;
        }
        let signed = match width {
            Width::W64 => constant as i64,
            Width::W32 => i64::from(constant as i32),
        };
        match (op, width, constant) {
            (AluOp::Add, Width::W64, _) => self.plus(number, signed),
            (AluOp::Sub, Width::W64, _) => self.plus(number, signed.wrapping_neg()),
            (AluOp::Add, Width::W32, _) => self.plus_low(signed),
            (AluOp::Sub, Width::W32, _) => self.plus_low(signed.wrapping_neg()),
            (AluOp::Lsh, Width::W64, 32) => self.cut(Form::Shifted),
            (AluOp::Rsh, Width::W64, 32) if self.form == Form::Shifted => Link {
                form: Form::Low,
                ..self
            },
            (AluOp::Arsh, Width::W64, 32) if self.form == Form::Shifted => Link {
                form: Form::SignedLow,
                ..self
            },
            (AluOp::And, Width::W64, 0xffff_ffff) => self.low(number),
            _ => Link::NONE,
        }
    }

    /// The link of the zero-extended lower half of a number.
    #[must_use]
    pub fn low(self, number: &Scalar) -> Link {
        if is_low(number) {
            return self;
        }
        self.cut(Form::Low)
    }

    /// The link of the sign-extended lower half of a number.
    #[must_use]
    pub fn signed_low(self, number: &Scalar) -> Link {
        if is_signed_low(number) {
            return self;
        }
        self.cut(Form::SignedLow)
    }

    /// Another form of the lower half.
    fn cut(self, form: Form) -> Link {
        match self.form {
            Form::Shifted => Link::NONE,
            _ if self.is_some() => Link { form, ..self },
            _ => Link::NONE,
        }
    }

    /// 64-bit addition of a constant: half a number stays one as long as the sum fits in the half.
    fn plus(self, number: &Scalar, by: i64) -> Link {
        let fits = |low: i64, high: i64| {
            let sums = (number.smin().checked_add(by), number.smax().checked_add(by));
            matches!(sums, (Some(least), Some(most)) if least >= low && most <= high)
        };
        let stays = match self.form {
            Form::Whole => true,
            Form::Low => fits(0, i64::from(u32::MAX)),
            Form::SignedLow => fits(i64::from(i32::MIN), i64::from(i32::MAX)),
            Form::Shifted => false,
        };
        let offset = i64::from(self.offset).checked_add(by);
        match offset.and_then(|offset| i32::try_from(offset).ok()) {
            Some(offset) if stays => Link { offset, ..self },
            _ => Link::NONE,
        }
    }

    /// 32-bit addition of a constant: the offset counts modulo 2^32.
    fn plus_low(self, by: i64) -> Link {
        let low = self.cut(Form::Low);
        match low.is_some() {
            true => Link {
                offset: low.offset.wrapping_add(by as i32),
                ..low
            },
            false => low,
        }
    }

    /// Does a number with this link also follow from the same sum as `form` says?
    pub(crate) fn is_also(self, form: Form, number: &Scalar) -> bool {
        self.form == form
            || match form {
                Form::Whole | Form::Shifted => false,
                Form::Low => self.form != Form::Shifted && is_low(number),
                Form::SignedLow => self.form != Form::Shifted && is_signed_low(number),
            }
    }
}

/// Is the number its own lower half, zero-extended?
fn is_low(number: &Scalar) -> bool {
    number.umax() <= u64::from(u32::MAX)
}

/// Is the number its own lower half, sign-extended?
fn is_signed_low(number: &Scalar) -> bool {
    number.smin() >= i64::from(i32::MIN) && number.smax() <= i64::from(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMS: [Form; 4] = [Form::Whole, Form::Low, Form::SignedLow, Form::Shifted];

    /// What a place holds when the unknown number is `x`.
    fn value(link: Link, x: u64) -> u64 {
        let sum = x.wrapping_add(link.offset as u64);
        match link.form {
            Form::Whole => sum,
            Form::Low => u64::from(sum as u32),
            Form::SignedLow => i64::from(sum as i32) as u64,
            Form::Shifted => sum << 32,
        }
    }

    /// Numbers around the places where halves and signs wrap.
    fn samples() -> impl Iterator<Item = u64> {
        let middles = [0, 1 << 31, 1 << 32, 1 << 63, 0xffff_ffff_0000_0000, 1 << 40];
        middles
            .into_iter()
            .flat_map(|middle: u64| (0..7).map(move |by| middle.wrapping_add(by).wrapping_sub(3)))
    }

    fn links() -> impl Iterator<Item = Link> {
        let offsets = [0, 1, -2, i32::MAX, i32::MIN];
        FORMS.into_iter().flat_map(move |form| {
            offsets.map(|offset| Link {
                id: 1,
                offset,
                form,
            })
        })
    }

    #[test]
    fn what_is_inferred_holds_for_every_number() {
        for (from, to) in links().flat_map(|from| links().map(move |to| (from, to))) {
            for x in samples() {
                let known = value(from, x);
                for spread in [0, 1, 5, 1 << 33] {
                    let range = Scalar::from_range_u(known, known.saturating_add(spread));
                    let inferred = from.infer(&range, to);
                    let found = value(to, x);
                    assert!(
                        inferred.contains(found),
                        "{from:?} {range} {to:?} {found:#x}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_unknown_number_follows_from_every_place() {
        for (link, x) in links().flat_map(|link| samples().map(move |x| (link, x))) {
            let number = value(link, x);
            assert!(link.origin(number).is_none_or(|origin| origin == x));
            assert_eq!(link.origin_low(number), x as u32);
        }
    }

    #[test]
    fn constants_come_back_through_every_form_that_keeps_them() {
        let whole = Link::to(1);
        for form in FORMS {
            let other = Link { form, ..whole };
            for x in samples() {
                let inferred = whole.infer(&Scalar::constant(x), other);
                assert_eq!(inferred.is_const(), Some(value(other, x)));
            }
        }
    }

    #[test]
    fn arithmetic_keeps_only_links_that_stay_true() {
        let constants = [0, 1, 32, u64::MAX, 0xffff_ffff, 1 << 31, 1 << 40];
        for op in AluOp::ALL {
            for (width, constant) in constants
                .into_iter()
                .flat_map(|constant| [(Width::W64, constant), (Width::W32, constant)])
            {
                for (link, x) in links().flat_map(|link| samples().map(move |x| (link, x))) {
                    let before = value(link, x);
                    let number = Scalar::constant(before);
                    let after = link.after(op, width, &number, constant);
                    if after.is_some() {
                        let result = isa::semantics::alu(op, width, before, constant);
                        assert_eq!(
                            value(after, x),
                            result,
                            "{link:?} {op:?} {width:?} {constant:#x}"
                        );
                    }
                }
            }
        }
    }
}
