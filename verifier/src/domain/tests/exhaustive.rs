//! Soundness of every operation on all abstract values of small widths.

use super::concrete::{self, CONDS, OPS};
use super::universe::{self, Set};
use crate::domain::scalar::Number;
use crate::domain::value::Value;
use isa::{AluOp, Cond, Width};

/// Every `step`th pair of values of a slice, all of them for step 1.
fn pairs<T>(all: &[T], step: usize) -> impl Iterator<Item = (&T, &T)> {
    let pairs = all
        .iter()
        .flat_map(move |a| all.iter().map(move |b| (a, b)));
    pairs.step_by(step)
}

/// The results of an operation on two sets.
fn image(a: Set, b: Set, op: impl Fn(u64, u64) -> u64) -> Set {
    let results = universe::members(a).flat_map(|x| universe::members(b).map(move |y| (x, y)));
    universe::collect(results.map(|(x, y)| op(x, y)))
}

fn values<const W: u32>() -> Vec<(Value<W>, Set)> {
    let all = universe::values::<W>().into_iter();
    all.map(|value| (value, universe::of_value(&value)))
        .collect()
}

fn numbers<const W: u32, const H: u32>() -> Vec<(Number<W, H>, Set)> {
    let all = universe::numbers::<W, H>().into_iter();
    all.map(|number| (number, universe::of_number(&number)))
        .collect()
}

fn prove_values<const W: u32>(step: usize) {
    let all = values::<W>();
    for op in OPS {
        for ((a, members_a), (b, members_b)) in pairs(&all, step) {
            let expected = image(*members_a, *members_b, |x, y| concrete::alu(op, x, y, W));
            let result = Value::alu(op, a, b);
            let missing = expected & !universe::of_value(&result);
            assert_eq!(missing, 0, "{op:?} of {a:?} and {b:?} is {result:?}");
        }
    }
}

#[test]
fn words_of_three_bits() {
    prove_values::<3>(1);
}

#[test]
fn words_of_four_bits() {
    prove_values::<4>(31);
}

fn width_of<const W: u32, const H: u32>(width: Width) -> u32 {
    match width {
        Width::W32 => H,
        Width::W64 => W,
    }
}

/// The concrete operation on registers of `W` bits with subregisters of `H` bits.
fn concrete_alu<const W: u32, const H: u32>(op: AluOp, width: Width, x: u64, y: u64) -> u64 {
    let bits = width_of::<W, H>(width);
    let mask = (1 << bits) - 1;
    concrete::alu(op, x & mask, y & mask, bits)
}

fn prove_numbers<const W: u32, const H: u32>(step: usize) {
    let all = numbers::<W, H>();
    for width in [Width::W32, Width::W64] {
        for op in OPS {
            for ((a, members_a), (b, members_b)) in pairs(&all, step) {
                let run = |x, y| concrete_alu::<W, H>(op, width, x, y);
                let expected = image(*members_a, *members_b, run);
                let result = Number::alu(op, width, a, b);
                let missing = expected & !universe::of_number(&result);
                assert_eq!(
                    missing, 0,
                    "{op:?} {width:?} of {a:?} and {b:?} is {result:?}"
                );
            }
        }
    }
}

#[test]
fn registers_of_three_bits() {
    prove_numbers::<3, 2>(1);
}

#[test]
fn registers_of_four_bits() {
    prove_numbers::<4, 2>(211);
}

fn concrete_cond<const W: u32, const H: u32>(cond: Cond, width: Width, x: u64, y: u64) -> bool {
    let bits = width_of::<W, H>(width);
    let mask = (1 << bits) - 1;
    concrete::cond(cond, x & mask, y & mask, bits)
}

/// Members of both operands for which some member of the other satisfies `holds`.
fn satisfying(a: Set, b: Set, holds: impl Fn(u64, u64) -> bool) -> (Set, Set) {
    let mut left = 0;
    let mut right = 0;
    for x in universe::members(a) {
        for y in universe::members(b).filter(|y| holds(x, *y)) {
            left |= 1 << x;
            right |= 1 << y;
        }
    }
    (left, right)
}

fn prove_branches<const W: u32, const H: u32>(step: usize) {
    let all = numbers::<W, H>();
    for width in [Width::W32, Width::W64] {
        for cond in CONDS {
            for ((a, members_a), (b, members_b)) in pairs(&all, step) {
                for (taken, refined) in [
                    (true, Number::refine(cond, width, a, b)),
                    (false, Number::refine_not(cond, width, a, b)),
                ] {
                    let holds = |x, y| concrete_cond::<W, H>(cond, width, x, y) == taken;
                    let (left, right) = satisfying(*members_a, *members_b, holds);
                    let (got_left, got_right) = refined.map_or((0, 0), |(a, b)| {
                        (universe::of_number(&a), universe::of_number(&b))
                    });
                    let missing = (left & !got_left, right & !got_right);
                    assert_eq!(
                        missing,
                        (0, 0),
                        "{cond:?} {width:?} {taken} on {a:?} and {b:?}"
                    );
                    // Refinement only narrows.
                    let extra = (got_left & !members_a, got_right & !members_b);
                    assert_eq!(
                        extra,
                        (0, 0),
                        "{cond:?} {width:?} {taken} on {a:?} and {b:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn branches_of_three_bits() {
    prove_branches::<3, 2>(1);
}

#[test]
fn branches_of_four_bits() {
    prove_branches::<4, 2>(211);
}
