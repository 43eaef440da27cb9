//! Reading inputs and writing outputs: the only place that touches the file system.
//!
//! Outputs are atomic: the bytes go to a temporary file in the target folder, which is renamed over
//! the target when it is complete. A failed run leaves no file and never clobbers an old one. There
//! is no fsync: it would cost more than the whole build, and an output lost in a power failure can
//! be built again.

use crate::report::{Diagnostic, Outcome, from_stage};
use abi::diagnostic as id;
use program::TargetBtf;
use std::io::{Read as _, Write as _};
use std::path::Path;

/// Reads a whole file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Outcome<Vec<u8>> {
    let fail = |text: String| vec![Diagnostic::error(id::INPUT_UNREADABLE, text).in_file(path)];
    let file = std::fs::File::open(path).map_err(|error| fail(format!("cannot open: {error}")))?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too long from one that just fits.
    let read = file.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|error| fail(format!("cannot read: {error}")))?;
    if bytes.len() as u64 > limit {
        return Err(fail(format!("longer than the limit of {limit} bytes")));
    }
    Ok(bytes)
}

/// Reads the types of a kernel; of an ELF file only their section.
pub(crate) fn target_btf(path: &Path) -> Outcome<TargetBtf> {
    let file = std::fs::File::open(path).map_err(|error| {
        let text = format!("cannot open: {error}");
        vec![Diagnostic::error(id::INPUT_UNREADABLE, text).in_file(path)]
    })?;
    TargetBtf::read(std::io::BufReader::new(file))
        .map_err(|error| vec![from_stage::load(&error).in_file(path)])
}

/// Writes a file atomically.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Outcome<()> {
    write_in(folder_of(path), path, bytes).map_err(|error| unwritable(path, &error))
}

/// Makes a folder, and those above it, when it is not there.
pub(crate) fn make_folder(path: &Path) -> Outcome<()> {
    std::fs::create_dir_all(path).map_err(|error| unwritable(path, &error))
}

/// The kind says it all; the error's own text names the temporary file, which helps nobody.
fn unwritable(path: &Path, error: &std::io::Error) -> Vec<Diagnostic> {
    let text = format!("cannot write: {}", error.kind());
    vec![Diagnostic::error(id::OUTPUT_UNWRITABLE, text).in_file(path)]
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn write_in(folder: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if path.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".bpf2native-").suffix(".tmp");
    share(&mut builder);
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Temporary files are private by default; an output has the usual permissions of a new file.
#[cfg(unix)]
fn share(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt as _;
    builder.permissions(std::fs::Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn share(_: &mut tempfile::Builder<'_, '_>) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_replaces_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sys");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn write_into_missing_folder_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no/x.sys");
        let errors = write(&path, b"x").unwrap_err();
        assert_eq!(errors[0].code, id::OUTPUT_UNWRITABLE);
        assert_eq!(errors[0].place.file.as_deref(), Some(path.as_path()));
    }

    #[test]
    fn read_refuses_what_is_too_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.o");
        std::fs::write(&path, [0; 11]).unwrap();
        assert_eq!(read(&path, 11).unwrap().len(), 11);
        assert_eq!(read(&path, 10).unwrap_err()[0].code, id::INPUT_UNREADABLE);
    }
}
