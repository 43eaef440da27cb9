//! All operations at 64 and 32 bits on sampled values: the result for any abstract operands that
//! contain `x` and `y` contains the concrete result for `x` and `y`.

use super::concrete;
use crate::domain::scalar::Scalar;
use crate::domain::tnum::Tnum;
use isa::{AluOp, Cond, Width};

/// A small deterministic generator (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Mostly numbers near powers of two and their negatives, where overflow happens.
    fn value(&mut self) -> u64 {
        let near = (1_u64 << self.below(64))
            .wrapping_add(self.below(7))
            .wrapping_sub(3);
        match self.below(6) {
            0 => self.next(),
            1 => self.below(20),
            2 => self.below(70).wrapping_neg(),
            3 => near.wrapping_neg(),
            4 => near | (self.next() << 32),
            _ => near,
        }
    }

    /// A set that contains `value`, described by one to three properties.
    fn around(&mut self, value: u64) -> Scalar {
        let mut set = Scalar::unknown();
        for _ in 0..=self.below(3) {
            let property = self.property(value);
            set = set.meet(&property).expect("both contain the value");
        }
        assert!(set.contains(value), "{set:?} lost {value:#x}");
        set
    }

    fn property(&mut self, value: u64) -> Scalar {
        let reach = 64 - self.below(64);
        let (down, up) = (self.next() >> (reach - 1), self.next() >> self.below(64));
        let low = |bound: i64| bound as i32;
        match self.below(7) {
            0 => Scalar::constant(value),
            1 => Scalar::from_range_u(value.saturating_sub(down), value.saturating_add(up)),
            2 => {
                let min = (value as i64).saturating_sub_unsigned(down);
                Scalar::from_range_s(min, (value as i64).saturating_add_unsigned(up))
            }
            3 => Scalar::from_bits(Tnum::new(value, self.next() & self.next())),
            4 => Scalar::from_bits(Tnum::new(value, self.next() | self.next() | self.next())),
            5 => {
                let min = i64::from(low(value as i64)).saturating_sub_unsigned(down);
                let max = i64::from(low(value as i64)).saturating_add_unsigned(up);
                self.low_signed(value, min, max)
            }
            _ => {
                let min = u64::from(value as u32).saturating_sub(down);
                let max = u64::from(value as u32).saturating_add(up);
                self.low_unsigned(value, min, max.min(u64::from(u32::MAX)))
            }
        }
    }

    fn low_unsigned(&mut self, value: u64, min: u64, max: u64) -> Scalar {
        let range = Scalar::from_range_u(min, max);
        let (_, found) = Scalar::refine(Cond::Eq, Width::W32, &range, &Scalar::unknown())
            .expect("ranges are not empty");
        assert!(found.contains(value), "{found:?} lost {value:#x}");
        found
    }

    fn low_signed(&mut self, value: u64, min: i64, max: i64) -> Scalar {
        let clamp = |bound: i64| bound.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        let range = Scalar::from_range_s(clamp(min), clamp(max));
        let (_, found) = Scalar::refine(Cond::Eq, Width::W32, &range, &Scalar::unknown())
            .expect("ranges are not empty");
        assert!(found.contains(value), "{found:?} lost {value:#x}");
        found
    }
}

fn mask(width: Width) -> u64 {
    u64::MAX >> (64 - width.bits())
}

const SAMPLES: u32 = 4_000;

/// The independent meanings used here agree with those of the instruction set.
#[test]
fn meanings() {
    let mut random = Random(0x5851_f42d_4c95_7f2d);
    for width in Width::ALL {
        for _ in 0..SAMPLES {
            let (x, y) = (random.value(), random.value());
            let (low_x, low_y) = (x & mask(width), y & mask(width));
            for op in AluOp::ALL {
                let expected = concrete::alu(op, low_x, low_y, width.bits());
                let result = isa::semantics::alu(op, width, x, y);
                assert_eq!(result, expected, "{op:?} {width:?} of {x:#x} and {y:#x}");
            }
            for cond in Cond::ALL {
                let expected = concrete::cond(cond, low_x, low_y, width.bits());
                let result = isa::semantics::cond(cond, width, x, y);
                assert_eq!(result, expected, "{cond:?} {width:?} of {x:#x} and {y:#x}");
            }
        }
    }
}

