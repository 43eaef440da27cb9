//! `execution=native`: the driver of an object file, made here.
//!
//! The same object and key give the same bytes, so a driver that is there already either is the one that
//! would be made, or is somebody's own and stays as it is.

use crate::Host;
use crate::answer::Failure;
use crate::show::problems;
use program::{Object, ProgramId};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use verifier::Verified;

/// A driver that was made.
pub(crate) struct Made {
    /// Its file, beside the object file.
    pub(crate) file: PathBuf,
    /// What was done, in a line.
    pub(crate) note: String,
}

/// Verifies, compiles, links, signs and writes. Nothing is written if anything fails, and no other driver
/// is overwritten.
pub(crate) fn driver(host: &dyn Host, name: &str, object: &Object) -> Result<Made, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure(format!("error: could not compile {name}\n{error}\n"))
    };
    let verified = verified(object)?;
    let module = codegen::compile(&verified, &codegen::Options::default());
    let image = image::link(&module.map_err(|error| failed(&error))?);
    let image = image.map_err(|error| failed(&error))?;
    let signer = host.signer().map_err(|error| failed(&error))?;
    let (bytes, signed) = match &signer {
        Some(signer) => {
            let bytes = signing::sign(&image, signer).map_err(|error| failed(&error))?;
            (
                bytes,
                "signed; Windows loads it where its certificate is trusted",
            )
        }
        None => (image.bytes().to_vec(), "unsigned"),
    };
    let file = Path::new(name).with_extension("sys");
    write(&file, &bytes).map_err(|error| failed(&format_args!("{}: {error}", file.display())))?;
    let note = format!("Compiled {name} to {} ({signed})\n", file.display());
    Ok(Made { file, note })
}

fn verified(object: &Object) -> Result<Vec<Verified<'_>>, Failure> {
    let ids = (0..).map(ProgramId).zip(&object.programs);
    ids.map(|(id, _)| {
        let proved = verifier::verify(object, id, &verifier::Options::default());
        proved.map_err(|rejected| Failure(problems(object, &rejected)))
    })
    .collect()
}

/// Writes a file in one step, unless it is there with these bytes already.
fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if std::fs::read(file).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut new = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    new.write_all(bytes)?;
    match new.persist_noclobber(file) {
        Ok(_) => Ok(()),
        Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => {
            let what =
                "another driver is there, which is not overwritten; delete or rename it first";
            Err(std::io::Error::new(ErrorKind::AlreadyExists, what))
        }
        Err(failed) => Err(failed.error),
    }
}
