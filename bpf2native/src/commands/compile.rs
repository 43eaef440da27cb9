//! The main job: `bpf2native FILE.o -o FILE.sys`, and several inputs with `--out-dir`.
//!
//! Every input is built to the end before its output is written, so a rejected program leaves no
//! file. Outputs are compared with each other and with the inputs first.

use crate::commands::{emit, input};
use crate::kit::Kit;
use crate::pipeline::Stages;
use crate::report::{Diagnostic, Outcome, Talk, style};
use crate::timing::Stopwatch;
use crate::{Response, args, files, pipeline};
use abi::diagnostic as id;
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::thread;

/// One input and its output.
#[derive(Debug)]
struct Pair {
    input: PathBuf,
    output: PathBuf,
}

/// What became of one input.
#[derive(Debug)]
struct Built {
    pair: Pair,
    bytes: usize,
    programs: usize,
    notes: Vec<String>,
    watch: Stopwatch,
}

/// One input, what became of it, and the stages of it that were asked for.
#[derive(Debug)]
struct Attempt {
    input: PathBuf,
    built: Outcome<Built>,
    emitted: emit::Texts,
}

/// Compiles every input, or prints stages of it.
pub(crate) fn run(args: &args::CompileArgs, talk: Talk) -> Response {
    if args.inputs.is_empty() {
        let what = "no input file; give an eBPF object, for example `bpf2native droppacket.o`";
        return Response::failed(vec![Diagnostic::error(id::USAGE, what)]);
    }
    if !args.emit.is_empty() && args.output.is_none() && args.out_dir.is_none() {
        return emit::run(args);
    }
    let pairs = match pairs(args) {
        Ok(pairs) => pairs,
        Err(diagnostics) => return Response::failed(diagnostics),
    };
    let kit = Kit::new(&args.signing, talk);
    let results = thread::scope(|scope| {
        // Without another thread the builds make what they need themselves.
        let _ = thread::Builder::new().spawn_scoped(scope, || kit.prepare());
        build_all(args, pairs, &kit, talk)
    });
    finish((args, talk), results, kit.signer().err())
}

