//! What the operations mean on `width`-bit numbers, written down independently and naively.

use isa::{AluOp, Cond};

/// `value` as a signed number.
pub(super) fn signed(value: u64, width: u32) -> i128 {
    let value = i128::from(value);
    if value >= 1 << (width - 1) {
        value - (1 << width)
    } else {
        value
    }
}

/// The low `width` bits.
pub(super) fn wrap(value: i128, width: u32) -> u64 {
    value.rem_euclid(1 << width) as u64
}

/// `a op b`, with mathematical integers and a final wrap.
pub(super) fn alu(op: AluOp, a: u64, b: u64, width: u32) -> u64 {
    let (ua, ub) = (i128::from(a), i128::from(b));
    let (sa, sb) = (signed(a, width), signed(b, width));
    let amount = ub % i128::from(width);
    let result = match op {
        AluOp::Add => ua + ub,
        AluOp::Sub => ua - ub,
        AluOp::Mul => sa * sb,
        AluOp::Div => ua.checked_div(ub).unwrap_or(0),
        AluOp::SDiv => sa.checked_div(sb).unwrap_or(0),
        AluOp::Or => ua | ub,
        AluOp::And => ua & ub,
        AluOp::Xor => ua ^ ub,
        AluOp::Lsh => wrap(ua << (amount / 2), width) as i128 * (1 << (amount - amount / 2)),
        AluOp::Rsh => ua >> amount,
        AluOp::Mod => ua.checked_rem(ub).unwrap_or(ua),
        AluOp::SMod => sa.checked_rem(sb).unwrap_or(sa),
        AluOp::Mov => ub,
        AluOp::Arsh => sa >> amount,
    };
    wrap(result, width)
}

/// `a cond b`.
pub(super) fn cond(cond: Cond, a: u64, b: u64, width: u32) -> bool {
    let (sa, sb) = (signed(a, width), signed(b, width));
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
