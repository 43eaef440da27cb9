//! Every command in the documents is run, and prints what the document says.
//!
//! A block marked `console` holds commands after `$ ` and what they print, error output included; `...`
//! stands for any lines, and numbers with a unit of time or rate may differ. A command whose text ends
//! with an error must fail, any other must succeed. What cannot be run here is named in [`ELSEWHERE`],
//! with where it is run. A block marked `bat` is for Windows; each of its lines is in [`WINDOWS`].
//! Lists in the documents that come from tables are compared with them; `BLESS=1` rewrites those.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{folder, judge, root};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Commands of this machine that another test runs: how they begin, and where.
const ELSEWHERE: &[(&str, &str)] = &[
    ("tests/all.sh", "is what runs this test"),
    (
        "cargo xtask dist",
        "`cargo xtask wine` builds the same files",
    ),
    (
        "cargo run --release -p bpf2native",
        "the same program is run as `bpf2native`",
    ),
    (
        "cargo run --release -p bench",
        "measures; tests are not timed",
    ),
    (
        "cargo run --release -p dnsflood",
        "the story of `cargo xtask ci demo` runs it",
    ),
    (
        "examples/dnsflood/demo-linux.sh",
        "`cargo xtask ci demo` runs it",
    ),
    (
        "examples/dnsflood/demo-wine.sh",
        "`cargo xtask ci demo-wine` runs it",
    ),
    ("mdbook ", "draws this book; needs `cargo install mdbook`"),
];

/// Commands for Windows: how they begin, and where they are run.
const WINDOWS: &[(&str, &str)] = &[
    ("sc create", "`cargo xtask wine`"),
    ("sc start", "`cargo xtask wine`"),
    ("sc stop", "`cargo xtask wine`"),
    ("sc delete", "`cargo xtask wine`"),
    ("netsh add helper", "`cargo xtask wine`"),
    ("netsh ebpf", "`examples/dnsflood/demo-wine.sh`"),
    ("bcdedit", "needs a real Windows; documented by Microsoft"),
    ("certutil", "needs a real Windows; documented by Microsoft"),
    ("signtool", "needs a real Windows; documented by Microsoft"),
    ("reg add", "needs a real Windows; documented by Microsoft"),
];

/// A fenced block.
struct Block {
    language: String,
    line: usize,
    text: Vec<String>,
}

/// A command, and what it prints.
#[derive(Default)]
struct Example {
    line: usize,
    command: String,
    output: Vec<String>,
}

fn documents() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = ["README.md", "examples/README.md", "include/README.md"]
        .map(|name| root().join(name))
        .into();
    all.push(root().join("examples/dnsflood/README.md"));
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "md") {
            all.push(path);
        }
    }
    all.sort();
    all
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            if !open {
                blocks.push(Block {
                    language: language.to_owned(),
                    line: number + 1,
                    text: Vec::new(),
                });
            }
            open = !open;
        } else if open {
            blocks.last_mut().unwrap().text.push(line.to_owned());
        }
    }
    assert!(!open, "a block is not closed");
    blocks
}

fn examples(block: &Block) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for (number, line) in block.text.iter().enumerate() {
        if let Some(command) = line.strip_prefix("$ ") {
            examples.push(Example {
                line: block.line + 1 + number,
                command: command.to_owned(),
                output: Vec::new(),
            });
        } else {
            let last = examples
                .last_mut()
                .expect("a `console` block begins with `$ `");
            last.output.push(line.clone());
        }
    }
    examples
}

/// A folder as a reader has it: the examples and headers beside what he makes.
fn workplace() -> tempfile::TempDir {
    let place = folder();
    for name in ["examples", "include"] {
        std::os::unix::fs::symlink(
            root().canonicalize().unwrap().join(name),
            place.path().join(name),
        )
        .unwrap();
    }
    // The first use makes the key and says so.
    let (code, text) = shell(place.path(), "bpf2native certificate -o first.cer");
    assert_eq!(code, 0, "{text}");
    std::fs::remove_file(place.path().join("first.cer")).unwrap();
    place
}

/// Runs a command as a shell does; output and error output in one.
fn shell(place: &Path, command: &str) -> (i32, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_bpf2native"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = vec![program.parent().unwrap().to_path_buf()];
    folders.extend(std::env::split_paths(&path));
    let output = Command::new("sh")
        .args(["-c", &format!("{{ {command}\n}} 2>&1")])
        .current_dir(place)
        .env("PATH", std::env::join_paths(folders).unwrap())
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().unwrap_or(-1), text)
}

/// A line without the numbers that differ from run to run: those with a unit of time or rate.
fn steady(line: &str) -> String {
    const UNITS: &[&str] = &["ns", "us", "ms", "s", "M/s"];
    let mut words: Vec<&str> = line.split_whitespace().collect();
    for at in 1..words.len() {
        let unit = words[at].trim_end_matches([',', ';', '.', ')']);
        if UNITS.contains(&unit) && words[at - 1].parse::<f64>().is_ok() {
            words[at - 1] = "#";
        }
    }
    words.join(" ")
}

