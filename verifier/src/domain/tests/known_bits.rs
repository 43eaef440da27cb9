//! Known bits alone: all tnums of five bits.

use super::concrete;
use super::universe::{self, Set};
use crate::domain::tnum::Tnum;
use isa::AluOp;

const WIDTH: u32 = 5;

fn transfer(op: AluOp) -> Option<fn(Tnum, Tnum) -> Tnum> {
    match op {
        AluOp::Add => Some(Tnum::add),
        AluOp::Sub => Some(Tnum::sub),
        AluOp::Mul => Some(Tnum::mul),
        AluOp::And => Some(Tnum::and),
        AluOp::Or => Some(Tnum::or),
        AluOp::Xor => Some(Tnum::xor),
        _ => None,
    }
}

/// Is the result for all pairs the best possible one?
fn is_optimal(op: AluOp) -> bool {
    op != AluOp::Mul
}

#[test]
fn binary_operations() {
    let all = universe::tnums(WIDTH);
    for op in AluOp::ALL {
        let Some(run) = transfer(op) else { continue };
        for a in &all {
            for b in &all {
                let expected = image(*a, *b, op);
                let result = run(*a, *b).truncate(WIDTH);
                let members = universe::of_tnum(result, WIDTH);
                assert_eq!(
                    expected & !members,
                    0,
                    "{op:?} of {a:?} and {b:?} is {result:?}"
                );
                if is_optimal(op) {
                    assert_eq!(Some(result), hull(expected), "{op:?} of {a:?} and {b:?}");
                }
            }
        }
    }
}

fn image(a: Tnum, b: Tnum, op: AluOp) -> Set {
    let mut results = 0;
    for x in universe::members(universe::of_tnum(a, WIDTH)) {
        for y in universe::members(universe::of_tnum(b, WIDTH)) {
            results |= 1 << concrete::alu(op, x, y, WIDTH);
        }
    }
    results
}

fn hull(set: Set) -> Option<Tnum> {
    universe::members(set)
        .map(Tnum::constant)
        .reduce(Tnum::join)
}

#[test]
fn shifts_and_extensions_are_exact() {
    for tnum in universe::tnums(WIDTH) {
        let members = universe::of_tnum(tnum, WIDTH);
        let check = |result: Tnum, run: &dyn Fn(u64) -> u64| {
            let expected = hull(universe::collect(universe::members(members).map(run)));
            assert_eq!(Some(result), expected, "{tnum:?}");
        };
        for by in 0..WIDTH {
            let shift = |op| move |x| concrete::alu(op, x, u64::from(by), WIDTH);
            check(tnum.lsh(by).truncate(WIDTH), &shift(AluOp::Lsh));
            check(tnum.rsh(by), &shift(AluOp::Rsh));
            check(tnum.arsh(by, WIDTH), &shift(AluOp::Arsh));
        }
        for from in 1..=WIDTH {
            let low = move |x: u64| x & ((1 << from) - 1);
            check(tnum.truncate(from), &low);
            let extended = tnum.truncate(from).sign_extend(from).truncate(WIDTH);
            check(extended, &|x| {
                concrete::wrap(concrete::signed(low(x), from), WIDTH)
            });
        }
    }
}

#[test]
fn nearest_members_are_exact() {
    for tnum in universe::tnums(WIDTH) {
        let members: Vec<u64> = universe::members(universe::of_tnum(tnum, WIDTH)).collect();
        assert_eq!(members.first(), Some(&tnum.value()));
        assert_eq!(members.last(), Some(&tnum.max()));
        for bound in 0..1 << WIDTH {
            let above = members.iter().copied().find(|member| *member >= bound);
            let below = members
                .iter()
                .copied()
                .rev()
                .find(|member| *member <= bound);
            assert_eq!(tnum.ceil(bound), above, "{tnum:?} from {bound}");
            assert_eq!(tnum.floor(bound), below, "{tnum:?} to {bound}");
        }
    }
}

#[test]
fn set_operations_are_exact() {
    let all = universe::tnums(WIDTH);
    for a in &all {
        for b in &all {
            let (left, right) = (universe::of_tnum(*a, WIDTH), universe::of_tnum(*b, WIDTH));
            assert_eq!(Some(a.join(*b)), hull(left | right));
            assert_eq!(a.meet(*b), hull(left & right));
            assert_eq!(a.leq(*b), left & !right == 0);
        }
    }
}

#[test]
fn ranges_share_leading_bits() {
    for min in 0..1 << WIDTH {
        for max in min..1 << WIDTH {
            let tnum = Tnum::from_range(min, max);
            let prefix = (0..=WIDTH)
                .map(|low| Tnum::new(min, (1 << low) - 1))
                .find(|prefix| prefix.contains(max));
            assert_eq!(Some(tnum), prefix, "{min} to {max}");
        }
    }
}

#[test]
fn byte_swaps_move_unknown_bytes() {
    let tnum = Tnum::new(0x1122_3344_5566_7700, 0xff);
    assert_eq!(
        tnum.swap_bytes(8),
        Tnum::new(0x0077_6655_4433_2211, 0xff << 56)
    );
    assert_eq!(tnum.swap_bytes(4), Tnum::new(0x0077_6655, 0xff << 24));
    assert_eq!(tnum.swap_bytes(2), Tnum::new(0x0077, 0xff << 8));
}
