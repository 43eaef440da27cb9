//! The one error of this crate: what is wrong with an input, and where.
//!
//! The kind of problem is the [`Code`], a row of the table of diagnostics; the rest of the error
//! says where it was found (section, symbol, byte offset) and what was found there. Text, not
//! data, because nobody computes with it: callers match on the code.

use abi::{Code, diagnostic};
use alloc::string::String;
use core::fmt;

/// Where in a file something is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// Section name.
    pub section: Option<String>,
    /// Function, map or variable name.
    pub symbol: Option<String>,
    /// Byte offset in the section, or in the bytecode when there is no section.
    pub offset: Option<u64>,
}

/// An input that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadError {
    code: Code,
    place: Place,
    message: String,
}

impl LoadError {
    /// An error of a kind; `message` says what was found and what was expected.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> LoadError {
        LoadError {
            code,
            place: Place::default(),
            message: message.into(),
        }
    }

    /// Names the section, unless an inner call already did.
    #[must_use]
    pub(crate) fn section(mut self, name: &str) -> LoadError {
        self.place.section.get_or_insert_with(|| name.into());
        self
    }

    /// Names the symbol, unless an inner call already did.
    #[must_use]
    pub(crate) fn symbol(mut self, name: &str) -> LoadError {
        self.place.symbol.get_or_insert_with(|| name.into());
        self
    }

    /// Gives the byte offset, unless an inner call already did.
    #[must_use]
    pub(crate) fn offset(mut self, bytes: u64) -> LoadError {
        self.place.offset.get_or_insert(bytes);
        self
    }

    /// Puts the thing that is referred to in front of the message.
    #[must_use]
    #[cfg(feature = "elf")]
    pub(crate) fn about(self, name: &str) -> LoadError {
        self.before(&alloc::format!("reference to `{name}`"))
    }

    /// Puts what the message is about in front of it.
    #[must_use]
    #[cfg(feature = "elf")]
    pub(crate) fn before(mut self, text: &str) -> LoadError {
        self.message = alloc::format!("{text}: {}", self.message);
        self
    }

    /// Stable id of the kind of problem.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Where it was found.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What was found and what was expected, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        diagnostic::row(self.code).map_or("", |row| row.help)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(section) = &self.section {
            write!(f, "section `{section}`")?;
            separator = ", ";
        }
        if let Some(symbol) = &self.symbol {
            write!(f, "{separator}`{symbol}`")?;
            separator = ", ";
        }
        if let Some(offset) = self.offset {
            write!(f, "{separator}offset {offset:#x}")?;
        }
        Ok(())
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place != Place::default() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.message)
    }
}

impl core::error::Error for LoadError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_place_wins() {
        let error = LoadError::new(diagnostic::ELF_MALFORMED, "cut short")
            .offset(24)
            .symbol("map")
            .section("maps")
            .offset(0)
            .section("other");
        assert_eq!(
            alloc::string::ToString::to_string(&error),
            "section `maps`, `map`, offset 0x18: cut short"
        );
        assert!(!error.help().is_empty());
    }
}
