//! Coverage-guided entry of the target `decoder`; see `fuzz/targets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::run("decoder", data));
