//! What compilers emit around memory accesses, and past mistakes of verifiers: each case states
//! what must be known afterwards.

use crate::domain::scalar::Scalar;
use crate::domain::tnum::Tnum;
use isa::{AluOp, Cond, Size, Width};

fn constant(value: i64) -> Scalar {
    Scalar::constant(value as u64)
}

fn op64(op: AluOp, a: &Scalar, b: i64) -> Scalar {
    Scalar::alu(op, Width::W64, a, &constant(b))
}

fn op32(op: AluOp, a: &Scalar, b: i64) -> Scalar {
    Scalar::alu(op, Width::W32, a, &constant(b))
}

fn when(cond: Cond, width: Width, a: &Scalar, b: i64) -> Scalar {
    Scalar::refine(cond, width, a, &constant(b))
        .expect("possible")
        .0
}

fn unless(cond: Cond, width: Width, a: &Scalar, b: i64) -> Scalar {
    Scalar::refine_not(cond, width, a, &constant(b))
        .expect("possible")
        .0
}

fn unsigned(value: &Scalar) -> (u64, u64) {
    (value.umin(), value.umax())
}

fn signed(value: &Scalar) -> (i64, i64) {
    (value.smin(), value.smax())
}

#[test]
fn masking_bounds_an_index() {
    let index = op64(AluOp::And, &Scalar::unknown(), 0xff);
    assert_eq!(unsigned(&index), (0, 255));
    let scaled = op64(AluOp::Lsh, &op64(AluOp::And, &index, 0x3f), 2);
    assert_eq!(unsigned(&scaled), (0, 252));
    assert!(scaled.is_multiple_of(4));
    let merged = Scalar::alu(
        AluOp::Or,
        Width::W64,
        &op64(AluOp::And, &index, 0xfc),
        &op64(AluOp::And, &index, 1),
    );
    assert_eq!(unsigned(&merged), (0, 253));
}

#[test]
fn multiplication_by_a_structure_size() {
    let index = Scalar::from_range_u(0, 9);
    let offset = op64(AluOp::Mul, &index, 24);
    assert_eq!(unsigned(&offset), (0, 216));
    assert!(offset.is_multiple_of(8));
}

#[test]
fn shift_pairs_are_extensions() {
    let word = Scalar::load_result(Size::Dw, false);
    let zero = op64(AluOp::Rsh, &op64(AluOp::Lsh, &word, 32), 32);
    assert_eq!(unsigned(&zero), (0, 0xffff_ffff));
    let sign = op64(AluOp::Arsh, &op64(AluOp::Lsh, &word, 32), 32);
    assert_eq!(signed(&sign), (i64::from(i32::MIN), i64::from(i32::MAX)));
    // What a 32-bit comparison found out survives the extension.
    let small = when(Cond::Lt, Width::W32, &word, 100);
    let zero = op64(AluOp::Rsh, &op64(AluOp::Lsh, &small, 32), 32);
    assert_eq!(unsigned(&zero), (0, 99));
    let near = unless(
        Cond::Slt,
        Width::W32,
        &when(Cond::Slt, Width::W32, &word, 6),
        -5,
    );
    let sign = op64(AluOp::Arsh, &op64(AluOp::Lsh, &near, 32), 32);
    assert_eq!(signed(&sign), (-5, 5));
    let byte = op64(AluOp::Arsh, &op64(AluOp::Lsh, &word, 56), 56);
    assert_eq!(signed(&byte), (-128, 127));
}

#[test]
fn narrow_comparison_bounds_a_zero_extended_register() {
    let word = Scalar::load_result(Size::W, false);
    let small = when(Cond::Le, Width::W32, &word, 1000);
    assert_eq!(unsigned(&small), (0, 1000));
    let small = when(Cond::Sgt, Width::W32, &word, -1);
    assert_eq!(unsigned(&small), (0, 0x7fff_ffff));
    let copied = Scalar::unknown().truncate32();
    assert_eq!(unsigned(&when(Cond::Lt, Width::W32, &copied, 64)), (0, 63));
}

