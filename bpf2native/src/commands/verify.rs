//! `bpf2native verify FILE.o`: verdicts, and why.

use crate::commands::{emit, input};
use crate::pipeline::Job;
use crate::report::{Diagnostic, from_stage, json as report_json, style};
use crate::{Response, args};
use program::{Object, ProgramId};
use serde_json::{Value, json};
use std::path::Path;

/// Verifies the selected programs of every input.
pub(crate) fn run(args: &args::VerifyArgs) -> Response {
    let mut response = Response::default();
    let mut files = Vec::new();
    for path in &args.inputs {
        let (text, json, diagnostics) = one_file(args, path);
        response.text += &text;
        response.diagnostics.extend(diagnostics);
        files.push(json);
    }
    response.set("files", files);
    response
}

fn one_file(args: &args::VerifyArgs, path: &Path) -> (String, Value, Vec<Diagnostic>) {
    let name = path.display().to_string();
    let filter = input::Filter {
        section: args.section.as_deref(),
        program: args.program.as_deref(),
    };
    let loaded = input::object(path, &args.object).and_then(|object| {
        Ok((
            input::select(&object, path, filter)?,
            input::job(path, &args.object)?,
            object,
        ))
    });
    let (ids, job, object) = match loaded {
        Ok(loaded) => loaded,
        Err(list) => {
            let json = json!({"file": name, "verdict": "error", "programs": [], "diagnostics": report_json::diagnostics(&list)});
            return (String::new(), json, list);
        }
    };
    let mut text = String::new();
    let mut programs = Vec::new();
    let mut diagnostics = Vec::new();
    if args.inputs.len() > 1 {
        text += &format!(
            "{}{name}{}\n",
            style::BOLD.render(),
            style::BOLD.render_reset()
        );
    }
    for id in ids {
        let verdict = one_program(args, &job, &object, id);
        text += &verdict.text;
        programs.push(verdict.json);
        diagnostics.extend(input::in_file(verdict.diagnostics, path));
    }
    (
        text,
        json!({"file": name, "programs": programs, "notes": object.notes}),
        diagnostics,
    )
}

struct Verdict {
    text: String,
    json: Value,
    diagnostics: Vec<Diagnostic>,
}

fn one_program(args: &args::VerifyArgs, job: &Job, object: &Object, id: ProgramId) -> Verdict {
    let program = &object.programs[usize::from(id.0)];
    let mut text = if args.verbose {
        emit::state(object, id, job)
    } else {
        String::new()
    };
    let (word, tint, steps, diagnostics) = match verifier::verify(object, id, &job.verify) {
        Ok(verified) => ("accepted", style::GOOD, verified.facts().steps, Vec::new()),
        Err(rejected) => (
            "rejected",
            style::BAD,
            rejected.steps,
            from_stage::rejected(object, id, &rejected),
        ),
    };
    let slots = program.insns.len();
    let (on, off) = (tint.render(), tint.render_reset());
    let what = format!(
        "{} ({}, section {})",
        program.name, program.program_type.name, program.section
    );
    text += &format!("{on}{word}{off} {what}: {slots} instructions, {steps} steps\n");
    let json = json!({
        "section": program.section,
        "function": program.name,
        "type": program.program_type.name,
        "verdict": word,
        "instructions": slots,
        "steps": steps,
        "rejections": report_json::diagnostics(&diagnostics),
    });
    Verdict {
        text,
        json,
        diagnostics,
    }
}
