//! What can go wrong while signing or while reading a signature.

use abi::Code;
use abi::diagnostic as d;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug)]
pub enum Error {
    /// The image holds a program that was not proved, or was linked for the host.
    Unproved,
    /// The folder of the test certificate cannot be used.
    KeyFolder {
        /// File or folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The stored test key is damaged.
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Other users can read or write the stored test key.
    KeyExposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A key cannot be generated.
    Generation(String),
    /// The password of the PFX file is wrong.
    PfxPassword,
    /// Not a PFX file, or one with unknown algorithms.
    PfxMalformed(String),
    /// The PFX file has no RSA key with its certificate.
    PfxNoKey {
        /// Private keys in the file.
        keys: usize,
        /// Certificates in the file.
        certificates: usize,
    },
    /// The certificate must not sign drivers.
    Unsuitable {
        /// Its subject.
        subject: String,
        /// Why not.
        problem: &'static str,
    },
    /// The file is not an image that can be signed or read.
    Image(image::Error),
    /// The signature in the file cannot be read.
    SignatureMalformed(String),
    /// The own signature does not verify.
    SelfCheck(String),
}

impl Error {
    /// The stable id.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Unproved => d::SIGN_UNPROVED,
            Self::KeyFolder { .. } => d::SIGN_KEY_FOLDER,
            Self::KeyFile { .. } => d::SIGN_KEY_FILE,
            Self::KeyExposed { .. } => d::SIGN_KEY_EXPOSED,
            Self::PfxPassword => d::PFX_PASSWORD,
            Self::PfxMalformed(_) => d::PFX_MALFORMED,
            Self::PfxNoKey { .. } => d::PFX_NO_KEY,
            Self::Unsuitable { .. } => d::CERTIFICATE_UNSUITABLE,
            Self::Image(error) => error.code(),
            Self::SignatureMalformed(_) => d::SIGNATURE_MALFORMED,
            Self::SelfCheck(_) | Self::Generation(_) => d::SIGN_SELF_CHECK,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unproved => f.write_str("the image is not a proved driver and is not signed"),
            Self::KeyFolder { path, error } => write!(f, "{}: {error}", path.display()),
            Self::KeyFile { path, problem } => {
                write!(f, "{} is not a usable test key: {problem}", path.display())
            }
            Self::KeyExposed { path, mode } => {
                write!(
                    f,
                    "{} has mode {mode:03o}: others can use the key",
                    path.display()
                )
            }
            Self::Generation(why) => write!(f, "no test certificate can be made: {why}"),
            Self::PfxPassword => f.write_str("the password of the PFX file is wrong"),
            Self::PfxMalformed(why) => write!(f, "the PFX file cannot be read: {why}"),
            Self::PfxNoKey { keys, certificates } => write!(
                f,
                "the PFX file has no RSA key with its certificate ({keys} keys, {certificates} certificates)"
            ),
            Self::Unsuitable { subject, problem } => {
                write!(
                    f,
                    "the certificate of `{subject}` cannot sign drivers: {problem}"
                )
            }
            Self::Image(error) => error.fmt(f),
            Self::SignatureMalformed(why) => write!(f, "the signature cannot be read: {why}"),
            Self::SelfCheck(why) => write!(f, "the new signature does not verify: {why}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::KeyFolder { error, .. } => Some(error),
            Self::Image(error) => Some(error),
            _ => None,
        }
    }
}

impl From<image::Error> for Error {
    fn from(error: image::Error) -> Error {
        Error::Image(error)
    }
}
