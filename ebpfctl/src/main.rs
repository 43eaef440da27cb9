//! `ebpfctl`: programs, maps, links and pins of the runtime, for people and scripts.
//!
//! Every command answers with a [`Response`], text for people and JSON with `--json`; `events` and
//! `stats --watch` answer again and again. On Windows the commands ask the driver. Elsewhere there is
//! none: they ask a simulated runtime of this process, which starts with what `--load` names and ends
//! with the command, and they say so.
//!
//! Invariant: results go to standard output, talk to standard error. Exit codes: 0 done, 1 a program was
//! refused, 2 anything else.

mod args;
mod events;
mod link;
mod map;
mod pin;
mod prog;
mod stats;
mod value;

use args::{Cli, Command};
use clap::{CommandFactory as _, Parser as _};
use ebpfapi::{Client, Error, Loaded, Object};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::process::ExitCode;

/// What a command answers.
pub(crate) struct Response {
    /// For people.
    pub(crate) text: String,
    /// For scripts.
    pub(crate) json: Value,
}

/// Why a command failed.
pub(crate) enum Failure {
    /// The runtime or a file.
    Runtime(Error),
    /// What was typed.
    Usage(String),
    /// Standard output was closed: nobody reads any more.
    Closed,
    /// Standard output cannot be written.
    Write(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Runtime(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::Write(error),
        }
    }
}

/// What a command comes to.
pub(crate) type Outcome<T = Response> = Result<T, Failure>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) | Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(failure) => failed(&failure, &cli),
    }
}

fn run(cli: &Cli) -> Outcome<()> {
    let mut out = Output {
        json: cli.json,
        to: io::stdout().lock(),
    };
    if let Command::Completions { shell } = &cli.command {
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut Cli::command(), "ebpfctl", &mut script);
        return Ok(out.to.write_all(&script)?);
    }
    let client = connect()?;
    let held = load(&client, cli)?;
    let response = match &cli.command {
        Command::Prog(command) => prog::run(&client, command)?,
        Command::Map(command) => map::run(&client, command)?,
        Command::Link(command) => link::run(&client, command)?,
        Command::Pin(command) => pin::run(&client, command)?,
        Command::Events(args) => return events::run(&client, args, &mut out),
        Command::Stats(args) => return stats::run(&client, args, &mut out),
        Command::Completions { .. } => return Ok(()),
    };
    out.show(&response)?;
    drop(held);
    Ok(())
}

/// The runtime: the driver's where there can be one.
fn connect() -> Outcome<Client> {
    if !cfg!(windows) {
        eprintln!(
            "note: no driver on this system; a simulated runtime that ends with this command"
        );
    }
    Ok(Client::connect()?)
}

/// Loads what `--load` names; it stays as long as the result is held.
fn load(client: &Client, cli: &Cli) -> Outcome<Vec<Loaded>> {
    let load = |file| Ok(Object::open(file)?.load(client)?);
    cli.load.iter().map(load).collect()
}

/// Where answers go.
pub(crate) struct Output<W> {
    json: bool,
    /// The place itself.
    pub(crate) to: W,
}

impl<W: Write> Output<W> {
    /// Prints an answer.
    pub(crate) fn show(&mut self, response: &Response) -> Outcome<()> {
        match self.json {
            true => writeln!(self.to, "{}", response.json)?,
            false => self.to.write_all(response.text.as_bytes())?,
        }
        Ok(self.to.flush()?)
    }
}

fn failed(failure: &Failure, cli: &Cli) -> ExitCode {
    let (code, message, refused) = match failure {
        Failure::Runtime(error) => (error.code(), error.to_string(), error.report().is_some()),
        Failure::Usage(message) => (abi::diagnostic::USAGE, message.clone(), false),
        Failure::Write(error) => {
            let message = format!("standard output: {error}");
            (abi::diagnostic::OUTPUT_UNWRITABLE, message, false)
        }
        Failure::Closed => return ExitCode::SUCCESS,
    };
    match cli.json {
        true => println!(
            "{}",
            json!({"error": {"code": code.to_string(), "message": message}})
        ),
        false => eprintln!("error[{code}]: {message}"),
    }
    ExitCode::from(if refused { 1 } else { 2 })
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test fails by panicking")]
mod tests {
    use super::Cli;
    use clap::CommandFactory as _;
    use std::fmt::Write as _;

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ebpfctl.md");
    const INTRODUCTION: &str = "<!-- Made from ebpfctl/src/args.rs; `BLESS=1 cargo test -p ebpfctl` writes it. -->
# Commands of ebpfctl

`ebpfctl` asks the runtime about programs, maps, links and pins, and changes them. With `--json` every answer
is one JSON document on a line.
";

    /// A section for a command and, below it, for those that it has.
    fn section(command: &clap::Command, path: &str, out: &mut String) {
        let help = command
            .clone()
            .bin_name(path)
            .disable_help_flag(true)
            .render_help();
        let lines: Vec<String> = help
            .to_string()
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        let _ = write!(
            out,
            "\n## {path}\n\n```text\n{}\n```\n",
            lines.join("\n").trim_end()
        );
        for below in command
            .get_subcommands()
            .filter(|below| below.get_name() != "help")
        {
            section(below, &format!("{path} {}", below.get_name()), out);
        }
    }

    #[test]
    fn the_reference_is_that_of_the_arguments() {
        let mut made = INTRODUCTION.to_owned();
        section(&Cli::command().term_width(100), "ebpfctl", &mut made);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(FILE, &made).expect("the folder is there");
        }
        let written = std::fs::read_to_string(FILE).unwrap_or_default();
        assert!(written == made, "BLESS=1 writes it anew: {made}");
    }
}
