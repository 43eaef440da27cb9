//! `show hash`: the hash in a driver.

use crate::answer::{Answer, Failure, Outcome};
use crate::table::tag;
use crate::{Arguments, Session, file};
use std::fmt::Write as _;

/// Bytes on a line.
const LINE: usize = 16;
/// First bytes of a driver.
const MZ: &[u8] = b"MZ";

/// Shows the hash of the object file that a driver was made of.
pub(crate) fn hash(_: &mut Session, arguments: &Arguments) -> Outcome {
    let name = arguments.required(&tag::FILENAME);
    let bytes = file::bytes(name).map_err(|failure| Failure(capital(&failure.0)))?;
    let none = || {
        let help = "Hashes are in drivers (.sys) that bpf2native made without --no-elf-hash.";
        Failure::new(format_args!(
            "Error: No hash section found in {name}\n{help}"
        ))
    };
    if !bytes.starts_with(MZ) {
        return Err(none());
    }
    let hash = file::driver(name, &bytes)?.elf_hash;
    let hash = hash.filter(|hash| !hash.is_empty()).ok_or_else(none)?;
    if arguments.is(&tag::HASHONLY, "yes") {
        let digits: String = hash.iter().map(|byte| format!("{byte:02X}")).collect();
        return Ok(Answer::done(digits + "\n"));
    }
    let mut out = format!("Hash for {name}:\nSize: {} bytes\nData: ", hash.len());
    for (at, line) in hash.chunks(LINE).enumerate() {
        let indent = if at == 0 { "" } else { "      " };
        let digits: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(out, "{indent}{}", digits.join(" "));
    }
    Ok(Answer::done(out))
}

/// This command's messages begin with a capital letter.
fn capital(message: &str) -> String {
    message.replacen("error:", "Error:", 1)
}
