//! `.pdata`: one RUNTIME_FUNCTION per function with unwind data, and the UNWIND_INFO blocks.
//!
//! Equal UNWIND_INFO blocks are stored once. They lie in `.rdata`, which is resident: an unwinder
//! must be able to read them at any IRQL. Functions without unwind data are leaves and need no
//! entry. Handlers and chained infos are refused: they would need addresses in the block.

use super::layout::Layout;
use crate::Error;
use codegen::{FunctionRange, Module, Section, SectionId, SectionKind};
use std::collections::BTreeMap;

const ENTRY: usize = 12;

/// All UNWIND_INFO blocks and which function uses which.
#[derive(Debug)]
pub(super) struct Plan {
    infos: Vec<u8>,
    /// Section, start, end, offset in `infos`.
    functions: Vec<(SectionId, u32, u32, u32)>,
}

impl Plan {
    /// Checks the function ranges and collects the blocks.
    pub(super) fn new(module: &Module) -> Result<Plan, Error> {
        let mut plan = Plan {
            infos: Vec::new(),
            functions: Vec::new(),
        };
        let mut known: BTreeMap<&[u8], u32> = BTreeMap::new();
        for (index, section) in module.sections.iter().enumerate() {
            check_ranges(section)?;
            for function in &section.functions {
                let Some(info) = &function.unwind else {
                    continue;
                };
                let at = *known.entry(info).or_insert_with(|| {
                    let at = plan.infos.len() as u32;
                    plan.infos.extend_from_slice(info);
                    at
                });
                let id = SectionId(index as u16);
                plan.functions.push((id, function.start, function.end, at));
            }
        }
        Ok(plan)
    }

    /// The blocks.
    pub(super) fn infos(&self) -> &[u8] {
        &self.infos
    }

    /// Size of `.pdata`.
    pub(super) fn table_len_bytes(&self) -> usize {
        self.functions.len() * ENTRY
    }

    /// Writes the blocks at `at` in `.rdata` and the sorted table to `.pdata`.
    pub(super) fn write(&self, layout: &mut Layout, module: &Module, at: u32) -> Result<(), Error> {
        layout.write_rdata(at, &self.infos);
        let (infos, _) = layout.rdata_span(at, 0);
        let mut entries = Vec::with_capacity(self.functions.len());
        for &(section, start, end, info) in &self.functions {
            let name = || module.sections[usize::from(section.0)].name.clone();
            let begin = layout.rva(section, start).ok_or_else(|| Error::Function {
                section: name(),
                start,
                problem: "its section is empty",
            })?;
            entries.push([begin, begin + (end - start), infos + info]);
        }
        entries.sort_unstable();
        if let Some(section) = layout.exceptions_mut() {
            section.data = entries
                .iter()
                .flatten()
                .flat_map(|v| v.to_le_bytes())
                .collect();
        }
        Ok(())
    }
}

fn check_ranges(section: &Section) -> Result<(), Error> {
    let fail = |function: &FunctionRange, problem| {
        let section = section.name.clone();
        Err(Error::Function {
            section,
            start: function.start,
            problem,
        })
    };
    let mut previous_end = 0;
    for function in &section.functions {
        if !matches!(section.kind, SectionKind::Code | SectionKind::Init) {
            return fail(function, "it lies in a section without code");
        }
        if function.start >= function.end || function.end as usize > section.data.len() {
            return fail(function, "its range does not lie in the section");
        }
        if function.start < previous_end {
            return fail(function, "it overlaps the function before it");
        }
        previous_end = function.end;
        match &function.unwind {
            Some(info) if info.len() < 4 || info.len() % 4 != 0 => {
                return fail(function, "its unwind data is not a multiple of four bytes");
            }
            Some(info) if info[0] != 1 => {
                return fail(
                    function,
                    "its unwind data has a handler, a chain or another version",
                );
            }
            _ => {}
        }
    }
    Ok(())
}
