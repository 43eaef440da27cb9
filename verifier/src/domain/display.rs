//! Numbers as compact text for diagnostics: `= 7`, `[5, 15]`, `[0, 252] multiple of 4`,
//! `low 32 bits [0, 9]`, `& 0xf = 0x5`, `unknown`.

use super::bits;
use super::scalar::Number;
use super::tnum::Tnum;
use super::value::Value;
use core::fmt;

impl<const W: u32, const H: u32> fmt::Display for Number<W, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(value) = self.is_const() {
            f.write_str("= ")?;
            return self.full().write_bound(f, value);
        }
        let mut parts = Parts { f, separator: "" };
        if self.is_known_by_low() {
            write!(parts.next()?, "low {H} bits ")?;
            if let Some(low) = self.low().is_const() {
                return write!(parts.f, "= {low}");
            }
            return self.low().write_range(parts.f);
        }
        if self.full().has_range() {
            self.full().write_range(parts.next()?)?;
            parts.separator = " ";
        }
        self.write_bits(&mut parts)?;
        if parts.separator.is_empty() {
            parts.f.write_str("unknown")?;
        }
        Ok(())
    }
}

/// Writes the separator before each part but the first.
struct Parts<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    separator: &'static str,
}

impl<'b> Parts<'_, 'b> {
    fn next(&mut self) -> Result<&mut fmt::Formatter<'b>, fmt::Error> {
        self.f.write_str(self.separator)?;
        self.separator = ", ";
        Ok(self.f)
    }
}

impl<const W: u32, const H: u32> Number<W, H> {
    /// Is there a range of the lower half, and none of the whole but what follows from that?
    fn is_known_by_low(&self) -> bool {
        let implied = bits::mask(W).wrapping_sub(bits::mask(H));
        self.low().has_range()
            && self.full().unsigned_arc().length() >= implied
            && self.full().signed_arc().length() >= implied
    }

    /// The known bits, when they say more than the range.
    fn write_bits(&self, parts: &mut Parts<'_, '_>) -> fmt::Result {
        let known = self.bits();
        let range = Tnum::from_range(self.umin(), self.umax());
        let zeros = known.trailing_zeros();
        let aligned = Tnum::new(range.value(), range.mask() & !bits::mask(zeros));
        if known == range {
            return Ok(());
        }
        if known == aligned {
            return write!(parts.next()?, "multiple of {}", bits::shift_left(1, zeros));
        }
        // Only what the range does not say already.
        let mask = !known.mask() & range.mask();
        write!(parts.next()?, "& {mask:#x} = {:#x}", known.value() & mask)
    }
}

impl<const W: u32> Value<W> {
    /// Does the range say something that the known bits do not say better?
    fn has_range(&self) -> bool {
        let sign_known = self.bits.mask() & bits::sign_bit(W) == 0;
        !self.is_only_bits() || sign_known
    }

    /// The shorter of the two ranges.
    fn write_range(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.signed_arc().length() < self.unsigned_arc().length() {
            return write!(f, "[{}, {}]", self.smin, self.smax);
        }
        f.write_str("[")?;
        self.write_bound(f, self.umin)?;
        f.write_str(", ")?;
        self.write_bound(f, self.umax)?;
        f.write_str("]")
    }

    /// A bound in its usual notation: small negative numbers signed, large ones in hexadecimal.
    fn write_bound(&self, f: &mut fmt::Formatter<'_>, bound: u64) -> fmt::Result {
        let signed = bits::sign_extend(bound, W);
        let negative = self.smax < 0 && signed >= i64::from(i32::MIN);
        if negative && W > 32 {
            write!(f, "{signed}")
        } else if bound > bits::mask(33) {
            write!(f, "{bound:#x}")
        } else {
            write!(f, "{bound}")
        }
    }
}
