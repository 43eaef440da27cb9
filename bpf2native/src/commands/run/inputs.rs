//! What a program runs on: packets of a capture, or contexts in hexadecimal.
//!
//! A context file has one context per line, as bytes lie in memory; a second word on the line is the
//! data that the context's pointers shall point at. `#` starts a comment line.

use crate::args::RunArgs;
use crate::report::{Diagnostic, Outcome};
use crate::{capture, files, hex};
use abi::diagnostic as id;
use ebpfcore_sim::Input;
use std::path::Path;

/// Largest context file read.
const CONTEXT_BYTES: u64 = 64 << 20;

/// Reads the inputs that the arguments name.
pub(super) fn read(args: &RunArgs) -> Outcome<Vec<Input>> {
    match (&args.packet, &args.ctx) {
        (Some(path), _) => Ok(capture::read(path)?
            .iter()
            .map(|packet| Input::packet(packet))
            .collect()),
        (None, Some(text)) => contexts(text, args.data.as_deref()),
        (None, None) => Err(vec![Diagnostic::error(
            id::NOTHING_TO_RUN,
            "neither --packet nor --ctx is given",
        )]),
    }
}

fn contexts(text: &str, data: Option<&str>) -> Outcome<Vec<Input>> {
    let Some(path) = text.strip_prefix('@') else {
        let context = hex::parse("--ctx", text)?;
        let data = hex::parse("--data", data.unwrap_or_default())?;
        return Ok(vec![Input::context_with_data(&context, &data)]);
    };
    let bytes = files::read(Path::new(path), CONTEXT_BYTES)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().map(str::trim).zip(1..);
    let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(line, number)| one_line(path, line, number))
        .collect()
}

fn one_line(path: &str, line: &str, number: u32) -> Outcome<Input> {
    let what = format!("{path}:{number}");
    let mut words = line.split_whitespace();
    let context = hex::parse(&what, words.next().unwrap_or_default())?;
    let data = hex::parse(&what, words.next().unwrap_or_default())?;
    match words.next() {
        None => Ok(Input::context_with_data(&context, &data)),
        Some(_) => {
            let text = format!("{what}: more than a context and its data");
            Err(vec![Diagnostic::error(id::BAD_HEX, text)])
        }
    }
}
