//! Tasks of this repository: `cargo xtask lint`, `ci`, `dist`, `reproduce`, `fuzz`, `kernel`, `miri`,
//! `soak`, `tsan`, `wine`.
//!
//! Everything that continuous integration does is a task here, so that it can be run on any machine
//! in the same way. What is left out: building and running the product; that is `cargo` itself.

mod ci;
mod dist;
mod fuzz;
mod judges;
mod kernel;
mod lint;
mod reproduce;
mod windows;
mod wine;

use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Tasks of this repository", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure functions and files against the house rules
    Lint(lint::Args),
    /// Run what continuous integration runs, step by step
    Ci(ci::Args),
    /// Build and sign what is installed on Windows, into `dist`
    Dist(dist::Args),
    /// Build what is installed again from another folder and compare the bytes
    Reproduce(reproduce::Args),
    /// Run the fuzz targets for a short time on the stable toolchain
    Fuzz(fuzz::Args),
    /// Ask the Linux kernel's verifier for its verdicts and compare (needs root)
    Kernel(kernel::Args),
    /// Run the runtime's tests over raw memory under Miri (needs a nightly compiler)
    Miri(judges::Args),
    /// Run the models of concurrency much longer than the tests do
    Soak,
    /// Run the runtime's tests of threads under the thread sanitizer (needs a nightly compiler)
    Tsan(judges::Args),
    /// Run drivers under Wine, with the real service manager and stand-ins for what Wine lacks
    Wine(wine::Args),
}

fn main() -> ExitCode {
    if let Some(code) = windows::compiler::called() {
        return code;
    }
    let root = root();
    let ok = match Cli::parse().task {
        Task::Lint(args) => lint::run(&root, &args),
        Task::Ci(args) => ci::run(&root, &args),
        Task::Dist(args) => dist::run(&root, &args),
        Task::Reproduce(args) => reproduce::run(&root, &args),
        Task::Fuzz(args) => fuzz::run(&root, &args),
        Task::Kernel(args) => kernel::run(&root, &args),
        Task::Miri(args) => judges::memory(&root, &args),
        Task::Soak => judges::models(&root),
        Task::Tsan(args) => judges::threads(&root, &args),
        Task::Wine(args) => wine::run(&root, &args),
    };
    match ok {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::from(2)
        }
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
