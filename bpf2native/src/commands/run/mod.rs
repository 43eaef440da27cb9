//! `bpf2native run FILE`: runs a program on this machine as the driver would run on Windows.
//!
//! A `.sys` is mapped, started and attached through the simulated runtime. A `.o` goes through the
//! same pipeline first, in memory; nothing is written. With `--repeat` the whole input runs that
//! often and the time is taken; without it every result is shown, and a second, fresh instance is
//! timed so that the maps shown are those of exactly one pass.

mod inputs;
mod load;
mod show;

use crate::args::{EngineArg, RunArgs};
use crate::commands::input;
use crate::report::{Diagnostic, Outcome, from_stage};
use crate::{Response, files, hex};
use abi::{ProgramType, diagnostic as id};
use ebpfcore_sim::{Engine, Host, Input, Invocation, Measurement};

/// Largest file read.
const FILE_BYTES: u64 = 256 << 20;

/// What there is to tell about a run.
pub(crate) struct Run {
    program: String,
    program_type: &'static ProgramType,
    engine: Engine,
    /// Every invocation; empty when they were only counted.
    invocations: Vec<Invocation>,
    measurement: Measurement,
    host: Host,
    /// The loader's remarks.
    notes: Vec<String>,
}

/// Runs one program.
pub(crate) fn run(args: &RunArgs) -> Response {
    let shown = run_program(args).and_then(|run| Ok((show::response(&run)?, run.notes)));
    match shown {
        Ok((mut response, notes)) => {
            let warnings = input::warnings(&notes, &args.input);
            response.diagnostics.extend(warnings);
            response
        }
        Err(list) => Response::failed(input::in_file(list, &args.input)),
    }
}

fn run_program(args: &RunArgs) -> Outcome<Run> {
    let bytes = files::read(&args.input, FILE_BYTES)?;
    let engine = match args.engine {
        EngineArg::Native => Engine::Native,
        EngineArg::Interpreter => Engine::Interpreter,
    };
    let input = load::Input::new(args, &bytes)?;
    let source = input.source(engine)?;
    let mut host = source.host()?;
    let (program, program_type) = choose(args, &host, engine)?;
    let inputs = inputs::read(args)?;
    set_maps(args, &host)?;
    let total = inputs.len() as u64 * u64::from(args.repeat);
    if args.repeat > 1 {
        let measurement = host
            .measure(&program, engine, (&inputs, total))
            .map_err(failed)?;
        return Ok(Run {
            program,
            program_type,
            engine,
            invocations: Vec::new(),
            measurement,
            host,
            notes: input.notes(),
        });
    }
    let invocations = host.run(&program, engine, &inputs).map_err(failed)?;
    let measurement = measure_fresh(args, &source, (&program, engine), &inputs)?;
    Ok(Run {
        program,
        program_type,
        engine,
        invocations,
        measurement,
        host,
        notes: input.notes(),
    })
}

/// The time of one pass, on an instance of its own.
fn measure_fresh(
    args: &RunArgs,
    source: &load::Source<'_>,
    (program, engine): (&str, Engine),
    inputs: &[Input],
) -> Outcome<Measurement> {
    let mut host = source.host()?;
    set_maps(args, &host)?;
    host.measure(program, engine, (inputs, inputs.len() as u64))
        .map_err(failed)
}

/// The program to run: the one named, or the only one.
fn choose(args: &RunArgs, host: &Host, engine: Engine) -> Outcome<(String, &'static ProgramType)> {
    let programs = host.programs(engine);
    let found = match &args.program {
        Some(name) => programs.iter().find(|program| program.name() == name),
        None if programs.len() == 1 => programs.first(),
        None => None,
    };
    if let Some(program) = found {
        return Ok((program.name().to_owned(), program.program_type()));
    }
    let names = programs.iter().map(|program| program.name());
    Err(vec![match &args.program {
        Some(wanted) => input::no_such_program(&args.input, wanted, names),
        None => input::several_programs(&args.input, names),
    }])
}

/// Applies `--map NAME:KEY=VALUE`.
fn set_maps(args: &RunArgs, host: &Host) -> Outcome<()> {
    for text in &args.map {
        let parts = text
            .split_once(':')
            .and_then(|(name, rest)| Some((name, rest.split_once('=')?)));
        let Some((name, (key, value))) = parts else {
            let what = format!("--map {text}: expected NAME:KEY=VALUE");
            return Err(vec![Diagnostic::error(id::USAGE, what)]);
        };
        let (key, value) = (hex::parse("key", key)?, hex::parse("value", value)?);
        host.set(name, &key, &value).map_err(failed)?;
    }
    Ok(())
}

fn failed(error: ebpfcore_sim::Error) -> Vec<Diagnostic> {
    vec![from_stage::run(&error)]
}
