//! Help texts by number, as netsh looks them up in the library's resources.
//!
//! `strings.rc` is made from the commands by the test below.

use commands::COMMANDS;
#[cfg(test)]
use commands::{Verb, help};

/// The text about a verb is this and its index.
const VERBS: usize = 100;
/// One line about a command is this and its index.
const LINES: usize = 1000;
/// The page of a command is this and its index.
const PAGES: usize = 2000;

const _: () = assert!(COMMANDS.len() < PAGES - LINES);

/// Number of the text about a verb.
pub(crate) const fn verb(index: usize) -> u32 {
    (VERBS + index) as u32
}

/// Number of the line about a command.
pub(crate) const fn line(index: usize) -> u32 {
    (LINES + index) as u32
}

/// Number of the page of a command.
pub(crate) const fn page(index: usize) -> u32 {
    (PAGES + index) as u32
}

/// All texts with their numbers, as a resource script.
#[cfg(test)]
fn script() -> String {
    use std::fmt::Write as _;

    let mut out =
        "// Made from the table of commands; BLESS=1 cargo test -p ebpfnetsh-dll rewrites it.\n\
                   STRINGTABLE\nBEGIN\n"
            .to_owned();
    let verbs = Verb::ALL.iter().enumerate();
    let verbs = verbs.map(|(at, named)| (verb(at), format!("{}\n", named.help())));
    let lines = COMMANDS.iter().enumerate();
    let lines = lines.map(|(at, command)| (line(at), format!("{}\n", command.help)));
    let pages = COMMANDS.iter().enumerate();
    let pages = pages.map(|(at, command)| (page(at), help::page(command)));
    for (number, text) in verbs.chain(lines).chain(pages) {
        // netsh takes them for patterns, in which % begins an insert.
        let text = text.replace('%', "%%").replace('\\', "\\\\");
        let text = text.replace('"', "\"\"").replace('\n', "\\n");
        let _ = writeln!(out, "    {number} \"{text}\"");
    }
    out + "END\n"
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    #[test]
    fn the_resources_are_those_of_the_commands() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/strings.rc");
        let made = super::script();
        assert!(made.is_ascii(), "resources are written in ASCII");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(file, &made).unwrap();
        }
        let written = std::fs::read_to_string(file).unwrap_or_default();
        assert!(written == made, "BLESS=1 writes it anew: {made}");
    }
}
