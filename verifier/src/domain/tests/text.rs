//! Texts of numbers in diagnostics.

use crate::domain::scalar::Scalar;
use crate::domain::tnum::Tnum;
use isa::{AluOp, Cond, Width};

#[test]
fn texts() {
    let unknown = Scalar::unknown();
    let op = |op, a: &Scalar, b: u64| Scalar::alu(op, Width::W64, a, &Scalar::constant(b));
    let small_low = Scalar::refine(Cond::Lt, Width::W32, &unknown, &Scalar::constant(10));
    for (number, text) in [
        (unknown, "unknown"),
        (Scalar::constant(7), "= 7"),
        (Scalar::constant(-2_i64 as u64), "= -2"),
        (Scalar::constant(0xffff_ffff), "= 4294967295"),
        (
            Scalar::constant(0x1234_5678_9abc_def0),
            "= 0x123456789abcdef0",
        ),
        (Scalar::from_range_u(5, 15), "[5, 15]"),
        (Scalar::from_range_s(-5, 15), "[-5, 15]"),
        (Scalar::from_range_s(-5, -1), "[-5, -1]"),
        (
            op(AluOp::Lsh, &Scalar::from_range_u(0, 63), 2),
            "[0, 252] multiple of 4",
        ),
        (Scalar::from_range_u(1, u64::MAX), "[1, 0xffffffffffffffff]"),
        (op(AluOp::And, &unknown, 0xffff_ffff), "[0, 4294967295]"),
        (op(AluOp::Lsh, &unknown, 3), "multiple of 8"),
        (small_low.expect("possible").0, "low 32 bits [0, 9]"),
        (op(AluOp::Lsh, &unknown, 32), "low 32 bits = 0"),
        (Scalar::from_bits(Tnum::new(5, !0xf)), "& 0xf = 0x5"),
        (
            Scalar::from_bits(Tnum::new(8, 0x40)),
            "[8, 72] & 0x3f = 0x8",
        ),
    ] {
        assert_eq!(number.to_string(), text);
    }
}
