//! Reading PFX files: the RSA key, its certificate, and the issuers above it.

use crate::Error;
use crate::certificate::public_key;
use der::Decode;
use p12_keystore::Pkcs12Archive;
use p12_keystore::error::Error as P12;
use rsa::RsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use x509_cert::Certificate;

/// Longest chain embedded.
const CHAIN: usize = 8;

/// Key and chain, leaf first, without the root.
pub(crate) fn read(
    bytes: &[u8],
    password: &str,
) -> Result<(RsaPrivateKey, Vec<Certificate>), Error> {
    let archive = Pkcs12Archive::from_pkcs12(bytes, password).map_err(error)?;
    let certificates: Vec<Certificate> = archive
        .certs
        .iter()
        .filter_map(|bag| Certificate::from_der(bag.cert.as_der()).ok())
        .collect();
    // Matching by public key works without the optional ids and names of the bags.
    for bag in &archive.keys {
        let Ok(key) = RsaPrivateKey::from_pkcs8_der(bag.key.as_der()) else {
            continue;
        };
        let is_own = |c: &&Certificate| public_key(c).as_ref() == Some(key.as_ref());
        if let Some(leaf) = certificates.iter().find(is_own) {
            return Ok((key, chain(leaf, &certificates)));
        }
    }
    Err(Error::PfxNoKey {
        keys: archive.keys.len(),
        certificates: certificates.len(),
    })
}

/// The leaf and its issuers; a root is left out, since verifiers have their own.
fn chain(leaf: &Certificate, all: &[Certificate]) -> Vec<Certificate> {
    let mut chain = vec![leaf.clone()];
    while let Some(last) = chain.last() {
        let issuer = &last.tbs_certificate.issuer;
        let next = all.iter().find(|c| &c.tbs_certificate.subject == issuer);
        let Some(next) = next.filter(|next| !is_root(next) && !chain.contains(next)) else {
            break;
        };
        if chain.len() == CHAIN {
            break;
        }
        chain.push(next.clone());
    }
    chain
}

fn is_root(certificate: &Certificate) -> bool {
    certificate.tbs_certificate.subject == certificate.tbs_certificate.issuer
}

fn error(error: P12) -> Error {
    match error {
        // Without a MAC a wrong password shows as garbage after decryption.
        P12::MacError(_) | P12::UnpadError | P12::Pkcs5Error(_) => Error::PfxPassword,
        other => Error::PfxMalformed(other.to_string()),
    }
}
