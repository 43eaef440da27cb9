//! Fuzz targets as plain functions: bytes in, a checked property, a short name of the outcome out.
//!
//! Two engines use the same functions: `cargo fuzz` (coverage-guided, `fuzz/fuzz_targets/`) and the
//! harness of this crate (stable toolchain, short runs in continuous integration, `cargo xtask
//! fuzz`). A target panics when a property does not hold; it must return for every input, quickly
//! and within bounded memory, which both engines watch.
//!
//! The outcome (usually the error message without its numbers) is what the stable harness has
//! instead of coverage: an input with a new outcome is kept and mutated further. What is left out:
//! soundness of the verifier, which needs programs that make sense; see the verifier's own tests.
#![forbid(unsafe_code)]

mod device;
mod driver;
mod instructions;
mod maps;
mod modules;
pub mod mutate;
mod objects;
mod seeds;

/// One target.
pub struct Target {
    /// Name, also of the `cargo fuzz` target.
    pub name: &'static str,
    /// Checks the property on one input and names the outcome.
    pub run: fn(&[u8]) -> String,
    /// Inputs to start from.
    pub seeds: fn() -> Result<Vec<Vec<u8>>, String>,
    /// Longest input worth trying.
    pub max_len: usize,
}

/// All targets.
pub static TARGETS: [Target; 11] = [
    Target {
        name: "decoder",
        run: instructions::decoder,
        seeds: seeds::bytecode,
        max_len: 1 << 10,
    },
    Target {
        name: "assembler",
        run: instructions::assembler,
        seeds: seeds::listings,
        max_len: 1 << 12,
    },
    Target {
        name: "elf",
        run: objects::elf,
        seeds: seeds::objects,
        max_len: 1 << 16,
    },
    Target {
        name: "btf",
        run: objects::btf,
        seeds: seeds::btf,
        max_len: 1 << 15,
    },
    Target {
        name: "core",
        run: objects::relocation,
        seeds: seeds::core,
        max_len: 1 << 15,
    },
    Target {
        name: "verifier",
        run: objects::bytecode,
        seeds: seeds::bytecode,
        max_len: 1 << 11,
    },
    Target {
        name: "image",
        run: driver::image,
        seeds: seeds::images,
        max_len: 1 << 16,
    },
    Target {
        name: "signature",
        run: driver::signature,
        seeds: seeds::signed_images,
        max_len: 1 << 16,
    },
    Target {
        name: "device",
        run: device::device,
        seeds: device::seeds,
        max_len: 1 << 12,
    },
    Target {
        name: "maps",
        run: maps::maps,
        seeds: maps::seeds,
        max_len: 1 << 10,
    },
    Target {
        name: "module",
        run: modules::module,
        seeds: modules::seeds,
        max_len: 1 << 9,
    },
];

/// Runs one target on one input; for `cargo fuzz`, which has no use for the outcome.
///
/// # Panics
/// When a property does not hold, or there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    assert!(target.is_some(), "no target `{name}`");
    if let Some(target) = target.filter(|target| data.len() <= target.max_len) {
        (target.run)(data);
    }
}

/// A message without its numbers: inputs that differ only in numbers have the same outcome.
fn outcome(message: &str) -> String {
    message.chars().filter(|c| !c.is_ascii_hexdigit()).collect()
}
