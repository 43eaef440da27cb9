//! Source lines, and the bytecode under them with what is known before each instruction.

use super::{Article, anchor, escape};
use crate::commands::disassemble;
use crate::commands::joined::Joined;
use isa::{Insn, InsnIdx};
use program::Line as SourceLine;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A line of a source file.
type Line<'a> = (&'a str, u32);

/// The source lines that the object's line information has, in the order of the files.
pub(super) fn source(article: &Article<'_>, open: &str) -> String {
    let mut lines: BTreeMap<Line<'_>, (&SourceLine, Vec<InsnIdx>)> = BTreeMap::new();
    for line in &article.program.lines {
        let known = lines.entry((&line.file, line.line));
        known.or_insert((line, Vec::new())).1.push(line.start);
    }
    if lines.is_empty() {
        return String::new();
    }
    let mut out = format!(
        "<details class=\"source\"{open}><summary>source, {} lines</summary><div class=\"code\">\n",
        lines.len()
    );
    let mut file = "";
    for ((name, number), (line, starts)) in &lines {
        if file != *name {
            file = name;
            let _ = writeln!(out, "<div class=\"file\">{}</div>", escape(file));
        }
        let is_on = |way: &super::Way| starts.iter().any(|at| way.states.contains_key(at));
        let first = starts.iter().min().map_or(0, |at| at.0);
        let _ = writeln!(
            out,
            "<div {} data-line=\"{}\">{pad}<a href=\"#{}\">{number}</a>  {}</div>",
            article.marks("line", is_on),
            key(line),
            anchor(article.number, first),
            escape(line.text.trim_end()),
            pad = " ".repeat(5usize.saturating_sub(number.to_string().len()))
        );
    }
    out + "</div></details>\n"
}

/// A line as the value of an attribute.
fn key(line: &SourceLine) -> String {
    escape(&format!("{}:{}", line.file, line.line))
}

/// The bytecode.
pub(super) fn bytecode(article: &Article<'_>, open: &str) -> String {
    let program = article.program;
    let mut out = format!(
        "<details class=\"bytecode\"{open}><summary>bytecode, {} instructions</summary>\
         <div class=\"code\">\n",
        program.insns.len()
    );
    let mut shown = None;
    for (at, insn) in (0u32..).map(InsnIdx).zip(&program.insns) {
        if matches!(insn, Insn::Imm64High) {
            continue;
        }
        if let Some(function) = program.functions.iter().find(|one| one.start == at) {
            let name = escape(&function.name);
            let _ = writeln!(out, "<div class=\"file\">{name}</div>");
        }
        let line = program.line(at);
        if let Some(line) = line.filter(|line| shown != Some((&line.file, line.line))) {
            shown = Some((&line.file, line.line));
            let _ = writeln!(
                out,
                "<div class=\"above\" data-line=\"{}\">{}  {}</div>",
                key(line),
                line.line,
                escape(line.text.trim_end())
            );
        }
        out += &one_insn(article, at, insn, line);
    }
    out + "</div></details>\n"
}

fn one_insn(article: &Article<'_>, at: InsnIdx, insn: &Insn, line: Option<&SourceLine>) -> String {
    let text = disassemble::named(article.object, article.program, at).unwrap_or_default();
    let text = format!("{:>5}: {}", at.0, escape(&text));
    let links = links(article, at, insn);
    let id = anchor(article.number, at.0);
    let line = line.map_or_else(String::new, |line| format!(" data-line=\"{}\"", key(line)));
    let Some(state) = article.states.at(at) else {
        return format!(
            "<div class=\"insn plain dead\" id=\"{id}\" data-at=\"{}\"{line}>{text}{links} \
             (not reached)</div>\n",
            at.0
        );
    };
    let is_error = article.has_problem(at);
    let (class, open) = match is_error {
        true => ("insn error", " open"),
        false => ("insn", ""),
    };
    let mut out = format!(
        "<details {} id=\"{id}\" data-at=\"{}\"{line}{open}><summary>{text}{links}</summary>\n",
        article.marks(class, |way| way.states.contains_key(&at)),
        at.0
    );
    out += &states(article, at, state);
    out + "</details>\n"
}

/// What is known over all visits, after what is known on the paths to problems where that is more.
fn states(article: &Article<'_>, at: InsnIdx, joined: &Joined) -> String {
    let label = match joined.visits {
        1 => "before this instruction".to_owned(),
        visits => format!("before this instruction, over {visits} visits"),
    };
    let all = joined.sentences(article.object);
    let mut out = String::new();
    for (k, way) in article.ways.iter().enumerate() {
        let (Some(snapshot), Some(problem)) = (way.states.get(&at), article.problems.get(k)) else {
            continue;
        };
        let mut one = Joined::default();
        one.add(&snapshot.view());
        let sentences = one.sentences(article.object);
        if sentences != all {
            let label = format!("on the path to {}", problem.code);
            out += &one_state(&label, &sentences, &format!(" data-way=\"{k}\""));
        }
    }
    out + &one_state(&label, &all, "")
}

fn one_state(label: &str, sentences: &[String], way: &str) -> String {
    let text = match sentences {
        [] => "nothing is known".to_owned(),
        known => known.join("\n"),
    };
    format!(
        "<div class=\"state\"{way}><h4>{label}</h4>{}</div>\n",
        escape(&text)
    )
}

/// Where a jump or call leads, and back to the problem.
fn links(article: &Article<'_>, at: InsnIdx, insn: &Insn) -> String {
    let target = match *insn {
        Insn::Jump { offset, .. } | Insn::Call(isa::CallTarget::Local(offset)) => at.jump(offset),
        Insn::JumpIf { offset, .. } | Insn::MayGoto { offset } => at.jump(i32::from(offset)),
        _ => None,
    };
    let mut out = target.map_or_else(String::new, |to| {
        let anchor = anchor(article.number, to.0);
        format!(" <a class=\"go\" href=\"#{anchor}\">\u{2192} {}</a>", to.0)
    });
    for (k, problem) in article.problems.iter().enumerate() {
        if problem.place.insn == Some(at.0) {
            let (number, code) = (article.number, problem.code);
            let _ = write!(out, " <a class=\"go\" href=\"#p{number}e{k}\">{code}</a>");
        }
    }
    out
}
