//! `Module` to a driver [`Image`] (PE32+), and the HVCI checker that re-reads every image.
//!
//! A W+X section cannot be expressed: characteristics come from `SectionKind` alone. [`link`] checks
//! its own output with the same code that users call for any `.sys` file; what does not pass is not
//! returned. What is left out: signing (crate `signing`) and writing files (crate `bpf2native`).
#![forbid(unsafe_code)]

/// A finished, checked, unsigned driver image. Only [`link`] makes one.
#[derive(Clone, Debug)]
pub struct Image {
    bytes: Vec<u8>,
    proved: bool,
}

impl Image {
    /// The file contents.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All programs in it were proved by the verifier. An image that is not proved may be run by
    /// tests on a host; `signing` refuses it.
    #[must_use]
    pub fn is_proved(&self) -> bool {
        self.proved
    }
}
