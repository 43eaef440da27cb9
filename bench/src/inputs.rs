//! Inputs of the programs in `bench/programs`: 4096 bytes each, always the same.
//!
//! The first word says how often a program goes round, the second eight bytes are its seed, the rest is
//! random. Where random bytes would make a program stop early, the parts that it looks at are made so
//! that it does not.

/// Bytes of memory that a program gets, in words: aligned for atomic operations.
pub(crate) const WORDS: usize = 512;

/// Where programs have their first and second table, and the packet.
const FIRST: usize = 64;
const SECOND: usize = 1024;
const PACKET: usize = 2048;

/// SplitMix64 (Steele, Lea, Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The memory of a program that goes round `turns` times.
pub(crate) fn memory(name: &str, turns: u32) -> [u64; WORDS] {
    let mut random = Random(
        name.bytes()
            .fold(0, |seed, byte| seed * 31 + u64::from(byte)),
    );
    let mut bytes: Vec<u8> = (0..WORDS)
        .flat_map(|_| random.next().to_le_bytes())
        .collect();
    put(&mut bytes, 0, &u64::from(turns).to_le_bytes());
    bytes[8] |= 1;
    match name {
        "strcmp" => equal_strings(&mut bytes),
        "strstr" => late_needle(&mut bytes),
        "binsearch" => sorted_table(&mut bytes),
        "filter" => rules(&mut bytes, &mut random),
        "xdp_dns" => dns_query(&mut bytes),
        _ => {}
    }
    let mut words = [0; WORDS];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    bytes[at..at + what.len()].copy_from_slice(what);
}

/// Two times the same string of 300 bytes.
fn equal_strings(bytes: &mut [u8]) {
    let mut text: Vec<u8> = bytes[FIRST..FIRST + 300]
        .iter()
        .map(|byte| byte | 1)
        .collect();
    text.push(0);
    put(bytes, FIRST, &text);
    put(bytes, SECOND + 64, &text);
}

/// A text of three letters in which eight bytes are found late.
fn late_needle(bytes: &mut [u8]) {
    let needle = b"abcabcaX";
    for byte in &mut bytes[FIRST..FIRST + 400] {
        *byte = b'a' + *byte % 3;
    }
    put(bytes, FIRST / 2, needle);
    put(bytes, FIRST + 280, needle);
}

/// 256 numbers that rise from 0.
fn sorted_table(bytes: &mut [u8]) {
    let table = &mut bytes[SECOND..SECOND + 1024];
    let mut numbers: Vec<[u8; 4]> = table.as_chunks().0.to_vec();
    numbers.sort_by_key(|number| u32::from_le_bytes(*number));
    numbers[0] = [0; 4];
    table.copy_from_slice(numbers.as_flattened());
}

/// 16 firewall rules of which some fit many connections and the last fits all.
fn rules(bytes: &mut [u8], random: &mut Random) {
    const RULE: usize = 28;
    /// Rules that look at neither address.
    const WIDE: [usize; 3] = [5, 9, 12];
    for number in 0..16 {
        let is_last = number == 15;
        let any = random.next();
        let source_mask = match any % 3 {
            _ if is_last || WIDE.contains(&number) => 0u32,
            0 => 0x3,
            1 => 0x7,
            _ => 0xff,
        };
        let mask = if is_last || any & 16 == 0 { 0u32 } else { 0x3 };
        let protocol = if is_last {
            0
        } else {
            [0, 6, 17][(any >> 8) as usize % 3]
        };
        let mut rule = Vec::with_capacity(RULE);
        for word in [
            (any >> 32) as u32 & source_mask,
            source_mask,
            (any >> 40) as u32 & mask,
            mask,
        ] {
            rule.extend_from_slice(&word.to_le_bytes());
        }
        let low_port = if number % 2 == 0 || is_last {
            0
        } else {
            (any >> 16) as u16 / 3
        };
        for port in [low_port, u16::MAX, 0, u16::MAX] {
            rule.extend_from_slice(&port.to_le_bytes());
        }
        rule.extend_from_slice(&[protocol, number as u8 & 3, 0, 0]);
        put(bytes, SECOND + RULE * number, &rule);
    }
    // Connections are of TCP or UDP.
    for (number, tuple) in bytes[FIRST..FIRST + 256].chunks_exact_mut(16).enumerate() {
        tuple[12] = if number % 2 == 0 { 6 } else { 17 };
    }
}

/// A frame with a question to a name server.
fn dns_query(bytes: &mut [u8]) {
    let name = b"\x07example\x03com\0\0\x01\0\x01";
    let dns = [&[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], name.as_slice()].concat();
    let mut frame = crate::run::frame(17, 8 + dns.len() as u16);
    put(&mut frame, 42, &dns);
    put(bytes, 0, &(frame.len() as u32).to_le_bytes());
    put(bytes, PACKET, &frame);
}
