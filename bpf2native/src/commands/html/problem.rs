//! A problem as a card: message, place, what was needed and known, the way there as links, help.

use super::{anchor, escape};
use crate::report::{Diagnostic, PathStep, Place, step_text};
use std::fmt::Write as _;

/// Problem `k` of the program with a number.
pub(super) fn card(number: usize, k: usize, problem: &Diagnostic) -> String {
    let mut out = format!(
        "<section class=\"problem\" id=\"p{number}e{k}\" data-way=\"{k}\">\n\
         <h3><span class=\"rejected\">{}</span> {}</h3>\n",
        problem.code,
        escape(&problem.message)
    );
    out += &place(number, &problem.place);
    out += "<dl>\n";
    for (label, text) in &problem.notes {
        out += &row(label, &escape(text));
    }
    if !problem.path.is_empty() {
        out += &row("path", &steps(number, problem));
    }
    if let Some(help) = &problem.help {
        out += &row(
            "help",
            &format!("<span class=\"help\">{}</span>", escape(help)),
        );
    }
    let explain = format!("<code>bpf2native explain {}</code>", problem.code);
    out += &row("more", &explain);
    out + "</dl>\n</section>\n"
}

/// A row of the list; `text` is HTML already.
fn row(label: &str, text: &str) -> String {
    format!("<dt>{}</dt><dd>{text}</dd>\n", escape(label))
}

/// Source line and instruction.
fn place(number: usize, place: &Place) -> String {
    let mut out = String::new();
    if let Some(source) = &place.source {
        let _ = writeln!(
            out,
            "<pre class=\"line\"><span class=\"dim\">{}:{}</span> {}</pre>",
            escape(&source.file),
            source.line,
            escape(source.text.trim())
        );
    }
    if let Some(insn) = insn(number, place) {
        let _ = writeln!(out, "<pre class=\"line\">{insn}</pre>");
    }
    out
}

/// The instruction, as a link to it.
fn insn(number: usize, place: &Place) -> Option<String> {
    let (at, text) = (place.insn?, place.insn_text.as_ref()?);
    let anchor = anchor(number, at);
    Some(format!(
        "<a class=\"go\" href=\"#{anchor}\">i{at}: {}</a>",
        escape(text)
    ))
}

fn steps(number: usize, problem: &Diagnostic) -> String {
    let mut out = String::new();
    if problem.skipped_steps > 0 {
        let skipped = problem.skipped_steps;
        let _ = writeln!(out, "<p>{skipped} earlier steps left out</p>");
    }
    out += "<ol>\n";
    for step in &problem.path {
        out += &one_step(number, step);
    }
    out + "</ol>\n"
}

fn one_step(number: usize, step: &PathStep) -> String {
    let source = step.place.source.as_ref();
    let source = source.map_or_else(String::new, |line| {
        format!(
            "<span class=\"dim\">{}</span> <code>{}</code><br>",
            line.line,
            escape(line.text.trim())
        )
    });
    let insn = insn(number, &step.place).unwrap_or_default();
    format!("<li>{source}{insn}<br>{}</li>\n", escape(&step_text(step)))
}
