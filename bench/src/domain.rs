//! Operations of the verifier's scalar domain, on the values that programs have.

use crate::harness::Bench;
use isa::{AluOp, Cond, Size, Width};
use std::hint::black_box;
use verifier::domain::Scalar;

pub(crate) fn register(bench: &mut Bench) {
    let values = values();
    arithmetic(bench, &values);
    relations(bench, &values);
}

fn arithmetic(bench: &mut Bench, values: &[Scalar]) {
    let pairs = values.len() * values.len();
    for (name, op) in [
        ("add", AluOp::Add),
        ("mul", AluOp::Mul),
        ("and", AluOp::And),
        ("rsh", AluOp::Rsh),
        ("mod", AluOp::Mod),
    ] {
        for (bits, width) in [(32, Width::W32), (64, Width::W64)] {
            bench.measure(&format!("domain/{name}{bits}"), pairs, || {
                each_pair(values, |a, b| Scalar::alu(op, width, a, b).umax())
            });
        }
    }
    bench.measure("domain/add64 constants", pairs, || {
        let (a, b) = (
            black_box(Scalar::constant(5)),
            black_box(Scalar::constant(9)),
        );
        (0..pairs).fold(0_u64, |sum, _| {
            let result = Scalar::alu(AluOp::Add, Width::W64, black_box(&a), black_box(&b));
            sum.wrapping_add(result.umax())
        })
    });
}

fn relations(bench: &mut Bench, values: &[Scalar]) {
    let pairs = values.len() * values.len();
    bench.measure("domain/join", pairs, || {
        each_pair(values, |a, b| a.join(b).umax())
    });
    bench.measure("domain/leq", pairs, || {
        each_pair(values, |a, b| u64::from(a.leq(b)))
    });
    for (name, cond) in [("eq", Cond::Eq), ("lt", Cond::Lt), ("set", Cond::Set)] {
        bench.measure(&format!("domain/refine {name}"), pairs, || {
            each_pair(values, |a, b| {
                Scalar::refine(cond, Width::W64, a, b).map_or(0, |(a, _)| a.umax())
            })
        });
    }
}

fn each_pair(values: &[Scalar], run: impl Fn(&Scalar, &Scalar) -> u64) -> u64 {
    let mut sum = 0_u64;
    for a in values {
        for b in values {
            sum = sum.wrapping_add(run(black_box(a), black_box(b)));
        }
    }
    sum
}

/// Loaded values, constants, masked and compared indices, error numbers.
fn values() -> Vec<Scalar> {
    let unknown = Scalar::unknown();
    let mask = |mask| Scalar::alu(AluOp::And, Width::W64, &unknown, &Scalar::constant(mask));
    vec![
        unknown,
        Scalar::constant(0),
        Scalar::constant(4),
        Scalar::constant(14),
        Scalar::constant(-1_i64 as u64),
        Scalar::load_result(Size::B, false),
        Scalar::load_result(Size::H, false),
        Scalar::load_result(Size::W, false),
        Scalar::load_result(Size::W, true),
        mask(0xff),
        mask(0x3c),
        mask(!7),
        Scalar::from_range_u(1, 63),
        Scalar::from_range_u(14, 1500),
        Scalar::from_range_s(-4095, 0),
        Scalar::from_range_s(-5, 5),
    ]
}
