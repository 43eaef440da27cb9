//! The Authenticode digest of a PE file.
//!
//! A hash over the file without the checksum, without the certificate table's directory entry and
//! without the table itself; the file is padded to eight bytes first. For files whose sections lie in
//! order and are followed by nothing else this equals the specification's walk over sections.

use crate::{Error, oid};
use der::asn1::ObjectIdentifier;
use image::checksum;
use image::read::{Pe, directory};
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use sha1::Sha1;
use sha2::digest::Output;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The certificate table's entry: signature 4, file header 20, 112 to the directories, entry 4.
const ENTRY_IN_NT_HEADERS: usize = 4 + 20 + 112 + directory::SECURITY * 8;

/// Offsets that the digest needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    /// The checksum field.
    pub(crate) checksum: usize,
    /// The certificate table's directory entry.
    pub(crate) entry: usize,
    /// End of what is hashed: the certificate table or the end of the file.
    pub(crate) end: usize,
}

impl Places {
    /// Finds them.
    pub(crate) fn of(pe: &Pe<'_>) -> Result<Places, Error> {
        let nt = pe.headers.nt_offset as usize;
        let table = pe.directory(directory::SECURITY);
        let end = if table.is_present() {
            table.rva as usize
        } else {
            pe.bytes().len()
        };
        let places = Places {
            checksum: nt + checksum::OFFSET_IN_NT_HEADERS,
            entry: nt + ENTRY_IN_NT_HEADERS,
            end,
        };
        if places.entry + 8 > end || end > pe.bytes().len() {
            let problem = "the certificate table lies in the headers or after the file";
            let malformed = image::read::Malformed {
                what: "certificate table",
                at: table.rva,
                problem,
            };
            return Err(image::Error::Malformed(malformed).into());
        }
        Ok(places)
    }
}

/// The digest of a signed or unsigned file, with SHA-256.
///
/// # Errors
/// Not a 64-bit PE file, or its certificate table is misplaced.
pub fn authenticode(file: &[u8]) -> Result<[u8; 32], Error> {
    Ok(of_file::<Sha256>(file)?.into())
}

fn of_file<D: Digest>(file: &[u8]) -> Result<Output<D>, Error> {
    let places = Places::of(&Pe::parse(file)?)?;
    let padding = places.end.next_multiple_of(8) - places.end;
    let hash = D::new()
        .chain_update(&file[..places.checksum])
        .chain_update(&file[places.checksum + 4..places.entry])
        .chain_update(&file[places.entry + 8..places.end])
        .chain_update(&[0; 8][..padding]);
    Ok(hash.finalize())
}

/// Hash algorithms of signatures in the field; new ones are made with SHA-256 alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// By the number of the hash or of RSA with the hash.
    pub(crate) fn of(algorithm: ObjectIdentifier) -> Option<Hash> {
        match algorithm {
            oid::SHA1 | oid::SHA1_WITH_RSA => Some(Hash::Sha1),
            oid::SHA256 | oid::SHA256_WITH_RSA => Some(Hash::Sha256),
            oid::SHA384 | oid::SHA384_WITH_RSA => Some(Hash::Sha384),
            oid::SHA512 | oid::SHA512_WITH_RSA => Some(Hash::Sha512),
            _ => None,
        }
    }

    /// The Authenticode digest of a file.
    pub(crate) fn file(self, file: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(match self {
            Hash::Sha1 => of_file::<Sha1>(file)?.to_vec(),
            Hash::Sha256 => of_file::<Sha256>(file)?.to_vec(),
            Hash::Sha384 => of_file::<Sha384>(file)?.to_vec(),
            Hash::Sha512 => of_file::<Sha512>(file)?.to_vec(),
        })
    }

    /// The hash of bytes.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha1 => Sha1::digest(bytes).to_vec(),
            Hash::Sha256 => Sha256::digest(bytes).to_vec(),
            Hash::Sha384 => Sha384::digest(bytes).to_vec(),
            Hash::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    /// Whether `signature` is that of the key over the message (PKCS #1 v1.5).
    pub(crate) fn verify(self, key: &RsaPublicKey, message: &[u8], signature: &[u8]) -> bool {
        let scheme = match self {
            Hash::Sha1 => Pkcs1v15Sign::new::<Sha1>(),
            Hash::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
            Hash::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
            Hash::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
        };
        key.verify(scheme, &self.bytes(message), signature).is_ok()
    }
}
