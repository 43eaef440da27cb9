//! The commands of `netsh ebpf`.
//!
//! [`COMMANDS`] is the one table: verbs, objects, tags with their kinds and defaults, help. The parser
//! ([`parse`]), the help texts ([`help`]) and the reference ([`help::reference`]) are derived from it.
//! A command takes what was typed and answers with text, so the library runs on any host; netsh's own
//! interface lies around it.
//!
//! Texts are those that administrators and scripts know from eBPF for Windows. Invariant: what was
//! typed never panics, and a command that fails says what to do. Left out: the remote operation of
//! netsh, dumps.

mod answer;
mod file;
pub mod help;
mod parse;
mod show;
mod table;

pub use answer::{Answer, Ending};
pub use parse::{Arguments, Mistake, Parsed, parse};
pub use table::{COMMANDS, Command, Kind, Tag, Verb};

/// What lasts from one command to the next.
#[derive(Debug, Default)]
pub struct Session {}

impl Session {
    /// Nothing loaded yet.
    #[must_use]
    pub fn new() -> Session {
        Session::default()
    }

    /// Runs a command as it was typed behind `netsh ebpf`.
    pub fn run<W: AsRef<str>>(&mut self, words: &[W]) -> Answer {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        match parse(&words) {
            Ok(Parsed::Command(command, arguments)) => match (command.run)(self, &arguments) {
                Ok(answer) => answer,
                Err(failure) => failure.into(),
            },
            Ok(Parsed::Help(topic)) => Answer::done(help::about(topic)),
            Err(mistake) => Answer::failed(mistake.to_string()),
        }
    }
}
