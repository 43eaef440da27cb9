//! Reading and checking the signature of any driver.
//!
//! The signature itself is checked for RSA with SHA-1 and SHA-2, which is what Windows drivers use;
//! others are named and reported as not checked. Certificates in the file must bear the signatures of their
//! issuers in the file. Not checked: trust in the root, revocation, times.

use crate::certificate::{CertificateInfo, is_signed_by, public_key};
use crate::digest::Hash;
use crate::spc::IndirectData;
use crate::{Error, oid};
use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{ObjectIdentifier, OctetString};
use der::{Any, Decode, Encode, Reader, SliceReader};
use image::read::{PKCS_SIGNED_DATA, Pe};
use x509_cert::Certificate;

/// Links of a chain followed at most.
const CHAIN: usize = 16;

/// Whether the signature value is right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SignatureStatus {
    /// Made with the key of the certificate over this content.
    Good,
    /// Not made with that key, or over other content.
    Bad,
    /// The certificate of the signer is not in the file.
    NoCertificate,
    /// An algorithm that is not checked here, as a dotted number.
    Unchecked(String),
}

/// What the first signature of a file says.
#[derive(Clone, Debug)]
pub struct Signature {
    /// The certificate of the signer, if it is in the file.
    pub signer: Option<CertificateInfo>,
    /// All certificates in the file.
    pub certificates: Vec<CertificateInfo>,
    /// Algorithm of the digest, as a dotted number.
    pub digest_algorithm: String,
    /// The digest in the signature.
    pub digest: Vec<u8>,
    /// The file has that digest; false for algorithms other than SHA-1 and SHA-2.
    pub digest_matches: bool,
    /// Whether the signature is right.
    pub status: SignatureStatus,
    /// There is a time stamp (not checked).
    pub is_time_stamped: bool,
    /// There is a further signature inside this one (not read).
    pub has_nested: bool,
}

impl Signature {
    /// Digest and signature are right; says nothing about trust in the signer.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.digest_matches && self.status == SignatureStatus::Good
    }
}

/// Reads the signature of a file; `None` if it is not signed.
///
/// # Errors
/// Not a 64-bit PE file, or the signature is malformed.
pub fn inspect(file: &[u8]) -> Result<Option<Signature>, Error> {
    let pe = Pe::parse(file)?;
    let all = pe.certificates().map_err(image::Error::Malformed)?;
    let Some(entry) = all.iter().find(|entry| entry.kind == PKCS_SIGNED_DATA) else {
        return Ok(None);
    };
    let data = signed_data(&file[entry.contents.clone()]).map_err(malformed)?;
    let infos = data.signer_infos.0.as_slice();
    let [info] = infos else {
        return Err(Error::SignatureMalformed(format!(
            "{} signers instead of one",
            infos.len()
        )));
    };
    let content = data.encap_content_info.econtent.as_ref();
    let content = content.ok_or_else(|| Error::SignatureMalformed("it is empty".to_owned()))?;
    let indirect: IndirectData = content.decode_as().map_err(malformed)?;
    let certificates = certificates(&data);
    let signer = certificates
        .iter()
        .find(|certificate| is_signer(certificate, info));
    let digest = indirect.message_digest;
    let expected = match Hash::of(digest.algorithm.oid) {
        Some(hash) => hash.file(file)?,
        None => Vec::new(),
    };
    Ok(Some(Signature {
        signer: signer.map(CertificateInfo::of),
        certificates: certificates.iter().map(CertificateInfo::of).collect(),
        digest_matches: !expected.is_empty() && digest.digest.as_bytes() == expected,
        digest_algorithm: digest.algorithm.oid.to_string(),
        digest: digest.digest.into_bytes(),
        status: match signer {
            None => SignatureStatus::NoCertificate,
            Some(signer) if is_forged(signer, &certificates) => SignatureStatus::Bad,
            Some(signer) => status(&data, content, info, signer),
        },
        is_time_stamped: has(info, oid::TIME_STAMP) || has(info, oid::COUNTERSIGNATURE),
        has_nested: has(info, oid::NESTED),
    }))
}

fn malformed(error: der::Error) -> Error {
    Error::SignatureMalformed(error.to_string())
}

