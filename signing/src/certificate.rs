//! What users want to know about a certificate, and whether it may sign drivers.

use crate::digest::Hash;
use crate::{Error, oid};
use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use rsa::RsaPublicKey;
use rsa::traits::PublicKeyParts;
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::ext::pkix::ExtendedKeyUsage;

/// Windows takes drivers with RSA keys of this size or more.
const RSA_BITS: usize = 2048;

/// A certificate in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateInfo {
    /// Subject, RFC 4514.
    pub subject: String,
    /// Issuer, RFC 4514.
    pub issuer: String,
    /// Serial number in hexadecimal.
    pub serial: String,
    /// Start of validity, for example `2024-01-01T00:00:00Z`.
    pub not_before: String,
    /// End of validity.
    pub not_after: String,
    /// Validity in seconds since 1970.
    pub validity: (u64, u64),
    /// Extended key usages as dotted numbers.
    pub usages: Vec<String>,
    /// It may sign code.
    pub is_code_signing: bool,
    /// Subject and issuer are the same.
    pub is_self_issued: bool,
    /// SHA-256 of the certificate, hexadecimal.
    pub thumbprint: String,
}

impl CertificateInfo {
    pub(crate) fn of(certificate: &Certificate) -> CertificateInfo {
        let tbs = &certificate.tbs_certificate;
        let usages = usages(certificate);
        let (start, end) = (tbs.validity.not_before, tbs.validity.not_after);
        let der = certificate.to_der().unwrap_or_default();
        CertificateInfo {
            subject: tbs.subject.to_string(),
            issuer: tbs.issuer.to_string(),
            serial: hex(tbs.serial_number.as_bytes()),
            not_before: start.to_date_time().to_string(),
            not_after: end.to_date_time().to_string(),
            validity: (
                start.to_unix_duration().as_secs(),
                end.to_unix_duration().as_secs(),
            ),
            is_code_signing: usages.contains(&oid::CODE_SIGNING),
            usages: usages.iter().map(ToString::to_string).collect(),
            is_self_issued: tbs.subject == tbs.issuer,
            thumbprint: hex(&Sha256::digest(der)),
        }
    }

    /// Whether the certificate is valid at a time (seconds since 1970).
    #[must_use]
    pub fn is_valid_at(&self, time: u64) -> bool {
        (self.validity.0..=self.validity.1).contains(&time)
    }
}

fn usages(certificate: &Certificate) -> Vec<ObjectIdentifier> {
    let usage = certificate.tbs_certificate.get::<ExtendedKeyUsage>();
    usage
        .ok()
        .flatten()
        .map(|(_, usage)| usage.0)
        .unwrap_or_default()
}

/// The RSA key of a certificate.
pub(crate) fn public_key(certificate: &Certificate) -> Option<RsaPublicKey> {
    let info = &certificate.tbs_certificate.subject_public_key_info;
    if info.algorithm.oid != oid::RSA_ENCRYPTION {
        return None;
    }
    RsaPublicKey::try_from(spki::SubjectPublicKeyInfoRef::from_der(&info.to_der().ok()?).ok()?).ok()
}

/// Whether a certificate bears its issuer's signature; `None` for algorithms not checked here.
pub(crate) fn is_signed_by(certificate: &Certificate, issuer: &Certificate) -> Option<bool> {
    let hash = Hash::of(certificate.signature_algorithm.oid)?;
    let signed = certificate.tbs_certificate.to_der().ok()?;
    Some(hash.verify(
        &public_key(issuer)?,
        &signed,
        certificate.signature.raw_bytes(),
    ))
}

/// Refuses certificates with which Windows would not load a driver.
pub(crate) fn check_suitable(certificate: &Certificate) -> Result<(), Error> {
    let unsuitable = |problem| {
        let subject = certificate.tbs_certificate.subject.to_string();
        Err(Error::Unsuitable { subject, problem })
    };
    if !usages(certificate).contains(&oid::CODE_SIGNING) {
        return unsuitable("it lacks the extended key usage codeSigning (1.3.6.1.5.5.7.3.3)");
    }
    match public_key(certificate) {
        None => unsuitable("its key is not RSA"),
        Some(key) if key.size() * 8 < RSA_BITS => {
            unsuitable("its RSA key is shorter than 2048 bits")
        }
        Some(_) => Ok(()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
