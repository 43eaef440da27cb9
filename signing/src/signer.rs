//! Who signs: a private key and its certificate chain.

use crate::certificate::{CertificateInfo, check_suitable, public_key};
use crate::{Error, pfx, test_key};
use der::Encode;
use rsa::RsaPrivateKey;
use std::fmt;
use std::path::{Path, PathBuf};
use x509_cert::Certificate;

/// A key with its certificates.
pub struct Signer {
    key: RsaPrivateKey,
    /// Leaf first.
    chain: Vec<Certificate>,
    test_folder: Option<PathBuf>,
}

impl Signer {
    /// The test certificate kept in `folder`; made there on first use.
    ///
    /// # Errors
    /// The folder cannot be written, or what it holds is damaged or open to others.
    pub fn test(folder: &Path) -> Result<Signer, Error> {
        let (key, certificate) = test_key::load_or_create(folder)?;
        let mut signer = Signer::new(key, vec![certificate])?;
        signer.test_folder = Some(folder.to_owned());
        Ok(signer)
    }

    /// Key and chain of a PFX (PKCS #12) file.
    ///
    /// # Errors
    /// A wrong password, a malformed file, no usable key or a certificate that must not sign.
    pub fn from_pfx(bytes: &[u8], password: &str) -> Result<Signer, Error> {
        let (key, chain) = pfx::read(bytes, password)?;
        Signer::new(key, chain)
    }

    pub(crate) fn new(key: RsaPrivateKey, chain: Vec<Certificate>) -> Result<Signer, Error> {
        let leaf = chain.first().ok_or(Error::PfxNoKey {
            keys: 1,
            certificates: 0,
        })?;
        check_suitable(leaf)?;
        if public_key(leaf).as_ref() != Some(key.as_ref()) {
            let subject = leaf.tbs_certificate.subject.to_string();
            return Err(Error::Unsuitable {
                subject,
                problem: "its key is not the given one",
            });
        }
        Ok(Signer {
            key,
            chain,
            test_folder: None,
        })
    }

    /// Whether this is the per-user test certificate.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.test_folder.is_some()
    }

    /// The test certificate as a `.cer` file for the test machine.
    #[must_use]
    pub fn certificate_path(&self) -> Option<PathBuf> {
        Some(self.test_folder.as_ref()?.join(test_key::CERTIFICATE_FILE))
    }

    /// The signing certificate as DER.
    #[must_use]
    pub fn certificate_der(&self) -> Vec<u8> {
        self.leaf().to_der().unwrap_or_default()
    }

    /// The signing certificate in words.
    #[must_use]
    pub fn certificate(&self) -> CertificateInfo {
        CertificateInfo::of(self.leaf())
    }

    pub(crate) fn leaf(&self) -> &Certificate {
        &self.chain[0]
    }

    pub(crate) fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    pub(crate) fn key(&self) -> &RsaPrivateKey {
        &self.key
    }
}

/// Shows the certificate, never the key.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("certificate", &self.certificate())
            .finish_non_exhaustive()
    }
}
