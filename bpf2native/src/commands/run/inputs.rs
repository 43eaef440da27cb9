//! What a program runs on: packets of a capture, or contexts in hexadecimal.

use crate::args::RunArgs;
use crate::report::{Diagnostic, Outcome};
use crate::{files, hex};
use abi::diagnostic as id;
use ebpfcore_sim::{Input, read};
use std::path::Path;

/// Largest context file read.
const CONTEXT_BYTES: u64 = 64 << 20;
/// Largest capture file read.
const CAPTURE_BYTES: u64 = 1 << 30;

/// Reads the inputs that the arguments name.
pub(super) fn read(args: &RunArgs) -> Outcome<Vec<Input>> {
    match (&args.packet, &args.ctx) {
        (Some(path), _) => packets(path),
        (None, Some(text)) => contexts(text, args.data.as_deref()),
        (None, None) => Err(vec![Diagnostic::error(
            id::NOTHING_TO_RUN,
            "neither --packet nor --ctx is given",
        )]),
    }
}

fn packets(path: &Path) -> Outcome<Vec<Input>> {
    read::packets(&files::read(path, CAPTURE_BYTES)?)
        .map_err(|text| vec![Diagnostic::error(id::CAPTURE_UNREADABLE, text).in_file(path)])
}

fn contexts(text: &str, data: Option<&str>) -> Outcome<Vec<Input>> {
    let Some(path) = text.strip_prefix('@') else {
        let context = hex::parse("--ctx", text)?;
        let data = hex::parse("--data", data.unwrap_or_default())?;
        return Ok(vec![Input::context_with_data(&context, &data)]);
    };
    let bytes = files::read(Path::new(path), CONTEXT_BYTES)?;
    read::contexts(&String::from_utf8_lossy(&bytes)).map_err(|(line, problem)| {
        let text = format!("{path}:{line}: {problem}");
        vec![Diagnostic::error(id::BAD_HEX, text)]
    })
}
