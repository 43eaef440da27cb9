//! Plain text tables: columns as wide as their longest cell; a heading that starts with `>` aligns
//! its column to the right.

use std::fmt::Write as _;

/// A table that is being filled.
#[derive(Debug)]
pub(crate) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these headings.
    pub(crate) fn new(head: &[&'static str]) -> Table {
        Table {
            head: head.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; cells beyond the headings are dropped.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The text, indented by two.
    pub(crate) fn render(&self) -> String {
        let names: Vec<String> = self
            .head
            .iter()
            .map(|name| name.trim_start_matches('>').to_owned())
            .collect();
        let mut out = self.line(&names);
        for row in &self.rows {
            out += &self.line(row);
        }
        out
    }

    fn width(&self, column: usize) -> usize {
        let cells = self
            .rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells
            .chain([self.head[column].trim_start_matches('>').len()])
            .max()
            .unwrap_or(0)
    }

    fn line(&self, cells: &[String]) -> String {
        let mut out = String::from(" ");
        for (column, (head, cell)) in self.head.iter().zip(cells).enumerate() {
            let width = self.width(column);
            let _ = match head.starts_with('>') {
                true => write!(out, " {cell:>width$} "),
                false => write!(out, " {cell:<width$} "),
            };
        }
        out.truncate(out.trim_end().len());
        out + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["name", ">size"]);
        table.row(vec!["a".into(), "1".into()]);
        table.row(vec!["long name".into(), "100".into()]);
        assert_eq!(
            table.render(),
            "  name       size\n  a             1\n  long name   100\n"
        );
    }
}
