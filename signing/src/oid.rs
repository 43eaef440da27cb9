//! Object identifiers of Authenticode and PKCS #7.

use der::asn1::ObjectIdentifier as Oid;

/// PKCS #7 signedData.
pub(crate) const SIGNED_DATA: Oid = Oid::new_unwrap("1.2.840.113549.1.7.2");
/// Attribute contentType.
pub(crate) const CONTENT_TYPE: Oid = Oid::new_unwrap("1.2.840.113549.1.9.3");
/// Attribute messageDigest.
pub(crate) const MESSAGE_DIGEST: Oid = Oid::new_unwrap("1.2.840.113549.1.9.4");
/// rsaEncryption: PKCS #1 v1.5 with the digest of the signer info.
pub(crate) const RSA_ENCRYPTION: Oid = Oid::new_unwrap("1.2.840.113549.1.1.1");
/// sha256WithRSAEncryption.
pub(crate) const SHA256_WITH_RSA: Oid = Oid::new_unwrap("1.2.840.113549.1.1.11");
/// sha1WithRSAEncryption.
pub(crate) const SHA1_WITH_RSA: Oid = Oid::new_unwrap("1.2.840.113549.1.1.5");
/// sha384WithRSAEncryption.
pub(crate) const SHA384_WITH_RSA: Oid = Oid::new_unwrap("1.2.840.113549.1.1.12");
/// sha512WithRSAEncryption.
pub(crate) const SHA512_WITH_RSA: Oid = Oid::new_unwrap("1.2.840.113549.1.1.13");
/// SHA-1.
pub(crate) const SHA1: Oid = Oid::new_unwrap("1.3.14.3.2.26");
/// SHA-384.
pub(crate) const SHA384: Oid = Oid::new_unwrap("2.16.840.1.101.3.4.2.2");
/// SHA-512.
pub(crate) const SHA512: Oid = Oid::new_unwrap("2.16.840.1.101.3.4.2.3");
/// SHA-256.
pub(crate) const SHA256: Oid = Oid::new_unwrap("2.16.840.1.101.3.4.2.1");
/// SPC_INDIRECT_DATA.
pub(crate) const INDIRECT_DATA: Oid = Oid::new_unwrap("1.3.6.1.4.1.311.2.1.4");
/// SPC_STATEMENT_TYPE.
pub(crate) const STATEMENT_TYPE: Oid = Oid::new_unwrap("1.3.6.1.4.1.311.2.1.11");
/// SPC_SP_OPUS_INFO.
pub(crate) const OPUS_INFO: Oid = Oid::new_unwrap("1.3.6.1.4.1.311.2.1.12");
/// SPC_PE_IMAGE_DATA.
pub(crate) const PE_IMAGE_DATA: Oid = Oid::new_unwrap("1.3.6.1.4.1.311.2.1.15");
/// Statement type "individual code signing".
pub(crate) const INDIVIDUAL: Oid = Oid::new_unwrap("1.3.6.1.4.1.311.2.1.21");
/// Unsigned attribute: RFC 3161 time stamp.
pub(crate) const TIME_STAMP: Oid = Oid::new_unwrap("1.3.6.1.4.1.311.3.3.1");
/// Unsigned attribute: legacy countersignature.
pub(crate) const COUNTERSIGNATURE: Oid = Oid::new_unwrap("1.2.840.113549.1.9.6");
/// Unsigned attribute: nested signature.
pub(crate) const NESTED: Oid = Oid::new_unwrap("1.3.6.1.4.1.311.2.4.1");
/// Extended key usage codeSigning.
pub(crate) const CODE_SIGNING: Oid = Oid::new_unwrap("1.3.6.1.5.5.7.3.3");
