//! `bpf2native completions SHELL`.

use crate::{Response, args};
use clap::CommandFactory as _;

/// Prints a completion script.
pub(crate) fn run(args: &args::CompletionArgs) -> Response {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut args::Cli::command(),
        "bpf2native",
        &mut script,
    );
    let text = String::from_utf8_lossy(&script).into_owned();
    let mut response = Response::default();
    response.set("script", text.as_str());
    response.text = text;
    response
}
