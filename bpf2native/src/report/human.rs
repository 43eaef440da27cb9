//! Diagnostics as text: header, place, source snippet, instruction, remarks, the way there, help.
//!
//! ```text
//! error[BN0218]: bytes 36 to 37 of the packet are accessed, but only the first 34 bytes are known to exist
//!   --> droppacket.o, droppacket.c:31:13, section xdp, function drop_packet
//!    |
//! 31 |     if (udp->dest != bpf_htons(53))
//!    |             ^ i12: r2 = *(u16 *)(r1 + 36)
//!    |
//!    = needed: r1 + 38 <= data_end
//!    = known: ...
//!    = path:
//! 22 |     if ((void *)(ip + 1) > ctx->data_end)
//!    |       i5 not taken: 34 bytes of the packet are known to exist
//!    = help: ...
//! ```

use super::{Diagnostic, PathStep, Place, Severity, SourceLine, style};
use std::fmt::Write as _;
use verifier::Way;

/// Prints a diagnostic on standard error.
pub(crate) fn print(diagnostic: &Diagnostic) {
    anstream::eprintln!("{}", render(diagnostic));
}

/// The text of a diagnostic with ANSI styles.
pub(crate) fn render(diagnostic: &Diagnostic) -> String {
    let (frame, reset) = (style::FRAME.render(), style::FRAME.render_reset());
    let mut out = header(diagnostic);
    let width = gutter(diagnostic);
    if let Some(place) = place_line(&diagnostic.place) {
        let _ = writeln!(out, "{:width$}{frame}-->{reset} {place}", "");
    }
    let insn = insn_text(&diagnostic.place);
    match with_text(&diagnostic.place) {
        Some(source) => out += &snippet(source, width, insn.as_deref()),
        None => out.extend(insn.map(|insn| remark(width, "instruction", &insn))),
    }
    for (label, text) in &diagnostic.notes {
        out += &remark(width, label, text);
    }
    if !diagnostic.path.is_empty() {
        out += &path(diagnostic, width);
    }
    if let Some(help) = &diagnostic.help {
        let label = format!("{}help{}", style::HELP.render(), style::HELP.render_reset());
        out += &remark(width, &label, help);
    }
    out
}

/// Columns that line numbers need.
fn gutter(diagnostic: &Diagnostic) -> usize {
    let places = diagnostic.path.iter().map(|step| &step.place);
    let sources = places.chain([&diagnostic.place]).filter_map(with_text);
    let widths = sources.map(|source| source.line.to_string().len());
    widths.max().unwrap_or(2).max(2)
}

/// The source line, when its text is known.
fn with_text(place: &Place) -> Option<&SourceLine> {
    let source = place.source.as_ref();
    source.filter(|source| !source.text.trim().is_empty())
}

fn insn_text(place: &Place) -> Option<String> {
    Some(format!("i{}: {}", place.insn?, place.insn_text.as_ref()?))
}

/// The steps that lead to the problem, under their source lines.
fn path(diagnostic: &Diagnostic, width: usize) -> String {
    let (frame, reset) = (style::FRAME.render(), style::FRAME.render_reset());
    let mut out = remark(
        width,
        "path",
        &match diagnostic.skipped_steps {
            0 => String::from("what leads here"),
            more => format!("what leads here ({more} earlier steps left out)"),
        },
    );
    let mut shown = None;
    let mut file = diagnostic.place.source.as_ref().map(|source| &source.file);
    for step in &diagnostic.path {
        if let Some(source) = with_text(&step.place) {
            if file != Some(&source.file) {
                let _ = writeln!(out, "{:width$}{frame}:::{reset} {}", "", source.file);
                file = Some(&source.file);
            }
            if shown.replace((&source.file, source.line)) != Some((&source.file, source.line)) {
                let text = source.text.trim_end().replace('\t', "    ");
                let _ = writeln!(out, "{frame}{:>width$} |{reset} {text}", source.line);
            }
        }
        let insn = insn_text(&step.place).unwrap_or_default();
        let text = step_text(step);
        let dim = style::DIM;
        let _ = writeln!(
            out,
            "{:width$} {frame}|{reset}   {}{insn}{}  {text}",
            "",
            dim.render(),
            dim.render_reset()
        );
    }
    out
}

/// What a step did, with the way that a branch took.
pub(crate) fn step_text(step: &PathStep) -> String {
    match step.way {
        Some(Way::Taken) => format!("taken: {}", step.text),
        Some(Way::FallThrough) => format!("not taken: {}", step.text),
        None => step.text.clone(),
    }
}

fn header(diagnostic: &Diagnostic) -> String {
    let (style, word) = match diagnostic.severity {
        Severity::Error => (style::BAD, "error"),
        Severity::Warning => (style::WARN, "warning"),
    };
    let bold = style::BOLD;
    format!(
        "{}{word}[{}]{}{}: {}{}\n",
        style.render(),
        diagnostic.code,
        style.render_reset(),
        bold.render(),
        diagnostic.message,
        bold.render_reset()
    )
}

fn place_line(place: &Place) -> Option<String> {
    let mut parts = Vec::new();
    match (&place.source, &place.file) {
        (Some(source), file) => {
            if let Some(file) = file {
                parts.push(file.display().to_string());
            }
            parts.push(position(source));
        }
        (None, Some(file)) => parts.push(file.display().to_string()),
        (None, None) => {}
    }
    parts.extend(place.section.as_ref().map(|name| format!("section {name}")));
    parts.extend(
        place
            .function
            .as_ref()
            .map(|name| format!("function {name}")),
    );
    if place.insn_text.is_none() {
        parts.extend(place.insn.map(|insn| format!("i{insn}")));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn position(source: &SourceLine) -> String {
    match source.column {
        0 => format!("{}:{}", source.file, source.line),
        column => format!("{}:{}:{column}", source.file, source.line),
    }
}

fn snippet(source: &SourceLine, width: usize, label: Option<&str>) -> String {
    let (frame, reset) = (style::FRAME.render(), style::FRAME.render_reset());
    let text = source.text.trim_end().replace('\t', " ");
    let mut out = format!("{:width$} {frame}|{reset}\n", "");
    let _ = writeln!(out, "{frame}{:>width$} |{reset} {text}", source.line);
    let pad = match usize::try_from(source.column) {
        Ok(column) if column > 0 && column <= text.len() => column - 1,
        _ => text.len() - text.trim_start().len(),
    };
    let (bad, off) = (style::BAD.render(), style::BAD.render_reset());
    let label = label.unwrap_or_default();
    let _ = writeln!(
        out,
        "{:width$} {frame}|{reset} {:pad$}{bad}^ {label}{off}",
        "", ""
    );
    let _ = writeln!(out, "{:width$} {frame}|{reset}", "");
    out
}

/// `= label: text`; further lines of the text are indented below it.
fn remark(width: usize, label: &str, text: &str) -> String {
    let (frame, reset) = (style::FRAME.render(), style::FRAME.render_reset());
    let mut lines = text.lines();
    let mut out = format!(
        "{:width$} {frame}={reset} {label}: {}\n",
        "",
        lines.next().unwrap_or("")
    );
    // Under the text, whatever styles the label has.
    let indent = width + 5 + anstream::adapter::strip_str(label).to_string().len();
    for line in lines {
        let _ = writeln!(out, "{:indent$}{line}", "");
    }
    out
}
