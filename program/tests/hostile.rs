//! Damaged files never panic: truncations and deterministic mutations of every test object.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use abi::Platform;
use program::{LoadOptions, TextFunctions, Unlinkable};
use std::fs;
use std::path::Path;

fn objects() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut objects: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "o"))
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    objects.sort();
    assert!(objects.len() >= 23);
    objects
}

/// Loads in the way that reaches most code; the answer does not matter, an error must have a place
/// to look it up.
fn load(bytes: &[u8], platform: Platform) {
    let options = LoadOptions {
        platform,
        name: "damaged".into(),
        text: TextFunctions::Programs,
        unlinkable: Unlinkable::LeaveOut,
        program_type: abi::program_type::by_name(platform, "xdp"),
        ..LoadOptions::default()
    };
    if let Err(error) = program::load(bytes, &options) {
        assert!(!error.help().is_empty(), "{error}");
        assert_ne!(error.code(), abi::diagnostic::INTERNAL, "{error}");
    }
}

/// A reproducible sequence (xorshift).
struct Sequence(u64);

impl Sequence {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

#[test]
fn truncated_files() {
    for (_, bytes) in objects() {
        let step = if bytes.len() > 100_000 { 640 } else { 64 };
        for len in (0..bytes.len()).step_by(step) {
            load(&bytes[..len], Platform::Windows);
        }
    }
}

#[test]
fn flipped_bytes() {
    let mut sequence = Sequence(0x9e37_79b9_7f4a_7c15);
    for (_, original) in objects() {
        let rounds = if original.len() > 100_000 { 60 } else { 400 };
        for round in 0..rounds {
            let mut bytes = original.clone();
            for _ in 0..=sequence.below(3) {
                let at = sequence.below(bytes.len());
                bytes[at] = match round % 3 {
                    0 => bytes[at] ^ (1 << sequence.below(8)),
                    1 => sequence.next() as u8,
                    _ => [0, 1, 0x7f, 0x80, 0xff][sequence.below(5)],
                };
            }
            let platform = [Platform::Windows, Platform::Linux][round % 2];
            load(&bytes, platform);
        }
    }
}

#[test]
fn extreme_words() {
    let mut sequence = Sequence(0xd1b5_4a32_d192_ed03);
    let extremes = [0u32, 1, 7, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, u32::MAX];
    for (_, original) in objects() {
        let rounds = if original.len() > 100_000 { 40 } else { 300 };
        for round in 0..rounds {
            let mut bytes = original.clone();
            let at = sequence.below(bytes.len() / 4) * 4;
            bytes[at..at + 4].copy_from_slice(&extremes[round % extremes.len()].to_le_bytes());
            load(&bytes, Platform::Linux);
        }
    }
}

/// Every byte of an object with all kinds of maps, four ways.
#[test]
fn every_byte_of_a_map_object() {
    let (_, original) = objects()
        .into_iter()
        .find(|(name, _)| name.ends_with("map_in_map.o"))
        .unwrap();
    for at in 0..original.len() {
        for change in [0x01, 0x80, 0xff, original[at]] {
            let mut bytes = original.clone();
            bytes[at] ^= change;
            load(&bytes, Platform::Windows);
        }
    }
}
