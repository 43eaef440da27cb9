//! The list of deliberate exceptions: rule, path, item and reason, one per line.

use super::Violation;
use std::path::{Path, PathBuf};

pub(super) struct Exceptions {
    path: PathBuf,
    rows: Vec<Row>,
}

struct Row {
    line: usize,
    rule: String,
    path: String,
    /// Function name, `-` for the file itself.
    item: String,
    is_used: bool,
}

impl Exceptions {
    /// Reads `rule path item reason...`; `#` begins a comment line.
    pub(super) fn read(path: &Path) -> Result<Exceptions, String> {
        let fail = |error: std::io::Error| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(fail)?;
        let is_row = |line: &str| !line.trim().is_empty() && !line.starts_with('#');
        let rows = (1..).zip(text.lines()).filter(|(_, line)| is_row(line));
        let parse = |(number, line): (usize, &str)| {
            row(number, line).ok_or_else(|| {
                let path = path.display();
                format!("{path}:{number}: expected `rule path item reason`, found `{line}`")
            })
        };
        let rows = rows.map(parse).collect::<Result<Vec<Row>, String>>()?;
        Ok(Exceptions {
            path: path.to_path_buf(),
            rows,
        })
    }

    /// Whether the violation is listed; remembers that the row was needed.
    pub(super) fn covers(&mut self, violation: &Violation) -> bool {
        let item = if violation.item.is_empty() {
            "-"
        } else {
            &violation.item
        };
        let path = violation.path.to_string_lossy().replace('\\', "/");
        let found = self
            .rows
            .iter_mut()
            .find(|row| row.rule == violation.rule && row.path == path && row.item == item);
        if let Some(row) = found {
            row.is_used = true;
            return true;
        }
        false
    }

    /// Rows that excuse nothing.
    pub(super) fn unused(&self) -> impl Iterator<Item = Violation> {
        self.rows
            .iter()
            .filter(|row| !row.is_used)
            .map(|row| Violation {
                rule: "exception",
                path: self.path.clone(),
                line: row.line,
                item: row.item.clone(),
                message: format!("no longer needed: {} {} {}", row.rule, row.path, row.item),
            })
    }
}

fn row(line: usize, text: &str) -> Option<Row> {
    let mut words = text.split_whitespace();
    let (rule, path, item) = (words.next()?, words.next()?, words.next()?);
    // A reason is part of the row: an exception that nobody can explain is a mistake.
    words.next()?;
    let (rule, path, item) = (rule.to_owned(), path.to_owned(), item.to_owned());
    Some(Row {
        line,
        rule,
        path,
        item,
        is_used: false,
    })
}
