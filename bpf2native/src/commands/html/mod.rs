//! `verify --report FILE.html`: one self-contained page for reading a verdict with everything behind
//! it: source lines, bytecode, the states before each instruction, problems, control flow.
//!
//! No script and no network: what folds are `<details>`, which work by keyboard. Everything from the
//! input is escaped in one function. Left out: graphs of very large functions, and all but the first
//! states of an instruction; the page says so.

mod graph;

use crate::commands::disassemble;
use crate::report::{Diagnostic, plain};
use isa::{Insn, InsnIdx};
use program::{Object, Program, ProgramId};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// States shown before one instruction.
const STATES: usize = 4;

/// One verified program.
pub(crate) struct Verdict<'a> {
    /// Which.
    pub(crate) id: ProgramId,
    /// A number that no other program on the page has.
    pub(crate) number: usize,
    /// It was proved.
    pub(crate) is_accepted: bool,
    /// Facts in words.
    pub(crate) proved: String,
    /// Why it is refused.
    pub(crate) problems: &'a [Diagnostic],
}

/// States by instruction: the first of them, and how many there were.
#[derive(Default)]
struct States(BTreeMap<InsnIdx, (Vec<String>, usize)>);

impl verifier::Observer for States {
    fn step(&mut self, at: InsnIdx, state: &verifier::View<'_>) {
        let (states, count) = self.0.entry(at).or_default();
        *count += 1;
        if states.len() < STATES {
            let text = state.to_string();
            if !states.contains(&text) {
                states.push(text);
            }
        }
    }
}

/// The heading of a file.
pub(crate) fn heading(file: &str) -> String {
    format!("<h1>{}</h1>\n", escape(file))
}

/// The head of a page.
pub(crate) fn head() -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>bpf2native verify</title><style>{}</style></head><body>\n",
        include_str!("page.css")
    )
}

/// The end of a page.
pub(crate) const FOOT: &str = "</body></html>\n";

/// One program of a page; open when it is refused or small.
pub(crate) fn program(
    object: &Object,
    verdict: &Verdict<'_>,
    options: &verifier::Options,
) -> String {
    let program = &object.programs[usize::from(verdict.id.0)];
    let mut states = States::default();
    // The verdict is known already; this run only shows its states.
    let _ = verifier::verify_observed(object, verdict.id, options, &mut states);
    let word = if verdict.is_accepted {
        "accepted"
    } else {
        "rejected"
    };
    let open = match !verdict.is_accepted || program.insns.len() < 200 {
        true => " open",
        false => "",
    };
    let mut out = format!(
        "<details class=\"program\"{open}><summary><h2><span class=\"{word}\">{word}</span> {} \
         (section {})</h2></summary>\n<pre>{}</pre>\n",
        escape(&program.name),
        escape(&program.section),
        escape(&verdict.proved)
    );
    for problem in verdict.problems {
        let _ = writeln!(
            out,
            "<pre class=\"problem\">{}</pre>",
            escape(&plain(problem))
        );
    }
    let is_reached = |at: InsnIdx| states.0.contains_key(&at);
    out += &graph::svg(program, verdict, &is_reached);
    out += &listing(object, verdict, &states);
    out + "</details>\n"
}

fn listing(object: &Object, verdict: &Verdict<'_>, states: &States) -> String {
    let program = &object.programs[usize::from(verdict.id.0)];
    let mut out = String::from("<div class=\"code\">\n");
    let mut shown = None;
    for (at, insn) in (0u32..).map(InsnIdx).zip(&program.insns) {
        if matches!(insn, Insn::Imm64High) {
            continue;
        }
        let line = program.line(at).filter(|line| line.start == at);
        if let Some(line) = line.filter(|line| shown != Some((&line.file, line.line))) {
            shown = Some((&line.file, line.line));
            let (file, text) = (escape(&line.file), escape(line.text.trim_end()));
            let _ = writeln!(
                out,
                "<div class=\"source\">{file}:{}  {text}</div>",
                line.line
            );
        }
        out += &one_insn(object, program, at, (verdict, states));
    }
    out + "</div>\n"
}

fn one_insn(
    object: &Object,
    program: &Program,
    at: InsnIdx,
    (verdict, states): (&Verdict<'_>, &States),
) -> String {
    let text = disassemble::named(object, program, at).unwrap_or_default();
    let text = format!("{:>5}: {}", at.0, escape(&text));
    let id = anchor(verdict, at);
    let is_error = has_problem(verdict, at);
    let Some((states, count)) = states.0.get(&at) else {
        return format!("<div class=\"insn plain dead\" id=\"{id}\">{text}</div>\n");
    };
    let (class, open) = if is_error {
        (" error", " open")
    } else {
        ("", "")
    };
    let mut out =
        format!("<details class=\"insn{class}\" id=\"{id}\"{open}><summary>{text}</summary>\n");
    for state in states {
        let _ = writeln!(out, "<div class=\"state\">{}</div>", escape(state));
    }
    if *count > states.len() {
        let _ = writeln!(out, "<div class=\"state\">visited {count} times</div>");
    }
    out + "</details>\n"
}

/// Is a problem reported at this instruction?
fn has_problem(verdict: &Verdict<'_>, at: InsnIdx) -> bool {
    let mut problems = verdict.problems.iter();
    problems.any(|problem| problem.place.insn == Some(at.0))
}

/// The name of an instruction within the page.
fn anchor(verdict: &Verdict<'_>, at: InsnIdx) -> String {
    format!("p{}i{}", verdict.number, at.0)
}

/// Text as HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
