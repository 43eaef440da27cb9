//! Diagnostics as text: header, place, source snippet, instruction, remarks, help.
//!
//! ```text
//! error[BN0210]: packet access past what was compared with data_end
//!   --> droppacket.c:31:13, section xdp, function drop_packet, i12
//!    |
//! 31 |     if (udp->dest != bpf_htons(53))
//!    |             ^
//!    = i12: r2 = *(u16 *)(r1 + 36)
//!    = known: ...
//!    = help: ...
//! ```

use super::{Diagnostic, Place, Severity, SourceLine, style};
use std::fmt::Write as _;

/// Prints a diagnostic on standard error.
pub(crate) fn print(diagnostic: &Diagnostic) {
    anstream::eprint!("{}", render(diagnostic));
}

/// The text of a diagnostic with ANSI styles.
pub(crate) fn render(diagnostic: &Diagnostic) -> String {
    let mut out = header(diagnostic);
    let source = diagnostic.place.source.as_ref();
    let width = source.map_or(2, |source| source.line.to_string().len().max(2));
    if let Some(place) = place_line(&diagnostic.place) {
        let _ = writeln!(
            out,
            "{:width$}{}-->{} {place}",
            "",
            style::FRAME.render(),
            style::FRAME.render_reset()
        );
    }
    if let Some(source) = source.filter(|source| !source.text.trim().is_empty()) {
        out += &snippet(source, width);
    }
    if let (Some(insn), Some(text)) = (diagnostic.place.insn, &diagnostic.place.insn_text) {
        out += &remark(width, &format!("i{insn}"), text);
    }
    for (label, text) in &diagnostic.notes {
        out += &remark(width, label, text);
    }
    if let Some(help) = &diagnostic.help {
        let label = format!("{}help{}", style::HELP.render(), style::HELP.render_reset());
        out += &remark(width, &label, help);
    }
    out
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

fn snippet(source: &SourceLine, width: usize) -> String {
    let (frame, reset) = (style::FRAME.render(), style::FRAME.render_reset());
    let text = source.text.trim_end().replace('\t', " ");
    let mut out = format!("{:width$} {frame}|{reset}\n", "");
    let _ = writeln!(out, "{frame}{:>width$} |{reset} {text}", source.line);
    let _ = match usize::try_from(source.column) {
        Ok(column) if column > 0 && column <= text.len() => {
            let pad = column - 1;
            let bad = style::BAD;
            writeln!(
                out,
                "{:width$} {frame}|{reset} {:pad$}{}^{}",
                "",
                "",
                bad.render(),
                bad.render_reset()
            )
        }
        _ => writeln!(out, "{:width$} {frame}|{reset}", ""),
    };
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
    for line in lines {
        let _ = writeln!(out, "{:width$}     {line}", "");
    }
    out
}
