//! `bpf2native explain [ID]`: what a diagnostic means, with an example and its fix.
//!
//! Rejections have a page each, `docs/explain/BN02xx.md`, whose examples a test verifies. All other
//! ids say what there is to say in their row of the table.

use crate::report::{Diagnostic, style};
use crate::{Response, args};
use abi::diagnostic::{self, Row};
use abi::{Code, Fault};
use serde_json::{Value, json};

macro_rules! pages {
    ($($id:literal)*) => {
        &[$(($id, include_str!(concat!("../../../docs/explain/BN0", stringify!($id), ".md")))),*]
    };
}

/// The pages, ascending by id.
#[rustfmt::skip] // ten ids a line
const PAGES: &[(u16, &str)] = pages! {
    201 202 203 204 205 206 207 208 209 210
    211 212 213 214 215 216 217 218 219 220
    221 222 223 224 225 226 227 228 229 230
    231 232 233 234 235 236 237 238 239 240
    241 242 243 250
};

/// Prints the pages of the ids, or the list of all.
pub(crate) fn run(args: &args::ExplainArgs) -> Response {
    if args.ids.is_empty() {
        return list();
    }
    let mut response = Response::default();
    let mut answers = Vec::new();
    for id in &args.ids {
        let Some(row) = parse(id).and_then(diagnostic::row) else {
            let text = format!("there is no diagnostic `{id}`");
            let mut wrong = Diagnostic::error(diagnostic::USAGE, text);
            wrong.help = Some("`bpf2native explain` lists all ids".into());
            response.diagnostics.push(wrong);
            continue;
        };
        let text = text_of(row);
        response.text += &styled(&text);
        answers.push(answer(row, Some(&text)));
    }
    response.set("explanations", answers);
    response
}

fn list() -> Response {
    let mut response = Response::default();
    let mut answers = Vec::new();
    for row in diagnostic::TABLE {
        let (on, off) = (style::BOLD.render(), style::BOLD.render_reset());
        response.text += &format!("{on}{}{off}  {}\n", row.code, row.title);
        answers.push(answer(row, None));
    }
    response.set("explanations", answers);
    response
}

/// `BN0218`, `bn218`, `218`.
fn parse(id: &str) -> Option<Code> {
    let digits = id.strip_prefix("BN").or_else(|| id.strip_prefix("bn"));
    digits.unwrap_or(id).parse().ok().map(Code)
}

/// The page of an id.
pub(crate) fn page(code: Code) -> Option<&'static str> {
    let at = PAGES.binary_search_by_key(&code.0, |(id, _)| *id).ok()?;
    Some(PAGES[at].1)
}

fn text_of(row: &Row) -> String {
    if let Some(page) = page(row.code) {
        return page.to_owned();
    }
    let fault = match row.fault {
        Fault::Program => "The program is at fault (exit code 1).",
        Fault::Environment => {
            "The input, the command line or the environment is at fault (exit code 2)."
        }
        Fault::Bug => "bpf2native is at fault (exit code 3).",
    };
    format!(
        "# {}: {}\n\n{fault}\n\n## What to do\n\n{}\n",
        row.code, row.title, row.help
    )
}

fn answer(row: &Row, page: Option<&str>) -> Value {
    json!({
        "code": row.code.to_string(),
        "title": row.title,
        "help": row.help,
        "page": page,
    })
}

/// Markdown for a terminal: headings stand out, code is indented, fences say what they hold.
fn styled(page: &str) -> String {
    let mut out = String::new();
    let mut in_code = false;
    for line in page.lines() {
        if let Some(kind) = line.strip_prefix("```") {
            in_code = !in_code;
            out += &fence(kind);
        } else if in_code {
            out += &format!("    {line}\n");
        } else if let Some(heading) = line.strip_prefix("# ").or(line.strip_prefix("## ")) {
            let (on, off) = (style::BOLD.render(), style::BOLD.render_reset());
            out += &format!("{on}{heading}{off}\n");
        } else {
            out += &format!("{line}\n");
        }
    }
    out
}

/// The line above a block of code: its language and its verdict.
fn fence(kind: &str) -> String {
    let Some((language, verdict)) = kind.split_once(' ') else {
        return String::new();
    };
    let language = match language {
        "c" => "C",
        _ => "assembler",
    };
    let tint = match verdict {
        "rejected" => style::BAD,
        _ => style::GOOD,
    };
    format!(
        "  {language}, {}{verdict}{}:\n",
        tint.render(),
        tint.render_reset()
    )
}
