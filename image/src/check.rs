//! The image checker: what HVCI, the kernel's loader and the native module contract ask of a file.
//!
//! One row of [`RULES`] per requirement, judged on the finished bytes, so it works on any driver by
//! any tool. `link` runs it on its own output and accepts nothing but `Pass` and `NotApplicable`.
//! Sources: Microsoft's "Implement HVCI compatible code" and Driver Verifier "code integrity
//! checks" (0xC4 subcodes 0x2003-0x2005 can be seen in a file), the PE specification. Left out:
//! behaviour that only a running driver shows (pool types, mappings, self-modification); imports
//! that hint at it are warned about.

mod code;
mod exports;
mod headers;
mod memory;
mod tables;

pub use exports::{EXPORTS, Export, Os};

use crate::Error;
use crate::read::Pe;
use std::fmt;

/// Result of one rule.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// Fulfilled.
    Pass,
    /// The driver is refused, crashes, or HVCI refuses it.
    Fail,
    /// It loads, but not everywhere, or something deserves a look.
    Warn,
    /// The rule is about something that the image does not have.
    NotApplicable,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "FAIL",
            Verdict::Warn => "warn",
            Verdict::NotApplicable => "n/a",
        })
    }
}

/// Verdict and what was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Finding {
    verdict: Verdict,
    detail: String,
}

impl Finding {
    fn new(verdict: Verdict, detail: impl Into<String>) -> Finding {
        Finding {
            verdict,
            detail: detail.into(),
        }
    }

    fn pass(detail: impl Into<String>) -> Finding {
        Finding::new(Verdict::Pass, detail)
    }

    fn fail(detail: impl Into<String>) -> Finding {
        Finding::new(Verdict::Fail, detail)
    }

    fn warn(detail: impl Into<String>) -> Finding {
        Finding::new(Verdict::Warn, detail)
    }

    fn not_applicable(detail: impl Into<String>) -> Finding {
        Finding::new(Verdict::NotApplicable, detail)
    }
}

/// One requirement.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Stable id.
    pub id: &'static str,
    /// The requirement in one line.
    pub what: &'static str,
    judge: fn(&Pe<'_>) -> Finding,
}

macro_rules! rules {
    ($($id:literal, $what:literal, $judge:path;)*) => {
        /// All rules, in the order of the report.
        pub const RULES: &[Rule] = &[$(Rule { id: $id, what: $what, judge: $judge },)*];
    };
}

