//! Soundness of every operation on all abstract values of small widths.

use super::concrete;
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

/// An operation on numbers below `1 << WIDEST`, worked out once.
struct Table<T> {
    results: Vec<T>,
}

const WIDEST: u32 = 4;

impl<T: Copy> Table<T> {
    fn new(width: u32, run: impl Fn(u64, u64) -> T) -> Table<T> {
        assert!(width <= WIDEST);
        let numbers = 0..1_u64 << WIDEST;
        let low = |x: u64| x & ((1 << width) - 1);
        let results = numbers
            .clone()
            .flat_map(|x| numbers.clone().map(move |y| (x, y)));
        Table {
            results: results.map(|(x, y)| run(low(x), low(y))).collect(),
        }
    }

    fn at(&self, x: u64, y: u64) -> T {
        self.results[(x << WIDEST | y) as usize]
    }
}

/// The results of an operation on two sets.
fn image(a: Set, b: Set, table: &Table<u64>) -> Set {
    let mut results = 0;
    for x in universe::members(a) {
        for y in universe::members(b) {
            results |= 1 << table.at(x, y);
        }
    }
    results
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
    for op in AluOp::ALL {
        let table = Table::new(W, |x, y| concrete::alu(op, x, y, W));
        for ((a, members_a), (b, members_b)) in pairs(&all, step) {
            let expected = image(*members_a, *members_b, &table);
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

fn prove_numbers<const W: u32, const H: u32>(step: usize) {
    let all = numbers::<W, H>();
    for width in Width::ALL {
        for op in AluOp::ALL {
            let bits = width_of::<W, H>(width);
            let table = Table::new(bits, |x, y| concrete::alu(op, x, y, bits));
            for ((a, members_a), (b, members_b)) in pairs(&all, step) {
                let expected = image(*members_a, *members_b, &table);
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
    for width in Width::ALL {
        for cond in Cond::ALL {
            let bits = width_of::<W, H>(width);
            let table = Table::new(bits, |x, y| concrete::cond(cond, x, y, bits));
            for ((a, members_a), (b, members_b)) in pairs(&all, step) {
                for (taken, refined) in [
                    (true, Number::refine(cond, width, a, b)),
                    (false, Number::refine_not(cond, width, a, b)),
                ] {
                    let holds = |x, y| table.at(x, y) == taken;
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

#[test]
#[ignore = "some minutes: all pairs of all registers of four bits"]
fn everything_of_four_bits() {
    prove_values::<4>(1);
    prove_numbers::<4, 2>(1);
    prove_branches::<4, 2>(1);
}
