//! Signing a driver; other people's verifiers judge the result.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../../image/tests/common/mod.rs"]
mod common;

use signing::{Error, SignatureStatus, Signer, inspect, sign};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with the committed TEST-ONLY key, so that no test waits for key generation.
fn key_folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(signing::KEY_FILE);
    fs::write(&file, include_bytes!("fixtures/test-only.pem")).unwrap();
    set_mode(&file, 0o600);
    folder
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) {}

fn signed(folder: &Path) -> Vec<u8> {
    let image = image::link(&common::module()).unwrap();
    sign(&image, &Signer::test(folder).unwrap()).unwrap()
}

/// Runs a tool; `None` (said aloud) when it is not installed.
fn tool(name: &str, arguments: &[&str], file: &Path) -> Option<Output> {
    match Command::new(name).args(arguments).arg(file).output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("SKIPPED: {name} cannot be run here ({error})");
            None
        }
    }
}

fn certificate_pem(folder: &Path) -> PathBuf {
    let text = fs::read_to_string(folder.join(signing::KEY_FILE)).unwrap();
    let start = text.find("-----BEGIN CERTIFICATE").unwrap();
    let path = folder.join("certificate.pem");
    fs::write(&path, &text[start..]).unwrap();
    path
}

/// The fixtures were made in 2026; no clock may lie before that.
const IN_2030: &str = "1900000000";

fn osslsigncode(file: &Path, certificate: &Path) -> Option<Output> {
    let options = [
        "verify",
        "-time",
        IN_2030,
        "-CAfile",
        certificate.to_str().unwrap(),
        "-in",
    ];
    tool("osslsigncode", &options, file)
}

/// Positions over the whole file, without the checksum (which no signature covers) and the padding
/// after the signature.
fn positions(file: &[u8]) -> Vec<usize> {
    let checksum = image::checksum::field(file).unwrap();
    let table = image::read::Pe::parse(file)
        .unwrap()
        .certificates()
        .unwrap();
    let der = &table[0].contents;
    let length = usize::from(u16::from_be_bytes([
        file[der.start + 2],
        file[der.start + 3],
    ]));
    let end = der.start + 4 + length;
    let sampled = (0..end)
        .step_by(97)
        .chain([0, 1, 0x3C, 0x400, 0x600, der.start - 1, end - 1]);
    sampled
        .filter(|at| !(checksum..checksum + 4).contains(at))
        .collect()
}

#[test]
fn osslsigncode_accepts_and_refuses_every_flip() {
    let folder = key_folder("osslsigncode");
    let file = signed(&folder);
    let (path, certificate) = (folder.join("sample.sys"), certificate_pem(&folder));
    fs::write(&path, &file).unwrap();
    let Some(output) = osslsigncode(&path, &certificate) else {
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("Signature verification: ok"), "{text}");
    for at in positions(&file) {
        let mut broken = file.clone();
        broken[at] ^= 0x10;
        fs::write(&path, &broken).unwrap();
        let output = osslsigncode(&path, &certificate).unwrap();
        assert!(!output.status.success(), "a flip at {at:#x} is accepted");
    }
}

