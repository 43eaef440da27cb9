//! Which key signs: the per-user test certificate, a PKCS#12 file, or none.

use crate::args::SigningArgs;
use crate::files;
use crate::report::{Diagnostic, Outcome, Talk, from_stage};
use abi::diagnostic as id;
use etcetera::{BaseStrategy as _, choose_base_strategy};
use signing::Signer;
use std::path::PathBuf;

/// Largest PKCS#12 file read.
const PFX_BYTES: u64 = 1 << 20;

/// The signer that the arguments name; `None` for `--unsigned`.
pub(crate) fn signer(args: &SigningArgs, talk: Talk) -> Outcome<Option<Signer>> {
    if args.unsigned {
        return Ok(None);
    }
    match &args.pfx {
        Some(path) => {
            let bytes = files::read(path, PFX_BYTES)?;
            let signer = Signer::from_pfx(&bytes, &password(args)?);
            signer
                .map(Some)
                .map_err(|error| vec![from_stage::signing(&error).in_file(path)])
        }
        None => test_signer(talk).map(Some),
    }
}

/// The per-user test certificate, made on first use.
pub(crate) fn test_signer(talk: Talk) -> Outcome<Signer> {
    let folder = test_folder()?;
    let fresh = !folder.exists();
    if fresh {
        talk.say("making a test certificate (once per user, takes some seconds) ...");
    }
    let signer = Signer::test(&folder).map_err(|error| vec![from_stage::signing(&error)])?;
    if let Some(path) = signer.certificate_path().filter(|_| fresh) {
        talk.say(&format!("test certificate: {}", path.display()));
    }
    Ok(signer)
}

/// Where the test certificate and its key live.
pub(crate) fn test_folder() -> Outcome<PathBuf> {
    let strategy = choose_base_strategy()
        .map_err(|error| vec![Diagnostic::error(id::NO_CACHE_FOLDER, error.to_string())])?;
    Ok(strategy.cache_dir().join("bpf2native").join("test-signing"))
}

fn password(args: &SigningArgs) -> Outcome<String> {
    let Some(variable) = &args.password_env else {
        return Ok(String::new());
    };
    std::env::var(variable).map_err(|_| {
        vec![Diagnostic::error(
            id::PASSWORD_MISSING,
            format!("{variable} is not set or not UTF-8"),
        )]
    })
}
