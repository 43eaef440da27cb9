//! `bpf2native`: from eBPF object to a signed Windows driver in one command.
//!
//! This binary only reads what was typed, calls the stages in order (see `pipeline.rs`, the whole
//! story in a page) and prints results. Results go to standard output, talk and errors to standard
//! error. Exit codes: 0 done, 1 program rejected, 2 usage or environment, 3 internal bug.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod files;
mod hex;
mod keys;
mod kit;
mod pipeline;
mod report;
mod timing;

use args::{Cli, Command, Format};
use clap::Parser as _;
use report::{Diagnostic, Talk};
use std::process::ExitCode;

/// What a command has to say.
#[derive(Debug, Default)]
pub(crate) struct Response {
    /// The result for people, with ANSI styles.
    pub(crate) text: String,
    /// The result for machines; `diagnostics` is added to it.
    pub(crate) json: serde_json::Map<String, serde_json::Value>,
    /// What went wrong.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Response {
    /// A response that is only failure.
    pub(crate) fn failed(diagnostics: Vec<Diagnostic>) -> Response {
        Response {
            diagnostics,
            ..Response::default()
        }
    }

    /// Adds a field to the JSON result.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<serde_json::Value>) {
        self.json.insert(key.to_owned(), value.into());
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are not errors; clap knows, and a closed pipe is fine.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    std::panic::set_hook(Box::new(report_bug));
    let format = cli.global.format;
    match std::panic::catch_unwind(|| dispatch(cli)) {
        Ok(response) => finish(format, response),
        Err(_) => ExitCode::from(3),
    }
}

fn dispatch(cli: Cli) -> Response {
    let talk = Talk::new(&cli.global);
    match cli.command {
        None => commands::compile::run(&cli.compile, talk),
        Some(Command::Verify(args)) => commands::verify::run(&args),
        Some(Command::Explain(args)) => commands::explain::run(&args),
        Some(Command::Disassemble(args)) => commands::disassemble::run(&args),
        Some(Command::Inspect(args)) => commands::inspect::run(&args),
        Some(Command::Run(args)) => commands::run::run(&args),
        Some(Command::Certificate(args)) => commands::certificate::run(&args, talk),
        Some(Command::ConformancePlugin(args)) => commands::conformance::run(&args),
        Some(Command::Completions(args)) => commands::completions::run(&args),
    }
}

fn finish(format: Format, mut response: Response) -> ExitCode {
    match format {
        Format::Human => {
            print_text(&response.text);
            response.diagnostics.iter().for_each(report::print);
            point_to_pages(&response.diagnostics);
        }
        Format::Sarif => report::json::print(&report::sarif::document(&response.diagnostics)),
        Format::Json => {
            response.set(
                "diagnostics",
                report::json::diagnostics(&response.diagnostics),
            );
            report::json::print(&serde_json::Value::Object(response.json));
        }
    }
    ExitCode::from(report::exit_code(&response.diagnostics))
}

/// Says where more is to be read about the ids that have a page.
fn point_to_pages(diagnostics: &[Diagnostic]) {
    let codes: std::collections::BTreeSet<_> = diagnostics
        .iter()
        .map(|diagnostic| diagnostic.code)
        .filter(|code| commands::explain::page(*code).is_some())
        .collect();
    let names: Vec<String> = codes.iter().map(ToString::to_string).collect();
    if !names.is_empty() {
        anstream::eprintln!("More about it: bpf2native explain {}", names.join(" "));
    }
}

/// Prints a result; a reader that has seen enough (a closed pipe) is not an error.
fn print_text(text: &str) {
    use std::io::Write as _;
    let mut out = anstream::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// The panic hook: an internal bug reads like any other diagnostic.
fn report_bug(info: &std::panic::PanicHookInfo<'_>) {
    let what = match (
        info.payload().downcast_ref::<&str>(),
        info.payload().downcast_ref::<String>(),
    ) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => "a panic without a message".to_owned(),
    };
    let place = info
        .location()
        .map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
    report::print(&Diagnostic::error(
        abi::diagnostic::INTERNAL,
        format!("{what}{place}"),
    ));
}