#[test]
fn sbverify_accepts() {
    let folder = key_folder("sbverify");
    let (path, certificate) = (folder.join("sample.sys"), certificate_pem(&folder));
    fs::write(&path, signed(&folder)).unwrap();
    let options = ["--cert", certificate.to_str().unwrap()];
    let Some(output) = tool("sbverify", &options, &path) else {
        return;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn our_own_reader_refuses_every_flip() {
    let file = signed(&key_folder("flips"));
    assert!(inspect(&file).unwrap().unwrap().is_good());
    for at in positions(&file) {
        let mut broken = file.clone();
        broken[at] ^= 0x10;
        let good = matches!(inspect(&broken), Ok(Some(signature)) if signature.is_good());
        assert!(!good, "a flip at {at:#x} is accepted");
    }
    let mut longer = file.clone();
    longer.extend_from_slice(&[0; 8]);
    let report = image::check(&longer).unwrap();
    assert!(!report.passes(), "data after the certificate table");
}

#[test]
fn a_signature_tells_who_signed() {
    let folder = key_folder("who");
    let file = signed(&folder);
    let signature = inspect(&file).unwrap().unwrap();
    assert_eq!(signature.status, SignatureStatus::Good);
    assert!(!signature.is_time_stamped && !signature.has_nested);
    let signer = signature.signer.unwrap();
    assert_eq!(signer.subject, "CN=bpf2native test signing");
    assert!(signer.is_code_signing && signer.is_self_issued);
    assert_eq!(signer.not_before, "2024-01-01T00:00:00Z");
    assert_eq!(signer.not_after, "2049-01-01T00:00:00Z");
    assert!(signer.is_valid_at(1_800_000_000) && !signer.is_valid_at(1_600_000_000));
    let report = image::check(&file).unwrap();
    assert!(report.passes());
    assert_eq!(
        report.row("certificate-table").unwrap().verdict,
        image::check::Verdict::Pass
    );
}

#[test]
fn equal_inputs_give_equal_bytes() {
    let folder = key_folder("equal");
    assert_eq!(signed(&folder), signed(&folder));
}

#[test]
fn the_certificate_is_exported() {
    let folder = key_folder("export");
    let signer = Signer::test(&folder).unwrap();
    assert!(signer.is_test());
    let exported = fs::read(signer.certificate_path().unwrap()).unwrap();
    assert_eq!(exported, signer.certificate_der());
}

#[test]
fn an_unsigned_file_has_no_signature() {
    let image = image::link(&common::module()).unwrap();
    assert!(inspect(image.bytes()).unwrap().is_none());
}

#[test]
fn what_was_not_proved_is_not_signed() {
    let signer = Signer::test(&key_folder("unproved")).unwrap();
    let mut module = common::module();
    let host = image::link_for_host(&module).unwrap();
    assert_eq!(sign(&host, &signer).unwrap_err().code().0, 501);
    module.proved = false;
    let host = image::link_for_host(&module).unwrap();
    assert_eq!(sign(&host, &signer).unwrap_err().code().0, 501);
}

#[test]
fn a_damaged_key_is_named() {
    let folder = key_folder("damaged");
    let file = folder.join(signing::KEY_FILE);
    let text = fs::read_to_string(&file).unwrap();
    for broken in [
        "",
        "hello",
        &text[..text.len() / 2],
        &text.replace('M', "N"),
    ] {
        fs::write(&file, broken).unwrap();
        let error = Signer::test(&folder).unwrap_err();
        assert_eq!(error.code().0, 503, "{error}");
        assert!(error.to_string().contains(signing::KEY_FILE));
    }
}

#[cfg(unix)]
#[test]
fn an_exposed_key_is_refused() {
    let folder = key_folder("exposed");
    set_mode(&folder.join(signing::KEY_FILE), 0o644);
    let error = Signer::test(&folder).unwrap_err();
    assert!(
        matches!(error, Error::KeyExposed { mode: 0o644, .. }),
        "{error}"
    );
}

#[test]
fn a_pfx_signs_with_its_password_only() {
    for pfx in [
        &include_bytes!("fixtures/test-only.pfx")[..],
        include_bytes!("fixtures/test-only-legacy.pfx"),
    ] {
        let signer = Signer::from_pfx(pfx, "test-only").unwrap();
        assert!(!signer.is_test());
        let image = image::link(&common::module()).unwrap();
        let file = sign(&image, &signer).unwrap();
        assert!(inspect(&file).unwrap().unwrap().is_good());
        for wrong in ["", "Test-only", "x"] {
            assert_eq!(Signer::from_pfx(pfx, wrong).unwrap_err().code().0, 505);
        }
        assert_eq!(
            Signer::from_pfx(&pfx[..100], "test-only")
                .unwrap_err()
                .code()
                .0,
            506
        );
    }
}

/// Random damage, most of it in the signature: an answer or an error, never a panic, and never a
/// good signature over other bytes.
#[test]
fn damaged_signatures_never_panic() {
    let file = signed(&key_folder("damage"));
    let table = image::read::Pe::parse(&file)
        .unwrap()
        .certificates()
        .unwrap();
    let start = table[0].contents.start;
    let mut state = 7u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for round in 0..3000 {
        let mut broken = file.clone();
        let from = if round % 4 == 0 { 0 } else { start };
        for _ in 0..1 + next() % 3 {
            let at = from + next() % (broken.len() - from);
            broken[at] = next() as u8;
        }
        broken.truncate(broken.len() - if round % 5 == 0 { next() % 600 } else { 0 });
        let _ = inspect(&broken);
    }
}

#[test]
fn the_digest_does_not_depend_on_the_signature() {
    let image = image::link(&common::module()).unwrap();
    let file = signed(&key_folder("digest"));
    let digest = signing::authenticode(image.bytes()).unwrap();
    assert_eq!(signing::authenticode(&file).unwrap(), digest);
    assert_eq!(inspect(&file).unwrap().unwrap().digest, digest);
}

#[test]
fn certificates_that_must_not_sign_are_refused() {
    for (pfx, word) in [
        (
            &include_bytes!("fixtures/test-only-no-eku.pfx")[..],
            "codeSigning",
        ),
        (include_bytes!("fixtures/test-only-short.pfx"), "2048"),
    ] {
        let error = Signer::from_pfx(pfx, "test-only").unwrap_err();
        assert_eq!(error.code().0, 508);
        assert!(error.to_string().contains(word), "{error}");
    }
    let error =
        Signer::from_pfx(include_bytes!("fixtures/test-only-ec.pfx"), "test-only").unwrap_err();
    assert_eq!(error.code().0, 507);
}

/// A leaf under an intermediate under a root: leaf and intermediate are embedded.
#[test]
fn a_chain_is_embedded_and_verifies() {
    let signer =
        Signer::from_pfx(include_bytes!("fixtures/test-only-chain.pfx"), "test-only").unwrap();
    let image = image::link(&common::module()).unwrap();
    let file = sign(&image, &signer).unwrap();
    let signature = inspect(&file).unwrap().unwrap();
    assert!(signature.is_good());
    assert_eq!(signature.certificates.len(), 2, "no root");
    assert_eq!(signature.signer.unwrap().subject, "CN=TEST-ONLY leaf");
    let folder = key_folder("chain");
    let path = folder.join("sample.sys");
    fs::write(&path, &file).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/test-only-root.pem");
    let Some(output) = osslsigncode(&path, &root) else {
        return;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

/// Signatures that another tool makes, with the algorithms of older and newer drivers.
#[test]
fn signatures_of_another_tool_are_read() {
    let folder = key_folder("other");
    let image = image::link(&common::module()).unwrap();
    let unsigned = folder.join("unsigned.sys");
    fs::write(&unsigned, image.bytes()).unwrap();
    let key = folder.join(signing::KEY_FILE);
    for (hash, number) in [
        ("sha1", "1.3.14.3.2.26"),
        ("sha256", "2.16.840.1.101.3.4.2.1"),
        ("sha384", "2.16.840.1.101.3.4.2.2"),
    ] {
        let signed = folder.join(format!("{hash}.sys"));
        let certificate = certificate_pem(&folder);
        let options = [
            "sign",
            "-certs",
            certificate.to_str().unwrap(),
            "-key",
            key.to_str().unwrap(),
            "-h",
            hash,
            "-ph",
            "-in",
            unsigned.to_str().unwrap(),
            "-out",
        ];
        let Some(output) = tool("osslsigncode", &options, &signed) else {
            return;
        };
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let mut file = fs::read(&signed).unwrap();
        let signature = inspect(&file).unwrap().unwrap();
        assert!(signature.is_good(), "{hash}: {signature:?}");
        assert_eq!(signature.digest_algorithm, number);
        assert!(image::check(&file).unwrap().passes());
        file[0x400] ^= 1;
        let signature = inspect(&file).unwrap().unwrap();
        assert!(!signature.digest_matches && signature.status == SignatureStatus::Good);
    }
}
