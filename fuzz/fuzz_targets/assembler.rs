//! Coverage-guided entry of the target `assembler`; see `fuzz/targets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::run("assembler", data));
