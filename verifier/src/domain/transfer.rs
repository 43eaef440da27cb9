//! Transfer functions of the instruction set on registers.

use super::bits;
use super::halves::Halves;
use super::scalar::Number;
use super::value::Value;
use isa::{AluOp, Endian, Size, Width, semantics};

impl<const W: u32, const H: u32> Number<W, H> {
    /// The result of `a op b`; 32-bit results are zero-extended.
    #[must_use]
    pub fn alu(op: AluOp, width: Width, a: &Self, b: &Self) -> Self {
        if let (64, 32, Some(a), Some(b)) = (W, H, a.is_const(), b.is_const()) {
            return Number::constant(semantics::alu(op, width, a, b));
        }
        match width {
            Width::W32 => Number::from_low(Value::alu(op, &a.low(), &b.low())),
            Width::W64 => Number::alu64(op, a, b),
        }
    }

    /// The lower halves of results that depend on the lower halves of the operands alone are
    /// computed on those; all others follow from the whole result.
    fn alu64(op: AluOp, a: &Self, b: &Self) -> Self {
        let full = Value::alu(op, a.full(), b.full());
        let low = match op {
            AluOp::Add | AluOp::Sub | AluOp::Mul | AluOp::Or | AluOp::And | AluOp::Xor => {
                Value::alu(op, &a.low(), &b.low())
            }
            AluOp::Mov => return *b,
            AluOp::Lsh => return Number::lsh64(full, a, b),
            _ => Value::UNKNOWN,
        };
        Halves { full, low }.settled()
    }

    /// A left shift by a constant keeps the lower half's knowledge: below `H` in the lower half,
    /// from `W - H` on in the whole, whose other bits are shifted out. The second makes a left and
    /// a right shift by `W - H` the zero or sign extension of the lower half.
    fn lsh64(full: Value<W>, a: &Self, b: &Self) -> Self {
        let unknown = Halves {
            full,
            low: Value::UNKNOWN,
        };
        let Some(amount) = b.full().is_const_amount() else {
            return unknown.settled();
        };
        let low = if amount < H {
            a.low().lsh_by(amount)
        } else {
            Value::constant(0)
        };
        if amount < W.saturating_sub(H) {
            return Halves { full, low }.settled();
        }
        let zero_extended = a.low().zero_extend::<W>(H).lsh_by(amount);
        let sign_extended = a.low().sign_extend::<W>(H).lsh_by(amount);
        full.meet(&zero_extended)
            .and_then(|full| full.meet(&sign_extended))
            .map_or(unknown, |full| Halves { full, low })
            .settled()
    }

    /// The result of `-a`.
    #[must_use]
    pub fn neg(width: Width, a: &Self) -> Self {
        Number::alu(AluOp::Sub, width, &Number::constant(0), a)
    }

    /// The low `width` bits, zero-extended.
    #[must_use]
    pub fn zero_extend(&self, width: u32) -> Self {
        if width >= W {
            *self
        } else if width > H {
            Number::from_full(self.full().zero_extend(width))
        } else {
            Number::from_low(self.low().zero_extend(width))
        }
    }

    /// Any number with the same subregister.
    #[must_use]
    pub fn any_upper(&self) -> Self {
        Halves {
            full: Value::UNKNOWN,
            low: self.low(),
        }
        .settled()
    }

    /// The subregister, zero-extended: what a 32-bit move leaves.
    #[must_use]
    pub fn truncate32(&self) -> Self {
        self.zero_extend(H)
    }

    /// The low `from` bits, sign-extended to the result width.
    #[must_use]
    pub fn sign_extend(&self, width: Width, from: u32) -> Self {
        match width {
            Width::W32 => Number::from_low(self.low().sign_extend(from)),
            Width::W64 if from > H => Number::from_full(self.full().sign_extend(from)),
            Width::W64 => Number::from_full(self.low().sign_extend(from)),
        }
    }

    /// The result of a sign-extending move from `size`.
    #[must_use]
    pub fn mov_sx(width: Width, size: Size, a: &Self) -> Self {
        a.sign_extend(width, size.bits())
    }

    /// The result of a byte order conversion of `size` on a little-endian machine.
    #[must_use]
    pub fn endian(kind: Endian, size: Size, a: &Self) -> Self {
        match kind {
            Endian::ToLittle => a.zero_extend(size.bits()),
            Endian::ToBig | Endian::Swap => Number::from_bits(a.bits().swap_bytes(size.bytes())),
        }
    }

    /// What a load of `size` can leave in the register when nothing is known about the memory.
    #[must_use]
    pub fn load_result(size: Size, signed: bool) -> Self {
        let width = size.bits();
        if signed {
            Number::from_range_s(bits::signed_min(width), bits::signed_max(width))
        } else {
            Number::from_range_u(0, bits::mask(width))
        }
    }
}

impl<const W: u32> Value<W> {
    /// The result of `a op b` in words of `W` bits.
    pub(crate) fn alu(op: AluOp, a: &Self, b: &Self) -> Self {
        match op {
            AluOp::Add => a.add(b),
            AluOp::Sub => a.sub(b),
            AluOp::Mul => a.mul(b),
            AluOp::Div => a.div(b),
            AluOp::SDiv => a.sdiv(b),
            AluOp::Or => a.or(b),
            AluOp::And => a.and(b),
            AluOp::Lsh => a.lsh(b),
            AluOp::Rsh => a.rsh(b),
            AluOp::Mod => a.rem(b),
            AluOp::SMod => a.srem(b),
            AluOp::Xor => a.xor(b),
            AluOp::Mov => *b,
            AluOp::Arsh => a.arsh(b),
        }
    }
}
