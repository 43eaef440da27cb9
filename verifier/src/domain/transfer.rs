//! Transfer functions of the instruction set on registers.

use super::bits;
use super::scalar::Number;
use super::value::Value;
use isa::{AluOp, Endian, Size, Width};

impl<const W: u32, const H: u32> Number<W, H> {
    /// The result of `a op b`; 32-bit results are zero-extended.
    #[must_use]
    pub fn alu(op: AluOp, width: Width, a: &Self, b: &Self) -> Self {
        match width {
            Width::W32 => Number::from_low(Value::alu(op, &a.low, &b.low)),
            Width::W64 => Number {
                full: Value::alu(op, &a.full, &b.full),
                low: Value::UNKNOWN,
            }
            .settled(),
        }
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
            Number::from_full(self.full.zero_extend(width))
        } else {
            Number::from_low(self.low.zero_extend(width))
        }
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
            Width::W32 => Number::from_low(self.low.sign_extend(from)),
            Width::W64 if from > H => Number::from_full(self.full.sign_extend(from)),
            Width::W64 => Number::from_full(self.low.sign_extend(from)),
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
            AluOp::Mov => *b,
            AluOp::Add
            | AluOp::Sub
            | AluOp::Mul
            | AluOp::Div
            | AluOp::SDiv
            | AluOp::Or
            | AluOp::And
            | AluOp::Lsh
            | AluOp::Rsh
            | AluOp::Mod
            | AluOp::SMod
            | AluOp::Xor
            | AluOp::Arsh => {
                let _ = a;
                Value::UNKNOWN
            }
        }
    }
}
