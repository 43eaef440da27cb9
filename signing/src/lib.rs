//! Authenticode signatures for driver images.
//!
//! [`sign`] takes a finished [`image::Image`], refuses what was not proved, appends a PKCS #7
//! signature (SHA-256, RSA PKCS #1 v1.5) and re-reads its own output with [`inspect`] before it
//! returns it. There is no signing time, so the same image and key give the same bytes. Format:
//! Microsoft's "Windows Authenticode Portable Executable Signature Format" and RFC 2315.
//!
//! [`Signer::test`] keeps one test certificate per user; [`Signer::from_pfx`] reads PKCS #12.
//! Timing: RSA here is not constant-time against an attacker who can measure local signing
//! (RUSTSEC-2023-0071); sign release drivers with a hardware token. Left out: time stamps, page
//! hashes, chain validation against the system's roots.
#![forbid(unsafe_code)]

mod certificate;
mod digest;
mod error;
mod inspect;
mod oid;
mod pfx;
mod pkcs1;
mod sign;
mod signer;
mod spc;
mod test_key;

pub use certificate::CertificateInfo;
pub use digest::authenticode;
pub use error::Error;
pub use inspect::{Signature, SignatureStatus, inspect};
pub use sign::{sign, sign_runtime};
pub use signer::Signer;
pub use test_key::{CERTIFICATE_FILE, KEY_FILE};
