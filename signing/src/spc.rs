//! The ASN.1 structures of Authenticode that PKCS #7 does not have.

use crate::oid;
use der::asn1::{Null, ObjectIdentifier, OctetString};
use der::{Any, AnyRef, Decode, Encode, Sequence};
use spki::AlgorithmIdentifierOwned;

/// SpcPeImageData as signtool writes it: no flags, an empty file name in UTF-16.
const PE_IMAGE_DATA: [u8; 11] = [0x30, 9, 3, 1, 0, 0xA0, 4, 0xA2, 2, 0x80, 0];

/// SpcIndirectDataContent: what is signed.
#[derive(Clone, PartialEq, Eq, Debug, Sequence)]
pub(crate) struct IndirectData {
    /// SpcAttributeTypeAndOptionalValue.
    pub(crate) data: Attribute,
    /// The digest of the file.
    pub(crate) message_digest: DigestInfo,
}

/// SpcAttributeTypeAndOptionalValue.
#[derive(Clone, PartialEq, Eq, Debug, Sequence)]
pub(crate) struct Attribute {
    /// Type: SPC_PE_IMAGE_DATA for PE files.
    pub(crate) kind: ObjectIdentifier,
    /// Value.
    pub(crate) value: Option<Any>,
}

/// DigestInfo.
#[derive(Clone, PartialEq, Eq, Debug, Sequence)]
pub(crate) struct DigestInfo {
    /// Hash algorithm.
    pub(crate) algorithm: AlgorithmIdentifierOwned,
    /// Hash.
    pub(crate) digest: OctetString,
}

impl IndirectData {
    /// For a PE file with this digest.
    pub(crate) fn of(digest: &[u8; 32]) -> der::Result<IndirectData> {
        Ok(IndirectData {
            data: Attribute {
                kind: oid::PE_IMAGE_DATA,
                value: Some(Any::from_der(&PE_IMAGE_DATA)?),
            },
            message_digest: DigestInfo {
                algorithm: algorithm(oid::SHA256),
                digest: OctetString::new(digest.as_slice())?,
            },
        })
    }
}

/// SpcSpOpusInfo without program name and URL: an empty sequence.
pub(crate) fn opus_info() -> der::Result<Any> {
    Any::new(der::Tag::Sequence, [])
}

/// SpcStatementType: individual.
pub(crate) fn statement_type() -> der::Result<Any> {
    Any::new(der::Tag::Sequence, oid::INDIVIDUAL.to_der()?)
}

/// An algorithm with NULL parameters, as PKCS #7 tools write it.
pub(crate) fn algorithm(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned {
        oid,
        parameters: Some(AnyRef::from(Null).into()),
    }
}
