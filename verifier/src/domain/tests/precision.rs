//! How close results come to the best that the domain can express: a change may only improve it.

use super::concrete;
use super::universe::{self, Set};
use crate::domain::value::Value;
use isa::AluOp;

/// Percent of operand pairs of four bits with the best possible result, at least: by a constant
/// and by anything.
fn expected(op: AluOp) -> (u32, u32) {
    match op {
        AluOp::Mov => (100, 100),
        AluOp::Lsh => (100, 80),
        AluOp::Rsh | AluOp::Arsh => (100, 82),
        AluOp::Or | AluOp::And | AluOp::Xor => (99, 92),
        AluOp::Add | AluOp::Sub => (97, 75),
        AluOp::Div => (88, 67),
        AluOp::SDiv => (85, 90),
        AluOp::SMod => (65, 69),
        AluOp::Mod => (57, 9),
        AluOp::Mul => (36, 40),
    }
}

type Operand = (Value<4>, Set);

#[test]
fn results_are_mostly_the_best_possible() {
    let all: Vec<Operand> = universe::values::<4>()
        .into_iter()
        .map(|value| (value, universe::of_value(&value)))
        .collect();
    let constants: Vec<Operand> = all
        .iter()
        .copied()
        .filter(|(value, _)| value.is_const().is_some())
        .collect();
    for op in AluOp::ALL {
        let by_constant = percent(
            op,
            all.iter()
                .flat_map(|a| constants.iter().map(move |b| (a, b))),
        );
        let pairs = all.iter().flat_map(|a| all.iter().map(move |b| (a, b)));
        let by_any = percent(op, pairs.step_by(97));
        let (least_by_constant, least_by_any) = expected(op);
        assert!(
            by_constant >= least_by_constant,
            "{op:?} by constants: {by_constant} %"
        );
        assert!(by_any >= least_by_any, "{op:?}: {by_any} %");
    }
}

fn percent<'a>(op: AluOp, pairs: impl Iterator<Item = (&'a Operand, &'a Operand)>) -> u32 {
    let (mut best, mut count) = (0, 0);
    for (a, b) in pairs {
        count += 1;
        best += u32::from(is_best(op, a, b));
    }
    best * 100 / count
}

fn is_best(op: AluOp, (a, members_a): &Operand, (b, members_b): &Operand) -> bool {
    let mut results = 0;
    for x in universe::members(*members_a) {
        for y in universe::members(*members_b) {
            results |= 1 << concrete::alu(op, x, y, 4);
        }
    }
    let best = universe::best::<4>(results);
    universe::of_value(&Value::alu(op, a, b)) == universe::of_value(&best)
}
