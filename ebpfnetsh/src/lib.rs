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
mod host;
mod parse;
mod runtime;
mod show;
mod table;

pub use answer::{Answer, Ending};
pub use host::{Host, NotElevated, Process};
pub use parse::{Arguments, Mistake, Parsed, parse};
pub use table::{COMMANDS, Command, Kind, Tag, Verb};

use answer::Failure;
use ebpfapi::{Client, Loaded};

/// What lasts from one command to the next.
pub struct Session {
    host: Box<dyn Host>,
    client: Option<Client>,
    /// What was loaded here; it stays at least as long as the session.
    loaded: Vec<Loaded>,
}

impl Session {
    /// Nothing loaded yet; the runtime is asked for when a command needs it.
    #[must_use]
    pub fn new(host: Box<dyn Host>) -> Session {
        Session {
            host,
            client: None,
            loaded: Vec::new(),
        }
    }

    /// Runs a command as it was typed behind `netsh ebpf`.
    pub fn run<W: AsRef<str>>(&mut self, words: &[W]) -> Answer {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        match parse(&words) {
            Ok(Parsed::Command(command, arguments)) => self.command(command, &arguments),
            Ok(Parsed::Help(topic)) => Answer::done(help::about(topic)),
            Err(mistake) => Answer::failed(mistake.to_string()),
        }
    }

    /// Runs a command whose arguments were read already.
    pub fn command(&mut self, command: &Command, arguments: &Arguments) -> Answer {
        match (command.run)(self, arguments) {
            Ok(answer) => answer,
            Err(failure) => failure.into(),
        }
    }

    fn client(&mut self) -> Result<Client, Failure> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let client = self.host.connect().map_err(|error| Failure::new(&error))?;
        Ok(self.client.insert(client).clone())
    }
}
