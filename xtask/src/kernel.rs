//! The Linux kernel's verdicts beside ours: runs the judges of `verifier/soundness`.

use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// An object for Linux, or assembler text in the form of `verifier/tests/cases`; without it,
    /// all cases and the corpus are compared with the inventory of disagreements
    file: Option<PathBuf>,
    /// Only the programs of this section
    #[arg(long, requires = "file")]
    section: Option<String>,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<bool, String> {
    let mut command = Command::new("cargo");
    command
        .args(["run", "--quiet", "--manifest-path"])
        .arg(root.join("Cargo.toml"))
        .args(["--package", "soundness", "--", "kernel"])
        .args(&args.file)
        .args(&args.section);
    let status = command
        .status()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    Ok(status.success())
}
