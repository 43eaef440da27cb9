//! Numbers as compact text for diagnostics: `= 7`, `[5, 15]`, `[0, 252] multiple of 4`, `unknown`.

use super::bits;
use super::scalar::Number;
use super::tnum::Tnum;
use super::value::Value;
use core::fmt;

impl<const W: u32, const H: u32> fmt::Display for Number<W, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(value) = self.is_const() {
            f.write_str("= ")?;
            return self.full.write_bound(f, value);
        }
        if self.is_unknown() {
            return f.write_str("unknown");
        }
        if self.full.has_range() {
            self.full.write_range(f)?;
        } else if self.low.has_range() {
            write!(f, "low {H} bits ")?;
            self.low.write_range(f)?;
        } else {
            f.write_str("unknown")?;
        }
        self.write_bits(f)
    }
}

impl<const W: u32, const H: u32> Number<W, H> {
    /// The known bits, when they say more than the range.
    fn write_bits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.bits();
        let zeros = known.trailing_zeros();
        let aligned = Tnum::new(0, !bits::mask(zeros));
        let range = Tnum::from_range(self.umin(), self.umax());
        let implied = range.meet(aligned).unwrap_or(range);
        if zeros > 0 && zeros < W {
            write!(f, " multiple of {}", bits::shift_left(1, zeros))?;
        }
        if known == implied {
            return Ok(());
        }
        let mask = !known.mask() & bits::mask(W);
        write!(f, " with bits {mask:#x} = {:#x}", known.value())
    }
}

impl<const W: u32> Value<W> {
    fn has_range(&self) -> bool {
        self.unsigned_arc().length() < bits::mask(W).min(self.bits.mask())
            || self.signed_arc().length() < bits::mask(W).min(self.bits.mask())
            || self.umax <= bits::mask(W) >> 1
    }

    /// The shorter of the two ranges.
    fn write_range(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.signed_arc().length() < self.unsigned_arc().length() || self.smax < 0 {
            return write!(f, "[{}, {}]", self.smin, self.smax);
        }
        write!(f, "[{}, ", self.umin)?;
        self.write_bound(f, self.umax)?;
        f.write_str("]")
    }

    /// Bounds of a few bits in decimal with their usual sign, others in hexadecimal.
    fn write_bound(&self, f: &mut fmt::Formatter<'_>, bound: u64) -> fmt::Result {
        let signed = bits::sign_extend(bound, W);
        if signed < 0 && signed.unsigned_abs() <= bits::mask(W.min(32)) >> 1 {
            write!(f, "{signed}")
        } else if bound > bits::mask(33) {
            write!(f, "{bound:#x}")
        } else {
            write!(f, "{bound}")
        }
    }
}
