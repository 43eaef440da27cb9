//! Short fuzzing on the stable toolchain: runs the harness of `fuzz/targets`.
//!
//! The harness mutates without coverage feedback, which stable Rust does not offer; it finds what a
//! few thousand damaged files per second find. Long, coverage-guided runs are for `cargo fuzz`, see
//! `fuzz/README.md`. The target `soundness` is another harness, `verifier/soundness`: it needs
//! programs that make sense, and runs what the verifier accepts.

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
    /// Targets to run, or `soundness`; without any, all but that
    targets: Vec<String>,
}

/// The target with a harness of its own.
const SOUNDNESS: &str = "soundness";

pub(crate) fn run(root: &Path, args: &Args) -> Result<bool, String> {
    let (seconds, seed) = (args.seconds.to_string(), args.seed.to_string());
    let is_own = |target: &&String| target.as_str() == SOUNDNESS;
    let others: Vec<&str> = args
        .targets
        .iter()
        .filter(|target| !is_own(target))
        .map(String::as_str)
        .collect();
    let mut ok = true;
    if args.targets.iter().any(|target| is_own(&target)) {
        ok &= cargo(root, "soundness", &["fuzz", &seconds, &seed])?;
    }
    if args.targets.is_empty() || !others.is_empty() {
        let words = [&[seconds.as_str(), seed.as_str()], others.as_slice()].concat();
        ok &= cargo(root, "fuzz-targets", &words)?;
    }
    Ok(ok)
}

/// Runs a program of the workspace. The development profile optimises and checks arithmetic:
/// overflows are findings too.
fn cargo(root: &Path, package: &str, words: &[&str]) -> Result<bool, String> {
    let mut command = Command::new("cargo");
    command.current_dir(root);
    command.args(["run", "--quiet", "--package", package, "--"]);
    let status = command.args(words).status();
    let status = status.map_err(|error| format!("cannot start cargo: {error}"))?;
    Ok(status.success())
}
