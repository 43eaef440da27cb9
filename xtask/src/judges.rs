//! Judges of unsafe and concurrent code: the models of concurrency in their long form, and two that need
//! a nightly compiler with the library's sources, the thread sanitizer and Miri.
//!
//! The models run in every test run with few switches of threads, and here with more. The sanitizer
//! watches the tests of the runtime in which threads meet; the standard library is built with it, so
//! nothing is suppressed. Miri runs the tests of the runtime over raw memory; those that go
//! round often do so less there (`cfg!(miri)`). What is missing on a machine is said with the command that
//! brings it. What is left out: tests of other packages, which have no raw memory that threads share.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiler: of a certain day, because what these judges need changes from one to the next.
pub(crate) const NIGHTLY: &str = "nightly-2026-06-15";
/// The sanitizer's host: others have none, or another.
const HOST: &str = "x86_64-unknown-linux-gnu";
/// Tests in which threads meet.
const THREADS: &[&str] = &["stress", "maps", "rings", "links", "hooks", "operations"];
/// Tests that reach memory by address. Others run there too when they are named, but take hours.
const MEMORY: &[&str] = &["maps", "rings", "links"];
/// Addresses are numbers to programs, so provenance is exposed, on purpose. Of weak memory Miri knows no
/// accesses of different sizes to the same bytes, which rings make; the models look at that.
const MIRI: &str = "-Zmiri-permissive-provenance -Zmiri-disable-weak-memory-emulation";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these test files of `ebpfcore/core`
    #[arg(value_name = "FILE")]
    files: Vec<String>,
    /// Only tests whose names contain this
    #[arg(long)]
    name: Option<String>,
}

/// Runs tests under the thread sanitizer.
pub(crate) fn threads(root: &Path, args: &Args) -> Result<bool, String> {
    need(&["rust-src"])?;
    let mut command = tests(root, args, (&["test", "-Zbuild-std"], THREADS));
    command.env("RUSTFLAGS", "-Zsanitizer=thread");
    finish(command)
}

/// Runs tests under Miri.
pub(crate) fn memory(root: &Path, args: &Args) -> Result<bool, String> {
    need(&["rust-src", "miri"])?;
    let mut command = tests(root, args, (&["miri", "test", "--quiet"], MEMORY));
    let flags = std::env::var("MIRIFLAGS").unwrap_or_default();
    command.env("MIRIFLAGS", format!("{MIRI} {flags}"));
    finish(command)
}

/// Runs the models of concurrency with more switches and more schedules than the tests do.
pub(crate) fn models(root: &Path) -> Result<bool, String> {
    let mut command = Command::new("cargo");
    command
        .current_dir(root)
        .args(["test", "--package", "ebpfcore-models"])
        .env("SOAK", "1");
    finish(command)
}

/// The command that runs test files of the runtime.
fn tests(root: &Path, args: &Args, (task, files): (&[&str], &[&str])) -> Command {
    let mut command = Command::new("cargo");
    let chosen: Vec<&str> = match args.files.as_slice() {
        [] => files.to_vec(),
        chosen => chosen.iter().map(String::as_str).collect(),
    };
    command
        .current_dir(root)
        // Of the toolchain that runs this; the nightly one has its own.
        .env_remove("RUSTC")
        .env_remove("RUSTDOC")
        .arg(format!("+{NIGHTLY}"))
        .args(task)
        .args(["--target", HOST, "--package", "ebpfcore", "--target-dir"])
        .arg(root.join("target/nightly"))
        .args(chosen.iter().flat_map(|file| ["--test", file]))
        .args(["--no-fail-fast", "--"])
        .args(&args.name);
    command
}

fn finish(mut command: Command) -> Result<bool, String> {
    let status = command.status();
    let status = status.map_err(|error| format!("cannot start cargo: {error}"))?;
    Ok(status.success())
}

/// What the judges are made of must be there.
fn need(components: &[&str]) -> Result<(), String> {
    let advice = || {
        let names = components.join(" ");
        format!(
            "this needs a nightly compiler with {names}:\n  \
             rustup toolchain install {NIGHTLY} --profile minimal\n  \
             rustup component add {names} --toolchain {NIGHTLY}"
        )
    };
    let output = Command::new("rustc")
        .args([&format!("+{NIGHTLY}"), "--print", "sysroot"])
        .output();
    let root = output.ok().filter(|output| output.status.success());
    let root = root.ok_or_else(advice)?.stdout;
    let root = PathBuf::from(String::from_utf8_lossy(&root).trim());
    let part = |name: &&str| match *name {
        "rust-src" => root.join("lib/rustlib/src/rust/library/std/Cargo.toml"),
        _ => root.join("bin/cargo-miri"),
    };
    let is_complete = components.iter().all(|name| part(name).is_file());
    is_complete.then_some(()).ok_or_else(advice)
}
