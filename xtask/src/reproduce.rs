//! Builds what is installed a second time, from a copy of the sources in another folder, and compares
//! the bytes.
//!
//! Folders, times and the order in which things are compiled must not show in the files. It takes as
//! long as building everything anew, so it is run by hand: `cargo xtask reproduce --driver` for the
//! driver alone. What is left out: another machine; another user, whose test certificate differs.

use crate::dist;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the driver
    #[arg(long)]
    driver: bool,
}

/// Folders that are not sources.
const OTHERS: &[&str] = &["target", "dist", ".git"];

pub(crate) fn run(root: &Path, args: &Args) -> Result<bool, String> {
    let folder = root.join("target/reproduce");
    // Without spaces: binutils' dlltool splits its own arguments there.
    let copy = folder.join("a-folder-with-another-name");
    let _ = std::fs::remove_dir_all(&copy);
    copy_folder(root, &copy)?;
    let (first, second) = (folder.join("first"), folder.join("second"));
    let programs = if args.driver { &[] } else { dist::PROGRAMS };
    let one = dist::all(root, &first, programs)?;
    let other = dist::all(&copy, &second, programs)?;
    let mut ok = one.len() == other.len();
    for (one, other) in one.iter().zip(&other) {
        ok &= is_same(one, other)?;
    }
    std::fs::remove_dir_all(&copy).map_err(|error| format!("{}: {error}", copy.display()))?;
    Ok(ok)
}

/// Compares two files and says where they differ first.
fn is_same(one: &Path, other: &Path) -> Result<bool, String> {
    let name = one.file_name().unwrap_or_default().to_string_lossy();
    let (one, other) = (dist::read(one)?, dist::read(other)?);
    if one == other {
        println!("{name}: the same {} bytes", one.len());
        return Ok(true);
    }
    let at = one.iter().zip(&other).position(|(one, other)| one != other);
    let count = one.iter().zip(&other).filter(|(one, other)| one != other);
    println!(
        "FAILED: {name}: {} and {} bytes, {} differ, the first at {at:?}",
        one.len(),
        other.len(),
        count.count()
    );
    Ok(false)
}

/// Copies the sources; folders are visited in turn, not by recursion.
fn copy_folder(from: &Path, to: &Path) -> Result<(), String> {
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let (source, target) = (from.join(&folder), to.join(&folder));
        let fail = |error| format!("{}: {error}", source.display());
        std::fs::create_dir_all(&target).map_err(fail)?;
        for entry in std::fs::read_dir(&source).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name();
            let kind = entry.file_type().map_err(fail)?;
            if kind.is_dir() && !OTHERS.iter().any(|other| name == *other) {
                folders.push(folder.join(&name));
            } else if kind.is_file() {
                std::fs::copy(entry.path(), target.join(&name)).map_err(fail)?;
            }
        }
    }
    Ok(())
}
