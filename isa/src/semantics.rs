//! The pure meaning of each operation, shared by interpreter, constant folding and tests.
//!
//! Every function is total: division by zero, shift amounts beyond the width and `MIN / -1` have
//! the results that RFC 9669 §4 gives them. Memory and control flow are the caller's.

use crate::insn::{AluOp, AtomicOp, Cond, Endian, Size, Width};

/// `dst op src`; 32-bit results are zero-extended.
#[must_use]
#[inline]
pub const fn alu(op: AluOp, width: Width, dst: u64, src: u64) -> u64 {
    match width {
        Width::W64 => alu64(op, dst, src),
        Width::W32 => alu32(op, dst as u32, src as u32) as u64,
    }
}

#[inline]
const fn alu64(op: AluOp, dst: u64, src: u64) -> u64 {
    match op {
        AluOp::Add => dst.wrapping_add(src),
        AluOp::Sub => dst.wrapping_sub(src),
        AluOp::Mul => dst.wrapping_mul(src),
        AluOp::Div => {
            if src == 0 {
                0
            } else {
                dst / src
            }
        }
        AluOp::SDiv => {
            if src == 0 {
                0
            } else {
                (dst as i64).wrapping_div(src as i64) as u64
            }
        }
        AluOp::Or => dst | src,
        AluOp::And => dst & src,
        AluOp::Lsh => dst.wrapping_shl(src as u32),
        AluOp::Rsh => dst.wrapping_shr(src as u32),
        AluOp::Mod => {
            if src == 0 {
                dst
            } else {
                dst % src
            }
        }
        AluOp::SMod => {
            if src == 0 {
                dst
            } else {
                (dst as i64).wrapping_rem(src as i64) as u64
            }
        }
        AluOp::Xor => dst ^ src,
        AluOp::Mov => src,
        AluOp::Arsh => (dst as i64).wrapping_shr(src as u32) as u64,
    }
}

#[inline]
const fn alu32(op: AluOp, dst: u32, src: u32) -> u32 {
    match op {
        AluOp::Add => dst.wrapping_add(src),
        AluOp::Sub => dst.wrapping_sub(src),
        AluOp::Mul => dst.wrapping_mul(src),
        AluOp::Div => {
            if src == 0 {
                0
            } else {
                dst / src
            }
        }
        AluOp::SDiv => {
            if src == 0 {
                0
            } else {
                (dst as i32).wrapping_div(src as i32) as u32
            }
        }
        AluOp::Or => dst | src,
        AluOp::And => dst & src,
        AluOp::Lsh => dst.wrapping_shl(src),
        AluOp::Rsh => dst.wrapping_shr(src),
        AluOp::Mod => {
            if src == 0 {
                dst
            } else {
                dst % src
            }
        }
        AluOp::SMod => {
            if src == 0 {
                dst
            } else {
                (dst as i32).wrapping_rem(src as i32) as u32
            }
        }
        AluOp::Xor => dst ^ src,
        AluOp::Mov => src,
        AluOp::Arsh => (dst as i32).wrapping_shr(src) as u32,
    }
}

/// `-dst`
#[must_use]
#[inline]
pub const fn neg(width: Width, dst: u64) -> u64 {
    match width {
        Width::W64 => dst.wrapping_neg(),
        Width::W32 => (dst as u32).wrapping_neg() as u64,
    }
}

/// Byte order conversion of the low bits; the rest becomes zero.
#[must_use]
#[inline]
pub const fn endian(kind: Endian, size: Size, dst: u64) -> u64 {
    match (kind, size) {
        (_, Size::B) => dst & 0xff,
        (Endian::ToLittle, _) => truncate(size, dst),
        (_, Size::H) => (dst as u16).swap_bytes() as u64,
        (_, Size::W) => (dst as u32).swap_bytes() as u64,
        (_, Size::Dw) => dst.swap_bytes(),
    }
}

/// The low bits of the size, zero-extended.
#[must_use]
#[inline]
pub const fn truncate(size: Size, value: u64) -> u64 {
    match size {
        Size::B => value as u8 as u64,
        Size::H => value as u16 as u64,
        Size::W => value as u32 as u64,
        Size::Dw => value,
    }
}

/// The low bits of the size, sign-extended to 64 bits.
#[must_use]
#[inline]
pub const fn sign_extend(size: Size, value: u64) -> u64 {
    match size {
        Size::B => value as i8 as i64 as u64,
        Size::H => value as i16 as i64 as u64,
        Size::W => value as i32 as i64 as u64,
        Size::Dw => value,
    }
}

/// Sign-extending move; a 32-bit result is then zero-extended.
#[must_use]
#[inline]
pub const fn mov_sx(width: Width, size: Size, src: u64) -> u64 {
    match width {
        Width::W64 => sign_extend(size, src),
        Width::W32 => sign_extend(size, src) as u32 as u64,
    }
}

/// The register value of a load whose raw bits are `raw`.
#[must_use]
#[inline]
pub const fn load_extend(size: Size, signed: bool, raw: u64) -> u64 {
    if signed {
        sign_extend(size, raw)
    } else {
        truncate(size, raw)
    }
}

/// Whether the jump is taken.
#[must_use]
#[inline]
pub const fn cond(cond: Cond, width: Width, a: u64, b: u64) -> bool {
    let (a, b) = match width {
        Width::W64 => (a, b),
        Width::W32 => (a as u32 as u64, b as u32 as u64),
    };
    let (sa, sb) = match width {
        Width::W64 => (a as i64, b as i64),
        Width::W32 => (a as i32 as i64, b as i32 as i64),
    };
    match cond {
        Cond::Eq => a == b,
        Cond::Gt => a > b,
        Cond::Ge => a >= b,
        Cond::Set => a & b != 0,
        Cond::Ne => a != b,
        Cond::Sgt => sa > sb,
        Cond::Sge => sa >= sb,
        Cond::Lt => a < b,
        Cond::Le => a <= b,
        Cond::Slt => sa < sb,
        Cond::Sle => sa <= sb,
    }
}

/// The new memory value of an atomic operation; `expected` is r0 for `CmpXchg`.
#[must_use]
#[inline]
pub const fn atomic(op: AtomicOp, size: Size, old: u64, operand: u64, expected: u64) -> u64 {
    let new = match op {
        AtomicOp::Add => old.wrapping_add(operand),
        AtomicOp::Or => old | operand,
        AtomicOp::And => old & operand,
        AtomicOp::Xor => old ^ operand,
        AtomicOp::Xchg => operand,
        AtomicOp::CmpXchg => {
            if truncate(size, old) == truncate(size, expected) {
                operand
            } else {
                old
            }
        }
    };
    truncate(size, new)
}
