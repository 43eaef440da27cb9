//! Everything of the host runner that needs `unsafe`: memory mappings and calls of emitted code.
#![expect(unsafe_code, reason = "maps executable images and calls into them")]

#[cfg(unix)]
pub mod mapping;
