//! Arithmetic on the low `width` bits of a `u64`, for widths from 1 to 64.
//!
//! Everything here is total: a width outside the range is clamped, shifts never overflow. A
//! *`width`-bit value* is a `u64` whose bits above `width` are zero.

/// The value with the low `width` bits set.
pub(crate) const fn mask(width: u32) -> u64 {
    if width >= 64 {
        u64::MAX
    } else {
        (1_u64 << width).wrapping_sub(1)
    }
}

/// The sign bit of a `width`-bit value.
pub(crate) const fn sign_bit(width: u32) -> u64 {
    mask(width) ^ (mask(width) >> 1)
}

/// The largest signed `width`-bit value.
pub(crate) const fn signed_max(width: u32) -> i64 {
    (mask(width) >> 1) as i64
}

/// The smallest signed `width`-bit value.
pub(crate) const fn signed_min(width: u32) -> i64 {
    !signed_max(width)
}

/// Reads the low `width` bits as a signed number.
pub(crate) const fn sign_extend(value: u64, width: u32) -> i64 {
    let sign = sign_bit(width);
    ((value & mask(width)) ^ sign).wrapping_sub(sign) as i64
}

/// The `width`-bit pattern of a signed number.
pub(crate) const fn pattern(value: i64, width: u32) -> u64 {
    value as u64 & mask(width)
}

/// `value << amount`, zero from 64 on.
pub(crate) const fn shift_left(value: u64, amount: u32) -> u64 {
    if amount >= 64 { 0 } else { value << amount }
}

/// `value >> amount`, zero from 64 on.
pub(crate) const fn shift_right(value: u64, amount: u32) -> u64 {
    if amount >= 64 { 0 } else { value >> amount }
}
