//! What the operations compute, as pure functions on 64-bit register values.
//!
//! Interpreter and constant folding call these, so that "division by zero gives zero" is written in
//! one place. 32-bit operations use the low halves of their operands and zero-extend the result
//! (RFC 9669 §4.1). Hosts are little-endian by definition of the byte order conversions here: every
//! platform of ours is.
//!
//! Invariants: total functions, no panic, no undefined case. What is left out: memory, registers and
//! control flow; the caller has those.

use crate::insn::{AluOp, AtomicOp, Cond, Endian, Size, Width};

/// An immediate as operand: sign-extended to 64 bits; 32-bit operations see its low half.
#[must_use]
#[inline]
pub const fn imm(imm: i32) -> u64 {
    imm as i64 as u64
}

/// `dst op src` (RFC 9669 §4.1).
#[must_use]
#[inline]
pub const fn alu(op: AluOp, width: Width, dst: u64, src: u64) -> u64 {
    match width {
        Width::W32 => alu32(op, dst as u32, src as u32) as u64,
        Width::W64 => alu64(op, dst, src),
    }
}

const fn alu32(op: AluOp, dst: u32, src: u32) -> u32 {
    match op {
        AluOp::Add => dst.wrapping_add(src),
        AluOp::Sub => dst.wrapping_sub(src),
        AluOp::Mul => dst.wrapping_mul(src),
        AluOp::Div => match dst.checked_div(src) {
            Some(quotient) => quotient,
            None => 0,
        },
        AluOp::SDiv if src == 0 => 0,
        AluOp::SDiv => (dst as i32).wrapping_div(src as i32) as u32,
        AluOp::Or => dst | src,
        AluOp::And => dst & src,
        AluOp::Lsh => dst.wrapping_shl(src),
        AluOp::Rsh => dst.wrapping_shr(src),
        AluOp::Mod => match dst.checked_rem(src) {
            Some(remainder) => remainder,
            None => dst,
        },
        AluOp::SMod if src == 0 => dst,
        AluOp::SMod => (dst as i32).wrapping_rem(src as i32) as u32,
        AluOp::Xor => dst ^ src,
        AluOp::Mov => src,
        AluOp::Arsh => (dst as i32).wrapping_shr(src) as u32,
    }
}

const fn alu64(op: AluOp, dst: u64, src: u64) -> u64 {
    match op {
        AluOp::Add => dst.wrapping_add(src),
        AluOp::Sub => dst.wrapping_sub(src),
        AluOp::Mul => dst.wrapping_mul(src),
        AluOp::Div => match dst.checked_div(src) {
            Some(quotient) => quotient,
            None => 0,
        },
        AluOp::SDiv if src == 0 => 0,
        AluOp::SDiv => (dst as i64).wrapping_div(src as i64) as u64,
        AluOp::Or => dst | src,
        AluOp::And => dst & src,
        // The shift functions take the count modulo 64, and its low 32 bits hold that already.
        AluOp::Lsh => dst.wrapping_shl(src as u32),
        AluOp::Rsh => dst.wrapping_shr(src as u32),
        AluOp::Mod => match dst.checked_rem(src) {
            Some(remainder) => remainder,
            None => dst,
        },
        AluOp::SMod if src == 0 => dst,
        AluOp::SMod => (dst as i64).wrapping_rem(src as i64) as u64,
        AluOp::Xor => dst ^ src,
        AluOp::Mov => src,
        AluOp::Arsh => (dst as i64).wrapping_shr(src as u32) as u64,
    }
}

/// `-dst` (RFC 9669 §4.1).
#[must_use]
#[inline]
pub const fn neg(width: Width, dst: u64) -> u64 {
    match width {
        Width::W32 => (dst as u32).wrapping_neg() as u64,
        Width::W64 => dst.wrapping_neg(),
    }
}

/// Sign-extending move: the low `size` bits of `src` as a signed number of `width` bits, then
/// zero-extended to 64 (RFC 9669 §4.1).
#[must_use]
#[inline]
pub const fn mov_sx(width: Width, size: Size, src: u64) -> u64 {
    let extended = sign_extend(size, src);
    match width {
        Width::W32 => extended as u32 as u64,
        Width::W64 => extended,
    }
}

/// Byte order conversion of the low `size` bits; the bits above become zero (RFC 9669 §4.2).
#[must_use]
#[inline]
pub const fn endian(kind: Endian, size: Size, value: u64) -> u64 {
    let swapped = match kind {
        Endian::ToLittle => return truncate(size, value),
        Endian::ToBig | Endian::Swap => value.swap_bytes(),
    };
    // The swapped low bytes are now the high ones.
    swapped >> 64u32.saturating_sub(size.bits())
}

/// Whether a conditional jump is taken (RFC 9669 §4.3).
#[must_use]
#[inline]
pub const fn cond(cond: Cond, width: Width, dst: u64, src: u64) -> bool {
    let (a, b) = match width {
        Width::W32 => (dst as u32 as u64, src as u32 as u64),
        Width::W64 => (dst, src),
    };
    let (sa, sb) = match width {
        Width::W32 => (dst as i32 as i64, src as i32 as i64),
        Width::W64 => (dst as i64, src as i64),
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

/// Register value after a load of `raw`: its low `size` bits, zero- or sign-extended to 64
/// (RFC 9669 §5.1, §5.2).
#[must_use]
#[inline]
pub const fn load_extend(size: Size, signed: bool, raw: u64) -> u64 {
    if signed {
        sign_extend(size, raw)
    } else {
        truncate(size, raw)
    }
}

/// The low `size` bits of a value as a signed number, sign-extended to 64 bits.
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

/// The low `size` bits of a value: what a store writes.
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

/// Where a legacy packet load reads, counted from the start of the packet: the low halves of index
/// (0 for the direct form) and immediate are added, as Linux does. `None` when the sum is negative as a
/// signed number; then the load ends the program as if it were outside of the packet. (Linux has two
/// ranges of negative offsets that mean the link and network headers; they are not provided.)
#[must_use]
#[inline]
pub const fn packet_offset(index: u64, imm: i32) -> Option<u32> {
    let offset = (index as u32).wrapping_add(imm as u32);
    if (offset as i32) < 0 {
        return None;
    }
    Some(offset)
}

/// Memory content after an atomic operation on `old` (RFC 9669 §5.3). `expected` is r0 and matters
/// to compare-and-exchange only. A fetching instruction also puts `truncate(size, old)` into its
/// source register (compare-and-exchange: into r0).
#[must_use]
#[inline]
pub const fn atomic(op: AtomicOp, size: Size, old: u64, operand: u64, expected: u64) -> u64 {
    let old = truncate(size, old);
    let new = match op {
        AtomicOp::Add => old.wrapping_add(operand),
        AtomicOp::Or => old | operand,
        AtomicOp::And => old & operand,
        AtomicOp::Xor => old ^ operand,
        AtomicOp::Xchg => operand,
        AtomicOp::CmpXchg if old == truncate(size, expected) => operand,
        AtomicOp::CmpXchg => old,
    };
    truncate(size, new)
}
