//! The judges from the command line; `cargo xtask kernel` runs this.
//!
//! Usage: `soundness kernel [FILE [SECTION]]`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["kernel", rest @ ..] => kernel::run(rest),
        _ => Err("usage: soundness kernel [FILE [SECTION]]".to_owned()),
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