/// The structure ends where its length says; zero padding follows.
fn signed_data(contents: &[u8]) -> der::Result<SignedData> {
    let mut reader = SliceReader::new(contents)?;
    let info = ContentInfo::decode(&mut reader)?;
    if info.content_type != oid::SIGNED_DATA {
        return Err(der::ErrorKind::OidUnknown {
            oid: info.content_type,
        }
        .into());
    }
    // At most 7 bytes of padding; more could hide data that no digest covers.
    let rest = reader.remaining_len();
    if u32::from(rest) >= 8 {
        return Err(der::ErrorKind::TrailingData {
            decoded: reader.position(),
            remaining: rest,
        }
        .into());
    }
    info.content.decode_as()
}

fn certificates(data: &SignedData) -> Vec<Certificate> {
    let all = data.certificates.iter().flat_map(|set| set.0.iter());
    let certificate = |choice: &CertificateChoices| match choice {
        CertificateChoices::Certificate(certificate) => Some(certificate.clone()),
        CertificateChoices::Other(_) => None,
    };
    all.filter_map(certificate).collect()
}

fn is_signer(certificate: &Certificate, info: &SignerInfo) -> bool {
    let tbs = &certificate.tbs_certificate;
    match &info.sid {
        SignerIdentifier::IssuerAndSerialNumber(id) => {
            id.issuer == tbs.issuer && id.serial_number == tbs.serial_number
        }
        SignerIdentifier::SubjectKeyIdentifier(_) => false,
    }
}

/// A certificate of the signer's chain does not bear the signature of its issuer in the file.
fn is_forged(signer: &Certificate, all: &[Certificate]) -> bool {
    let mut current = signer;
    // Real chains have two to four links; two certificates may name each other for ever.
    for _ in 0..all.len().min(CHAIN) {
        let name = &current.tbs_certificate.issuer;
        let issuer = all.iter().find(|c| &c.tbs_certificate.subject == name);
        let Some(issuer) = issuer else { return false };
        if is_signed_by(current, issuer) == Some(false) {
            return true;
        }
        if &issuer.tbs_certificate.issuer == name {
            return false;
        }
        current = issuer;
    }
    false
}

fn has(info: &SignerInfo, kind: ObjectIdentifier) -> bool {
    info.unsigned_attrs
        .as_ref()
        .is_some_and(|set| set.iter().any(|a| a.oid == kind))
}

fn status(
    data: &SignedData,
    content: &Any,
    info: &SignerInfo,
    signer: &Certificate,
) -> SignatureStatus {
    let Some(hash) = Hash::of(info.digest_alg.oid) else {
        return SignatureStatus::Unchecked(info.digest_alg.oid.to_string());
    };
    let algorithm = info.signature_algorithm.oid;
    let is_rsa = algorithm == oid::RSA_ENCRYPTION || Hash::of(algorithm) == Some(hash);
    let Some(key) = public_key(signer).filter(|_| is_rsa) else {
        return SignatureStatus::Unchecked(algorithm.to_string());
    };
    let digest = attribute::<OctetString>(info, oid::MESSAGE_DIGEST);
    let is_content = data.encap_content_info.econtent_type == oid::INDIRECT_DATA
        && attribute(info, oid::CONTENT_TYPE) == Some(oid::INDIRECT_DATA)
        && digest.is_some_and(|digest| digest.as_bytes() == hash.bytes(content.value()));
    let attributes = info.signed_attrs.as_ref().and_then(|set| set.to_der().ok());
    let verified = attributes
        .is_some_and(|attributes| hash.verify(&key, &attributes, info.signature.as_bytes()));
    if is_content && verified {
        SignatureStatus::Good
    } else {
        SignatureStatus::Bad
    }
}

/// The one value of the one signed attribute of a kind.
fn attribute<T: for<'a> Decode<'a>>(info: &SignerInfo, kind: ObjectIdentifier) -> Option<T> {
    let mut all = info.signed_attrs.as_ref()?.iter().filter(|a| a.oid == kind);
    let (one, None) = (all.next()?, all.next()) else {
        return None;
    };
    let [value] = one.values.as_slice() else {
        return None;
    };
    T::from_der(&value.to_der().ok()?).ok()
}
