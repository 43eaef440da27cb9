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
    /// Give the kernel this many random programs that we accept
    #[arg(long, value_name = "PROGRAMS", conflicts_with = "file")]
    fuzz: Option<u64>,
    /// Start of the random numbers of `--fuzz`
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<bool, String> {
    let mut command = Command::new("cargo");
    command
        .args(["run", "--quiet", "--manifest-path"])
        .arg(root.join("Cargo.toml"))
        .args(["--package", "soundness", "--", "kernel"])
        .args(&args.file)
        .args(&args.section);
    if let Some(programs) = args.fuzz {
        let numbers = [programs, args.seed].map(|number| number.to_string());
        command.arg("--fuzz").args(numbers);
    }
    let status = command
        .status()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    Ok(status.success())
}
