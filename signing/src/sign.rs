//! Making the signature and putting it into the file.

use crate::digest::Places;
use crate::inspect::SignatureStatus;
use crate::spc::{IndirectData, algorithm, opus_info, statement_type};
use crate::{Error, Signer, authenticode, inspect, oid, pkcs1};
use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use der::asn1::{OctetString, SetOfVec};
use der::{Any, Encode, Tag};
use image::check::Verdict;
use image::read::{PKCS_SIGNED_DATA, Pe};
use image::{Image, Purpose, checksum};
use sha2::{Digest, Sha256};
use x509_cert::attr::Attribute;

/// WIN_CERTIFICATE: length, revision 2.0, type.
const HEADER: usize = 8;
const REVISION: u16 = 0x0200;

/// Signs a driver; the result is the file to write.
///
/// # Errors
/// The image is not a proved driver, or (a bug) the result does not verify.
pub fn sign(image: &Image, signer: &Signer) -> Result<Vec<u8>, Error> {
    if !image.is_proved() || image.purpose() != Purpose::Driver {
        return Err(Error::Unproved);
    }
    let digest = authenticode(image.bytes())?;
    let der = signed_data(&digest, signer)?;
    let file = attach(image.bytes(), &der)?;
    verify(&file)?;
    Ok(file)
}

/// Signs a driver that holds no programs: the runtime itself. The image checker must accept it.
///
/// # Errors
/// A rule of the checker fails, the file has a signature, or (a bug) the result does not verify.
pub fn sign_runtime(file: &[u8], signer: &Signer) -> Result<Vec<u8>, Error> {
    let report = image::check(file).map_err(Error::Image)?;
    let is_module = report
        .row("native-metadata")
        .is_none_or(|row| row.verdict != Verdict::NotApplicable);
    if is_module || !report.passes() {
        return Err(Error::Unproved);
    }
    let der = signed_data(&authenticode(file)?, signer)?;
    let file = attach(file, &der)?;
    verify(&file)?;
    Ok(file)
}

/// Re-reads the output: digest, signature and certificate must be good, whoever wrote them.
fn verify(file: &[u8]) -> Result<(), Error> {
    let bad = |why: &str| Err(Error::SelfCheck(why.to_owned()));
    let Some(signature) = inspect(file)? else {
        return bad("there is no signature");
    };
    if !signature.digest_matches {
        return bad("the digest differs");
    }
    if signature.status != SignatureStatus::Good {
        return bad("the signature is wrong");
    }
    let stored = checksum::field(file).map(|at| (at, file.get(at..at + 4)));
    match stored {
        Some((at, Some(sum))) if *sum == checksum::compute(file, at).to_le_bytes() => Ok(()),
        _ => bad("the checksum is wrong"),
    }
}

fn signed_data(digest: &[u8; 32], signer: &Signer) -> Result<Vec<u8>, Error> {
    fn failed(error: impl ToString) -> Error {
        Error::SelfCheck(error.to_string())
    }
    let content = IndirectData::of(digest).and_then(|data| Any::encode_from(&data));
    let content = content.map_err(failed)?;
    // PKCS #7 hashes the value of the content without its tag and length.
    let attributes = signed_attributes(&Sha256::digest(content.value())).map_err(failed)?;
    let signed = attributes.to_der().map_err(failed)?;
    let signature = pkcs1::sign(signer.key(), &signed).map_err(failed)?;
    envelope(content, attributes, signature, signer).map_err(failed)
}

/// The PKCS #7 structure around content, attributes and signature.
fn envelope(
    content: Any,
    attributes: SetOfVec<Attribute>,
    signature: Vec<u8>,
    signer: &Signer,
) -> der::Result<Vec<u8>> {
    let leaf = &signer.leaf().tbs_certificate;
    let info = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: leaf.issuer.clone(),
            serial_number: leaf.serial_number.clone(),
        }),
        digest_alg: algorithm(oid::SHA256),
        signed_attrs: Some(attributes),
        signature_algorithm: algorithm(oid::RSA_ENCRYPTION),
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    let certificates = signer
        .chain()
        .iter()
        .cloned()
        .map(CertificateChoices::Certificate);
    let data = SignedData {
        // PKCS #7 1.5: always 1, also where CMS would count higher.
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![algorithm(oid::SHA256)])?,
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: oid::INDIRECT_DATA,
            econtent: Some(content),
        },
        certificates: Some(CertificateSet(SetOfVec::try_from(
            certificates.collect::<Vec<_>>(),
        )?)),
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from(vec![info])?),
    };
    ContentInfo {
        content_type: oid::SIGNED_DATA,
        content: Any::encode_from(&data)?,
    }
    .to_der()
}

fn signed_attributes(content_digest: &[u8]) -> der::Result<SetOfVec<Attribute>> {
    let attribute = |oid, value| {
        Ok::<_, der::Error>(Attribute {
            oid,
            values: SetOfVec::try_from(vec![value])?,
        })
    };
    SetOfVec::try_from(vec![
        attribute(oid::CONTENT_TYPE, Any::encode_from(&oid::INDIRECT_DATA)?)?,
        attribute(
            oid::MESSAGE_DIGEST,
            Any::new(Tag::OctetString, content_digest)?,
        )?,
        attribute(oid::OPUS_INFO, opus_info()?)?,
        attribute(oid::STATEMENT_TYPE, statement_type()?)?,
    ])
}

/// Appends the certificate table, enters it in the directory, renews the checksum.
fn attach(file: &[u8], der: &[u8]) -> Result<Vec<u8>, Error> {
    let places = Places::of(&Pe::parse(file)?)?;
    let start = places.end.next_multiple_of(8);
    let len = (HEADER + der.len()).next_multiple_of(8);
    let mut signed = Vec::with_capacity(start + len);
    signed.extend_from_slice(&file[..places.end]);
    signed.resize(start, 0);
    signed.extend_from_slice(&(len as u32).to_le_bytes());
    signed.extend_from_slice(&REVISION.to_le_bytes());
    signed.extend_from_slice(&PKCS_SIGNED_DATA.to_le_bytes());
    signed.extend_from_slice(der);
    signed.resize(start + len, 0);
    signed[places.entry..places.entry + 4].copy_from_slice(&(start as u32).to_le_bytes());
    signed[places.entry + 4..places.entry + 8].copy_from_slice(&(len as u32).to_le_bytes());
    checksum::update(&mut signed);
    Ok(signed)
}
