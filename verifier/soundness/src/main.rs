//! The judges from the command line; `cargo xtask fuzz soundness` and `cargo xtask kernel` run this.
//!
//! Usage: `soundness fuzz SECONDS SEED [PROGRAMS]`, `soundness again FILE`,
//! `soundness kernel [FILE [SECTION]]`, `soundness kernel --fuzz PROGRAMS SEED`.
#![forbid(unsafe_code)]

use soundness::campaign::{self, Plan};
use soundness::check::{Effort, check};
use soundness::sources;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["fuzz", seconds, seed] => fuzz(seconds, seed, "1000000000000"),
        ["fuzz", seconds, seed, programs] => fuzz(seconds, seed, programs),
        ["again", file] => again(Path::new(file)),
        ["kernel", rest @ ..] => kernel::run(rest),
        _ => Err("usage: soundness fuzz | again | kernel, see the source".to_owned()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soundness: {error}");
            ExitCode::from(2)
        }
    }
}

/// Tries programs; 2 threads, because that is what machines for tests have.
fn fuzz(seconds: &str, seed: &str, programs: &str) -> Result<bool, String> {
    let number = |text: &str| {
        text.parse::<u64>()
            .map_err(|error| format!("`{text}`: {error}"))
    };
    let plan = Plan {
        seed: number(seed)?,
        programs: number(programs)?,
        time: Duration::from_secs(number(seconds)?),
        threads: 2,
    };
    let start = Instant::now();
    let outcome = campaign::run(&plan)?;
    println!(
        "soundness: {outcome}, seed {seed}, {} s",
        start.elapsed().as_secs()
    );
    for path in campaign::write(&outcome)? {
        println!("found: {}", path.display());
    }
    for (finding, case) in &outcome.findings {
        println!("\nat {}: {}\n{case}", finding.at, finding.why);
    }
    Ok(outcome.findings.is_empty())
}

/// Checks the cases of a file with many inputs.
fn again(path: &Path) -> Result<bool, String> {
    let mut ok = true;
    for source in sources::file(path)? {
        let effort = Effort {
            runs: 2_000,
            ..Effort::SMALL
        };
        match check(&source.object, effort, 1) {
            Ok(None) => println!("{}: refused", source.name),
            Ok(Some(accepted)) => println!("{}: {accepted:?}", source.name),
            Err(finding) => {
                ok = false;
                println!("{}: at {}: {}", source.name, finding.at, finding.why);
            }
        }
    }
    Ok(ok)
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    pub(crate) fn run(_words: &[&str]) -> Result<bool, String> {
        println!("not run: the kernel's verdicts are only to be had on Linux");
        Ok(true)
    }
}

#[cfg(target_os = "linux")]
#[path = "differential.rs"]
mod kernel;
