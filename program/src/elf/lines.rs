//! Source lines of linked programs, from the records of each code section.

use super::{
    file::ElfFile,
    functions::{CodeFunction, Functions},
};
use crate::{
    btf::{
        Btf, Kind,
        ext::{BtfExt, LineRecord},
    },
    error::LoadError,
    model::Line,
};
use abi::{diagnostic, limits};
use isa::{InsnIdx, Slot};
use std::{collections::BTreeMap, sync::Arc};

/// Line information of a file; strings are shared and counted.
pub(super) struct Lines<'a, 'd> {
    file: &'a ElfFile<'d>,
    btf: Option<&'a Btf<'d>>,
    ext: &'a BtfExt<'d>,
    strings: BTreeMap<u32, Arc<str>>,
    text_bytes: usize,
    records: usize,
}

/// Longest source line that is kept; the rest is cut off.
const LINE_BYTES: usize = 1024;

impl<'a, 'd> Lines<'a, 'd> {
    /// Lines of a file.
    pub(super) fn new(
        file: &'a ElfFile<'d>,
        btf: Option<&'a Btf<'d>>,
        ext: &'a BtfExt<'d>,
    ) -> Self {
        Lines {
            file,
            btf,
            ext,
            strings: BTreeMap::new(),
            text_bytes: 0,
            records: 0,
        }
    }

    /// Checks that function information fits the symbols: each record names a function of BTF and
    /// stands where a symbol starts a function of the same name.
    pub(super) fn check_functions(&self, functions: &Functions<'_>) -> Result<(), LoadError> {
        let Some(btf) = self.btf else { return Ok(()) };
        for (&section, records) in &self.ext.functions {
            let Some((index, _)) = self.file.by_name(section) else {
                continue;
            };
            for record in records {
                let here = |error: LoadError| error.section(section).offset(u64::from(record.at));
                let ty = btf.ty(record.ty).map_err(here)?;
                if ty.kind != Kind::Function {
                    let text = format!("function information names a {:?}", ty.kind);
                    return Err(here(malformed(text)));
                }
                let starts = record.at.is_multiple_of(8)
                    && functions.starting_at(index, record.at / 8).is_some();
                if !starts {
                    let name = btf.name(&ty).map_err(here)?;
                    let text = format!("function information of `{name}` where no function starts");
                    return Err(here(malformed(text)));
                }
            }
        }
        Ok(())
    }

    /// Appends the lines of one function that was placed at `start` of a program.
    pub(super) fn append(
        &mut self,
        function: &CodeFunction<'_>,
        start: InsnIdx,
        to: &mut Vec<Line>,
    ) -> Result<(), LoadError> {
        let name = self.file.sections[function.section].name;
        let Some(records) = self.ext.lines.get(name) else {
            return Ok(());
        };
        let slot = Slot::BYTES as u32;
        let from = records.partition_point(|record| record.at / slot < function.start);
        let end = records.partition_point(|record| record.at / slot < function.end);
        self.records = self.records.saturating_add(end - from);
        if self.records > limits::LINE_RECORDS {
            let text = format!("more than {} line records", limits::LINE_RECORDS);
            return Err(LoadError::new(diagnostic::BTF_LIMIT, text).section(".BTF.ext"));
        }
        for record in &records[from..end] {
            let at = InsnIdx(record.at / slot - function.start + start.0);
            let line = self
                .line(record, at)
                .map_err(|error| error.section(name).offset(u64::from(record.at)))?;
            // Of two records for one instruction the last one counts.
            match to.last_mut() {
                Some(last) if last.start == at => *last = line,
                _ => to.push(line),
            }
        }
        Ok(())
    }

    fn line(&mut self, record: &LineRecord, start: InsnIdx) -> Result<Line, LoadError> {
        if !record.at.is_multiple_of(Slot::BYTES as u32) {
            return Err(malformed("line information inside an instruction".into()));
        }
        Ok(Line {
            start,
            file: self.string(record.file)?,
            line: record.line,
            column: record.column,
            text: self.string(record.text)?,
        })
    }

    /// A string, shared with earlier uses of the same offset.
    fn string(&mut self, offset: u32) -> Result<Arc<str>, LoadError> {
        if let Some(known) = self.strings.get(&offset) {
            return Ok(Arc::clone(known));
        }
        let strings = self.btf.map_or(&[][..], Btf::strings);
        let tail = strings
            .get(offset as usize..)
            .ok_or_else(|| malformed(format!("string offset {offset:#x} is outside of BTF")))?;
        let window = &tail[..tail.len().min(LINE_BYTES)];
        let end = window.iter().position(|&byte| byte == 0);
        // Source text need not be UTF-8, and may be cut in the middle of a character.
        let text = String::from_utf8_lossy(&window[..end.unwrap_or(window.len())]);
        self.text_bytes = self.text_bytes.saturating_add(text.len());
        if self.text_bytes > limits::LINE_TEXT_BYTES {
            let limit = limits::LINE_TEXT_BYTES;
            let text = format!("more than {limit} bytes of source lines");
            return Err(LoadError::new(diagnostic::BTF_LIMIT, text).section(".BTF"));
        }
        let shared: Arc<str> = text.into();
        self.strings.insert(offset, Arc::clone(&shared));
        Ok(shared)
    }
}

fn malformed(text: String) -> LoadError {
    LoadError::new(diagnostic::BTF_EXT_MALFORMED, text)
}
