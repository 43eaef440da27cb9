//! Coverage-guided entry of the target `image`; see `fuzz/targets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::run("image", data));
