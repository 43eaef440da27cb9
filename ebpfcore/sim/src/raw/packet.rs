//! Linux helpers over the bytes of a packet: copying out of it and into it, and mending checksums.
//!
//! The packet is what the context's packet pointers enclose; all of it is in memory. Checksums are
//! updated in place by the difference of what changed (RFC 1624); offload to hardware, which Linux
//! also accounts for, does not exist here. Results are 0 or a negative error number.
#![expect(unsafe_code, reason = "receives addresses from programs")]

use super::extensions::helpers;
use ebpfcore::raw::{read_bytes, write_bytes};

/// Offsets of `data` and `data_end` in `__sk_buff`.
const POINTERS: [u64; 2] = [76, 80];
/// `-EINVAL`.
const EINVAL: u64 = -22_i64 as u64;
/// `-EFAULT`.
const EFAULT: u64 = -14_i64 as u64;
/// Flags of `bpf_skb_store_bytes`: recompute the checksum of the whole packet, forget the hash.
const STORE_FLAGS: u64 = 1 | 2;
/// Low bits of checksum flags: how many bytes of the packet changed.
const FIELD_BYTES: u64 = 0xf;
/// The field is part of the pseudo header: matters to offload only.
const PSEUDO_HEADER: u64 = 0x10;
/// A checksum of 0 stands for none: it is left alone, and never made.
const ZERO_IS_NONE: u64 = 0x20;
/// Compute it even then.
const ENFORCE: u64 = 0x40;

/// Address of `len` bytes at an offset of the packet.
///
/// Safety: `context` is a proved `__sk_buff` whose packet pointers are valid.
unsafe fn inside(context: u64, offset: u64, len: u64) -> Option<u64> {
    let [start, end] = POINTERS.map(|field| {
        let mut word = [0; 4];
        // SAFETY: fields of the context.
        unsafe { read_bytes(context + field, &mut word) };
        u64::from(u32::from_le_bytes(word))
    });
    let (offset, len) = (u64::from(offset as u32), u64::from(len as u32));
    (start + offset + len <= end).then_some(start + offset)
}

/// A checksum after a change of what it covers: `from` becomes `to`, or, without a field size, the
/// difference `to` is added. `None` for sizes that no field has. Of the two zeros of one's complement it
/// may give the other one than Linux does.
fn mended(sum: u16, (from, to): (u64, u64), flags: u64) -> Option<u16> {
    let [from, to] = match flags & FIELD_BYTES {
        0 if from == 0 => [None, Some(to as u32)],
        2 => [from, to].map(|field| Some(u32::from(field as u16))),
        4 => [from, to].map(|field| Some(field as u32)),
        _ => return None,
    };
    let halves = |word: u32| u64::from(word & 0xffff) + u64::from(word >> 16);
    let removed = from.map_or(0, |from| halves(!from));
    let added = to.map_or(0, halves);
    let mut total = u64::from(!sum) + removed + added;
    while total >> 16 != 0 {
        total = (total & 0xffff) + (total >> 16);
    }
    Some(!(total as u16))
}

/// Mends the checksum at an offset of the packet.
///
/// Safety: as [`inside`].
unsafe fn mend(context: u64, offset: u64, change: (u64, u64), flags: u64) -> u64 {
    if offset > 0xffff || offset & 1 != 0 {
        return EFAULT;
    }
    // SAFETY: the caller's obligation.
    let Some(place) = (unsafe { inside(context, offset, 2) }) else {
        return EFAULT;
    };
    let mut bytes = [0; 2];
    // SAFETY: inside the packet.
    unsafe { read_bytes(place, &mut bytes) };
    let old = u16::from_le_bytes(bytes);
    if flags & (ZERO_IS_NONE | ENFORCE) == ZERO_IS_NONE && old == 0 {
        return 0;
    }
    let new = match mended(old, change, flags) {
        Some(0) if flags & ZERO_IS_NONE != 0 => 0xffff,
        Some(new) => new,
        None => return EINVAL,
    };
    // SAFETY: inside the packet.
    unsafe { write_bytes(place, &new.to_le_bytes()) };
    0
}

helpers! {
    fn store_bytes(_ctx, offset, from, len, flags, context) {
        if flags & !STORE_FLAGS != 0 {
            return EINVAL;
        }
        // SAFETY: a proved context.
        let Some(place) = (unsafe { inside(context, offset, len) }) else {
            return EFAULT;
        };
        let mut bytes = vec![0; len as u32 as usize];
        // SAFETY: proved memory of this size; inside the packet.
        unsafe {
            read_bytes(from, &mut bytes);
            write_bytes(place, &bytes);
        }
        0
    }

    /// What lies outside of the packet is read as zeros.
    fn load_bytes(_ctx, offset, to, len, _e, context) {
        let mut bytes = vec![0; len as u32 as usize];
        // SAFETY: a proved context.
        let place = unsafe { inside(context, offset, len) };
        if let Some(place) = place {
            // SAFETY: inside the packet.
            unsafe { read_bytes(place, &mut bytes) };
        }
        // SAFETY: proved memory of this size.
        unsafe { write_bytes(to, &bytes) };
        place.map_or(EFAULT, |_| 0)
    }

    fn l3_csum_replace(_ctx, offset, from, to, flags, context) {
        if flags & !FIELD_BYTES != 0 {
            return EINVAL;
        }
        // SAFETY: a proved context.
        unsafe { mend(context, offset, (from, to), flags) }
    }

    fn l4_csum_replace(_ctx, offset, from, to, flags, context) {
        if flags & !(FIELD_BYTES | PSEUDO_HEADER | ZERO_IS_NONE | ENFORCE) != 0 {
            return EINVAL;
        }
        // SAFETY: a proved context.
        unsafe { mend(context, offset, (from, to), flags) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checksum of 16-bit words, from nothing.
    fn checksum(words: &[u16]) -> u16 {
        let mut sum: u32 = words.iter().map(|word| u32::from(*word)).sum();
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn a_mended_checksum_is_the_checksum_of_the_changed_words() {
        for old in [
            [0x1234, 0xffff, 0x8001],
            [7, 1, 2],
            [0xfff7, 0xfffe, 0x7fff],
        ] {
            for new in [0, 1, 0x8000, 0xfffe, 0x00ff_1234, 0xffff_0001] {
                let [low, high] = [new as u16, (new >> 16) as u16];
                let whole = u64::from(old[1]) | u64::from(old[2]) << 16;
                let before = checksum(&old);
                let two = mended(before, (u64::from(old[1]), u64::from(low)), 2);
                assert_eq!(two, Some(checksum(&[old[0], low, old[2]])));
                let four = mended(before, (whole, new), 4);
                assert_eq!(four, Some(checksum(&[old[0], low, high])));
                let difference = u64::from(!(old[1])) + u64::from(low);
                assert_eq!(mended(before, (0, difference), 0), two);
            }
        }
        assert_eq!(mended(1, (1, 2), 0), None, "only a difference");
        assert_eq!(mended(1, (1, 2), 3), None, "no such size");
    }
}
