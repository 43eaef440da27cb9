//! Pseudo-random choices (xorshift), the same on every machine.

/// The generator.
pub struct Random(pub(crate) u64);

/// Numbers at which things tend to go wrong.
const EDGES: &[u64] = &[
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    15,
    16,
    31,
    32,
    63,
    64,
    127,
    128,
    255,
    256,
    511,
    512,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_8000_0000,
    0xffff_ffff_ffff_fff8,
    0xffff_ffff_ffff_ffff,
];

impl Random {
    /// The sequence of a start value.
    #[must_use]
    pub fn new(seed: u64) -> Random {
        // Zero is the one state that the generator cannot leave.
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            random.any();
        }
        random
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.any() >> 11) % end
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Small numbers, numbers near limits, and any.
    pub fn value(&mut self) -> u64 {
        match self.below(5) {
            0 => self.any(),
            1 => self.below(16),
            2 => self.below(16).wrapping_neg(),
            3 => (1_u64 << self.below(64)).wrapping_sub(self.below(3)),
            _ => self.any() & 0xff,
        }
    }

    /// A number that is often interesting.
    pub fn number(&mut self) -> u64 {
        match self.below(4) {
            0 => self.any(),
            1 => self.below(64),
            _ => *self.pick(EDGES),
        }
    }
}
