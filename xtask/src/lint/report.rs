//! Distribution of function lengths by crate.

use super::measure::File;
use super::{MAX_P95, Violation};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Fewest functions for which a percentile says something.
const MIN_FUNCTIONS: usize = 40;

/// Functions of one crate, longest first: length, name, path.
pub(super) struct Crate {
    name: String,
    functions: Vec<(usize, String)>,
}

/// The crates that have functions, by path.
pub(super) fn crates(files: &[File]) -> Vec<Crate> {
    let mut crates: BTreeMap<String, Vec<(usize, String)>> = BTreeMap::new();
    for file in files.iter().filter(|file| !file.is_test) {
        let parts = file.path.iter().map(|part| part.to_string_lossy());
        let name: Vec<_> = parts.take_while(|part| part != "src").collect();
        let functions = crates.entry(name.join("/")).or_default();
        let path = file.path.display();
        let named = |name: &str, line| format!("{path}:{line} {name}");
        functions.extend(
            file.functions
                .iter()
                .map(|f| (f.lines, named(&f.name, f.line))),
        );
    }
    let sorted = |(name, mut functions): (String, Vec<(usize, String)>)| {
        functions.sort_by(|a, b| b.cmp(a));
        Crate { name, functions }
    };
    // Entry points that only invoke a macro have none.
    crates.retain(|_, functions| !functions.is_empty());
    crates.into_iter().map(sorted).collect()
}

impl Crate {
    /// Length that 95 % of the functions do not exceed.
    fn p95(&self) -> usize {
        self.functions
            .get(self.functions.len() / 20)
            .map_or(0, |(lines, _)| *lines)
    }

    /// Half of all code lies in functions of at least this length.
    fn w50(&self) -> usize {
        let total: usize = self.functions.iter().map(|(lines, _)| lines).sum();
        let mut sum = 0;
        let half = self.functions.iter().find(|(lines, _)| {
            sum += lines;
            sum * 2 >= total
        });
        half.map_or(0, |(lines, _)| *lines)
    }

    pub(super) fn check(&self) -> Option<Violation> {
        let p95 = self.p95();
        // Of a few functions the longest one alone would decide.
        let is_meaningful = self.functions.len() >= MIN_FUNCTIONS;
        (is_meaningful && p95 > MAX_P95).then(|| Violation {
            rule: "p95",
            path: PathBuf::from(&self.name),
            line: 0,
            item: String::new(),
            message: format!("95 % of the functions have up to {p95} lines, at most {MAX_P95}"),
        })
    }
}

/// Prints the table, with the longest few functions of each crate as `examples`.
pub(super) fn print(crates: &[Crate], examples: usize) {
    println!(
        "{:<16} {:>9} {:>5} {:>5} {:>8}",
        "crate", "functions", "p95", "w50", "longest"
    );
    for found in crates {
        let longest = found.functions.first().map_or(0, |(lines, _)| *lines);
        let (count, p95, w50) = (found.functions.len(), found.p95(), found.w50());
        println!(
            "{:<16} {count:>9} {p95:>5} {w50:>5} {longest:>8}",
            found.name
        );
        for (lines, name) in found.functions.iter().take(examples) {
            println!("    {lines:>4}  {name}");
        }
    }
}
