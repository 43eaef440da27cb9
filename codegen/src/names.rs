//! Names: PE section names for ELF sections, and the limits on names in the metadata.

use crate::error::Error;
use abi::limits::NAME_BYTES;
use abi::native::{
    SECTION_GLOBALS, SECTION_HASH, SECTION_INITIAL_VALUES, SECTION_MAPS, SECTION_NAME_BYTES,
    SECTION_PROGRAMS,
};
use program::Program;
use std::collections::BTreeSet;

/// Names of sections that are not for programs.
const RESERVED: &[&str] = &[
    ".text",
    ".rdata",
    ".data",
    ".pdata",
    ".xdata",
    ".rsrc",
    ".reloc",
    ".idata",
    ".edata",
    ".bss",
    ".tls",
    "INIT",
    SECTION_PROGRAMS,
    SECTION_MAPS,
    SECTION_INITIAL_VALUES,
    SECTION_GLOBALS,
    SECTION_HASH,
];

/// Gives each ELF section of programs its PE section name.
///
/// A name of up to eight bytes stays as it is. A longer one is cut and numbered: `cgroup~1`. So
/// is one that would clash with another section, or that Windows reads as pageable (`PAGE...`).
#[derive(Debug, Default)]
pub(crate) struct SectionNames {
    counter: u32,
    used: BTreeSet<String>,
}

impl SectionNames {
    /// The PE name for an ELF section that has none yet.
    pub(crate) fn assign(&mut self, elf_name: &str) -> String {
        if self.is_free(elf_name) {
            self.used.insert(elf_name.to_owned());
            return elf_name.to_owned();
        }
        loop {
            self.counter += 1;
            let name = shortened(elf_name, self.counter);
            if self.is_free(&name) {
                self.used.insert(name.clone());
                return name;
            }
        }
    }

    fn is_free(&self, name: &str) -> bool {
        let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic());
        (1..=SECTION_NAME_BYTES).contains(&name.len())
            && is_plain
            // `/123` refers to a string table in COFF.
            && !name.starts_with('/')
            && !name.to_ascii_uppercase().starts_with("PAGE")
            && !RESERVED.contains(&name)
            && !self.used.contains(name)
    }
}

/// `name` cut to leave room for `~` and a number within eight bytes.
fn shortened(name: &str, number: u32) -> String {
    let number = number.to_string();
    let room = SECTION_NAME_BYTES.saturating_sub(1 + number.len());
    let is_pageable = name.to_ascii_uppercase().starts_with("PAGE");
    let name = if is_pageable { "program" } else { name };
    let plain = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    let prefix: String = name.chars().map(plain).take(room).collect();
    let prefix = prefix.replacen('/', "_", usize::from(prefix.starts_with('/')));
    format!("{prefix}~{number}")
}

/// The section name of a program; bytecode that came without a file is named by its program.
pub(crate) fn section_of(program: &Program) -> &str {
    if program.section.is_empty() {
        return &program.name;
    }
    &program.section
}

/// Checks a name that the runtime keeps in a fixed buffer.
pub(crate) fn check(what: &'static str, name: &str) -> Result<(), Error> {
    if (1..=NAME_BYTES).contains(&name.len()) && !name.contains('\0') {
        return Ok(());
    }
    Err(Error::Name {
        what,
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_stay_and_long_ones_are_numbered() {
        let mut names = SectionNames::default();
        let assigned = [
            "xdp",
            "bind",
            "cgroup/connect4",
            "cgroup/connect6",
            "xdp_prog",
        ]
        .map(|name| names.assign(name));
        assert_eq!(
            assigned,
            ["xdp", "bind", "cgroup~1", "cgroup~2", "xdp_prog"]
        );
    }

    #[test]
    fn ten_sections_shorten_the_prefix() {
        let mut names = SectionNames::default();
        let last = (0..10).map(|_| names.assign("cgroup/connect4")).last();
        assert_eq!(last.as_deref(), Some("cgrou~10"));
    }

    #[test]
    fn clashes_are_renamed() {
        let mut names = SectionNames::default();
        assert_eq!(names.assign(".text"), ".text~1");
        assert_eq!(names.assign("maps"), "maps~2");
        assert_eq!(names.assign("PAGExdp"), "progra~3");
        assert_eq!(names.assign("a~4"), "a~4");
        assert_eq!(names.assign("xdp"), "xdp");
        assert_eq!(names.assign("/4"), "_4~4");
    }
}