#[rustfmt::skip] // one row, one line
rules! {
    "machine", "the machine is x64 or ARM64", headers::machine;
    "characteristics", "an executable image that can be relocated", headers::characteristics;
    "subsystem", "the subsystem is NATIVE", headers::subsystem;
    "os-version", "the subsystem version is one that Windows knows", headers::os_version;
    "nx-compat", "NX_COMPAT is set", headers::nx_compat;
    "dynamic-base", "DYNAMIC_BASE and HIGH_ENTROPY_VA are set", headers::dynamic_base;
    "force-integrity", "FORCE_INTEGRITY asks for a signature at load", headers::force_integrity;
    "headers-size", "the headers end before the first section", headers::headers_size;
    "image-size", "SizeOfImage is the end of the last section", headers::image_size;
    "checksum", "the checksum is right", headers::checksum;
    "section-alignment", "SectionAlignment is a multiple of a page", memory::section_alignment;
    "section-addresses", "sections start on pages, ascend and leave no gap", memory::section_addresses;
    "section-data", "raw data is aligned, lies in the file and does not overlap", memory::section_data;
    "section-wx", "no section is writable and executable", memory::section_wx;
    "discardable-last", "discardable sections come last", memory::discardable_last;
    "entry-point", "the entry point lies in an executable section", memory::entry_point;
    "iat-not-executable", "the import address table lies outside executable sections", memory::iat_not_executable;
    "reloc-kinds", "base relocations are 64-bit addresses inside the image", memory::reloc_kinds;
    "reloc-not-code", "executable sections have no base relocations", memory::reloc_not_code;
    "reloc-straddle", "no base relocation crosses a page", memory::reloc_straddle;
    "pdata-order", "function entries ascend and do not overlap", code::pdata_order;
    "pdata-code", "functions with unwind data lie in executable sections", code::pdata_code;
    "unwind-info", "unwind data is well-formed, resident and read-only", code::unwind_info;
    "cfg-table", "the control-flow-guard table is complete if GUARD_CF is set", code::cfg_table;
    "cet-compat", "marked compatible with hardware shadow stacks", code::cet_compat;
    "imports-readable", "the import tables can be read", tables::imports_readable;
    "imports-known", "every import is an export of Windows known to this tool", tables::imports_known;
    "imports-nx", "no import that may ask for executable memory", tables::imports_nx;
    "no-tls", "no thread-local storage", tables::no_tls;
    "no-bound-imports", "no bound imports", tables::no_bound_imports;
    "no-delay-imports", "no delay-loaded imports", tables::no_delay_imports;
    "no-clr", "no CLR header", tables::no_clr;
    "reproducible", "time stamps are hashes", tables::reproducible;
    "certificate-table", "the certificate table is aligned and last", tables::certificate_table;
    "native-metadata", "native module: metadata can be read from the file", tables::native_metadata;
    "native-strings", "native module: strings lie in .rdata", tables::native_strings;
    "native-guids", "native module: program and attach types lie in .data", tables::native_guids;
    "native-program-count", "native module: the programs section holds nothing else", tables::native_program_count;
    "native-order", "native module: .rdata precedes maps and programs", tables::native_order;
    "native-code-size", "native module: code sections are not longer than their raw data", tables::native_code_size;
}

/// One judged rule.
#[derive(Clone, Debug)]
pub struct Row {
    /// The rule.
    pub rule: &'static Rule,
    /// The verdict.
    pub verdict: Verdict,
    /// What was found.
    pub detail: String,
}

/// All rules judged on one file.
#[derive(Clone, Debug)]
pub struct Report {
    /// One row per rule, in the order of [`RULES`].
    pub rows: Vec<Row>,
}

impl Report {
    /// Whether no rule failed.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.rows.iter().all(|row| row.verdict != Verdict::Fail)
    }

    /// The rows with this verdict.
    pub fn with(&self, verdict: Verdict) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.verdict == verdict)
    }

    /// The row of a rule.
    #[must_use]
    pub fn row(&self, id: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.rule.id == id)
    }
}

/// Judges a file.
///
/// # Errors
/// Only if it is not a 64-bit PE image at all, or its section table cannot be read.
pub fn check(bytes: &[u8]) -> Result<Report, Error> {
    Ok(check_image(&Pe::parse(bytes)?))
}

/// Judges a parsed image.
#[must_use]
pub fn check_image(pe: &Pe<'_>) -> Report {
    let judge = |rule: &'static Rule| {
        let Finding { verdict, detail } = (rule.judge)(pe);
        Row {
            rule,
            verdict,
            detail,
        }
    };
    Report {
        rows: RULES.iter().map(judge).collect(),
    }
}

/// Collects complaints; shows the first few, counts the rest.
#[derive(Default)]
struct Complaints {
    shown: Vec<String>,
    count: usize,
}

impl Complaints {
    const SHOWN: usize = 4;

    fn add(&mut self, complaint: impl FnOnce() -> String) {
        if self.count < Self::SHOWN {
            self.shown.push(complaint());
        }
        self.count += 1;
    }

    /// `verdict` with the complaints, or a pass with `praise`.
    fn finding(self, verdict: Verdict, praise: impl Into<String>) -> Finding {
        if self.count == 0 {
            return Finding::pass(praise);
        }
        let mut detail = self.shown.join("; ");
        if self.count > Self::SHOWN {
            detail.push_str(&format!("; and {} more", self.count - Self::SHOWN));
        }
        Finding::new(verdict, detail)
    }
}