#[test]
fn operations_on_one_operand() {
    use isa::{Endian, Size, semantics};
    let mut random = Random(0x0123_4567_89ab_cdef);
    for _ in 0..SAMPLES {
        let x = random.value();
        let a = random.around(x);
        for width in Width::ALL {
            assert!(Scalar::neg(width, &a).contains(semantics::neg(width, x)));
            for size in [Size::B, Size::H, Size::W] {
                let moved = Scalar::mov_sx(width, size, &a);
                assert!(
                    moved.contains(semantics::mov_sx(width, size, x)),
                    "{x:#x} in {a:?}"
                );
            }
        }
        for size in Size::ALL {
            for kind in Endian::ALL {
                let converted = Scalar::endian(kind, size, &a);
                assert!(
                    converted.contains(semantics::endian(kind, size, x)),
                    "{x:#x} in {a:?}"
                );
            }
            for signed in [false, true] {
                let loaded = Scalar::load_result(size, signed);
                assert!(
                    loaded.contains(semantics::load_extend(size, signed, x)),
                    "{x:#x}"
                );
            }
        }
    }
}

#[test]
fn binary_operations() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for op in AluOp::ALL {
        for width in Width::ALL {
            for _ in 0..SAMPLES {
                let (x, y) = (random.value(), random.value());
                let (a, b) = (random.around(x), random.around(y));
                let expected = concrete::alu(op, x & mask(width), y & mask(width), width.bits());
                let result = Scalar::alu(op, width, &a, &b);
                assert!(
                    result.contains(expected),
                    "{op:?} {width:?}: {x:#x} in {a:?} and {y:#x} in {b:?} give {expected:#x}, not in {result:?}"
                );
            }
        }
    }
}

#[test]
fn branches() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for cond in Cond::ALL {
        for width in Width::ALL {
            for _ in 0..SAMPLES {
                let x = random.value();
                let y = if random.below(3) == 0 {
                    x
                } else {
                    random.value()
                };
                let (a, b) = (random.around(x), random.around(y));
                let holds = concrete::cond(cond, x & mask(width), y & mask(width), width.bits());
                let side = if holds {
                    Scalar::refine
                } else {
                    Scalar::refine_not
                };
                let (left, right) = side(cond, width, &a, &b).unwrap_or_else(|| {
                    panic!("{cond:?} {width:?}: {x:#x} in {a:?}, {y:#x} in {b:?}")
                });
                assert!(
                    left.contains(x),
                    "{cond:?} {width:?}: {x:#x} in {a:?} but not {left:?}"
                );
                assert!(
                    right.contains(y),
                    "{cond:?} {width:?}: {y:#x} in {b:?} but not {right:?}"
                );
                assert!(
                    left.leq(&a) && right.leq(&b),
                    "{cond:?} {width:?} {a:?} {b:?}"
                );
            }
        }
    }
}

#[test]
fn unions_and_widening() {
    let mut random = Random(0x1234_5678_9abc_def1);
    for _ in 0..SAMPLES {
        let (x, y) = (random.value(), random.value());
        let (a, b) = (random.around(x), random.around(y));
        for union in [a.join(&b), a.widen(&b), a.widen_to(&b, &[x, y])] {
            assert!(
                union.contains(x) && union.contains(y),
                "{a:?} and {b:?} give {union:?}"
            );
        }
        if let Some(both) = a.meet(&b) {
            assert!(
                both.leq(&a) && both.leq(&b),
                "{a:?} meets {b:?} in {both:?}"
            );
        }
    }
}

#[test]
fn extensions() {
    let mut random = Random(0x0dd0_feed_0bad_cafe);
    for _ in 0..SAMPLES {
        let x = random.value();
        let a = random.around(x);
        for bits in [8, 16, 32, 64] {
            let low = x & (u64::MAX >> (64 - bits));
            let signed = concrete::signed(low, bits);
            assert!(
                a.zero_extend(bits).contains(low),
                "{x:#x} in {a:?}, {bits} bits"
            );
            let wide = a.sign_extend(Width::W64, bits);
            assert!(
                wide.contains(concrete::wrap(signed, 64)),
                "{x:#x} in {a:?}, {bits} bits"
            );
            if bits <= 32 {
                let narrow = a.sign_extend(Width::W32, bits);
                assert!(
                    narrow.contains(concrete::wrap(signed, 32)),
                    "{x:#x} in {a:?}"
                );
            }
        }
    }
}
