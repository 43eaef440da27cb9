//! Rules about sections, relocations and the import address table: what HVCI is about.

use super::{Complaints, Finding, Verdict};
use crate::read::{PAGE, Pe, Relocation, RelocationKind, directory};

pub(super) fn section_alignment(pe: &Pe<'_>) -> Finding {
    let alignment = pe.headers.section_alignment;
    if alignment != 0 && alignment.is_multiple_of(PAGE) {
        return Finding::pass(format!("{alignment:#x}"));
    }
    Finding::fail(format!("{alignment:#x} (Driver Verifier 0xC4/0x2004)"))
}

pub(super) fn section_addresses(pe: &Pe<'_>) -> Finding {
    let mut bad = Complaints::default();
    let mut gaps = Complaints::default();
    let mut expected = None;
    for section in &pe.sections {
        let (name, rva) = (section.name(), section.rva);
        if rva % PAGE != 0 {
            bad.add(|| format!("{name} starts at {rva:#x}, not on a page (0xC4/0x2004)"));
        }
        match expected {
            Some(end) if u64::from(rva) < end => bad.add(|| {
                format!("{name} at {rva:#x} overlaps the section before it, which ends at {end:#x}")
            }),
            Some(end) if u64::from(rva) > end => {
                gaps.add(|| format!("gap before {name} at {rva:#x}"));
            }
            _ => {}
        }
        expected = Some(section.end_rounded());
    }
    if pe.sections.is_empty() {
        return Finding::fail("there are no sections");
    }
    match bad.finding(Verdict::Fail, "") {
        finding if finding.verdict == Verdict::Fail => finding,
        _ => gaps.finding(Verdict::Warn, format!("{} sections", pe.sections.len())),
    }
}

pub(super) fn section_data(pe: &Pe<'_>) -> Finding {
    let alignment = pe.headers.file_alignment;
    if !alignment.is_power_of_two() || !(0x200..=0x1_0000).contains(&alignment) {
        return Finding::fail(format!("file alignment {alignment:#x}"));
    }
    let mut bad = Complaints::default();
    let mut used: Vec<(u64, u64, String)> = Vec::new();
    for section in pe.sections.iter().filter(|section| section.raw_size != 0) {
        let (at, len, name) = (section.raw_offset, section.raw_size, section.name());
        if at % alignment != 0 || len % alignment != 0 {
            bad.add(|| format!("{name}: raw data at {at:#x}, {len:#x} bytes, is not aligned"));
        }
        let end = u64::from(at) + u64::from(len);
        if end > pe.bytes().len() as u64 {
            bad.add(|| format!("{name}: raw data ends at {end:#x}, after the file"));
        }
        used.push((u64::from(at), end, name));
    }
    used.sort_unstable();
    for pair in used.windows(2).filter(|pair| pair[1].0 < pair[0].1) {
        bad.add(|| format!("{} and {} share raw data", pair[0].2, pair[1].2));
    }
    bad.finding(Verdict::Fail, format!("alignment {alignment:#x}"))
}

pub(super) fn section_wx(pe: &Pe<'_>) -> Finding {
    let mut bad = Complaints::default();
    for section in pe
        .sections
        .iter()
        .filter(|s| s.is_writable() && s.is_executable())
    {
        bad.add(|| {
            format!(
                "{} is writable and executable (0xC4/0x2003)",
                section.name()
            )
        });
    }
    bad.finding(Verdict::Fail, "none")
}

pub(super) fn discardable_last(pe: &Pe<'_>) -> Finding {
    let mut bad = Complaints::default();
    let mut rest = pe.sections.as_slice();
    while let Some((section, after)) = rest.split_first() {
        if section.is_discardable() && after.iter().any(|later| !later.is_discardable()) {
            bad.add(|| {
                format!(
                    "{} is followed by a resident section, so it stays",
                    section.name()
                )
            });
        }
        rest = after;
    }
    bad.finding(Verdict::Warn, "yes")
}

