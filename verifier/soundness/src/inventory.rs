//! The inventory of disagreements with the Linux kernel: program, both verdicts, the kernels on which
//! it was seen, and why.
//!
//! Kernels differ. On a version that the inventory knows, every disagreement must stand there and
//! every row must still be true. On another version a disagreement that is not listed does not fail
//! the run: what we refuse and that kernel accepts is harmless, and what we accept and it refuses is
//! printed for somebody to look at. `BLESS=1` records the running version.

use soundness::kernel;
use soundness::sources;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A program about which the judges differ.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Disagreement {
    pub(super) program: String,
    pub(super) ours: String,
    pub(super) kernel: String,
}

/// A verdict in the inventory.
pub(super) const ACCEPTED: &str = "accepted";

const HEADER: &str = "program\tours\tkernel\tkernels\twhy";

/// One line.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Row {
    what: Disagreement,
    kernels: BTreeSet<String>,
    why: String,
}

impl Row {
    fn read(line: &str) -> Option<Row> {
        let cells: Vec<&str> = line.split('\t').collect();
        let [program, ours, kernel, kernels, why] = cells.try_into().ok()?;
        Some(Row {
            what: Disagreement {
                program: program.into(),
                ours: ours.into(),
                kernel: kernel.into(),
            },
            kernels: kernels.split(' ').map(Into::into).collect(),
            why: why.into(),
        })
    }

    fn line(&self) -> String {
        let Disagreement {
            program,
            ours,
            kernel,
        } = &self.what;
        let kernels: Vec<&str> = self.kernels.iter().map(String::as_str).collect();
        let kernels = kernels.join(" ");
        format!("{program}\t{ours}\t{kernel}\t{kernels}\t{}\n", self.why)
    }
}

fn path() -> PathBuf {
    sources::root().join("verifier/tests/kernel-disagreements.tsv")
}

fn read() -> Result<Vec<Row>, String> {
    let text = std::fs::read_to_string(path()).map_err(|error| error.to_string())?;
    let rows = text.lines().skip(1);
    rows.map(|line| Row::read(line).ok_or_else(|| format!("five cells expected: {line}")))
        .collect()
}

/// Compares with the inventory; false when it does not explain everything on a version it knows.
pub(super) fn report(mut found: Vec<Disagreement>) -> Result<bool, String> {
    found.sort();
    let version = kernel::version().ok_or("the kernel does not say its version")?;
    let mut rows = read()?;
    if std::env::var_os("BLESS").is_some() {
        rows = blessed(&found, rows, &version);
        let lines = rows.iter().map(Row::line);
        let text = format!("{HEADER}\n{}", lines.collect::<String>());
        std::fs::write(path(), text).map_err(|error| error.to_string())?;
    }
    let is_known = rows.iter().any(|row| row.kernels.contains(&version));
    if !is_known {
        println!(
            "Linux {version} is not in the inventory: disagreements below are for people to look at"
        );
    }
    let mut ok = true;
    for one in &found {
        let mut known = rows.iter().filter(|row| row.what.program == one.program);
        if known.any(|row| !row.why.is_empty()) {
            continue;
        }
        ok = false;
        print_unexplained(one);
    }
    if !is_known {
        return Ok(true);
    }
    for row in rows.iter().filter(|row| row.kernels.contains(&version)) {
        let program = &row.what.program;
        // Without the corpus nothing is known about its programs.
        let was_judged = !program.starts_with("corpus/") || corpus::folder().is_some();
        if was_judged && !found.iter().any(|one| one.program == *program) {
            println!("listed, but the verdicts agree now: {program}");
            ok = false;
        }
    }
    Ok(ok)
}

fn print_unexplained(one: &Disagreement) {
    let Disagreement {
        program,
        ours,
        kernel,
    } = one;
    let what = match ours == ACCEPTED {
        true => "WE ACCEPT WHAT THE KERNEL REFUSES, not explained",
        false => "not explained",
    };
    println!("{what}: {program}\n    ours:   {ours}\n    kernel: {kernel}");
}

/// The inventory with what was found on this version; reasons and other versions stay.
fn blessed(found: &[Disagreement], rows: Vec<Row>, version: &str) -> Vec<Row> {
    let why_alike = |one: &Disagreement| {
        let mut alike = rows
            .iter()
            .filter(|row| row.what.kernel == one.kernel && one.kernel != ACCEPTED);
        alike.next().map_or_else(String::new, |row| row.why.clone())
    };
    let renewed = found.iter().map(|one| {
        let known = rows.iter().find(|row| row.what.program == one.program);
        let mut row = known.cloned().unwrap_or_else(|| Row {
            what: one.clone(),
            kernels: BTreeSet::new(),
            why: why_alike(one),
        });
        row.what = one.clone();
        row.kernels.insert(version.to_owned());
        row
    });
    let mut all: Vec<Row> = renewed.collect();
    for row in &rows {
        let is_found = found.iter().any(|one| one.program == row.what.program);
        let mut row = row.clone();
        row.kernels.remove(version);
        if !is_found && !row.kernels.is_empty() {
            all.push(row);
        }
    }
    all.sort();
    all
}

#[cfg(test)]
#[path = "inventory_tests.rs"]
mod tests;
