//! Short fuzzing on the stable toolchain: runs the harness of `fuzz/targets`.
//!
//! The harness mutates without coverage feedback, which stable Rust does not offer; it finds what a
//! few thousand damaged files per second find. Long, coverage-guided runs are for `cargo fuzz`, see
//! `fuzz/README.md`.

use std::path::Path;
use std::process::Command;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds per target
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Start of the pseudo-random sequence
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Targets to run; all when none is given
    targets: Vec<String>,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<bool, String> {
    let mut command = Command::new("cargo");
    command.current_dir(root);
    // The development profile optimises and checks arithmetic: overflows are findings too.
    command.args(["run", "--quiet", "--package", "fuzz-targets", "--"]);
    command
        .arg(args.seconds.to_string())
        .arg(args.seed.to_string())
        .args(&args.targets);
    let status = command
        .status()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    Ok(status.success())
}
