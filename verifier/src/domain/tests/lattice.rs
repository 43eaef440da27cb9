//! Join, meet, order and widening on all pairs of small registers.

use super::universe;
use crate::domain::scalar::{Number, Scalar};

type Small = Number<3, 2>;

#[test]
fn join_meet_and_order() {
    let all = universe::numbers::<3, 2>();
    for a in &all {
        let left = universe::of_number(a);
        assert!(a.leq(a) && a.leq(&Small::UNKNOWN));
        for b in &all {
            let right = universe::of_number(b);
            let join = a.join(b);
            assert_eq!(
                (left | right) & !universe::of_number(&join),
                0,
                "{a:?} {b:?}"
            );
            assert!(a.leq(&join) && b.leq(&join), "{a:?} {b:?} join to {join:?}");
            // Meeting is exact, and so is noticing that nothing is left.
            let meet = a.meet(b).map_or(0, |meet| universe::of_number(&meet));
            assert_eq!(meet, left & right, "{a:?} meets {b:?}");
            assert!(!a.leq(b) || left & !right == 0, "{a:?} in {b:?}");
        }
    }
}

#[test]
fn constants_are_found() {
    for number in universe::numbers::<4, 2>() {
        let members = universe::of_number(&number);
        let only = (members.count_ones() == 1).then(|| u64::from(members.trailing_zeros()));
        assert_eq!(number.is_const(), only, "{number:?}");
    }
}

#[test]
fn widths_are_found() {
    for bits in 0..=4 {
        let members = universe::of_number(&Number::<4, 2>::of_width(bits));
        assert_eq!(members, (1 << (1_u32 << bits)) - 1, "{bits} bits");
    }
    for number in universe::numbers::<4, 2>() {
        let members = universe::of_number(&number);
        let only = (0..=4).find(|bits| members == (1 << (1_u32 << bits)) - 1);
        assert_eq!(number.only_width(), only, "{number:?}");
    }
}

#[test]
fn every_number_has_a_member_and_tight_bounds() {
    for number in universe::numbers::<4, 2>() {
        let members: Vec<u64> = universe::members(universe::of_number(&number)).collect();
        assert_eq!(members.first(), Some(&number.umin()), "{number:?}");
        assert_eq!(members.last(), Some(&number.umax()), "{number:?}");
    }
}

#[test]
fn widening_contains_both() {
    let all = universe::numbers::<3, 2>();
    for a in &all {
        for b in &all {
            let wide = a.widen(b);
            let both = universe::of_number(a) | universe::of_number(b);
            assert_eq!(
                both & !universe::of_number(&wide),
                0,
                "{a:?} {b:?} widen to {wide:?}"
            );
        }
    }
}

/// Widens with ever new values until nothing changes; the number of steps.
fn chain_length(start: Scalar, next: impl Fn(&Scalar) -> Scalar) -> u32 {
    let mut old = start;
    for steps in 0..400 {
        let new = old.widen(&old.join(&next(&old)));
        if new == old {
            return steps;
        }
        old = new;
    }
    panic!("no end from {start}: at {old}");
}

#[test]
fn widening_chains_end() {
    use isa::{AluOp, Width};
    for step in [
        1,
        2,
        3,
        4,
        7,
        8,
        0x1000,
        0x7fff_ffff,
        u64::MAX,
        u64::MAX - 3,
    ] {
        for width in Width::ALL {
            for op in [
                AluOp::Add,
                AluOp::Sub,
                AluOp::Mul,
                AluOp::Lsh,
                AluOp::Xor,
                AluOp::Or,
            ] {
                for start in [0, 1, 5, 0x8000_0000, u64::MAX] {
                    let by = Scalar::constant(step);
                    let steps = chain_length(Scalar::constant(start), |old| {
                        Scalar::alu(op, width, old, &by)
                    });
                    assert!(steps <= 100, "{op:?} {step} from {start} takes {steps}");
                }
            }
        }
    }
}

/// The worst case: a chain that grows as slowly as it can, by one value at a time.
#[test]
fn widening_chains_of_small_numbers_end_whatever_comes() {
    for start in universe::numbers::<4, 2>().iter().step_by(7) {
        for order in 0..16 {
            let mut old = *start;
            for turn in 0..16_u64 {
                let new = Number::constant((turn * 5 + order) % 16);
                old = old.widen(&old.join(&new));
            }
            assert!(old.is_unknown(), "{start:?} stops at {old:?}");
        }
    }
}

#[test]
fn thresholds_stop_widening() {
    let old = Scalar::from_range_u(0, 3);
    let new = Scalar::from_range_u(0, 4);
    assert_eq!(old.widen_to(&new, &[64]).umax(), 64);
    assert_eq!(old.widen(&new).umax(), 0x7f);
    assert_eq!(old.widen(&old), old);
}

/// States of the analysis are arrays of these.
#[test]
fn a_scalar_fills_one_cache_line() {
    assert_eq!(size_of::<Scalar>(), 64);
}
