//! This program in front of the compiler, so that folders do not show in drivers.
//!
//! Cargo gives each crate a hash that tells it from others of its name, and for packages outside of
//! the workspace it is made of their absolute path. A driver is a workspace of its own, so all crates
//! of this repository are such; the hash is in every symbol, and symbols decide about order. Here it
//! is replaced by the crate's name, which is unique among ours. Crates from elsewhere keep theirs.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, ExitCode};

/// Set to the root of the repository where this program stands in front of the compiler.
const ROOT: &str = "XTASK_COMPILES_FOR";

/// Lets a build go through this program.
pub(super) fn stand_in_front(command: &mut Command, root: &Path) -> Result<(), String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    command.env("RUSTC_WRAPPER", own).env(ROOT, root);
    Ok(())
}

/// Calls the compiler when this program was started in front of it.
pub(crate) fn called() -> Option<ExitCode> {
    let root = std::env::var_os(ROOT)?;
    let mut arguments = std::env::args_os().skip(1);
    let compiler = arguments.next()?;
    let mut arguments: Vec<OsString> = arguments.collect();
    let package = std::env::var_os("CARGO_MANIFEST_DIR");
    if package.is_some_and(|package| Path::new(&package).starts_with(&root)) {
        name_by_crate(&mut arguments);
    }
    let status = Command::new(compiler).args(arguments).status();
    Some(match status.ok().and_then(|status| status.code()) {
        Some(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        None => ExitCode::FAILURE,
    })
}

/// Replaces the hash by the name of the crate.
fn name_by_crate(arguments: &mut [OsString]) {
    let is_name = |pair: &&[OsString]| pair[0] == "--crate-name";
    let Some(name) = arguments
        .windows(2)
        .find(is_name)
        .map(|pair| pair[1].clone())
    else {
        return;
    };
    let is_hash = |argument: &OsStr| argument.as_encoded_bytes().starts_with(b"metadata=");
    for argument in arguments.iter_mut().filter(|argument| is_hash(argument)) {
        *argument = OsString::from("metadata=");
        argument.push(&name);
    }
}
