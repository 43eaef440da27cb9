//! Rules about functions: unwind data, control flow guard, shadow stacks.

use super::{Complaints, Finding, Verdict};
use crate::native;
use crate::read::{DebugEntry, Pe, RuntimeFunction, machine};

const GUARD_CF: u16 = 0x4000;
const CET_COMPAT: u8 = 1;
/// Chained infos followed at most (the unwinder's own limit is 32).
const CHAIN: usize = 32;

/// Runs a rule on the function table of an x64 image.
fn with_functions(pe: &Pe<'_>, rule: impl FnOnce(&[RuntimeFunction]) -> Finding) -> Finding {
    if pe.headers.machine != machine::AMD64 {
        return Finding::not_applicable("only the x64 format is decoded");
    }
    match pe.functions() {
        Ok(functions) if functions.is_empty() => Finding::not_applicable("no function entries"),
        Ok(functions) => rule(&functions),
        Err(error) => Finding::fail(error.to_string()),
    }
}

pub(super) fn pdata_order(pe: &Pe<'_>) -> Finding {
    with_functions(pe, |functions| {
        let mut bad = Complaints::default();
        for function in functions
            .iter()
            .filter(|function| function.begin >= function.end)
        {
            bad.add(|| format!("{:#x}..{:#x} is empty", function.begin, function.end));
        }
        for pair in functions
            .windows(2)
            .filter(|pair| pair[1].begin < pair[0].end)
        {
            bad.add(|| format!("{:#x} comes after {:#x}", pair[1].begin, pair[0].end));
        }
        bad.finding(Verdict::Fail, format!("{} functions", functions.len()))
    })
}

pub(super) fn pdata_code(pe: &Pe<'_>) -> Finding {
    with_functions(pe, |functions| {
        let mut bad = Complaints::default();
        for function in functions {
            let section = pe
                .section_at(function.begin)
                .filter(|section| section.is_executable());
            let last = function.end.saturating_sub(1);
            if section.is_none_or(|section| !section.contains(last)) {
                bad.add(|| format!("{:#x}..{:#x}", function.begin, function.end));
            }
        }
        bad.finding(Verdict::Fail, format!("{} functions", functions.len()))
    })
}

pub(super) fn unwind_info(pe: &Pe<'_>) -> Finding {
    with_functions(pe, |functions| {
        let mut bad = Complaints::default();
        for function in functions {
            if let Err(problem) = unwind_problem(pe, *function) {
                bad.add(|| format!("function {:#x}: {problem}", function.begin));
            }
        }
        bad.finding(Verdict::Fail, format!("{} functions", functions.len()))
    })
}

fn unwind_problem(pe: &Pe<'_>, function: RuntimeFunction) -> Result<(), String> {
    let discarded = |rva| {
        pe.section_at(rva)
            .is_some_and(super::super::read::Section::is_discardable)
    };
    let mut current = function;
    for _ in 0..CHAIN {
        let info = pe
            .unwind(current.unwind)
            .map_err(|error| error.to_string())?;
        let section = pe
            .section_at(current.unwind)
            .ok_or("its unwind data is in no section")?;
        if section.is_writable() {
            return Err(format!("its unwind data is in writable {}", section.name()));
        }
        if section.is_discardable() && !discarded(function.begin) {
            return Err(format!(
                "its unwind data is in discardable {}",
                section.name()
            ));
        }
        let len = current.end.saturating_sub(current.begin);
        if u32::from(info.prolog) > len {
            return Err("its prolog is longer than the function".to_owned());
        }
        let Some(next) = info.chained else {
            return Ok(());
        };
        current = next;
    }
    Err("its chain of unwind data does not end".to_owned())
}

pub(super) fn cfg_table(pe: &Pe<'_>) -> Finding {
    if pe.headers.dll_characteristics & GUARD_CF == 0 {
        return Finding::not_applicable("GUARD_CF is not set; every address is a valid target");
    }
    let targets = match pe.load_config() {
        Ok(Some(config)) => pe.guard_targets(&config),
        Ok(None) => return Finding::fail("GUARD_CF is set but there is no load configuration"),
        Err(error) => Err(error),
    };
    let targets = match targets {
        Ok(targets) if targets.is_empty() => return Finding::fail("the table is empty"),
        Ok(targets) => targets,
        Err(error) => return Finding::fail(error.to_string()),
    };
    let mut bad = Complaints::default();
    for pair in targets.windows(2).filter(|pair| pair[0] >= pair[1]) {
        bad.add(|| format!("{:#x} comes before {:#x}", pair[0], pair[1]));
    }
    let outside = |rva: &&u32| {
        pe.section_at(**rva)
            .is_none_or(|section| !section.is_executable())
    };
    for target in targets.iter().filter(outside) {
        bad.add(|| format!("{target:#x} is not code"));
    }
    for (name, rva) in called_from_outside(pe) {
        if targets.binary_search(&rva).is_err() {
            bad.add(|| format!("{name} at {rva:#x} is missing; its call would stop the system"));
        }
    }
    bad.finding(Verdict::Fail, format!("{} targets", targets.len()))
}

/// Functions that other images call through pointers, as far as the file tells.
fn called_from_outside(pe: &Pe<'_>) -> Vec<(String, u32)> {
    let module = native::read(pe).ok().flatten().unwrap_or_default();
    let programs = module.programs.into_iter();
    let programs =
        programs.map(|program| (format!("program `{}`", program.name), program.function));
    let entry = ("the entry point".to_owned(), pe.headers.entry_point);
    programs.chain([entry]).collect()
}

pub(super) fn cet_compat(pe: &Pe<'_>) -> Finding {
    let entries = match pe.debug() {
        Ok(entries) => entries,
        Err(error) => return Finding::fail(error.to_string()),
    };
    let entry = entries
        .iter()
        .find(|entry| entry.kind == DebugEntry::EX_DLL_CHARACTERISTICS);
    let Some(entry) = entry else {
        return Finding::warn("no EX_DLLCHARACTERISTICS entry in the debug directory");
    };
    match pe.debug_data(entry).and_then(<[u8]>::first) {
        Some(flags) if flags & CET_COMPAT != 0 => Finding::pass("set"),
        Some(_) => Finding::warn("CET_COMPAT is not set"),
        None => Finding::fail("the entry's data does not lie in the file"),
    }
}
