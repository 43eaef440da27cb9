//! RSA signatures: PKCS #1 v1.5 with SHA-256 (RFC 8017 §8.2), the two halves on two threads.
//!
//! Signing is the longest stage of a build: one power modulo each prime (RFC 8017 §5.1.2, the
//! Chinese remainder theorem), and they are independent. The signature is deterministic, so it is
//! the same however it is computed. Invariant: whoever calls [`sign`] verifies the result before it
//! leaves the process: a power that a hardware fault made wrong would betray the key. Left out: keys
//! with more than two primes take the library's own way.

use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BigUint, Pkcs1v15Sign, RsaPrivateKey};
use sha2::{Digest, Sha256};
use std::thread;
use zeroize::Zeroizing;

/// Signs a message; the result is as long as the key's modulus.
pub(crate) fn sign(key: &RsaPrivateKey, message: &[u8]) -> rsa::Result<Vec<u8>> {
    let scheme = Pkcs1v15Sign::new::<Sha256>();
    let digest = Sha256::digest(message);
    let Some(halves) = Halves::of(key) else {
        return key.sign(scheme, &digest);
    };
    let padded = pad(&scheme.prefix, &digest, key.size()).ok_or(rsa::Error::MessageTooLong)?;
    let signature = halves.power(&BigUint::from_bytes_be(&padded));
    let bytes = signature.to_bytes_be();
    let mut out = vec![0; key.size().saturating_sub(bytes.len())];
    out.extend(bytes);
    Ok(out)
}

/// EMSA-PKCS1-v1_5: `00 01 FF.. 00`, the algorithm, the digest.
fn pad(prefix: &[u8], digest: &[u8], len: usize) -> Option<Vec<u8>> {
    let filling = len.checked_sub(3 + prefix.len() + digest.len())?;
    if filling < 8 {
        return None;
    }
    let mut out = vec![0xFF; 2 + filling];
    out[..2].copy_from_slice(&[0, 1]);
    out.push(0);
    out.extend_from_slice(prefix);
    out.extend_from_slice(digest);
    Some(out)
}

/// The parts of a key with two primes.
struct Halves<'a> {
    p: &'a BigUint,
    q: &'a BigUint,
    dp: &'a BigUint,
    dq: &'a BigUint,
    /// The inverse of `q` modulo `p`.
    coefficient: Zeroizing<BigUint>,
}

impl<'a> Halves<'a> {
    fn of(key: &'a RsaPrivateKey) -> Option<Halves<'a>> {
        let [p, q] = key.primes() else { return None };
        Some(Halves {
            p,
            q,
            dp: key.dp()?,
            dq: key.dq()?,
            coefficient: Zeroizing::new(key.qinv()?.to_biguint()?),
        })
    }

    /// `message^d mod pq`.
    fn power(&self, message: &BigUint) -> BigUint {
        let first = || Zeroizing::new(message.modpow(self.dp, self.p));
        let second = || Zeroizing::new(message.modpow(self.dq, self.q));
        let (m1, m2) = both(first, second);
        // m1 - m2 modulo p without a negative number: q, and so m2, may exceed p.
        let difference = Zeroizing::new(&*m1 + self.p - (&*m2 % self.p));
        let h = Zeroizing::new(&*difference * &*self.coefficient % self.p);
        &*m2 + &*h * self.q
    }
}

/// Runs one closure on another thread if the system gives one, and the other one here.
fn both<A: Send, B>(a: impl FnOnce() -> A + Send + Clone, b: impl FnOnce() -> B) -> (A, B) {
    let here = a.clone();
    thread::scope(|scope| {
        let other = thread::Builder::new().spawn_scoped(scope, a);
        let b = b();
        let a = match other {
            // A thread that panicked left nothing behind: what it was to do is done again here.
            Ok(other) => other.join().unwrap_or_else(|_| here()),
            Err(_) => here(),
        };
        (a, b)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsa::rand_core::OsRng;

    /// The library computes the same in one piece.
    #[test]
    fn equals_the_library() {
        for bits in [1024, 1025, 1536] {
            let key = RsaPrivateKey::new(&mut OsRng, bits).unwrap();
            for message in [&b""[..], b"a driver", &[0xFF; 300]] {
                let expected = key.sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message));
                assert_eq!(sign(&key, message), expected, "{bits} bits");
            }
        }
    }

    /// The first prime may be the smaller or the larger one.
    #[test]
    fn the_order_of_the_primes_does_not_matter() {
        let key = RsaPrivateKey::new(&mut OsRng, 1024).unwrap();
        let [p, q] = key.primes() else {
            panic!("two primes")
        };
        let swapped = vec![q.clone(), p.clone()];
        let (n, e, d) = (key.n().clone(), key.e().clone(), key.d().clone());
        let swapped = RsaPrivateKey::from_components(n, e, d, swapped).unwrap();
        assert_eq!(sign(&key, b"x"), sign(&swapped, b"x"));
    }

    #[test]
    fn keys_with_three_primes_sign_too() {
        let key = RsaPrivateKey::new_with_exp(&mut OsRng, 1024, &BigUint::from(65_537_u32));
        let two = key.unwrap();
        let third = RsaPrivateKey::new(&mut OsRng, 512).unwrap();
        let primes = [two.primes(), &third.primes()[..1]].concat();
        let key = RsaPrivateKey::from_primes(primes, two.e().clone()).unwrap();
        let scheme = Pkcs1v15Sign::new::<Sha256>();
        let signature = sign(&key, b"x").unwrap();
        let verified = key
            .to_public_key()
            .verify(scheme, &Sha256::digest(b"x"), &signature);
        assert_eq!(verified, Ok(()));
    }

    #[test]
    fn short_keys_are_refused() {
        let key = RsaPrivateKey::new(&mut OsRng, 256).unwrap();
        assert_eq!(sign(&key, b"x"), Err(rsa::Error::MessageTooLong));
    }
}
