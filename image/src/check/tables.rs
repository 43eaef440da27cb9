//! Rules about imports, other directories, certificates and the native module contract.

use super::exports::{self, Risk};
use super::{Complaints, Finding, Verdict};
use crate::Error;
use crate::native::{self, placement};
use crate::read::{DebugEntry, ImportName, Pe, directory};

pub(super) fn imports_readable(pe: &Pe<'_>) -> Finding {
    match pe.imports() {
        Ok(imports) => Finding::pass(format!("{} functions", imports.len())),
        Err(error) => Finding::fail(error.to_string()),
    }
}

pub(super) fn imports_known(pe: &Pe<'_>) -> Finding {
    let Ok(imports) = pe.imports() else {
        return Finding::not_applicable("unreadable");
    };
    if imports.is_empty() {
        return Finding::not_applicable("no imports");
    }
    let mut unknown = Complaints::default();
    let mut newest = exports::Os::Windows2000;
    for import in &imports {
        let row = match &import.name {
            ImportName::Name(name) => exports::find(&import.module, name),
            ImportName::Ordinal(_) => None,
        };
        match row {
            Some(row) => newest = newest.max(row.since),
            None => unknown.add(|| import.to_string()),
        }
    }
    unknown.finding(Verdict::Warn, format!("needs {newest} or later"))
}

pub(super) fn imports_nx(pe: &Pe<'_>) -> Finding {
    let Ok(imports) = pe.imports() else {
        return Finding::not_applicable("unreadable");
    };
    let mut bad = Complaints::default();
    for import in &imports {
        let ImportName::Name(name) = &import.name else {
            continue;
        };
        if let Some(Risk { why, .. }) = exports::RISKS.iter().find(|risk| risk.name == name) {
            bad.add(|| format!("{name}: {why}"));
        }
    }
    bad.finding(Verdict::Warn, "none")
}

fn absent(pe: &Pe<'_>, index: usize) -> Finding {
    let found = pe.directory(index);
    if found.is_present() {
        return Finding::fail(format!(
            "directory at {:#x}, {:#x} bytes",
            found.rva, found.len
        ));
    }
    Finding::pass("none")
}

pub(super) fn no_tls(pe: &Pe<'_>) -> Finding {
    absent(pe, directory::TLS)
}

pub(super) fn no_bound_imports(pe: &Pe<'_>) -> Finding {
    absent(pe, directory::BOUND_IMPORT)
}

pub(super) fn no_delay_imports(pe: &Pe<'_>) -> Finding {
    absent(pe, directory::DELAY_IMPORT)
}

pub(super) fn no_clr(pe: &Pe<'_>) -> Finding {
    absent(pe, directory::CLR)
}

pub(super) fn reproducible(pe: &Pe<'_>) -> Finding {
    let entries = match pe.debug() {
        Ok(entries) => entries,
        Err(error) => return Finding::fail(error.to_string()),
    };
    if !entries.iter().any(|entry| entry.kind == DebugEntry::REPRO) {
        return Finding::not_applicable("no REPRO entry; the time stamp is a time");
    }
    let stamp = pe.headers.time_date_stamp;
    let mut bad = Complaints::default();
    for entry in entries
        .iter()
        .filter(|entry| entry.time_date_stamp != stamp)
    {
        bad.add(|| {
            format!(
                "debug entry {} has stamp {:#x}",
                entry.kind, entry.time_date_stamp
            )
        });
    }
    bad.finding(Verdict::Warn, format!("{stamp:#010x}"))
}

pub(super) fn certificate_table(pe: &Pe<'_>) -> Finding {
    let table = pe.directory(directory::SECURITY);
    if !table.is_present() {
        return Finding::not_applicable("not signed");
    }
    let certificates = match pe.certificates() {
        Ok(certificates) => certificates,
        Err(error) => return Finding::fail(error.to_string()),
    };
    let end = u64::from(table.rva) + u64::from(table.len);
    if end != pe.bytes().len() as u64 {
        return Finding::fail(format!(
            "the file goes on after the table's end at {end:#x}"
        ));
    }
    let data = pe
        .sections
        .iter()
        .map(|s| u64::from(s.raw_offset) + u64::from(s.raw_size))
        .max();
    if data.is_some_and(|data| data > u64::from(table.rva)) {
        return Finding::fail("it overlaps the data of a section");
    }
    Finding::pass(format!("{} entries", certificates.len()))
}

pub(super) fn native_metadata(pe: &Pe<'_>) -> Finding {
    match native::read(pe) {
        Ok(None) => Finding::not_applicable("not a native eBPF module"),
        Ok(Some(module)) => Finding::pass(format!(
            "{} programs, {} maps",
            module.programs.len(),
            module.maps.len()
        )),
        Err(error) => Finding::fail(error.to_string()),
    }
}

fn placed(pe: &Pe<'_>, misplaced: Result<Vec<String>, Error>) -> Finding {
    if position(pe, native::PROGRAMS).is_none() {
        return Finding::not_applicable("not a native eBPF module");
    }
    let Ok(misplaced) = misplaced else {
        return Finding::not_applicable("unreadable");
    };
    let mut bad = Complaints::default();
    for complaint in misplaced {
        bad.add(|| complaint);
    }
    bad.finding(Verdict::Fail, "yes")
}

pub(super) fn native_strings(pe: &Pe<'_>) -> Finding {
    placed(pe, placement::misplaced_strings(pe))
}

pub(super) fn native_guids(pe: &Pe<'_>) -> Finding {
    placed(pe, placement::misplaced_guids(pe))
}

pub(super) fn native_program_count(pe: &Pe<'_>) -> Finding {
    if position(pe, native::PROGRAMS).is_none() {
        return Finding::not_applicable("not a native eBPF module");
    }
    match placement::program_counts(pe) {
        Ok((found, computed)) if found == computed => Finding::pass(format!("{found}")),
        Ok((found, computed)) => Finding::fail(format!(
            "{found} entries, but readers compute {computed} from the size of the section"
        )),
        Err(_) => Finding::not_applicable("unreadable"),
    }
}

fn position(pe: &Pe<'_>, name: &str) -> Option<usize> {
    pe.sections
        .iter()
        .position(|section| section.name() == name)
}

pub(super) fn native_order(pe: &Pe<'_>) -> Finding {
    let Some(programs) = position(pe, native::PROGRAMS) else {
        return Finding::not_applicable("not a native eBPF module");
    };
    let first = position(pe, native::MAPS).map_or(programs, |maps| maps.min(programs));
    match position(pe, ".rdata") {
        Some(rdata) if rdata < first => Finding::pass("yes"),
        Some(_) => Finding::fail("readers of the file look up strings in a .rdata seen before"),
        None => Finding::fail("there is no .rdata"),
    }
}

pub(super) fn native_code_size(pe: &Pe<'_>) -> Finding {
    if position(pe, native::PROGRAMS).is_none() {
        return Finding::not_applicable("not a native eBPF module");
    }
    let mut bad = Complaints::default();
    for section in pe.sections.iter().filter(|section| section.is_code()) {
        if section.virtual_size > section.raw_size {
            bad.add(|| format!("{}: readers copy VirtualSize bytes", section.name()));
        }
    }
    bad.finding(Verdict::Fail, "yes")
}
