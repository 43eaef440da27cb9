//! Operations with one operand, on all small registers.

use super::concrete;
use super::universe;
use crate::domain::scalar::{Number, Scalar};
use isa::{AluOp, Endian, Size, Width};

fn check<const W: u32, const H: u32>(
    number: &Number<W, H>,
    result: &Number<W, H>,
    run: impl Fn(u64) -> u64,
) {
    for member in universe::members(universe::of_number(number)) {
        let expected = run(member);
        assert!(
            result.contains(expected),
            "{number:?} to {result:?}: {member} to {expected}"
        );
    }
}

fn prove<const W: u32, const H: u32>() {
    for number in universe::numbers::<W, H>() {
        let low = |x: u64, bits: u32| x & ((1 << bits) - 1);
        for bits in 1..=W {
            check(&number, &number.zero_extend(bits), |x| low(x, bits));
            let extend = |x: u64, to: u32| concrete::wrap(concrete::signed(low(x, bits), bits), to);
            check(&number, &number.sign_extend(Width::W64, bits), |x| {
                extend(x, W)
            });
            if bits <= H {
                check(&number, &number.sign_extend(Width::W32, bits), |x| {
                    extend(x, H)
                });
            }
        }
        check(&number, &number.truncate32(), |x| low(x, H));
        let negate = |x, bits| concrete::alu(AluOp::Sub, 0, low(x, bits), bits);
        check(&number, &Number::neg(Width::W64, &number), |x| negate(x, W));
        check(&number, &Number::neg(Width::W32, &number), |x| negate(x, H));
    }
}

#[test]
fn extensions_and_negation() {
    prove::<3, 2>();
    prove::<4, 2>();
    prove::<4, 3>();
}

#[test]
fn loads_cover_exactly_their_size() {
    for (size, bits) in [(Size::B, 8), (Size::H, 16), (Size::W, 32)] {
        let unsigned = Scalar::load_result(size, false);
        assert_eq!((unsigned.umin(), unsigned.umax()), (0, (1 << bits) - 1));
        let signed = Scalar::load_result(size, true);
        let most = (1_i64 << (bits - 1)) - 1;
        assert_eq!((signed.smin(), signed.smax()), (-most - 1, most));
        // A sign-extending load leaves large unsigned numbers too.
        assert_eq!((signed.umin(), signed.umax()), (0, u64::MAX));
    }
    assert!(Scalar::load_result(Size::Dw, false).is_unknown());
    assert!(Scalar::load_result(Size::Dw, true).is_unknown());
}

#[test]
fn byte_order_conversions() {
    let value = Scalar::constant(0x1122_3344_5566_7788);
    for (kind, size, expected) in [
        (Endian::ToLittle, Size::H, 0x7788),
        (Endian::ToLittle, Size::W, 0x5566_7788),
        (Endian::ToLittle, Size::Dw, 0x1122_3344_5566_7788),
        (Endian::ToBig, Size::H, 0x8877),
        (Endian::ToBig, Size::W, 0x8877_6655),
        (Endian::Swap, Size::Dw, 0x8877_6655_4433_2211),
    ] {
        let result = Scalar::endian(kind, size, &value);
        assert_eq!(result.is_const(), Some(expected), "{kind:?} {size:?}");
    }
    let byte = Scalar::from_range_u(0, 255);
    let swapped = Scalar::endian(Endian::ToBig, Size::H, &byte);
    assert_eq!(
        (swapped.umax(), swapped.is_multiple_of(256)),
        (0xff00, true)
    );
}

#[test]
fn sign_extending_moves() {
    let byte = Scalar::from_range_u(0x80, 0xff);
    let wide = Scalar::mov_sx(Width::W64, Size::B, &byte);
    assert_eq!((wide.smin(), wide.smax()), (-128, -1));
    let narrow = Scalar::mov_sx(Width::W32, Size::B, &byte);
    assert_eq!((narrow.umin(), narrow.umax()), (0xffff_ff80, 0xffff_ffff));
    // A 32-bit move from 16 bits that changes nothing still clears the upper half.
    let upper = Scalar::constant(0xdead_beef_0000_1234);
    let moved = Scalar::mov_sx(Width::W32, Size::H, &upper);
    assert_eq!(moved.is_const(), Some(0x1234));
}
