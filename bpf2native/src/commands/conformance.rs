//! `bpf2native conformance-plugin`: the plugin protocol of the public bpf_conformance runner.
//!
//! The program comes as hexadecimal bytes on standard input (or `--program`), the memory as
//! hexadecimal bytes in the first argument; r0 goes to standard output in hexadecimal. Programs of
//! the suite are not verified: the interpreter checks every access, native code does not.

use crate::args::{ConformanceArgs, EngineArg};
use crate::report::{Diagnostic, Outcome, from_stage};
use crate::{Response, hex};
use abi::diagnostic as id;
use ebpfcore_sim::{Engine, conformance};
use std::io::Read as _;

/// Longest program text read from standard input.
const TEXT_BYTES: u64 = 64 << 20;

/// Runs one program of the suite.
pub(crate) fn run(args: &ConformanceArgs) -> Response {
    match run_program(args) {
        Ok(r0) => {
            let mut response = Response {
                text: format!("{r0:x}\n"),
                ..Response::default()
            };
            response.set("r0", format!("{r0:x}"));
            response
        }
        Err(diagnostics) => Response::failed(diagnostics),
    }
}

fn run_program(args: &ConformanceArgs) -> Outcome<u64> {
    let bytecode = hex::parse("program", &program_text(args)?)?;
    let memory = hex::parse("memory", &args.memory)?;
    let engine = match args.engine {
        EngineArg::Native => Engine::Native,
        EngineArg::Interpreter => Engine::Interpreter,
    };
    let outcome = conformance::run(&bytecode, &memory, engine);
    outcome
        .map(|outcome| outcome.r0)
        .map_err(|error| vec![from_stage::run(&error)])
}

fn program_text(args: &ConformanceArgs) -> Outcome<String> {
    if let Some(text) = &args.program {
        return Ok(text.clone());
    }
    let mut text = String::new();
    match std::io::stdin()
        .lock()
        .take(TEXT_BYTES)
        .read_to_string(&mut text)
    {
        Ok(_) => Ok(text),
        Err(error) => {
            let what = format!("standard input: {error}");
            Err(vec![Diagnostic::error(id::INPUT_UNREADABLE, what)])
        }
    }
}