pub(super) fn entry_point(pe: &Pe<'_>) -> Finding {
    let entry = pe.headers.entry_point;
    match pe.section_at(entry) {
        _ if entry == 0 => Finding::fail("there is none"),
        Some(section) if section.is_executable() => {
            Finding::pass(format!("{entry:#x} in {}", section.name()))
        }
        Some(section) => Finding::fail(format!("{entry:#x} in {}", section.name())),
        None => Finding::fail(format!("{entry:#x} is in no section")),
    }
}

pub(super) fn iat_not_executable(pe: &Pe<'_>) -> Finding {
    let imports = match pe.imports() {
        Ok(imports) => imports,
        Err(error) => return Finding::fail(error.to_string()),
    };
    let table = pe.directory(directory::IAT);
    let spans = imports.iter().map(|import| (import.slot, 8));
    let spans = spans.chain(table.is_present().then_some((table.rva, table.len)));
    let mut bad = Complaints::default();
    for (rva, len) in spans {
        let end = rva.saturating_add(len);
        let executable = pe.sections.iter().find(|section| {
            section.is_executable() && rva < section.end_rounded() as u32 && end > section.rva
        });
        if let Some(section) = executable {
            bad.add(|| format!("{rva:#x} in {} (0xC4/0x2005)", section.name()));
        }
    }
    bad.finding(Verdict::Fail, format!("{} slots", imports.len()))
}

fn each_relocation(
    pe: &Pe<'_>,
    verdict: Verdict,
    complaint: impl Fn(Relocation) -> Option<String>,
) -> Finding {
    let relocations = match pe.relocations() {
        Ok(relocations) => relocations,
        Err(error) => return Finding::fail(error.to_string()),
    };
    if relocations.is_empty() {
        return Finding::not_applicable("no base relocations");
    }
    let mut bad = Complaints::default();
    for &relocation in &relocations {
        if let Some(text) = complaint(relocation) {
            bad.add(|| text);
        }
    }
    bad.finding(verdict, format!("{} relocations", relocations.len()))
}

pub(super) fn reloc_kinds(pe: &Pe<'_>) -> Finding {
    let complaint = |relocation: Relocation| {
        let rva = relocation.rva;
        match relocation.kind {
            RelocationKind::Other(kind) => Some(format!("type {kind} at {rva:#x}")),
            RelocationKind::Dir64 if pe.slice(rva, 8).is_none() || pe.section_at(rva).is_none() => {
                Some(format!("{rva:#x} is not initialised data of a section"))
            }
            RelocationKind::Dir64 => None,
        }
    };
    let finding = each_relocation(pe, Verdict::Fail, complaint);
    match overlapping_relocation(pe) {
        Some(rva) if finding.verdict == Verdict::Pass => {
            Finding::fail(format!("two relocations touch {rva:#x}"))
        }
        _ => finding,
    }
}

/// An address that two relocations touch would be moved twice.
fn overlapping_relocation(pe: &Pe<'_>) -> Option<u32> {
    let mut fields: Vec<u32> = pe.relocations().ok()?.iter().map(|r| r.rva).collect();
    fields.sort_unstable();
    let pair = fields.windows(2).find(|pair| pair[1] - pair[0] < 8)?;
    Some(pair[1])
}

pub(super) fn reloc_not_code(pe: &Pe<'_>) -> Finding {
    each_relocation(pe, Verdict::Warn, |relocation| {
        let section = pe
            .section_at(relocation.rva)
            .filter(|section| section.is_executable())?;
        Some(format!("{:#x} in {}", relocation.rva, section.name()))
    })
}

pub(super) fn reloc_straddle(pe: &Pe<'_>) -> Finding {
    each_relocation(pe, Verdict::Warn, |relocation| {
        let crosses = relocation.rva % PAGE > PAGE - 8;
        crosses.then(|| format!("{:#x} (refused before Windows 10 1703)", relocation.rva))
    })
}
