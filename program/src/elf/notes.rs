//! Remarks for the user, bounded: a hostile file cannot make more of them than it is worth.

use abi::limits;

/// Remarks about things that were read but ignored, one line each.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    list: Vec<String>,
    left_out: usize,
}

impl Notes {
    /// Adds a remark.
    pub(crate) fn push(&mut self, text: String) {
        match self.list.len() < limits::NOTES {
            true => self.list.push(text),
            false => self.left_out += 1,
        }
    }

    /// All remarks.
    pub(crate) fn into_list(mut self) -> Vec<String> {
        if self.left_out > 0 {
            self.list
                .push(format!("{} further remarks are left out", self.left_out));
        }
        self.list
    }
}

impl Extend<String> for Notes {
    fn extend<T: IntoIterator<Item = String>>(&mut self, texts: T) {
        texts.into_iter().for_each(|text| self.push(text));
    }
}
