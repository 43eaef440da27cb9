//! `Module` to a driver [`Image`] (PE32+), and the HVCI checker that re-reads every image.
//!
//! A W+X section cannot be expressed: characteristics come from `SectionKind` alone. [`link`] checks
//! its own output with the same code that users call for any `.sys` file; what does not pass is not
//! returned. What is left out: signing (crate `signing`) and writing files (crate `bpf2native`).
#![forbid(unsafe_code)]

pub mod check;
pub mod checksum;
mod error;
mod link;
pub mod native;
pub mod read;

pub use check::check;
pub use error::{Error, RelocationProblem};
pub use link::{link, link_for_host};

/// What an image may be used for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Purpose {
    /// A Windows driver: every program in it was proved.
    Driver,
    /// Mapped and run by tests and `run` on this host; never signed.
    Host,
}

/// A finished, checked, unsigned driver image. Only [`link`] and [`link_for_host`] make one.
#[derive(Clone, Debug)]
pub struct Image {
    bytes: Vec<u8>,
    proved: bool,
    purpose: Purpose,
}

impl Image {
    /// The file contents.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The file contents, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// All programs in it were proved by the verifier. An image that is not proved may be run by
    /// tests on a host; `signing` refuses it.
    #[must_use]
    pub fn is_proved(&self) -> bool {
        self.proved
    }

    /// What it was linked for; `signing` refuses everything but a driver.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }
}