/// A 32-bit comparison says nothing about the upper half.
#[test]
fn narrow_comparison_does_not_bound_a_whole_register() {
    let small = when(Cond::Lt, Width::W32, &Scalar::unknown(), 10);
    assert!(small.contains(0x1_0000_0005) && small.contains(u64::MAX << 32));
    assert!(!small.contains(10));
    assert_eq!((small.u32_min(), small.u32_max()), (0, 9));
    let equal = when(Cond::Eq, Width::W32, &Scalar::unknown(), -1);
    assert!(equal.contains(0xffff_ffff) && equal.contains(u64::MAX));
}

#[test]
fn immediates_of_narrow_comparisons_are_narrow() {
    let word = Scalar::load_result(Size::W, false);
    let equal = when(Cond::Eq, Width::W32, &word, -1);
    assert_eq!(equal.is_const(), Some(0xffff_ffff));
    assert_eq!(
        Scalar::decide(Cond::Eq, Width::W64, &word, &constant(-1)),
        Some(false)
    );
}

#[test]
fn sign_extending_loads_keep_large_unsigned_values() {
    let loaded = Scalar::load_result(Size::B, true);
    assert!(loaded.contains(-1_i64 as u64) && !loaded.contains(0xff));
    assert_eq!(
        Scalar::decide(Cond::Le, Width::W64, &loaded, &constant(127)),
        None
    );
}

#[test]
fn bounded_sums_do_not_overflow() {
    let sum = Scalar::alu(
        AluOp::Add,
        Width::W64,
        &Scalar::from_range_u(14, 60),
        &Scalar::from_range_u(20, 60),
    );
    assert_eq!(unsigned(&sum), (34, 120));
    let difference = op64(AluOp::Sub, &Scalar::from_range_u(10, 20), 15);
    assert_eq!(signed(&difference), (-5, 5));
    let wrapped = op32(
        AluOp::Add,
        &Scalar::from_range_u(0xffff_fff0, 0xffff_ffff),
        0x10,
    );
    assert_eq!(unsigned(&wrapped), (0, 15));
}

#[test]
fn signed_index_check_in_two_steps() {
    let checked = unless(Cond::Slt, Width::W64, &Scalar::unknown(), 0);
    let checked = when(Cond::Slt, Width::W64, &checked, 16);
    assert_eq!(unsigned(&checked), (0, 15));
}

#[test]
fn shift_by_unknown_amount_is_bounded() {
    let bit = Scalar::alu(
        AluOp::Lsh,
        Width::W64,
        &constant(1),
        &Scalar::from_range_u(0, 5),
    );
    assert_eq!(unsigned(&bit), (1, 32));
    let any = Scalar::alu(AluOp::Rsh, Width::W32, &constant(255), &Scalar::unknown());
    assert_eq!(unsigned(&any), (0, 255));
}

/// Amounts count modulo the width.
#[test]
fn shift_amounts_wrap() {
    let one = constant(1);
    assert_eq!(op64(AluOp::Lsh, &one, 64).is_const(), Some(1));
    assert_eq!(op64(AluOp::Lsh, &one, 65).is_const(), Some(2));
    assert_eq!(op32(AluOp::Lsh, &one, 33).is_const(), Some(2));
    assert_eq!(op32(AluOp::Lsh, &one, -1).is_const(), Some(0x8000_0000));
    assert_eq!(
        op32(AluOp::Arsh, &constant(-8), 33).is_const(),
        Some(0xffff_fffc)
    );
}

#[test]
fn division_by_possible_zero() {
    let any = Scalar::from_range_u(0, 10);
    let quotient = Scalar::alu(
        AluOp::Div,
        Width::W64,
        &Scalar::from_range_u(100, 200),
        &any,
    );
    assert_eq!(unsigned(&quotient), (0, 200));
    let rest = Scalar::alu(
        AluOp::Mod,
        Width::W64,
        &Scalar::from_range_u(100, 200),
        &any,
    );
    assert!(rest.contains(200) && rest.contains(0));
    assert_eq!(op64(AluOp::Div, &any, 0).is_const(), Some(0));
    assert_eq!(unsigned(&op64(AluOp::Mod, &any, 0)), (0, 10));
    // A 32-bit divisor of zero can have bits above.
    let upper = Scalar::constant(1 << 32);
    let seven = Scalar::constant(7);
    assert_eq!(
        Scalar::alu(AluOp::Div, Width::W32, &seven, &upper).is_const(),
        Some(0)
    );
    assert_eq!(
        Scalar::alu(AluOp::Mod, Width::W32, &seven, &upper).is_const(),
        Some(7)
    );
}

