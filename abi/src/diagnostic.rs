//! Stable ids of everything the tools can complain about.
//!
//! One row each: `BN01xx` input files, `BN02xx` verification, `BN03xx` code generation,
//! `BN04xx` images, `BN05xx` signing, `BN06xx` running, `BN07xx` usage and environment,
//! `BN09xx` internal bugs. A published id is never reused for something else.

use core::fmt;

/// Who is at fault; decides the exit code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// The program was rejected (exit 1).
    Program,
    /// The input file, a limit, usage or the environment (exit 2).
    Environment,
    /// We are (exit 3).
    Bug,
}

/// A stable diagnostic id; prints as `BN102`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BN{:04}", self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Stable id.
    pub code: Code,
    /// Who is at fault.
    pub fault: Fault,
    /// Title in a few words, lower case.
    pub title: &'static str,
    /// What to do about it, one or two sentences.
    pub help: &'static str,
}

macro_rules! diagnostics {
    ($($name:ident = $number:literal, $fault:ident, $title:literal, $help:literal;)*) => {
        $(
            #[doc = $title]
            pub const $name: Code = Code($number);
        )*
        /// All rows, ascending by id.
        pub const TABLE: &[Row] = &[
            $(Row { code: $name, fault: Fault::$fault, title: $title, help: $help },)*
        ];
    };
}

#[rustfmt::skip] // one row, one line
diagnostics! {
    // 01xx: input files (crate program, 0100-0149 ELF and sections, 0150-0169 BTF, 0170-0189 bytecode)
    ELF_UNREADABLE = 101, Environment, "the file cannot be read", "Check the path and the permissions.";
    ELF_MALFORMED = 102, Environment, "not a well-formed eBPF ELF object", "Compile with `clang -target bpf -O2 -g -c`; a linked or truncated file cannot be used.";
    // 02xx: verification (crate verifier)
    // 03xx: code generation (crate codegen)
    // 04xx: driver images (crate image)
    IMAGE_UNPROVED = 401, Environment, "a program was not proved safe", "Only verified programs become drivers; use `run` to try unverified code on this host.";
    IMAGE_NAME = 402, Environment, "a name cannot be written to a driver image", "Use a shorter output file name, or a section name of at most eight printable characters that does not begin with PAGE.";
    IMAGE_TOO_LARGE = 403, Environment, "the driver image would be too large", "Split the object into several drivers.";
    IMAGE_RELOCATION = 404, Bug, "a relocation cannot be applied", "This is a bug in bpf2native; please report it with the input file.";
    IMAGE_FUNCTION = 405, Bug, "function ranges or unwind data are wrong", "This is a bug in bpf2native; please report it with the input file.";
    IMAGE_IMPORT = 406, Bug, "an import cannot be expressed", "This is a bug in bpf2native; please report it with the input file.";
    IMAGE_LAYOUT = 407, Bug, "the image cannot be laid out", "This is a bug in bpf2native; please report it with the input file.";
    IMAGE_REFUSED = 408, Bug, "the driver image fails its own check", "Nothing was written. This is a bug in bpf2native; please report it with the input file.";
    PE_EXPECTED = 420, Environment, "not a 64-bit Windows image", "Give a driver (.sys) for x64 or ARM64.";
    PE_MALFORMED = 421, Environment, "a malformed Windows image", "The file is damaged or truncated; build or copy it again.";
    NATIVE_MALFORMED = 422, Environment, "malformed metadata of a native eBPF module", "The driver was not made by a current tool chain, or is damaged; build it again.";
    // 05xx: signing (crate signing)
    // 06xx: running on the host (ebpfcore, ebpfcore/sim)
    // 07xx: usage and environment (crate bpf2native)
    // 09xx: internal
    INTERNAL = 901, Bug, "internal error", "This is a bug in bpf2native; please report it with the input file.";
}

/// The row of an id.
#[must_use]
pub fn row(code: Code) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.code == code)
}
