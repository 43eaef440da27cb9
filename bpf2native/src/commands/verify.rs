//! `bpf2native verify FILE.o`: verdicts, and why.

use crate::commands::proved::Proved;
use crate::commands::{emit, html, input};
use crate::pipeline::Job;
use crate::report::{Diagnostic, Outcome, from_stage, json as report_json, style};
use crate::{Response, args, files};
use program::{Object, Program, ProgramId, TargetBtf, Unlinkable};
use serde_json::{Value, json};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Verifies the selected programs of every input.
pub(crate) fn run(args: &args::VerifyArgs) -> Response {
    let mut response = Response::default();
    let mut files = Vec::new();
    let mut page = html::Page::default();
    let kernel = OnceCell::new();
    for path in &args.inputs {
        let (text, json, diagnostics) = one_file(args, (path, &kernel), &mut page);
        response.text += &text;
        response.diagnostics.extend(diagnostics);
        files.push(json);
    }
    response.set("files", files);
    if let Some(path) = &args.report
        && let Err(list) = files::write(path, page.finish().as_bytes())
    {
        response.diagnostics.extend(list);
    }
    response
}

fn one_file(
    args: &args::VerifyArgs,
    (path, kernel): (&Path, &OnceCell<TargetBtf>),
    page: &mut html::Page,
) -> (String, Value, Vec<Diagnostic>) {
    let name = path.display().to_string();
    let filter = input::Filter {
        section: args.section.as_deref(),
        program: args.program.as_deref(),
    };
    let loaded = load(args, path, kernel).and_then(|(job, object)| {
        let unlinked = unlinked(&object, path, filter);
        let ids = match input::select(&object, path, filter) {
            // Something matches, even if it is not linked.
            Err(_) if !unlinked.is_empty() => Vec::new(),
            selected => selected?,
        };
        Ok((ids, unlinked, job, object))
    });
    let (ids, unlinked, job, object) = match loaded {
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
        let (on, off) = (style::BOLD.render(), style::BOLD.render_reset());
        text += &format!("{on}{name}{off}\n");
    }
    if args.report.is_some() {
        unlinked.iter().for_each(|one| one.put_on(page, &name));
    }
    let notes = notes(args, &object);
    diagnostics.extend(input::warnings(&notes, path));
    let mut judged = BTreeMap::new();
    let mut verdicts = Vec::new();
    for id in ids {
        let page = args.report.is_some().then_some((&mut *page, &*name));
        let verdict = one_program(args, &job, (&object, id), page);
        judged.insert(id, verdict.diagnostics.is_empty());
        verdicts.push(verdict);
    }
    let subprograms = subprograms(args, filter, (&job, &object), &judged);
    for verdict in verdicts.into_iter().chain(subprograms).chain(unlinked) {
        text += &verdict.text;
        programs.push(verdict.json);
        diagnostics.extend(input::in_file(verdict.diagnostics, path));
    }
    (
        text,
        json!({"file": name, "programs": programs, "notes": notes}),
        diagnostics,
    )
}

/// Loads for verdicts: what one program lacks does not spoil the others, and where neither the
/// section nor the user says what a Linux program is, it is taken for the plainest type.
fn load(
    args: &args::VerifyArgs,
    path: &Path,
    kernel: &OnceCell<TargetBtf>,
) -> Outcome<(Job, Object)> {
    let mut job = input::job_of_many(path, &args.object, kernel)?;
    if args.object.unlinkable.is_none() {
        job.load.unlinkable = Unlinkable::LeaveOut;
    }
    if job.load.program_type.is_none() {
        job.load.program_type = abi::program_type::by_name(job.load.platform, PLAINEST);
    }
    let object = input::load(path, &job)?;
    Ok((job, object))
}

/// The type of Linux programs of which nobody says the type; Windows has no such type.
const PLAINEST: &str = "socket_filter";

/// The loader's remarks, and which types were guessed.
fn notes(args: &args::VerifyArgs, object: &Object) -> Vec<String> {
    let is_guessed =
        |program: &&Program| program.attach_type.is_none() && program.program_type.name == PLAINEST;
    let guessed: BTreeSet<&str> = match &*args.object.program_types {
        [] => object.programs.iter().filter(is_guessed),
        _ => [].iter().filter(is_guessed),
    }
    .map(|program| &*program.section)
    .collect();
    let mut notes = object.notes.clone();
    let mut guessed = guessed.into_iter();
    if let Some(first) = guessed.next() {
        let others = match guessed.count() {
            0 => String::new(),
            more => format!(" and {more} others"),
        };
        notes.push(format!(
            "section `{first}`{others} verified as {PLAINEST}: its name selects no program type; \
             name the type with --type"
        ));
    }
    notes
}

/// The programs that could not be linked, as verdicts.
fn unlinked(object: &Object, path: &Path, filter: input::Filter<'_>) -> Vec<Verdict> {
    object
        .unlinked
        .iter()
        .filter(|program| {
            filter.section.is_none_or(|name| program.section == name)
                && filter.program.is_none_or(|name| program.name == name)
        })
        .map(|program| {
            let (on, off) = (style::BAD.render(), style::BAD.render_reset());
            let diagnostics = input::in_file(vec![from_stage::load(&program.error)], path);
            Verdict {
                text: format!(
                    "{on}error{off} {} (section {}): cannot be linked\n",
                    program.name, program.section
                ),
                json: json!({
                    "section": program.section,
                    "function": program.known_as(),
                    "symbol": program.name,
                    "verdict": "error",
                    "diagnostics": report_json::diagnostics(&diagnostics),
                }),
                diagnostics,
            }
        })
        .collect()
}