/// Whether lines are as expected; `...` stands for any number of lines.
fn matches(found: &[String], expected: &[String]) -> bool {
    match expected {
        [] => found.is_empty(),
        [dots, rest @ ..] if dots == "..." => {
            (0..=found.len()).any(|skip| matches(&found[skip..], rest))
        }
        [line, rest @ ..] => found
            .split_first()
            .is_some_and(|(first, others)| first == line && matches(others, rest)),
    }
}

fn check(place: &Path, document: &str, example: &Example) -> Result<(), String> {
    let Example {
        line,
        command,
        output,
    } = example;
    if ELSEWHERE
        .iter()
        .any(|(start, _)| command.starts_with(start))
    {
        return Ok(());
    }
    if command.starts_with("clang") && judge("clang-19").is_none() {
        // The committed object is what it would make.
        std::fs::copy(
            place.join("examples/droppacket.o"),
            place.join("droppacket.o"),
        )
        .unwrap();
        return Ok(());
    }
    let (code, text) = shell(place, command);
    let must_fail = output.iter().any(|line| line.starts_with("error"));
    let steadied = |lines: &mut dyn Iterator<Item = &str>| -> Vec<String> {
        lines.map(steady).filter(|line| !line.is_empty()).collect()
    };
    let found = steadied(&mut text.lines());
    let expected = steadied(&mut output.iter().map(String::as_str));
    if (code != 0) == must_fail && matches(&found, &expected) {
        return Ok(());
    }
    Err(format!(
        "{document}:{line}: `{command}` ended with {code} and printed\n{text}"
    ))
}

#[test]
fn commands_print_what_the_documents_say() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in documents() {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let place = workplace();
        let text = std::fs::read_to_string(&path).unwrap();
        for block in blocks(&text) {
            if block.language == "console" {
                for example in examples(&block) {
                    count += 1;
                    wrong.extend(check(place.path(), &name, &example).err());
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 20, "only {count} commands were found");
}

#[test]
fn no_command_is_written_where_it_is_not_run() {
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        for block in blocks(&text) {
            let place = format!("{}:{}", path.display(), block.line);
            let has_prompt = block.text.iter().any(|line| line.starts_with("$ "));
            assert!(
                !has_prompt || block.language == "console",
                "{place}: mark it `console`"
            );
            if block.language == "bat" {
                for line in block.text.iter().filter(|line| !line.is_empty()) {
                    let known = WINDOWS.iter().any(|(start, _)| line.starts_with(start));
                    assert!(known, "{place}: where is `{line}` run?");
                }
            }
        }
    }
}

#[test]
fn links_lead_somewhere() {
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1) {
            let target = link.split(')').next().unwrap();
            let file = target.split('#').next().unwrap();
            if !file.is_empty() && !file.contains("://") {
                let there = path.parent().unwrap().join(file);
                assert!(there.exists(), "{}: {target}", path.display());
            }
        }
    }
}

/// The part of a document between two marks, which is made from a table.
fn compare_generated(document: &str, mark: &str, made: &str) {
    let path = root().join(document);
    let text = std::fs::read_to_string(&path).unwrap();
    let (start, end) = (
        format!("<!-- {mark} -->\n"),
        format!("<!-- end of {mark} -->\n"),
    );
    let from = text.find(&start).expect("no start mark") + start.len();
    let to = text.find(&end).expect("no end mark");
    if std::env::var_os("BLESS").is_some() {
        let new = format!("{}{made}{}", &text[..from], &text[to..]);
        std::fs::write(&path, new).unwrap();
        return;
    }
    assert_eq!(
        &text[from..to],
        made,
        "{document}: BLESS=1 writes the new text"
    );
}

/// Ids and their meanings, as `explain` lists them.
fn diagnostics() -> Vec<(String, String)> {
    let (code, text) = shell(&root(), "bpf2native explain");
    assert_eq!(code, 0);
    let rows = text.lines().filter_map(|line| line.split_once("  "));
    rows.map(|(id, meaning)| (id.trim().to_owned(), meaning.trim().to_owned()))
        .collect()
}

#[test]
fn all_diagnostics_are_listed() {
    let mut table = String::from("| id | meaning |\n|---|---|\n");
    let mut pages = String::from("- [All diagnostics](diagnostics.md)\n");
    for (id, meaning) in diagnostics() {
        let page = format!("explain/{id}.md");
        if root().join("docs").join(&page).exists() {
            table += &format!("| [{id}]({page}) | {meaning} |\n");
            pages += &format!("  - [{id}: {meaning}]({page})\n");
        } else {
            table += &format!("| {id} | {meaning} |\n");
        }
    }
    compare_generated("docs/diagnostics.md", "diagnostics", &table);
    compare_generated("docs/SUMMARY.md", "pages", &pages);
}
