//! Soundness of every operation on all abstract values of small widths.
//!
//! Words are proved on all pairs at three and four bits. A register is a word and its lower half:
//! operations work on both parts as words and reduce the result (reduction itself is proved on all
//! combinations where they are enumerated), so that all pairs of words prove registers as well. The
//! left shift alone looks across the halves, and is proved on all registers and amounts. All pairs
//! of registers are proved at three bits, every n-th at four, so that nothing hangs on this
//! reasoning alone.

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

/// The same for every left set at once: for each right member, the results of all left sets.
struct Images {
    of_sets: Vec<Vec<u16>>,
}

impl Images {
    fn new(width: u32, run: impl Fn(u64, u64) -> u64) -> Images {
        let numbers = 1_u64 << width;
        let of_member = |y: u64| {
            let mut results = vec![0_u16; 1 << numbers];
            for set in 1..results.len() {
                let first = u64::from(set.trailing_zeros());
                results[set] = results[set & (set - 1)] | 1 << run(first, y);
            }
            results
        };
        Images {
            of_sets: (0..numbers).map(of_member).collect(),
        }
    }

    fn at(&self, a: Set, b: Set) -> Set {
        let members = universe::members(b);
        let results = members.map(|y| self.of_sets[y as usize][a as usize]);
        Set::from(results.fold(0, |all, some| all | some))
    }
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

fn prove_words<const W: u32>() {
    let all = values::<W>();
    let sets = universe::Sets::<W>::new();
    for op in AluOp::ALL {
        let images = Images::new(W, |x, y| concrete::alu(op, x, y, W));
        for ((a, members_a), (b, members_b)) in pairs(&all, 1) {
            let result = Value::alu(op, a, b);
            let missing = images.at(*members_a, *members_b) & !sets.of(&result);
            assert_eq!(missing, 0, "{op:?} of {a:?} and {b:?} is {result:?}");
        }
    }
}

#[test]
fn words_of_three_bits() {
    prove_words::<3>();
}

#[test]
fn words_of_four_bits() {
    prove_words::<4>();
}

/// Left members that satisfy a comparison with some right member, and the other way round.
fn prove_word_branches<const W: u32>() {
    let all = values::<W>();
    let sets = universe::Sets::<W>::new();
    for (cond, taken) in Cond::ALL
        .into_iter()
        .flat_map(|cond| [(cond, true), (cond, false)])
    {
        let table = Table::new(W, |x, y| concrete::cond(cond, x, y, W) == taken);
        let numbers = 0..1_u64 << W;
        let row = |x: u64| universe::collect(numbers.clone().filter(|y| table.at(x, *y)));
        let column = |y: u64| universe::collect(numbers.clone().filter(|x| table.at(*x, y)));
        let rows: Vec<Set> = numbers.clone().map(row).collect();
        let columns: Vec<Set> = numbers.clone().map(column).collect();
        let partners = |set: Set, of: &[Set]| {
            universe::members(set).fold(0, |all, member| all | of[member as usize])
        };
        // What satisfies the comparison with some member, by operand.
        let with_right: Vec<Set> = all.iter().map(|(_, b)| partners(*b, &columns)).collect();
        let with_left: Vec<Set> = all.iter().map(|(_, a)| partners(*a, &rows)).collect();
        for ((a, members_a), with_a) in all.iter().zip(&with_left) {
            for ((b, members_b), with_b) in all.iter().zip(&with_right) {
                let refined = Value::refine(cond, taken, a, b);
                let (left, right) = (members_a & with_b, members_b & with_a);
                let got = refined.map_or((0, 0), |(a, b)| (sets.of(&a), sets.of(&b)));
                let missing = (left & !got.0, right & !got.1);
                let extra = (got.0 & !members_a, got.1 & !members_b);
                let wrong = (missing, extra);
                assert_eq!(wrong, ((0, 0), (0, 0)), "{cond:?} {taken} {a:?} {b:?}");
            }
        }
    }
}

#[test]
fn branches_on_words_of_four_bits() {
    prove_word_branches::<4>();
}

/// The operation that looks across the halves of a register: all of them, by all amounts.
fn prove_left_shift<const W: u32, const H: u32>() {
    let amounts = 0..1_u64 << W;
    for (number, members) in numbers::<W, H>() {
        for amount in amounts.clone() {
            let by = Number::constant(amount);
            let result = Number::alu(AluOp::Lsh, Width::W64, &number, &by);
            let shifted = |x| concrete::alu(AluOp::Lsh, x, amount, W);
            let expected = universe::collect(universe::members(members).map(shifted));
            let missing = expected & !universe::of_number(&result);
            assert_eq!(missing, 0, "{number:?} << {amount} is {result:?}");
        }
    }
}

#[test]
fn left_shifts_of_registers_of_four_bits() {
    prove_left_shift::<4, 2>();
    prove_left_shift::<4, 3>();
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
