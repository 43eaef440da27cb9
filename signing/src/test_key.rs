//! The per-user test certificate: made once, kept in one file, exported as `.cer`.
//!
//! Key and certificate are in one PEM file, written under another name and linked into place, so
//! that two processes cannot make two and no half file is ever seen. Only its owner may read it.
//! Validity is fixed, because libraries do not read the clock; the key is the only random thing.

use crate::{Error, oid};
use der::asn1::UtcTime;
use der::{DateTime, DecodePem, Encode, EncodePem};
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use rsa::rand_core::{OsRng, RngCore};
use sha2::Sha256;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;
use tempfile::NamedTempFile;
use x509_cert::Certificate;
use x509_cert::builder::{Builder, CertificateBuilder, Profile};
use x509_cert::ext::pkix::ExtendedKeyUsage;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};

/// Key and certificate.
pub const KEY_FILE: &str = "test-signing.pem";
/// The certificate alone, for the test machine.
pub const CERTIFICATE_FILE: &str = "test-signing.cer";
const BITS: usize = 3072;
const SUBJECT: &str = "CN=bpf2native test signing";
const CERTIFICATE_BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// The stored key, or a new one.
pub(crate) fn load_or_create(folder: &Path) -> Result<(RsaPrivateKey, Certificate), Error> {
    let path = folder.join(KEY_FILE);
    let loaded = match fs::read_to_string(&path) {
        Ok(text) => load(&path, &text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(folder, BITS)?;
            let text = fs::read_to_string(&path).map_err(|error| at(&path, error))?;
            load(&path, &text)?
        }
        Err(error) => return Err(at(&path, error)),
    };
    export(folder, &loaded.1)?;
    Ok(loaded)
}

fn load(path: &Path, text: &str) -> Result<(RsaPrivateKey, Certificate), Error> {
    refuse_exposed(path)?;
    let damaged = |problem: String| Error::KeyFile {
        path: path.to_owned(),
        problem,
    };
    let split = text.find(CERTIFICATE_BEGIN);
    let split = split.ok_or_else(|| damaged("there is no certificate in it".to_owned()))?;
    let key = RsaPrivateKey::from_pkcs8_pem(&text[..split]).map_err(|e| damaged(e.to_string()))?;
    let certificate = Certificate::from_pem(&text[split..]).map_err(|e| damaged(e.to_string()))?;
    Ok((key, certificate))
}

#[cfg(unix)]
fn refuse_exposed(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path)
        .map_err(|error| at(path, error))?
        .permissions()
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::KeyExposed {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

/// Elsewhere the user's profile folder protects its files.
#[cfg(not(unix))]
fn refuse_exposed(_path: &Path) -> Result<(), Error> {
    Ok(())
}

/// Makes a key and puts it in place, unless another process was faster.
fn create(folder: &Path, bits: usize) -> Result<(), Error> {
    make_folder(folder)?;
    let (key, certificate) = generate(bits)?;
    let text = |result: Result<String, String>| result.map_err(Error::Generation);
    let key = key
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|e| Error::Generation(e.to_string()))?;
    let certificate = text(
        certificate
            .to_pem(LineEnding::LF)
            .map_err(|e| e.to_string()),
    )?;
    // Temporary files are created for their owner alone.
    let mut file = NamedTempFile::new_in(folder).map_err(|error| at(folder, error))?;
    let written = file
        .write_all(key.as_bytes())
        .and_then(|()| file.write_all(certificate.as_bytes()));
    written
        .and_then(|()| file.as_file().sync_all())
        .map_err(|error| at(file.path(), error))?;
    let path = folder.join(KEY_FILE);
    match file.persist_noclobber(&path) {
        Ok(_) => Ok(()),
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(failed) => Err(at(&path, failed.error)),
    }
}

fn make_folder(folder: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| at(folder, error))
}

