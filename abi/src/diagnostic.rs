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
    ELF_NOT_BPF = 103, Environment, "the ELF file is not a relocatable 64-bit little-endian eBPF object", "Compile with `clang -target bpf -O2 -g -c`.";
    ELF_LIMIT = 104, Environment, "the file is over a limit of size", "Split the file into several objects.";
    ELF_NO_PROGRAM = 105, Environment, "the file holds no program", "Put the program into a section that names its type: `SEC(\"xdp\")`, `SEC(\"bind\")`, ...";
    SECTION_TYPE_UNKNOWN = 106, Environment, "the section name selects no program type", "Rename the section to start with a known prefix, or name the type with `--type`.";
    SECTION_UNSUPPORTED = 107, Environment, "the section has a use that is not supported", "Remove what the section defines from the source.";
    FUNCTION_MALFORMED = 108, Environment, "a function's symbol does not describe its code", "Compile with `clang -target bpf -O2 -g -c`; the symbol table must give each function its place and size.";
    NAME_INVALID = 109, Environment, "a name is too long or not text", "Shorten the name: programs, sections and maps may have 1 to 63 bytes.";
    NAME_DUPLICATE = 110, Environment, "two things have the same name", "Rename one of them.";
    RELOCATION_UNSUPPORTED = 111, Environment, "unsupported relocation", "Programs may refer to maps, global variables and functions; pointers inside global variables cannot be initialised.";
    RELOCATION_INVALID = 112, Environment, "a relocation does not fit what it refers to", "Compile with `clang -target bpf -O2 -g -c`.";
    SYMBOL_UNRESOLVED = 113, Environment, "undefined symbol", "Define the function or variable in this file; platform functions need `__ksym` and, on Windows, a `module_id:{GUID}` declaration tag.";
    EXTERN_UNSUPPORTED = 114, Environment, "extern variables have no meaning here", "Replace the extern by a `const volatile` global variable or a map.";
    CALL_TARGET_INVALID = 115, Environment, "a call or function address does not point to the start of a function", "Compile with `clang -target bpf -O2 -g -c`.";
    MAP_MALFORMED = 120, Environment, "a map definition cannot be understood", "Define the map as a structure in `SEC(\".maps\")` with `__uint(type, ...)`, `__type(key, ...)`, `__type(value, ...)`, `__uint(max_entries, ...)`, and compile with `-g`.";
    MAP_TYPE_UNKNOWN = 121, Environment, "the platform has no such map type", "Check the type number and `--platform`.";
    MAP_SIZE_INVALID = 122, Environment, "a map's key size, value size or number of entries does not fit its type", "Correct the definition of the map.";
    MAP_INNER_INVALID = 123, Environment, "a map of maps has no usable inner map", "Give the template with `__array(values, struct ...)`; an inner map cannot hold maps itself.";
    MAP_INITIAL_INVALID = 124, Environment, "an initialiser of a map's `values` cannot be used", "Maps of maps take maps, program arrays take programs of this file; the index must be below max_entries.";
    GLOBAL_INVALID = 130, Environment, "a section of global variables cannot be used", "Such sections may be at most 1 MiB and must agree with their debug information.";
    BTF_MALFORMED = 150, Environment, "malformed BTF type information", "Compile with `clang -target bpf -O2 -g -c`; `llvm-strip -g` keeps BTF intact.";
    BTF_LIMIT = 151, Environment, "BTF type information is over a limit", "Simplify the types, or strip what the program does not use.";
    BTF_EXT_MALFORMED = 152, Environment, "malformed BTF.ext line or function information", "Compile with `clang -target bpf -O2 -g -c`.";
    BYTECODE_MALFORMED = 170, Environment, "an instruction cannot be decoded", "Compile for a supported instruction set, `-mcpu=v1` to `-mcpu=v4`.";
    BYTECODE_LIMIT = 171, Environment, "too many instructions", "Split the program with tail calls.";
    BYTECODE_REFERENCE = 172, Environment, "an instruction refers to something that does not exist", "Pass the maps that the program uses; calls must hit the start of a function.";
    // 02xx: verification (crate verifier)
    // 03xx: code generation (crate codegen)
    CODEGEN_NO_PROGRAMS = 301, Environment, "no program to compile", "The object has no section that names a program; put SEC(\"...\") before the function or select one with `--type`.";
    CODEGEN_MIXED_OBJECTS = 302, Bug, "programs of different objects in one module", "This is a bug in bpf2native; please report it with the input file.";
    CODEGEN_DUPLICATE_PROGRAM = 303, Environment, "two programs with one name", "The runtime finds programs by their C function name; rename one of them.";
    CODEGEN_NAME = 304, Environment, "name does not fit into the module", "Names of programs, sections and maps have 1 to 63 bytes in a native module; shorten it.";
    CODEGEN_UNSUPPORTED = 305, Environment, "instruction without native form", "The message says what would work in its place.";
    CODEGEN_ABI = 306, Environment, "the native module ABI is too old for the code", "Raise or drop `--abi`, or avoid what needs the newer version; the runtime must be at least as new.";
    CODEGEN_MALFORMED = 307, Environment, "malformed program", "Only programs that were not verified can get here; verify it first, the verifier's message is more precise.";
    CODEGEN_TOO_LARGE = 308, Environment, "function too large for the code generator", "Split it into functions marked `__noinline`, or into programs joined by tail calls.";
    CODEGEN_TOO_MANY = 309, Environment, "too many for one module", "Split the object into several files.";
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
    SIGN_UNPROVED = 501, Environment, "only proved drivers are signed", "Verify the program; an image linked for this host cannot be signed.";
    SIGN_KEY_FOLDER = 502, Environment, "the folder of the test certificate cannot be used", "Check its permissions, or name another folder.";
    SIGN_KEY_FILE = 503, Environment, "the stored test key is damaged", "Delete the file; the next run makes a new test certificate.";
    SIGN_KEY_EXPOSED = 504, Environment, "the stored test key is open to other users", "Run `chmod 600` on it, or delete it if others may have copied it.";
    PFX_PASSWORD = 505, Environment, "wrong password for the PFX file", "Check the environment variable that holds the password.";
    PFX_MALFORMED = 506, Environment, "the PFX file cannot be read", "Give a PKCS #12 file with an RSA key, as exported by Windows or OpenSSL.";
    PFX_NO_KEY = 507, Environment, "the PFX file has no usable key", "Export the certificate together with its RSA private key.";
    CERTIFICATE_UNSUITABLE = 508, Environment, "the certificate cannot sign drivers", "Use an RSA certificate of 2048 bits or more with the extended key usage codeSigning.";
    SIGNATURE_MALFORMED = 509, Environment, "a malformed signature", "The file was damaged after signing; sign it again.";
    SIGN_SELF_CHECK = 510, Bug, "signing failed", "Nothing was written. This is a bug in bpf2native; please report it.";
    // 06xx: running on the host (ebpfcore, ebpfcore/sim)
    MAP_UNSUITABLE = 651, Environment, "the driver image cannot be mapped", "Look at `bpf2native inspect`; images with writable code or a damaged layout are not run.";
    MAP_MACHINE = 652, Environment, "native code for another machine", "Run x64 drivers on an x64 host, or use `--engine interpreter` on the object file.";
    MAP_IMPORTS = 653, Environment, "the driver imports functions that this host does not simulate", "Only native eBPF modules can be run here.";
    MAP_MEMORY = 654, Environment, "no memory for the driver image", "Check the limits of this process on memory and executable mappings.";
    // 07xx: usage and environment (crate bpf2native)
    // 09xx: internal
    INTERNAL = 901, Bug, "internal error", "This is a bug in bpf2native; please report it with the input file.";
}

/// The row of an id.
#[must_use]
pub fn row(code: Code) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.code == code)
}
