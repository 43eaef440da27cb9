//! `--emit STAGE`: prints what a stage of the pipeline makes, in pipeline order.

use crate::args::{CompileArgs, Stage};
use crate::commands::{cfg, compile, disassemble, input, inspect};
use crate::pipeline::{self, Job, Stages};
use crate::report::{Outcome, from_stage};
use crate::timing::Stopwatch;
use crate::{Response, files};
use program::{Object, ProgramId};
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

/// The verifier's states of one program, in the order of its exploration.
pub(crate) fn state(object: &Object, id: ProgramId, job: &Job) -> String {
    let mut printer = StatePrinter {
        object,
        id,
        out: String::new(),
    };
    // A rejection ends the listing; who asked for the states reports it.
    let _ = verifier::verify_observed(object, id, &job.verify, &mut printer);
    printer.out
}

struct StatePrinter<'a> {
    object: &'a Object,
    id: ProgramId,
    out: String,
}

impl verifier::Observer for StatePrinter<'_> {
    fn step(&mut self, at: isa::InsnIdx, state: &verifier::View<'_>) {
        use std::fmt::Write as _;
        let program = &self.object.programs[usize::from(self.id.0)];
        if let Some(line) = program.lines.iter().find(|line| line.start == at) {
            let _ = writeln!(
                self.out,
                "; {}:{} {}",
                line.file,
                line.line,
                line.text.trim()
            );
        }
        let _ = writeln!(self.out, "        {state}");
        let text = program
            .insns
            .get(at.index())
            .map(ToString::to_string)
            .unwrap_or_default();
        let _ = writeln!(self.out, "{:6}: {text}", at.0);
    }

    fn pruned(&mut self, at: isa::InsnIdx) {
        self.out += &format!(
            "{:6}: (a state that covers this one was already proved safe)\n\n",
            at.0
        );
    }

    fn resumed(&mut self, at: isa::InsnIdx) {
        // The analysis of the entry itself is no other branch.
        if !self.out.is_empty() {
            self.out += &format!("{:6}: (goes on with another branch)\n", at.0);
        }
    }
}
