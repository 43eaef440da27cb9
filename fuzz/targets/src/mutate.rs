//! Damage to inputs: a fixed pseudo-random sequence of small changes.

/// Pseudo-random numbers (xorshift64*): the same sequence for the same start, on every machine.
pub struct Random(u64);

impl Random {
    /// The sequence of a start value.
    #[must_use]
    pub fn new(seed: u64) -> Random {
        // Zero is the one state that the generator cannot leave.
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`; 0 when the limit is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % limit).unwrap_or(0)
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}

/// Numbers at the edges of fields.
const EDGES: [u64; 18] = [
    0,
    1,
    2,
    7,
    8,
    16,
    64,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff8,
    0xffff_ffff,
    1 << 63,
    u64::MAX,
];

/// Applies one to eight changes; `other` is a second input to take pieces from.
pub fn mutate(input: &mut Vec<u8>, other: &[u8], max_len: usize, random: &mut Random) {
    for _ in 0..=random.below(8) {
        match random.below(12) {
            0 | 1 => flip(input, random),
            2 => put(input, random, 1),
            3 | 4 => put(input, random, 2),
            5..=7 => put(input, random, 4),
            8 => put(input, random, 8),
            9 => nudge(input, random),
            10 => move_block(input, random),
            _ => splice(input, other, random),
        }
    }
    input.truncate(max_len);
}

fn flip(input: &mut [u8], random: &mut Random) {
    let (at, bit) = (random.below(input.len()), random.below(8));
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << bit;
    }
}

/// Puts an edge value or a random one into a field of `size` bytes, mostly at a multiple of it.
fn put(input: &mut [u8], random: &mut Random, size: usize) {
    let at = random.below(input.len());
    let at = if random.below(4) == 0 {
        at
    } else {
        at - at % size
    };
    let value = if random.below(4) == 0 {
        random.next()
    } else {
        *random.pick(&EDGES).unwrap_or(&0)
    };
    let target = input.iter_mut().skip(at).take(size);
    target
        .zip(value.to_le_bytes())
        .for_each(|(byte, new)| *byte = new);
}

/// Changes a 32-bit number by a little.
fn nudge(input: &mut [u8], random: &mut Random) {
    let at = random.below(input.len()) & !3;
    let delta = random.below(17) as u32;
    let Some(field) = input.get_mut(at..).and_then(<[u8]>::first_chunk_mut) else {
        return;
    };
    *field = u32::from_le_bytes(*field)
        .wrapping_add(delta)
        .wrapping_sub(8)
        .to_le_bytes();
}

/// Removes, doubles or truncates at a block.
fn move_block(input: &mut Vec<u8>, random: &mut Random) {
    let from = random.below(input.len() + 1);
    let to = (from + random.below(64)).min(input.len());
    match random.below(4) {
        0 => input.truncate(from),
        1 => drop(input.drain(from..to)),
        _ => {
            let block = input.get(from..to).unwrap_or_default().to_vec();
            let at = random.below(input.len() + 1);
            input.splice(at..at, block);
        }
    }
}

/// Takes a block of the other input, over or between the own bytes.
fn splice(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let from = random.below(other.len());
    let len = random.below(256).min(other.len() - from);
    let block = other.get(from..from + len).unwrap_or_default().to_vec();
    let at = random.below(input.len() + 1);
    let end = if random.below(2) == 0 {
        at
    } else {
        (at + len).min(input.len())
    };
    input.splice(at..end, block);
}
