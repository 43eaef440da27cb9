//! `verify --report FILE.html`: one self-contained page for reading a verdict with everything behind
//! it: problems and the paths to them, control flow, source lines, bytecode, what is known before
//! each instruction.
//!
//! Refused programs come first, with the path to their first problem marked. Nothing is loaded: the
//! page forbids itself the network, and its script only shows what is in the page already. Without
//! scripts what folds are `<details>` and the links still work. Everything from the input is escaped
//! in one function.

mod graph;
mod listing;
mod problem;

use crate::commands::joined::States;
use crate::report::Diagnostic;
use isa::InsnIdx;
use program::{Object, Program, ProgramId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use verifier::trace::Snapshot;
use verifier::{Observer, Rejection, View};

/// Instructions up to which the program of a page is unfolded although it is accepted.
const UNFOLDED: usize = 200;

/// A page in the making.
#[derive(Default)]
pub(crate) struct Page {
    programs: Vec<Entry>,
}

/// One program on the page.
struct Entry {
    word: &'static str,
    title: String,
    about: String,
    body: String,
}

/// One verified program.
pub(crate) struct Verdict<'a> {
    /// Which.
    pub(crate) id: ProgramId,
    /// Facts in words.
    pub(crate) proved: String,
    /// Why it is refused: nothing when it is accepted.
    pub(crate) rejections: &'a [Rejection],
    /// The same for readers.
    pub(crate) problems: &'a [Diagnostic],
}

/// Everything that the parts of a program's article show.
struct Article<'a> {
    object: &'a Object,
    program: &'a Program,
    /// A number that no other program on the page has.
    number: usize,
    problems: &'a [Diagnostic],
    states: States,
    ways: Vec<Way>,
}

/// The path to a problem.
#[derive(Default)]
struct Way {
    /// The last state before each instruction on it.
    states: BTreeMap<InsnIdx, Snapshot>,
    /// Pairs of instructions that follow one another on it.
    steps: BTreeSet<(InsnIdx, InsnIdx)>,
    last: Option<InsnIdx>,
}

impl Observer for Way {
    fn step(&mut self, at: InsnIdx, state: &View<'_>) {
        self.states.insert(at, state.snapshot());
        if let Some(before) = self.last.replace(at) {
            self.steps.insert((before, at));
        }
    }
}

impl Page {
    /// Adds a verified program of a file.
    pub(crate) fn add(
        &mut self,
        file: &str,
        object: &Object,
        verdict: &Verdict<'_>,
        options: &verifier::Options,
    ) {
        let program = &object.programs[usize::from(verdict.id.0)];
        let mut states = States::default();
        // The verdict is known already; this run only shows its states.
        let _ = verifier::verify_observed(object, verdict.id, options, &mut states);
        let way = |rejection| {
            let mut way = Way::default();
            verifier::follow(object, verdict.id, rejection, &mut way);
            way
        };
        let article = Article {
            object,
            program,
            number: self.programs.len(),
            problems: verdict.problems,
            states,
            ways: verdict.rejections.iter().map(way).collect(),
        };
        let word = match verdict.problems {
            [] => "accepted",
            _ => "rejected",
        };
        self.programs.push(Entry {
            word,
            title: program.name.clone(),
            about: format!(
                "{}, section {}, {file}",
                program.program_type.name, program.section
            ),
            body: article.html(word, &verdict.proved),
        });
    }

    /// Adds a program of a file that could not be loaded.
    pub(crate) fn add_unlinked(&mut self, file: &str, name: &str, problems: &[Diagnostic]) {
        let number = self.programs.len();
        let cards = problems.iter().enumerate();
        let cards: String = cards
            .map(|(k, one)| problem::card(number, k, one))
            .collect();
        self.programs.push(Entry {
            word: "error",
            title: name.to_owned(),
            about: file.to_owned(),
            body: format!("<div class=\"body\">{cards}</div>"),
        });
    }

