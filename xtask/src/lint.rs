//! House rules that can be measured: length of functions and files, nesting, parameters, file
//! headers.
//!
//! The limits keep code readable where reading stops first: in long control flow. A flat `match`
//! (every arm a single expression without control flow) does not count towards the length of its
//! function, because such a table reads well at any length. What breaks a rule on purpose is listed
//! with a reason in `xtask/lint-exceptions.txt`; an exception that no longer applies is an error
//! too, so the list cannot rot. What is left out: everything rustfmt and clippy check.

mod exceptions;
mod measure;
mod report;

use exceptions::Exceptions;
use measure::{File, Function};
use std::path::{Path, PathBuf};

/// Longest function, in lines of code.
const MAX_FUNCTION: usize = 60;
/// 95 % of the functions of a crate are at most this long.
const MAX_P95: usize = 35;
/// Longest file without its tests, in lines.
const MAX_FILE: usize = 800;
/// Most parameters of a function, `self` aside.
const MAX_PARAMETERS: usize = 5;
/// Deepest nesting of control flow.
const MAX_NESTING: usize = 3;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// List the longest functions of each crate
    #[arg(long)]
    verbose: bool,
}

/// One broken rule.
struct Violation {
    rule: &'static str,
    path: PathBuf,
    line: usize,
    /// Function the rule is about; empty for the file itself.
    item: String,
    message: String,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<bool, String> {
    let files = sources(root)?
        .iter()
        .map(|path| measure::file(root, path))
        .collect::<Result<Vec<File>, String>>()?;
    let mut exceptions = Exceptions::read(&root.join("xtask/lint-exceptions.txt"))?;
    let crates = report::crates(&files);
    let mut violations: Vec<Violation> = files.iter().flat_map(check).collect();
    violations.extend(crates.iter().filter_map(report::Crate::check));
    violations.retain(|violation| !exceptions.covers(violation));
    violations.extend(exceptions.unused());
    report::print(&crates, if args.verbose { 5 } else { 0 });
    for Violation {
        rule,
        path,
        line,
        message,
        ..
    } in &violations
    {
        println!("{}:{line}: {rule}: {message}", path.display());
    }
    println!("{} files, {} violations", files.len(), violations.len());
    Ok(violations.is_empty())
}

/// All Rust sources of the repository, sorted.
fn sources(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let fail = |error| format!("cannot list {}: {error}", folder.display());
        for entry in std::fs::read_dir(&folder).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_skipped = name.starts_with('.') || name == "target" || name == "generated";
            if path.is_dir() && !is_skipped {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The rules for one file.
fn check(file: &File) -> Vec<Violation> {
    let violation = |rule, line, item: &str, message| Violation {
        rule,
        path: file.path.clone(),
        line,
        item: item.to_owned(),
        message,
    };
    let mut found = Vec::new();
    if !file.has_header {
        found.push(violation(
            "header",
            1,
            "",
            "file does not open with a `//!` comment".into(),
        ));
    }
    if file.is_test {
        return found;
    }
    if file.lines > MAX_FILE {
        let message = format!("{} lines without tests, at most {MAX_FILE}", file.lines);
        found.push(violation("file-length", 1, "", message));
    }
    for function in &file.functions {
        found.extend(
            check_function(function)
                .map(|(rule, message)| violation(rule, function.line, &function.name, message)),
        );
    }
    found
}

/// The rules for one function: rule and message of each that is broken.
fn check_function(function: &Function) -> impl Iterator<Item = (&'static str, String)> {
    let limits = [
        ("function-length", function.lines, MAX_FUNCTION, "lines"),
        (
            "parameters",
            function.parameters,
            MAX_PARAMETERS,
            "parameters",
        ),
        (
            "bool-parameter",
            function.bool_parameters,
            0,
            "parameters of type bool",
        ),
        (
            "nesting",
            function.nesting,
            MAX_NESTING,
            "levels of control flow",
        ),
    ];
    let name = &function.name;
    limits
        .into_iter()
        .filter(|(_, found, limit, _)| found > limit)
        .map(move |(rule, found, limit, unit)| {
            (
                rule,
                format!("`{name}` has {found} {unit}, at most {limit}"),
            )
        })
}