/// Writes the `.cer` unless it is there and right.
fn export(folder: &Path, certificate: &Certificate) -> Result<(), Error> {
    let path = folder.join(CERTIFICATE_FILE);
    let der = certificate
        .to_der()
        .map_err(|e| Error::Generation(e.to_string()))?;
    if fs::read(&path).is_ok_and(|old| old == der) {
        return Ok(());
    }
    let mut file = NamedTempFile::new_in(folder).map_err(|error| at(folder, error))?;
    file.write_all(&der)
        .map_err(|error| at(file.path(), error))?;
    file.persist(&path)
        .map_err(|failed| at(&path, failed.error))?;
    Ok(())
}

fn generate(bits: usize) -> Result<(RsaPrivateKey, Certificate), Error> {
    let key = RsaPrivateKey::new(&mut OsRng, bits).map_err(|e| Error::Generation(e.to_string()))?;
    let certificate = certificate(&key).map_err(Error::Generation)?;
    Ok((key, certificate))
}

/// A self-signed code-signing certificate: one file to trust on the test machine.
fn certificate(key: &RsaPrivateKey) -> Result<Certificate, String> {
    fn text(error: impl ToString) -> String {
        error.to_string()
    }
    let signer = SigningKey::<Sha256>::new(key.clone());
    let mut serial = [0; 16];
    OsRng.fill_bytes(&mut serial);
    serial[0] = serial[0] & 0x7F | 0x40; // positive, and never shorter
    let date = |year| {
        let date = DateTime::new(year, 1, 1, 0, 0, 0).and_then(UtcTime::from_date_time);
        date.map(Time::UtcTime).map_err(text)
    };
    let subject = Name::from_str(SUBJECT).map_err(text)?;
    let profile = Profile::Leaf {
        issuer: subject.clone(),
        enable_key_agreement: false,
        enable_key_encipherment: false,
    };
    let info = spki::SubjectPublicKeyInfoOwned::from_key(key.to_public_key()).map_err(text)?;
    let mut builder = CertificateBuilder::new(
        profile,
        SerialNumber::new(&serial).map_err(text)?,
        Validity {
            not_before: date(2024)?,
            not_after: date(2049)?,
        },
        subject,
        info,
        &signer,
    )
    .map_err(text)?;
    let usage = ExtendedKeyUsage(vec![oid::CODE_SIGNING]);
    builder.add_extension(&usage).map_err(text)?;
    builder.build::<rsa::pkcs1v15::Signature>().map_err(text)
}

fn at(path: &Path, error: io::Error) -> Error {
    Error::KeyFolder {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small keys: the size of a real one only costs time.
    #[test]
    fn racing_processes_agree_on_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("deep").join("er");
        let create = || create(&folder, 1024);
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(create)).collect();
            all.into_iter().for_each(|one| one.join().unwrap().unwrap());
        });
        let first = load_or_create(&folder).unwrap().1;
        assert_eq!(first, load_or_create(&folder).unwrap().1);
        let mut names: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [CERTIFICATE_FILE, KEY_FILE],
            "no temporary file is left"
        );
        assert_modes(&folder);
    }

    #[cfg(unix)]
    fn assert_modes(folder: &Path) {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder), 0o700);
        assert_eq!(mode(&folder.join(KEY_FILE)), 0o600);
    }

    #[cfg(not(unix))]
    fn assert_modes(_folder: &Path) {}

    #[cfg(unix)]
    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let error = load_or_create(Path::new("/dev/null/keys")).unwrap_err();
        assert_eq!(error.code().0, 502);
        assert!(error.to_string().contains("/dev/null/keys"), "{error}");
    }

    #[test]
    fn a_lost_certificate_file_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        create(folder.path(), 1024).unwrap();
        let (_, certificate) = load_or_create(folder.path()).unwrap();
        let file = folder.path().join(CERTIFICATE_FILE);
        fs::write(&file, b"something else").unwrap();
        load_or_create(folder.path()).unwrap();
        assert_eq!(fs::read(&file).unwrap(), certificate.to_der().unwrap());
    }
}
