//! Help texts and the reference, from the table.

use crate::parse::Topic;
use crate::table::{COMMANDS, Command, Kind, Tag, Verb};
use std::fmt::Write as _;

/// Columns of a line of help.
const WIDTH: usize = 78;

/// An answer to a question.
#[must_use]
pub fn about(topic: Topic) -> String {
    match topic {
        Topic::All => overview(),
        Topic::Verb(verb) => commands(verb.commands()),
        Topic::Command(command) => page(command),
    }
}

fn overview() -> String {
    let mut out =
        String::from("\nThe following commands are available:\n\nCommands in this context:\n");
    for verb in Verb::ALL {
        let _ = writeln!(out, "{:<15}- {}", verb.name(), verb.help());
    }
    out + "\nTo view help for a command, type the command, followed by a space, and then\n type ?.\n"
}

fn commands(all: impl Iterator<Item = &'static Command>) -> String {
    let mut out =
        String::from("\nThe following commands are available:\n\nCommands in this context:\n");
    for command in all {
        let name = format!("{} {}", command.verb.name(), command.object);
        let _ = writeln!(out, "{name:<25}- {}", command.help);
    }
    out
}

/// How a command is typed.
pub(crate) fn usage(command: &Command) -> String {
    let mut out = format!("Usage: {} {}", command.verb.name(), command.object);
    for tag in command.tags {
        let argument = format!("[{}=]{}", tag.name, value(tag));
        out += &match tag.required {
            true => format!(" {argument}"),
            false => format!(" [{argument}]"),
        };
    }
    out
}

fn value(tag: &Tag) -> String {
    match tag.kind {
        Kind::Text => "<string>".to_owned(),
        Kind::Id => "<integer>".to_owned(),
        Kind::Choice(words) => words.join("|"),
    }
}

/// A command's own page.
#[must_use]
pub fn page(command: &Command) -> String {
    let mut out = format!("\n{}\n", usage(command));
    if !command.tags.is_empty() {
        out += "\nParameters:\n\n      Tag             Value\n";
    }
    for tag in command.tags {
        let text = meaning(tag);
        let mut lines = wrap(&text, WIDTH - 24).into_iter();
        let first = lines.next().unwrap_or_default();
        let _ = writeln!(out, "      {:<14}- {first}", tag.name);
        lines.for_each(|line| {
            let _ = writeln!(out, "{:22}{line}", "");
        });
    }
    let remarks = std::iter::once(&command.help).chain(command.remarks);
    for (at, remark) in remarks.enumerate() {
        for (line_at, line) in wrap(remark, WIDTH - 9).iter().enumerate() {
            let mark = if (at, line_at) == (0, 0) {
                "Remarks: "
            } else {
                ""
            };
            let gap = if line_at == 0 { "\n" } else { "" };
            let _ = writeln!(out, "{gap}{mark:<9}{line}");
        }
    }
    let _ = writeln!(out, "\nExamples:\n\n      {}\n", command.example);
    out
}

fn meaning(tag: &Tag) -> String {
    match tag.kind {
        Kind::Choice(words) => format!("{} Default: {}.", tag.help, words.first().unwrap_or(&"")),
        _ => tag.help.to_owned(),
    }
}

/// Lines of at most so many columns.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The reference for the book, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from(INTRODUCTION);
    for command in COMMANDS {
        let _ = write!(
            out,
            "\n## {} {}\n\n{}\n\n```text\nnetsh ebpf {}\n```\n",
            command.verb.name(),
            command.object,
            command.help,
            usage(command).trim_start_matches("Usage: ")
        );
        if !command.tags.is_empty() {
            out += "\n| tag | value | meaning |\n|---|---|---|\n";
        }
        for tag in command.tags {
            let needed = if tag.required { " (required)" } else { "" };
            let value = value(tag).replace('|', "\\|");
            let _ = writeln!(
                out,
                "| `{}`{needed} | `{value}` | {} |",
                tag.name,
                meaning(tag)
            );
        }
        for remark in command.remarks {
            let _ = writeln!(out, "\n{remark}");
        }
        let _ = writeln!(out, "\nExample: `netsh ebpf {}`", command.example);
    }
    out
}

const INTRODUCTION: &str = "<!-- Made from the table in ebpfnetsh/src/table.rs; `BLESS=1 cargo test -p ebpfnetsh` writes it. -->
# Commands of netsh

These are the commands of the context `ebpf` of netsh, which `ebpfnetsh.dll` brings; the command
`netsh add helper %windir%\\system32\\ebpfnetsh.dll` tells netsh of it, once. It was tried in a
stand-in for netsh under Wine, never in that of Windows.
The commands are typed in one line, `netsh ebpf show programs`, or at netsh's prompt after `ebpf`.

Arguments stand in the order given here or as `tag=value` in any order. Verbs, objects, tags and words of
choices may be shortened as long as they stay unambiguous, and letters may be small or capital.
`?` behind a command explains it.
";