/// Functions that programs call, as verdicts: such a function is judged in the programs that it is
/// part of, because its arguments come from there.
fn subprograms(
    args: &args::VerifyArgs,
    filter: input::Filter<'_>,
    (job, object): (&Job, &Object),
    judged: &Judged,
) -> Vec<Verdict> {
    let parts = object.programs.iter();
    let parts = parts.flat_map(|program| program.functions.iter().skip(1));
    let is_wanted = |(section, name): &(&str, &str)| {
        !section.is_empty()
            && object.program(name).is_none()
            && filter.section.is_none_or(|wanted| wanted == *section)
            && filter.program.is_none_or(|wanted| wanted == *name)
    };
    let places: BTreeSet<(&str, &str)> = parts
        .map(|function| (&*function.section, &*function.name))
        .filter(is_wanted)
        .collect();
    places
        .into_iter()
        .map(|place| subprogram(args, (job, object, judged), place))
        .collect()
}

/// Which programs were judged, and whether they are accepted.
type Judged = BTreeMap<ProgramId, bool>;

fn subprogram(
    args: &args::VerifyArgs,
    (job, object, judged): (&Job, &Object, &Judged),
    (section, function): (&str, &str),
) -> Verdict {
    let users: Vec<ProgramId> = object.users_of(function).collect();
    let names: Vec<&str> = users
        .iter()
        .map(|id| &*object.programs[usize::from(id.0)].name)
        .collect();
    let is_accepted = |id: &ProgramId| match judged.get(id) {
        Some(is_accepted) => *is_accepted,
        // Not among those that were asked for.
        None => verifier::verify(object, *id, &job.verify).is_ok(),
    };
    let (word, tint) = match users.iter().all(is_accepted) {
        true => ("accepted", style::GOOD),
        false => ("rejected", style::BAD),
    };
    let text = match args.verbose {
        true => format!(
            "{}{word}{} {} (section {section}), as part of {}\n",
            tint.render(),
            tint.render_reset(),
            function,
            names.join(", ")
        ),
        false => String::new(),
    };
    Verdict {
        text,
        json: json!({
            "section": section,
            "function": function,
            "symbol": function,
            "verdict": word,
            "part_of": names,
        }),
        diagnostics: Vec::new(),
    }
}

struct Verdict {
    text: String,
    json: Value,
    diagnostics: Vec<Diagnostic>,
}

impl Verdict {
    /// A program that could not be linked, on the page of `--report`.
    fn put_on(&self, page: &mut html::Page, file: &str) {
        let name = self.json["symbol"].as_str().unwrap_or_default();
        page.add_unlinked(file, name, &self.diagnostics);
    }
}

fn one_program(
    args: &args::VerifyArgs,
    job: &Job,
    (object, id): (&Object, ProgramId),
    page: Option<(&mut html::Page, &str)>,
) -> Verdict {
    let program = &object.programs[usize::from(id.0)];
    let mut text = match args.verbose {
        true => emit::state(object, id, job),
        false => String::new(),
    };
    let start = std::time::Instant::now();
    let result = verifier::verify(object, id, &job.verify);
    let millis = start.elapsed().as_secs_f64() * 1e3;
    let (word, tint, steps, proved, diagnostics) = match &result {
        Ok(verified) => {
            let proved = Proved::of(object, verified);
            let steps = verified.facts().steps;
            ("accepted", style::GOOD, steps, Some(proved), Vec::new())
        }
        Err(rejected) => {
            let diagnostics = from_stage::rejected(object, id, rejected);
            ("rejected", style::BAD, rejected.steps, None, diagnostics)
        }
    };
    let (slots, on, off) = (program.insns.len(), tint.render(), tint.render_reset());
    let (name, kind) = (&program.name, program.program_type.name);
    let what = format!("{name} ({kind}, section {})", program.section);
    text +=
        &format!("{on}{word}{off} {what}: {slots} instructions, {steps} steps in {millis:.2} ms\n");
    let proved_text = proved.as_ref().map_or_else(String::new, Proved::text);
    text += &proved_text;
    if let Some((page, file)) = page {
        let rejections = result.map_or_else(|rejected| rejected.rejections, |_| Vec::new());
        let verdict = html::Verdict {
            id,
            proved: proved_text,
            rejections: &rejections,
            problems: &diagnostics,
        };
        page.add(file, object, &verdict, &job.verify);
    }
    let json = json!({
        "section": program.section,
        "function": program.known_as(),
        "symbol": program.name,
        "type": program.program_type.name,
        "verdict": word,
        "instructions": slots,
        "steps": steps,
        "milliseconds": millis,
        "proved": proved.map(|proved| proved.json()),
        "rejections": report_json::diagnostics(&diagnostics),
    });
    Verdict {
        text,
        json,
        diagnostics,
    }
}