#[test]
fn remainders_are_bounded() {
    assert_eq!(unsigned(&op64(AluOp::Mod, &Scalar::unknown(), 10)), (0, 9));
    let bucket = op32(AluOp::Mod, &Scalar::unknown(), 16);
    assert_eq!(unsigned(&bucket), (0, 15));
    assert_eq!(signed(&op64(AluOp::SMod, &Scalar::unknown(), -10)), (-9, 9));
    let aligned = op64(AluOp::Lsh, &Scalar::unknown(), 3);
    assert!(op64(AluOp::Mod, &aligned, 24).is_multiple_of(8));
}

#[test]
fn signed_division_limits() {
    let least = constant(i64::MIN);
    assert_eq!(op64(AluOp::SDiv, &least, -1).is_const(), Some(1 << 63));
    assert_eq!(op64(AluOp::SMod, &least, -1).is_const(), Some(0));
    let least = constant(i64::from(i32::MIN));
    assert_eq!(op32(AluOp::SDiv, &least, -1).is_const(), Some(0x8000_0000));
    assert_eq!(op32(AluOp::SMod, &least, -1).is_const(), Some(0));
    let half = op64(AluOp::SDiv, &Scalar::from_range_s(-9, 9), -2);
    assert_eq!(signed(&half), (-4, 4));
}

/// `r0 s>>= 63; r0 &= -13` chooses between 0 and an error number.
#[test]
fn sign_mask_chooses_an_error_number() {
    let mask = op64(AluOp::Arsh, &Scalar::unknown(), 63);
    assert_eq!(signed(&mask), (-1, 0));
    assert_eq!(signed(&op64(AluOp::And, &mask, -13)), (-13, 0));
}

#[test]
fn bit_tests() {
    let set = when(Cond::Set, Width::W64, &Scalar::unknown(), 8);
    assert_eq!(set.bits(), Tnum::new(8, !8));
    let clear = unless(Cond::Set, Width::W64, &Scalar::unknown(), 7);
    assert!(clear.is_multiple_of(8));
    assert_eq!(
        Scalar::decide(Cond::Set, Width::W64, &set, &constant(12)),
        Some(true)
    );
    assert_eq!(
        Scalar::decide(Cond::Set, Width::W64, &clear, &constant(3)),
        Some(false)
    );
    let narrow = unless(Cond::Set, Width::W32, &Scalar::unknown(), -1);
    assert!(narrow.contains(1 << 32) && narrow.is_multiple_of(1 << 32));
}

#[test]
fn inequality_moves_a_bound() {
    let counter = Scalar::from_range_u(0, 64);
    assert_eq!(unsigned(&when(Cond::Ne, Width::W64, &counter, 64)), (0, 63));
    let aligned = op64(AluOp::And, &counter, 0x7c);
    assert_eq!(unsigned(&when(Cond::Ne, Width::W64, &aligned, 0)), (4, 64));
    let flag = Scalar::from_range_u(0, 1);
    assert_eq!(when(Cond::Ne, Width::W64, &flag, 0).is_const(), Some(1));
}

#[test]
fn comparisons_between_two_ranges() {
    let (a, b) = (Scalar::from_range_u(10, 50), Scalar::from_range_u(0, 30));
    let (left, right) = Scalar::refine(Cond::Lt, Width::W64, &a, &b).expect("possible");
    assert_eq!((unsigned(&left), unsigned(&right)), ((10, 29), (11, 30)));
    assert_eq!(
        Scalar::decide(Cond::Gt, Width::W64, &a, &Scalar::from_range_u(0, 9)),
        Some(true)
    );
    let never = |cond, bound| Scalar::decide(cond, Width::W64, &Scalar::unknown(), &bound);
    assert_eq!(never(Cond::Lt, constant(0)), Some(false));
    assert_eq!(never(Cond::Gt, constant(-1)), Some(false));
    assert_eq!(never(Cond::Sgt, constant(i64::MAX)), Some(false));
    assert_eq!(never(Cond::Sge, constant(i64::MIN)), Some(true));
}
