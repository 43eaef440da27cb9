//! `--emit STAGE`: prints what a stage of the pipeline makes, in pipeline order.

use crate::args::{CompileArgs, Stage};
use crate::commands::joined::States;
use crate::commands::{cfg, compile, disassemble, input, inspect};
use crate::pipeline::{self, Job, Stages};
use crate::report::{Outcome, from_stage};
use crate::timing::Stopwatch;
use crate::{Response, files};
use isa::{Insn, InsnIdx};
use program::{Object, Program, ProgramId};
use std::fmt::Write as _;
use std::path::Path;
use verifier::Verified;

/// Texts of stages.
pub(crate) type Texts = Vec<(Stage, String)>;

/// Prints the chosen stages of every input.
pub(crate) fn run(args: &CompileArgs) -> Response {
    let mut response = Response::default();
    for path in &args.inputs {
        match one_input(args, path) {
            Ok(texts) => show(&mut response, path, &texts),
            Err(list) => response.diagnostics.extend(input::in_file(list, path)),
        }
    }
    response
}

/// Adds the texts of one input to a response.
pub(crate) fn show(response: &mut Response, path: &Path, texts: &Texts) {
    let name = path.display().to_string();
    for (stage, text) in texts {
        response.set(&format!("{name}:{stage:?}").to_lowercase(), text.as_str());
        response.text += text;
    }
}

fn one_input(args: &CompileArgs, path: &Path) -> Outcome<Texts> {
    let bytes = files::read(path, abi::limits::ELF_BYTES)?;
    let mut job = input::job(path, &args.object)?;
    job.codegen = compile::codegen_options(args);
    let object = pipeline::load(&bytes, &job)?;
    let skeleton = codegen::Skeleton::new();
    let stages = Stages::new(&object, &job, &skeleton, Stopwatch::default());
    texts(&args.emit, &stages)
}

/// The texts of the chosen stages of one object.
pub(crate) fn texts(chosen: &[Stage], stages: &Stages<'_>) -> Outcome<Texts> {
    chosen
        .iter()
        .map(|stage| Ok((*stage, text(*stage, stages)?)))
        .collect()
}

fn text(stage: Stage, stages: &Stages<'_>) -> Outcome<String> {
    let (object, job) = (stages.object, stages.job);
    match stage {
        Stage::Listing => Ok(disassemble::listings(object)),
        Stage::Cfg => Ok(cfg::graph(object)),
        Stage::State => Ok(pipeline::program_ids(object)
            .map(|id| state(object, id, job))
            .collect()),
        Stage::Visits => Ok(pipeline::program_ids(object)
            .map(|id| visits(object, id, job))
            .collect()),
        Stage::Clif => generated(stages, codegen::print::clif),
        Stage::Asm => generated(stages, codegen::print::asm),
        Stage::Unwind => generated(stages, codegen::print::unwind),
        Stage::Pe => Ok(inspect::inspect(stages.image()?.bytes())?.text),
    }
}

/// A printer of the code generator.
type Printer = fn(&[Verified<'_>], &codegen::Options) -> Result<String, codegen::Error>;

fn generated(stages: &Stages<'_>, print: Printer) -> Outcome<String> {
    let printed = print(stages.verified()?, &stages.job.codegen);
    printed.map_err(|error| vec![from_stage::codegen(&error)])
}

/// What is known before each instruction of one program, over all visits.
pub(crate) fn state(object: &Object, id: ProgramId, job: &Job) -> String {
    let program = &object.programs[usize::from(id.0)];
    let mut states = States::default();
    // Whether the program is refused is for those to report who asked for the states.
    let _ = verifier::verify_observed(object, id, &job.verify, &mut states);
    let mut out = format!("{} (section {})\n", program.name, program.section);
    let mut last = String::new();
    for (at, insn) in (0u32..).map(InsnIdx).zip(&program.insns) {
        if matches!(insn, Insn::Imm64High) {
            continue;
        }
        let line = source_line(program, at);
        if !line.is_empty() && line != last {
            out += &line;
            last = line;
        }
        let text = disassemble::named(object, program, at).unwrap_or_default();
        let Some(state) = states.at(at) else {
            let _ = writeln!(out, "{:6}: {text}   (not reached)", at.0);
            continue;
        };
        let visits = match state.visits {
            1 => String::new(),
            visits => format!("   ({visits} visits)"),
        };
        let _ = writeln!(out, "        {}{visits}\n{:6}: {text}", state.short(), at.0);
    }
    out + "\n"
}

fn source_line(program: &Program, at: InsnIdx) -> String {
    let line = program.line(at).filter(|line| line.start == at);
    line.map_or_else(String::new, |line| {
        format!("; {}:{} {}\n", line.file, line.line, line.text.trim())
    })
}

/// The verifier's states of one program at each visit, in the order of its exploration.
fn visits(object: &Object, id: ProgramId, job: &Job) -> String {
    let mut printer = VisitPrinter {
        object,
        id,
        out: String::new(),
    };
    let _ = verifier::verify_observed(object, id, &job.verify, &mut printer);
    printer.out
}

struct VisitPrinter<'a> {
    object: &'a Object,
    id: ProgramId,
    out: String,
}

impl verifier::Observer for VisitPrinter<'_> {
    fn step(&mut self, at: InsnIdx, state: &verifier::View<'_>) {
        let program = &self.object.programs[usize::from(self.id.0)];
        let text = disassemble::named(self.object, program, at).unwrap_or_default();
        self.out += &source_line(program, at);
        let _ = writeln!(self.out, "        {state}\n{:6}: {text}", at.0);
    }

    fn pruned(&mut self, at: InsnIdx) {
        let _ = writeln!(
            self.out,
            "{:6}: (a state that covers this one was already proved safe)\n",
            at.0
        );
    }

    fn resumed(&mut self, at: InsnIdx) {
        // The analysis of the entry itself is no other branch.
        if !self.out.is_empty() {
            let _ = writeln!(self.out, "{:6}: (goes on with another branch)", at.0);
        }
    }
}
