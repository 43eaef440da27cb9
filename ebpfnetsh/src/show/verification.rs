//! `show verification`: whether programs are safe, and if not, why.
//!
//! Reports have the form that is known from eBPF for Windows; the words are those of our verifier.

use crate::answer::{Answer, Ending, Outcome};
use crate::table::tag;
use crate::{Arguments, Session, file};
use ebpfapi::inspect::source;
use program::{Object, Program};
use std::fmt::Write as _;
use verifier::{Explanation, Facts, Options, Rejected, explain, verify};

/// Tells whether programs in an object file are safe.
pub(crate) fn verification(_: &mut Session, arguments: &Arguments) -> Outcome {
    let object = file::object(arguments)?;
    let programs = file::programs(&object, arguments)?;
    let level = Level::of(arguments);
    let mut answer = Answer::done(String::new());
    for (id, program) in &programs {
        let title = match programs.len() > 1 {
            true => format!("\n{} (section {}):\n", program.name, program.section),
            false => String::new(),
        };
        match verify(&object, *id, &Options::default()) {
            Ok(verified) => answer.out += &(title + &accepted(program, verified.facts(), level)),
            Err(rejected) => {
                answer.err += &(title + &report(&object, &rejected, level));
                answer.ending = Ending::Failed;
            }
        }
    }
    Ok(answer)
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Normal,
    Informational,
    Verbose,
}

impl Level {
    fn of(arguments: &Arguments) -> Level {
        match arguments.text(&tag::LEVEL) {
            Some("informational") => Level::Informational,
            Some("verbose") => Level::Verbose,
            _ => Level::Normal,
        }
    }
}

fn accepted(program: &Program, facts: &Facts, level: Level) -> String {
    let mut out = String::from("Verification succeeded\n");
    let Some(work) = &facts.work else {
        out += "Program terminates; how often its callbacks run is up to their helpers\n";
        return out;
    };
    let rounds = work.loops.iter().map(|one| one.rounds).max().unwrap_or(0);
    let _ = writeln!(out, "Program terminates within {rounds} loop iterations");
    if level == Level::Verbose {
        let stack = facts.worst_stack_bytes;
        let _ = writeln!(
            out,
            "A run takes at most {} instructions and {stack} bytes of stack",
            work.insns
        );
        for one in &work.loops {
            let line = program.line(one.head);
            let place = line.map_or_else(String::new, |line| {
                format!(" ({}:{})", line.file, line.line)
            });
            let _ = writeln!(
                out,
                "{}: loop{place}, at most {} rounds",
                one.head.0, one.rounds
            );
        }
    }
    out
}

/// The report about a program that was refused.
pub(crate) fn problems(object: &Object, rejected: &Rejected) -> String {
    report(object, rejected, Level::Informational)
}

fn report(object: &Object, rejected: &Rejected, level: Level) -> String {
    let mut out = String::from("Verification failed\n\nVerification report:\n\n");
    let program = object.programs.get(usize::from(rejected.program.0));
    for rejection in &rejected.rejections {
        let about = explain(object, rejected.program, rejection);
        if let Some(program) = program {
            out += &problem(program, &about, level);
        }
    }
    let _ = writeln!(out, "{} errors\n", rejected.rejections.len());
    out
}

fn problem(program: &Program, about: &Explanation, level: Level) -> String {
    let place = |at| program.line(at).map(source).unwrap_or_default();
    let mut out = place(about.at);
    let _ = writeln!(out, "\n{}: {} ({})", about.at.0, about.message, about.code);
    if level >= Level::Informational {
        for (label, text) in about.notes() {
            let _ = writeln!(out, "{label}: {}", text.trim_end());
        }
        for step in &about.path {
            let _ = writeln!(
                out,
                "{}{}: {}",
                place(step.at),
                step.at.0,
                verifier::render::step_text(step)
            );
        }
    }
    let _ = writeln!(out, "help: {}\n", about.help);
    out
}
