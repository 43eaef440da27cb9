//! Hexadecimal bytes on the command line.

use crate::report::{Diagnostic, Outcome};
use abi::diagnostic as id;
use ebpfcore_sim::read;

/// Parses bytes; `what` names the argument in the error.
pub(crate) fn parse(what: &str, text: &str) -> Outcome<Vec<u8>> {
    read::hex(text).map_err(|problem| {
        let text = format!("{what}: {problem}");
        vec![Diagnostic::error(id::BAD_HEX, text)]
    })
}

/// Bytes as lower-case digits without spaces.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
