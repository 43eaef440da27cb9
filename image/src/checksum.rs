//! The `CheckSum` field of the optional header (the algorithm of `CheckSumMappedFile`).
//!
//! The kernel's loader refuses a driver whose checksum is wrong. It covers the whole file, the
//! certificate table included, so it is computed last, and again after signing.

/// Where the field lies relative to the NT headers' signature: signature 4, file header 20, 64 into
/// the optional header.
pub const OFFSET_IN_NT_HEADERS: usize = 4 + 20 + 64;

/// The checksum of `file`, whose checksum field is at `field` (its four bytes count as zero).
#[must_use]
pub fn compute(file: &[u8], field: usize) -> u32 {
    let mut sum = 0u64;
    for (index, pair) in file.chunks(2).enumerate() {
        let at = index * 2;
        let byte = |i: usize| match pair.get(i) {
            Some(byte) if !(field..field.saturating_add(4)).contains(&(at + i)) => u64::from(*byte),
            _ => 0,
        };
        sum += byte(0) | byte(1) << 8;
    }
    // 2^32 words of 16 bits cannot overflow 64 bits; folding at the end equals folding each time.
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    (sum as u32).wrapping_add(file.len() as u32)
}

/// Offset of the field in a file, if the file is long enough to have one.
#[must_use]
pub fn field(file: &[u8]) -> Option<usize> {
    let lfanew: [u8; 4] = file.get(0x3C..0x40)?.try_into().ok()?;
    let at = (u32::from_le_bytes(lfanew) as usize).checked_add(OFFSET_IN_NT_HEADERS)?;
    file.get(at..at.checked_add(4)?)?;
    Some(at)
}

/// Computes and stores the checksum; nothing happens to a file too short to have one.
pub fn update(file: &mut [u8]) {
    if let Some(at) = field(file) {
        let sum = compute(file, at);
        file[at..at + 4].copy_from_slice(&sum.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The textbook loop: fold after every word.
    fn reference(file: &[u8]) -> u32 {
        let mut sum = 0u32;
        for pair in file.chunks(2) {
            sum += u32::from(pair[0]) | u32::from(*pair.get(1).unwrap_or(&0)) << 8;
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        ((sum & 0xFFFF) + (sum >> 16)) + file.len() as u32
    }

    #[test]
    fn equals_the_textbook_loop() {
        for len in [90usize, 91, 1000, 4097] {
            let mut file: Vec<u8> = (0..len).map(|i| (i * 251 % 256) as u8 | 1).collect();
            let sum = compute(&file, 88);
            let end = len.min(92);
            file[88..end].fill(0);
            assert_eq!(sum, reference(&file), "length {len}");
        }
    }
}
