//! Semantics against formulations in 128-bit integers that share nothing with the implementation:
//! values are mathematical integers, results are taken modulo 2^width.

use isa::{AluOp, AtomicOp, Cond, Endian, Size, Width, semantics};

/// Values around every boundary, and a few hundred of a fixed pseudo-random sequence.
fn operands() -> Vec<u64> {
    let mut values = vec![
        0,
        1,
        2,
        3,
        5,
        7,
        10,
        31,
        32,
        33,
        63,
        64,
        65,
        0x0123_4567_89ab_cdef,
    ];
    for bit in [7, 8, 15, 16, 31, 32, 47, 62, 63] {
        let power = 1u64 << bit;
        values.extend([power - 1, power, power + 1, power.wrapping_neg(), !power]);
    }
    values.extend([
        u64::MAX,
        u64::MAX - 1,
        0xffff_ffff_0000_0000,
        0x8000_0000_ffff_ffff,
    ]);
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..150 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        values.extend([state, state >> (state & 63)]);
    }
    values
}

fn modulus(bits: u32) -> i128 {
    1i128 << bits
}

/// The value modulo 2^bits, as a non-negative number.
fn unsigned(value: i128, bits: u32) -> i128 {
    value.rem_euclid(modulus(bits))
}

/// The value modulo 2^bits, as a two's complement number.
fn signed(value: i128, bits: u32) -> i128 {
    let value = unsigned(value, bits);
    if value >= modulus(bits - 1) {
        value - modulus(bits)
    } else {
        value
    }
}

/// Division towards negative infinity by a power of two, as a shift does it.
fn floor_div(value: i128, power: u32) -> i128 {
    value.div_euclid(modulus(power))
}

fn alu_by_arithmetic(op: AluOp, bits: u32, dst: u64, src: u64) -> u64 {
    let (a, b) = (
        unsigned(i128::from(dst), bits),
        unsigned(i128::from(src), bits),
    );
    let (sa, sb) = (signed(a, bits), signed(b, bits));
    let count = (b % i128::from(bits)) as u32;
    let per_bit = |f: fn(bool, bool) -> bool| {
        (0..bits)
            .map(|bit| i128::from(f(a >> bit & 1 == 1, b >> bit & 1 == 1)) << bit)
            .sum()
    };
    let result = match op {
        AluOp::Add => a + b,
        AluOp::Sub => a - b,
        AluOp::Mul => (0..bits)
            .rev()
            .fold(0, |sum, bit| unsigned(2 * sum + a * (b >> bit & 1), bits)),
        AluOp::Div => {
            if b == 0 {
                0
            } else {
                a / b
            }
        }
        AluOp::SDiv => {
            if sb == 0 {
                0
            } else {
                (sa.abs() / sb.abs()) * sa.signum() * sb.signum()
            }
        }
        AluOp::Or => per_bit(|x, y| x || y),
        AluOp::And => per_bit(|x, y| x && y),
        AluOp::Xor => per_bit(|x, y| x != y),
        AluOp::Lsh => (0..count).fold(a, |value, _| unsigned(value * 2, bits)),
        AluOp::Rsh => floor_div(a, count),
        AluOp::Arsh => floor_div(sa, count),
        AluOp::Mod => {
            if b == 0 {
                a
            } else {
                a - (a / b) * b
            }
        }
        AluOp::SMod => {
            if sb == 0 {
                sa
            } else {
                sa - ((sa.abs() / sb.abs()) * sa.signum() * sb.signum()) * sb
            }
        }
        AluOp::Mov => b,
    };
    unsigned(result, bits) as u64
}

#[test]
fn arithmetic_is_modular() {
    let values = operands();
    for op in AluOp::ALL {
        for width in Width::ALL {
            for &a in &values {
                for &b in &values {
                    let expected = alu_by_arithmetic(op, width.bits(), a, b);
                    let found = semantics::alu(op, width, a, b);
                    assert_eq!(found, expected, "{op:?} {width:?} {a:#x} {b:#x}");
                }
            }
        }
    }
}

#[test]
fn division_corner_cases_of_the_rfc() {
    use AluOp::{Div, Mod, SDiv, SMod};
    let (min32, min64, top) = (0x8000_0000u64, 1u64 << 63, 0xffff_ffff_8000_0000u64);
    let cases = [
        (Div, Width::W64, 7, 0, 0),
        (SDiv, Width::W64, 7, 0, 0),
        (Mod, Width::W64, top, 0, top),
        (SMod, Width::W64, top, 0, top),
        (Mod, Width::W32, top, 0, min32),
        (SMod, Width::W32, top, 0, min32),
        // A divisor that is zero only in its low half is zero to the 32-bit operation.
        (Div, Width::W32, 7, 1 << 32, 0),
        (SDiv, Width::W64, min64, u64::MAX, min64),
        (SMod, Width::W64, min64, u64::MAX, 0),
        (SDiv, Width::W32, min32, u64::MAX, min32),
        (SMod, Width::W32, min32, u64::MAX, 0),
        // Truncated towards zero: -13 / 3 = -4, -13 % 3 = -1.
        (SDiv, Width::W64, (-13i64) as u64, 3, (-4i64) as u64),
        (SMod, Width::W64, (-13i64) as u64, 3, (-1i64) as u64),
    ];
    for (op, width, dst, src, expected) in cases {
        assert_eq!(
            semantics::alu(op, width, dst, src),
            expected,
            "{op:?} {width:?} {dst:#x}"
        );
    }
}