/// Which output belongs to which input; clashes are refused before anything is built.
fn pairs(args: &args::CompileArgs) -> Outcome<Vec<Pair>> {
    if args.inputs.len() > 1 && args.output.is_some() {
        let what = "-o names one driver but there are several inputs; use --out-dir";
        return Err(vec![Diagnostic::error(id::USAGE, what)]);
    }
    let output = |input: &PathBuf| match (&args.output, &args.out_dir) {
        (Some(output), _) => output.clone(),
        (None, Some(folder)) => {
            folder.join(input.with_extension("sys").file_name().unwrap_or_default())
        }
        (None, None) => input.with_extension("sys"),
    };
    let pairs: Vec<Pair> = args
        .inputs
        .iter()
        .map(|input| Pair {
            input: input.clone(),
            output: output(input),
        })
        .collect();
    for (at, pair) in pairs.iter().enumerate() {
        let earlier = pairs[..at].iter().any(|other| other.output == pair.output);
        if earlier
            || pairs
                .iter()
                .any(|other| same_file(&other.input, &pair.output))
        {
            let what = format!("{} would be overwritten", pair.output.display());
            return Err(vec![
                Diagnostic::error(id::OUTPUT_CLASH, what).in_file(&pair.input),
            ]);
        }
    }
    Ok(pairs)
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

fn build_all(
    args: &args::CompileArgs,
    pairs: Vec<Pair>,
    kit: &Kit<'_>,
    talk: Talk,
) -> Vec<Attempt> {
    if pairs.len() == 1 {
        // One input needs no pool of threads, and starting one costs more than building.
        return pairs
            .into_iter()
            .map(|pair| attempt(args, pair, kit))
            .collect();
    }
    let bar = progress(pairs.len(), talk);
    let build_one = |pair: Pair| {
        let name = pair.input.display().to_string();
        let built = attempt(args, pair, kit);
        bar.set_message(name);
        bar.inc(1);
        built
    };
    let built = pairs.into_par_iter().map(build_one).collect();
    bar.finish_and_clear();
    built
}

/// A bar on terminals; indicatif draws nothing elsewhere.
fn progress(total: usize, talk: Talk) -> ProgressBar {
    if !talk.enabled || total < 2 {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30.cyan} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar
}

/// Builds one input; prints the stages asked for even if a later one fails.
fn attempt(args: &args::CompileArgs, pair: Pair, kit: &Kit<'_>) -> Attempt {
    let mut emitted = emit::Texts::new();
    let input = pair.input.clone();
    let built = build(args, pair, kit, &mut emitted);
    Attempt {
        input,
        built,
        emitted,
    }
}

fn build(
    args: &args::CompileArgs,
    pair: Pair,
    kit: &Kit<'_>,
    emitted: &mut emit::Texts,
) -> Outcome<Built> {
    let file = |list| input::in_file(list, &pair.input);
    let mut watch = Stopwatch::default();
    let bytes = watch.time("read", || files::read(&pair.input, abi::limits::ELF_BYTES))?;
    let mut job = input::job(&pair.input, &args.object)?;
    job.codegen = codegen_options(args);
    let object = watch.time("load", || pipeline::load(&bytes, &job).map_err(file))?;
    let stages = Stages::new(&object, &job, kit.skeleton(), watch);
    // A key that cannot be used is everybody's error and reported once, at the end.
    let driver = stages.driver(|| kit.signer().map_err(|_| Vec::new()));
    match emit::texts(&args.emit, &stages) {
        Ok(texts) => emitted.extend(texts),
        Err(list) if driver.is_ok() => return Err(file(list)),
        // What cannot be printed was not built either, for the same reason.
        Err(_) => {}
    }
    let driver = driver.map_err(file)?;
    if let Some(folder) = &args.out_dir {
        files::make_folder(folder)?;
    }
    let mut watch = stages.into_watch();
    watch.time("write", || files::write(&pair.output, &driver))?;
    Ok(Built {
        bytes: driver.len(),
        programs: object.programs.len(),
        notes: object.notes,
        watch,
        pair,
    })
}

/// The code generator's options from the command line.
pub(crate) fn codegen_options(args: &args::CompileArgs) -> codegen::Options {
    let hash = if args.no_elf_hash {
        codegen::ElfHash::Omit
    } else {
        codegen::ElfHash::Sha256
    };
    let options = codegen::Options::default().with_elf_hash(hash);
    match args.abi {
        Some(version) => options.with_abi(version),
        None => options,
    }
}

fn finish(
    (args, talk): (&args::CompileArgs, Talk),
    attempts: Vec<Attempt>,
    signer: Option<&[Diagnostic]>,
) -> Response {
    let mut response = Response::default();
    let mut outputs = Vec::new();
    for attempt in &attempts {
        match &attempt.built {
            Ok(built) => {
                response.text += &text((args, talk), built);
                let warnings = input::warnings(&built.notes, &built.pair.input);
                response.diagnostics.extend(warnings);
                outputs.push(json(built));
            }
            Err(diagnostics) => response.diagnostics.extend_from_slice(diagnostics),
        }
    }
    response
        .diagnostics
        .extend_from_slice(signer.unwrap_or_default());
    for attempt in &attempts {
        emit::show(&mut response, &attempt.input, &attempt.emitted);
    }
    response.set("outputs", outputs);
    response
}

fn text((args, talk): (&args::CompileArgs, Talk), built: &Built) -> String {
    let (on, off) = (style::GOOD.render(), style::GOOD.render_reset());
    let plural = if built.programs == 1 {
        "program"
    } else {
        "programs"
    };
    let signed = if args.signing.unsigned {
        "unsigned"
    } else {
        "signed"
    };
    let output = built.pair.output.display();
    let mut out = String::new();
    if talk.enabled {
        out += &format!(
            "{on}wrote{off} {output}: {} {plural}, {} bytes, {signed}\n",
            built.programs, built.bytes
        );
    }
    if args.timings {
        out += &format!("  {}\n", built.watch.line());
    }
    out
}

fn json(built: &Built) -> Value {
    let times: serde_json::Map<String, Value> = built
        .watch
        .stages()
        .iter()
        .map(|(stage, time)| ((*stage).to_owned(), json!(time.as_secs_f64() * 1e6)))
        .collect();
    json!({
        "input": built.pair.input.display().to_string(),
        "output": built.pair.output.display().to_string(),
        "programs": built.programs,
        "bytes": built.bytes,
        "timings_us": times,
    })
}
