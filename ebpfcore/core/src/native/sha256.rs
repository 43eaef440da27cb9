//! SHA-256 (FIPS 180-4), for `program_info_hash` and the files of modules: the kernel side has no
//! dependencies.

/// A hash in progress.
pub struct Sha256 {
    state: [u32; 8],
    block: [u8; 64],
    /// Bytes fed so far.
    length: u64,
}

#[rustfmt::skip] // the table of the standard, eight to a line
const K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

impl Default for Sha256 {
    fn default() -> Sha256 {
        Sha256::new()
    }
}

impl Sha256 {
    /// The hash of nothing yet.
    #[must_use]
    pub const fn new() -> Sha256 {
        Sha256 {
            state: [
                0x6a09_e667,
                0xbb67_ae85,
                0x3c6e_f372,
                0xa54f_f53a,
                0x510e_527f,
                0x9b05_688c,
                0x1f83_d9ab,
                0x5be0_cd19,
            ],
            block: [0; 64],
            length: 0,
        }
    }

    /// Takes bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.block[(self.length % 64) as usize] = *byte;
            self.length += 1;
            if self.length.is_multiple_of(64) {
                self.compress();
            }
        }
    }

    /// The hash of all bytes that were taken in.
    #[must_use]
    pub fn finish(mut self) -> [u8; 32] {
        let bits = self.length * 8;
        self.update(&[0x80]);
        while self.length % 64 != 56 {
            self.update(&[0]);
        }
        self.update(&bits.to_be_bytes());
        let mut digest = [0; 32];
        for (out, word) in digest.chunks_exact_mut(4).zip(self.state) {
            out.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }

    fn compress(&mut self) {
        let mut w = [0u32; 64];
        for (word, bytes) in w.iter_mut().zip(self.block.as_chunks::<4>().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        for t in 16..64 {
            let s0 = w[t - 15].rotate_right(7) ^ w[t - 15].rotate_right(18) ^ (w[t - 15] >> 3);
            let s1 = w[t - 2].rotate_right(17) ^ w[t - 2].rotate_right(19) ^ (w[t - 2] >> 10);
            let sum = w[t - 16].wrapping_add(s0).wrapping_add(w[t - 7]);
            w[t] = sum.wrapping_add(s1);
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = self.state;
        for t in 0..64 {
            let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let choice = (e & f) ^ (!e & g);
            let t1 = h.wrapping_add(s1).wrapping_add(choice);
            let t1 = t1.wrapping_add(K[t]).wrapping_add(w[t]);
            let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let majority = (a & b) ^ (a & c) ^ (b & c);
            let t2 = s0.wrapping_add(majority);
            (h, g, f, e) = (g, f, e, d.wrapping_add(t1));
            (d, c, b, a) = (c, b, a, t1.wrapping_add(t2));
        }
        for (state, add) in self.state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *state = state.wrapping_add(add);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Sha256;

    fn hash(parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new();
        parts.iter().for_each(|part| hash.update(part));
        hash.finish()
    }

    /// Examples of FIPS 180-4: the empty message, "abc", and one of 56 bytes.
    #[test]
    fn known_answers() {
        let long: &[u8] = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        let cases: [(&[&[u8]], [u8; 4]); 4] = [
            (&[], [0xe3, 0xb0, 0xc4, 0x42]),
            (&[b"abc"], [0xba, 0x78, 0x16, 0xbf]),
            (&[b"a", b"", b"bc"], [0xba, 0x78, 0x16, 0xbf]),
            (&[long], [0x24, 0x8d, 0x6a, 0x61]),
        ];
        for (parts, first) in cases {
            assert_eq!(hash(parts)[..4], first);
        }
    }

    /// The hash in a module of Microsoft's tool chain: sock_addr with helpers 1, 2 and 26.
    #[test]
    fn program_info_hash_of_a_real_module() {
        let sock_addr = abi::program_type::by_name(abi::Platform::Windows, "sock_addr");
        let mut hash = Sha256::new();
        let done = sock_addr.and_then(|sock_addr| {
            abi::info_hash::stream(sock_addr, &[1, 2, 26], &mut |part| hash.update(part))
        });
        assert_eq!(done, Some(()));
        let expected: [u8; 8] = [0x44, 0x80, 0x44, 0xb0, 0x2f, 0xbf, 0x5c, 0xba];
        assert_eq!(hash.finish()[..8], expected);
    }
}