#[test]
fn immediates_are_sign_extended() {
    assert_eq!(semantics::imm(-1), u64::MAX);
    assert_eq!(semantics::imm(i32::MIN), 0xffff_ffff_8000_0000);
    assert_eq!(semantics::imm(i32::MAX), 0x7fff_ffff);
}

#[test]
fn negation_and_extension_are_modular() {
    for value in operands() {
        let wide = i128::from(value);
        for width in Width::ALL {
            let bits = width.bits();
            assert_eq!(
                i128::from(semantics::neg(width, value)),
                unsigned(-wide, bits)
            );
            for size in Size::ALL {
                let expected = unsigned(signed(wide, size.bits()), bits);
                assert_eq!(i128::from(semantics::mov_sx(width, size, value)), expected);
            }
        }
        for size in Size::ALL {
            let (low, extended) = (unsigned(wide, size.bits()), signed(wide, size.bits()));
            assert_eq!(i128::from(semantics::truncate(size, value)), low);
            assert_eq!(i128::from(semantics::load_extend(size, false, value)), low);
            let found = semantics::load_extend(size, true, value);
            assert_eq!(i128::from(found), unsigned(extended, 64));
            assert_eq!(found, semantics::sign_extend(size, value));
        }
    }
}

#[test]
fn byte_order_moves_bytes() {
    for value in operands() {
        for size in [Size::H, Size::W, Size::Dw] {
            let count = size.bytes();
            let byte = |at: u32| value >> (8 * at) & 0xff;
            let kept: u64 = (0..count).map(|at| byte(at) << (8 * at)).sum();
            let swapped: u64 = (0..count)
                .map(|at| byte(at) << (8 * (count - 1 - at)))
                .sum();
            assert_eq!(semantics::endian(Endian::ToLittle, size, value), kept);
            assert_eq!(semantics::endian(Endian::ToBig, size, value), swapped);
            assert_eq!(semantics::endian(Endian::Swap, size, value), swapped);
        }
    }
}

#[test]
fn comparisons_order_integers() {
    let values = operands();
    for width in Width::ALL {
        let bits = width.bits();
        for &a in &values {
            for &b in &values {
                let (ua, ub) = (unsigned(i128::from(a), bits), unsigned(i128::from(b), bits));
                let (sa, sb) = (signed(ua, bits), signed(ub, bits));
                let (order, signed_order) = (ua.cmp(&ub), sa.cmp(&sb));
                let common_bit = (0..bits).any(|bit| ua >> bit & ub >> bit & 1 == 1);
                for cond in Cond::ALL {
                    let expected = match cond {
                        Cond::Eq => order.is_eq(),
                        Cond::Ne => order.is_ne(),
                        Cond::Gt => order.is_gt(),
                        Cond::Ge => order.is_ge(),
                        Cond::Lt => order.is_lt(),
                        Cond::Le => order.is_le(),
                        Cond::Sgt => signed_order.is_gt(),
                        Cond::Sge => signed_order.is_ge(),
                        Cond::Slt => signed_order.is_lt(),
                        Cond::Sle => signed_order.is_le(),
                        Cond::Set => common_bit,
                    };
                    let found = semantics::cond(cond, width, a, b);
                    assert_eq!(found, expected, "{cond:?} {width:?} {a:#x} {b:#x}");
                }
            }
        }
    }
}

#[test]
fn atomics_are_their_operation_at_the_size() {
    let values = operands();
    for size in [Size::W, Size::Dw] {
        let bits = size.bits();
        for &old in &values {
            for &operand in &values {
                let arithmetic = |op| alu_by_arithmetic(op, bits, old, operand);
                let low = |value: u64| unsigned(i128::from(value), bits) as u64;
                for op in AtomicOp::ALL {
                    let expected = match op {
                        AtomicOp::Add => arithmetic(AluOp::Add),
                        AtomicOp::Or => arithmetic(AluOp::Or),
                        AtomicOp::And => arithmetic(AluOp::And),
                        AtomicOp::Xor => arithmetic(AluOp::Xor),
                        AtomicOp::Xchg => low(operand),
                        // Differs from the content, at least in its lowest bit.
                        AtomicOp::CmpXchg => low(old),
                    };
                    let found = semantics::atomic(op, size, old, operand, !old);
                    assert_eq!(found, expected, "{op:?} {size:?} {old:#x} {operand:#x}");
                }
                // The bits above the size play no part in the comparison.
                let mixed = low(old) | (!old & !low(u64::MAX));
                let found = semantics::atomic(AtomicOp::CmpXchg, size, old, operand, mixed);
                assert_eq!(found, low(operand));
            }
        }
    }
}