    /// The page.
    pub(crate) fn finish(self) -> String {
        let mut order: Vec<(usize, &Entry)> = self.programs.iter().enumerate().collect();
        order.sort_by_key(|(_, entry)| entry.word == "accepted");
        let mut out = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\
             <title>{}</title><style>{}</style></head><body>\n<main>\n",
            escape(&title(&order)),
            include_str!("page.css")
        );
        out += &contents(&order);
        for (number, entry) in &order {
            let open = match entry.word != "accepted" || order.len() == 1 {
                true => " open",
                false => "",
            };
            let _ = writeln!(
                out,
                "<details class=\"program\" id=\"p{number}\"{open}><summary><h2>\
                 <span class=\"{word}\">{word}</span> {}</h2> <span class=\"dim\">{}</span>\
                 </summary>\n{}</details>",
                escape(&entry.title),
                escape(&entry.about),
                entry.body,
                word = entry.word
            );
        }
        out += "</main>\n<aside id=\"panel\" aria-live=\"polite\" hidden></aside>\n";
        out + "<script>" + include_str!("page.js") + "</script>\n</body></html>\n"
    }
}

/// How many programs have which verdict.
fn title(programs: &[(usize, &Entry)]) -> String {
    let count = |word| programs.iter().filter(|(_, one)| one.word == word).count();
    let words = ["error", "rejected", "accepted"].map(|word| (word, count(word)));
    let words = words.iter().filter(|(_, count)| *count > 0);
    let words: Vec<String> = words
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    match &*words {
        [] => "bpf2native verify: no programs".into(),
        words => format!("bpf2native verify: {}", words.join(", ")),
    }
}

/// The programs as links, when there are several.
fn contents(programs: &[(usize, &Entry)]) -> String {
    let mut out = format!("<h1>{}</h1>\n", escape(&title(programs)));
    if programs.len() < 2 {
        return out;
    }
    out += "<nav><ul>\n";
    for (number, entry) in programs {
        let _ = writeln!(
            out,
            "<li><a href=\"#p{number}\"><span class=\"{word}\">{word}</span> {}</a></li>",
            escape(&entry.title),
            word = entry.word
        );
    }
    out + "</ul></nav>\n"
}

impl Article<'_> {
    fn html(&self, word: &str, proved: &str) -> String {
        let mut out = format!("<div class=\"body\" data-program=\"{}\">\n", self.number);
        for (k, one) in self.problems.iter().enumerate() {
            out += &problem::card(self.number, k, one);
        }
        if !proved.is_empty() {
            let _ = writeln!(out, "<pre class=\"proved\">{}</pre>", escape(proved));
        }
        let is_small = self.program.insns.len() < UNFOLDED;
        let open = if word == "rejected" || is_small {
            " open"
        } else {
            ""
        };
        out += &graph::svg(self, open);
        out += &listing::source(self, open);
        out += &listing::bytecode(self, open);
        out + "</div>\n"
    }

    /// Is a problem reported at this instruction?
    fn has_problem(&self, at: InsnIdx) -> bool {
        let mut problems = self.problems.iter();
        problems.any(|problem| problem.place.insn == Some(at.0))
    }

    fn is_reached(&self, at: InsnIdx) -> bool {
        self.states.at(at).is_some()
    }

    /// The problems to which paths lead that `is_on` says, as attributes of an element with these
    /// classes; the first path is marked from the start.
    fn marks(&self, classes: &str, is_on: impl Fn(&Way) -> bool) -> String {
        let ways = self.ways.iter().enumerate();
        let ways: Vec<usize> = ways.filter(|(_, way)| is_on(way)).map(|(k, _)| k).collect();
        if ways.is_empty() {
            return format!("class=\"{classes}\"");
        }
        let on = if ways.first() == Some(&0) { " on" } else { "" };
        let ways: Vec<String> = ways.iter().map(ToString::to_string).collect();
        format!("class=\"{classes}{on}\" data-ways=\"{}\"", ways.join(" "))
    }
}

/// The name of an instruction within the page.
fn anchor(number: usize, at: u32) -> String {
    format!("p{number}i{at}")
}

/// Text as HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
