//! `.BTF.ext`: line information, function information and CO-RE relocations.
//!
//! Records may be longer than the fields known here (the section says how long); the rest is
//! skipped. Nothing is copied but the fields.

use super::Btf;
use crate::{elf::file::name_at, error::LoadError};
use abi::diagnostic;
use std::collections::BTreeMap;

/// One record of line information.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineRecord {
    /// Byte offset of the instruction in its section.
    pub(crate) at: u32,
    /// String offset of the file name.
    pub(crate) file: u32,
    /// String offset of the source line.
    pub(crate) text: u32,
    /// Line number.
    pub(crate) line: u32,
    /// Column.
    pub(crate) column: u32,
}

/// One record of function information.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FunctionRecord {
    /// Byte offset of the function in its section.
    pub(crate) at: u32,
    /// BTF id of the function.
    pub(crate) ty: u32,
}

/// One CO-RE relocation record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CoreRecord {
    /// Byte offset of the instruction in its section.
    pub(crate) at: u32,
    /// The type that it is about.
    pub(crate) ty: u32,
    /// String offset of the way into the type.
    pub(crate) access: u32,
    /// What is asked for.
    pub(crate) kind: u32,
}

/// A checked `.BTF.ext` section, by name of the code section.
#[derive(Debug, Default)]
pub(crate) struct BtfExt<'d> {
    /// Lines, ascending by offset.
    pub(crate) lines: BTreeMap<&'d str, Vec<LineRecord>>,
    /// Functions, ascending by offset.
    pub(crate) functions: BTreeMap<&'d str, Vec<FunctionRecord>>,
    /// CO-RE relocations, ascending by offset.
    pub(crate) relocations: BTreeMap<&'d str, Vec<CoreRecord>>,
}

const MAGIC: u16 = 0xeb9f;

impl<'d> BtfExt<'d> {
    /// Reads the section; `btf` has the names.
    pub(crate) fn parse(section: &[u8], btf: &Btf<'d>) -> Result<BtfExt<'d>, LoadError> {
        let header = read_header(section)?;
        let mut ext = BtfExt::default();
        let lines = Part::new(section, header, 16, 16)?;
        lines.each(btf, |name, record| {
            let place = word(record, 12).unwrap_or(0);
            ext.lines.entry(name).or_default().push(LineRecord {
                at: word(record, 0).unwrap_or(0),
                file: word(record, 4).unwrap_or(0),
                text: word(record, 8).unwrap_or(0),
                line: place >> 10,
                column: place & 0x3ff,
            });
        })?;
        let functions = Part::new(section, header, 8, 8)?;
        functions.each(btf, |name, record| {
            ext.functions.entry(name).or_default().push(FunctionRecord {
                at: word(record, 0).unwrap_or(0),
                ty: word(record, 4).unwrap_or(0),
            });
        })?;
        if header >= 32 {
            let core = Part::new(section, header, 24, 16)?;
            core.each(btf, |name, record| {
                let word = |at| word(record, at).unwrap_or(0);
                ext.relocations.entry(name).or_default().push(CoreRecord {
                    at: word(0),
                    ty: word(4),
                    access: word(8),
                    kind: word(12),
                });
            })?;
        }
        for list in ext.relocations.values_mut() {
            list.sort_by_key(|record| record.at);
        }
        for list in ext.lines.values_mut() {
            list.sort_by_key(|record| record.at);
        }
        for list in ext.functions.values_mut() {
            list.sort_by_key(|record| record.at);
        }
        Ok(ext)
    }
}

/// Checks magic and version; the length of the header.
fn read_header(section: &[u8]) -> Result<usize, LoadError> {
    let magic = word(section, 0).map(|word| word & 0xffff);
    if magic != Some(u32::from(MAGIC)) || section.get(2) != Some(&1) {
        return Err(malformed("wrong magic number or version"));
    }
    match word(section, 4) {
        Some(len) if len >= 24 && (len as usize) <= section.len() => Ok(len as usize),
        _ => Err(malformed("header shorter than 24 bytes or longer than the section").offset(4)),
    }
}

/// One of the tables behind the header.
struct Part<'s> {
    bytes: &'s [u8],
    /// Byte offset of the table in the section.
    start: usize,
    /// Bytes of the fields that are read.
    fields: usize,
}

impl<'s> Part<'s> {
    /// The table whose offset and length stand at `at` of the header.
    fn new(
        section: &'s [u8],
        header: usize,
        at: usize,
        fields: usize,
    ) -> Result<Part<'s>, LoadError> {
        let range = || {
            let start = header.checked_add(word(section, at)? as usize)?;
            let end = start.checked_add(word(section, at + 4)? as usize)?;
            Some((start, section.get(start..end)?))
        };
        let (start, bytes) =
            range().ok_or_else(|| malformed("a table lies outside").offset(at as u64))?;
        Ok(Part {
            bytes,
            start,
            fields,
        })
    }

    /// Calls `visit` with section name and bytes of each record.
    fn each<'d>(
        &self,
        btf: &Btf<'d>,
        mut visit: impl FnMut(&'d str, &[u8]),
    ) -> Result<(), LoadError> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let record = word(self.bytes, 0).unwrap_or(0) as usize;
        if record < self.fields || !record.is_multiple_of(4) {
            return Err(self.at(
                0,
                &format!("record size {record}, at least {} expected", self.fields),
            ));
        }
        let mut at = 4;
        while at < self.bytes.len() {
            let (name, count) = self.group(btf, at)?;
            let len = record.checked_mul(count);
            let records = len.and_then(|len| self.bytes.get(at + 8..)?.get(..len));
            let records = records.ok_or_else(|| self.at(at, "records are cut short"))?;
            records
                .chunks_exact(record)
                .for_each(|record| visit(name, record));
            at += 8 + records.len();
        }
        Ok(())
    }

    /// Section name and record count at the head of a group.
    fn group<'d>(&self, btf: &Btf<'d>, at: usize) -> Result<(&'d str, usize), LoadError> {
        let name = word(self.bytes, at).ok_or_else(|| self.at(at, "group is cut short"))?;
        let count = word(self.bytes, at + 4).ok_or_else(|| self.at(at, "group is cut short"))?;
        let name = name_at(btf.strings(), name).map_err(|text| self.at(at, text))?;
        if count == 0 {
            return Err(self.at(at + 4, "group without records"));
        }
        Ok((name, count as usize))
    }

    fn at(&self, at: usize, message: &str) -> LoadError {
        malformed(message).offset((self.start + at) as u64)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes))
}

fn malformed(message: &str) -> LoadError {
    LoadError::new(diagnostic::BTF_EXT_MALFORMED, message).section(".BTF.ext")
}
