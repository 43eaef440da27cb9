//! Speed of the stages, measured plainly: each benchmark runs a closure until enough time has
//! passed, several times over, and reports the fastest round (the one least disturbed).
//!
//! `bench [FILTER]...` runs the benchmarks whose names contain one of the filters, all without;
//! `bench --list` prints the names. Output is one line per benchmark: name, time per operation,
//! operations per second. A stage adds a file with a function that registers its benchmarks in
//! [`Bench`]. Those that compare or take long run once and print a report of their own (`corpus`, `engines`,
//! `runtime`, `scaling`). What is left out: statistics; compare numbers of the same machine and day.

#[cfg(all(unix, target_arch = "x86_64"))]
mod computer;
mod corpus_run;
mod decode;
mod domain;
#[cfg(all(unix, target_arch = "x86_64"))]
mod engines;
mod harness;
mod hook;
#[cfg(all(unix, target_arch = "x86_64"))]
mod inputs;
mod pipeline;
mod process;
mod run;
mod runtime;
mod scaling;

use harness::Bench;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut filters: Vec<String> = std::env::args().skip(1).collect();
    let list = filters.iter().any(|argument| argument == "--list");
    filters.retain(|argument| !argument.starts_with("--"));
    let mut bench = if list {
        Bench::listing()
    } else {
        Bench::running(filters)
    };
    // First, because it reports what the whole process took so far.
    corpus_run::register(&mut bench);
    #[cfg(all(unix, target_arch = "x86_64"))]
    computer::register(&mut bench);
    decode::register(&mut bench);
    domain::register(&mut bench);
    #[cfg(all(unix, target_arch = "x86_64"))]
    engines::register(&mut bench);
    hook::register(&mut bench);
    pipeline::register(&mut bench);
    run::register(&mut bench);
    runtime::register(&mut bench);
    scaling::register(&mut bench);
    if bench.is_empty() {
        eprintln!("no benchmark has such a name; see --list");
        return ExitCode::from(2);
    }
    ExitCode::SUCCESS
}
