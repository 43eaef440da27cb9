//! Stable ids of everything the tools can complain about.
//!
//! One row each: `BN01xx` input files, `BN02xx` verification, `BN03xx` code generation,
//! `BN04xx` images, `BN05xx` signing, `BN06xx` running, `BN07xx` usage and environment,
//! `BN08xx` talking to the runtime, `BN09xx` internal bugs. A published id is never reused for something else.

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

/// A stable diagnostic id; prints as `BN0102`.
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
    EXTERN_UNSUPPORTED = 114, Environment, "extern variables have no meaning here", "On Windows, replace the extern by a `const volatile` global variable or a map; on Linux, values of `.kconfig` can be used (`--kconfig`, `--kernel-version`).";
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
    CORE_MALFORMED = 153, Environment, "malformed CO-RE relocation", "Compile with `clang -target bpf -O2 -g -c`; tools that rewrite BTF must keep it consistent with the code.";
    CORE_AMBIGUOUS = 154, Environment, "a CO-RE relocation has several different answers", "The BTF given has several types of this name; give the BTF of one kernel, without those of its modules.";
    CORE_RANGE = 155, Environment, "a CO-RE relocation does not fit into its instruction", "Read the field with bpf_core_read or bpf_probe_read_kernel, which take any offset.";
    CORE_TARGET = 156, Environment, "the BTF to relocate against cannot be read", "Give raw BTF, such as /sys/kernel/btf/vmlinux, or a 64-bit ELF file with a .BTF section.";
    BYTECODE_MALFORMED = 170, Environment, "an instruction cannot be decoded", "Compile for a supported instruction set, `-mcpu=v1` to `-mcpu=v4`.";
    BYTECODE_LIMIT = 171, Environment, "too many instructions", "Split the program with tail calls.";
    BYTECODE_REFERENCE = 172, Environment, "an instruction refers to something that does not exist", "Pass the maps that the program uses; calls must hit the start of a function.";
    // 02xx: verification (crate verifier)
    VERIFY_SIZE = 201, Program, "the program is empty or too large", "Check that the section holds instructions; split very large programs with tail calls.";
    VERIFY_TARGET = 202, Program, "a jump or call leads to a wrong place", "Compile with clang instead of editing bytecode; jumps must stay inside their function.";
    VERIFY_FALLS_OFF = 203, Program, "control runs past the end of a function", "End every path with `return`; this often comes from undefined behaviour that the compiler removed.";
    VERIFY_UNSUPPORTED = 204, Program, "an instruction that is not supported", "Use a lower -mcpu, or replace the construct.";
    VERIFY_RECURSION = 205, Program, "recursive call", "Replace recursion by a bounded loop.";
    VERIFY_CALL_DEPTH = 206, Program, "calls nest too deeply", "Mark small functions `static inline` or flatten the call chain.";
    VERIFY_UNKNOWN_HELPER = 207, Program, "unknown helper function", "Check the number in the helper's declaration; helper numbers differ between platforms.";
    VERIFY_HELPER_NOT_ALLOWED = 208, Program, "helper function not available to this program type", "Use a helper that this program type has, or another program type.";
    VERIFY_UNREADABLE = 209, Program, "an uninitialised or invalid register is read", "Give the variable a value on every path before it is used.";
    VERIFY_FRAME_POINTER = 210, Program, "write to the frame pointer", "Copy r10 to another register first.";
    VERIFY_POINTER_ARITHMETIC = 211, Program, "arithmetic that pointers do not allow", "Only add or subtract bounded numbers to pointers, with 64-bit operations.";
    VERIFY_POINTER_OFFSET = 212, Program, "a pointer moves by an unbounded distance", "Bound the number before adding it: compare it with a constant or mask it.";
    VERIFY_POINTER_COMPARISON = 213, Program, "comparison that pointers do not allow", "Compare pointers only with NULL, or with pointers into the same object.";
    VERIFY_NOT_A_POINTER = 214, Program, "memory access through a number", "Only pointers from the context, the stack, maps and helpers can be followed.";
    VERIFY_MAYBE_NULL = 215, Program, "the pointer may be NULL", "Compare it with NULL first.";
    VERIFY_NO_ACCESS = 216, Program, "this pointer cannot be accessed like that", "Pass it to helpers; its memory is not for the program.";
    VERIFY_STACK_BOUNDS = 217, Program, "access outside the stack", "Each function has 512 bytes; keep indices inside the array.";
    VERIFY_PACKET_BOUNDS = 218, Program, "access outside the proven part of the packet", "Compare with data_end before the access.";
    VERIFY_MAP_VALUE_BOUNDS = 219, Program, "access outside a map value", "Bound the index before using it.";
    VERIFY_MEMORY_BOUNDS = 220, Program, "access outside acquired memory", "Keep the access inside the reserved size.";
    VERIFY_CONTEXT = 221, Program, "context access that is not allowed", "Read whole fields of the context structure at their offsets.";
    VERIFY_READ_ONLY = 222, Program, "write to read-only memory", "Copy the data to the stack first, or use a writable place.";
    VERIFY_STACK_UNINITIALISED = 223, Program, "uninitialised stack memory is read", "Initialise the whole variable, padding included, for example with `= {}` or __builtin_memset.";
    VERIFY_STACK_POINTER = 224, Program, "a pointer on the stack is accessed as a number", "Read and write stored pointers whole, with 64 bits.";
    VERIFY_LEAK = 225, Program, "a pointer would be revealed", "Store numbers, not addresses, where other code can read them.";
    VERIFY_ARGUMENT = 226, Program, "wrong argument of a helper function", "Check the helper's prototype.";
    VERIFY_ARGUMENT_SIZE = 227, Program, "unusable size argument of a helper function", "Give the size an upper bound, and make it not negative.";
    VERIFY_ARGUMENT_UNSUPPORTED = 228, Program, "an unsupported kind of helper argument", "This helper cannot be used yet; write the code without it.";
    VERIFY_MAP_TYPE = 229, Program, "the helper does not work on this type of map", "Use a map of a type that the helper is for.";
    VERIFY_NOT_RELEASED = 230, Program, "a resource is not released", "Release or submit it on every path, error paths included.";
    VERIFY_NOT_ACQUIRED = 231, Program, "something is released that was not acquired", "Release only what an acquiring helper returned, once.";
    VERIFY_LOCK = 232, Program, "a spin lock is misused", "Take one lock at a time, call nothing while it is held, and unlock it on every path.";
    VERIFY_RETURN_VALUE = 233, Program, "return value out of range", "Return only the verdicts of the hook.";
    VERIFY_RETURNS_STACK = 234, Program, "a pointer to the own stack is returned", "Let the caller pass a pointer to its own variable.";
    VERIFY_ENDLESS_LOOP = 235, Program, "the loop may never end", "Give the loop a counter with a constant bound.";
    VERIFY_BUDGET = 236, Program, "the analysis is over its step budget", "Lower loop bounds, or split the program with tail calls or functions.";
    VERIFY_MEMORY = 237, Program, "the analysis is over its memory budget", "Lower loop bounds, or split the program with tail calls or functions.";
    VERIFY_TAIL_CALL = 238, Program, "tail call in a subprogram", "Make the tail call in the main function, or mark the function `static inline`.";
    VERIFY_ATOMIC = 239, Program, "atomic operation that is not allowed", "Use atomic operations on aligned stack memory, map values or acquired memory.";
    VERIFY_PLATFORM_ARGUMENT = 240, Program, "pointer passed to a platform function of unknown prototype", "Pass numbers or the context pointer.";
    VERIFY_CALLBACK = 241, Program, "a function cannot be called back like this", "Return 0 or 1 from callbacks, release in them what they acquire, and leave alone what the caller holds.";
    VERIFY_CHAIN_STACK = 242, Program, "a chain of calls takes too much stack", "Use smaller local variables, or maps for large ones; functions that call others count together.";
    VERIFY_DYNPTR = 243, Program, "a dynamic pointer is misused", "Make it with its constructor before it is used, leave its bytes alone, and pass its address to helpers.";
    VERIFY_MISSING = 250, Program, "a CO-RE relocation found nothing in the BTF given, and its instruction can be reached", "Guard it with bpf_core_field_exists, bpf_core_type_exists or bpf_core_enum_value_exists.";
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
    CODEGEN_STACK = 310, Environment, "a program takes too much of the kernel's stack", "Nest functions less deeply, split large ones, or join programs by tail calls, which start with an empty stack.";
    // 04xx: driver images (crate image)
    IMAGE_UNPROVED = 401, Environment, "a program was not proved safe", "Only verified programs become drivers; use `run` to try unverified code on this host.";
    IMAGE_NAME = 402, Environment, "a name cannot be written to a driver image", "Use a shorter output file name, or a section name of at most eight printable characters that does not begin with PAGE.";
    IMAGE_TOO_LARGE = 403, Environment, "the driver image would be too large", "Split the object into several drivers.";
    IMAGE_RELOCATION = 404, Bug, "a relocation cannot be applied", "This is a bug in bpf2native; please report it with the input file.";
    IMAGE_FUNCTION = 405, Bug, "function ranges or unwind data are wrong", "This is a bug in bpf2native; please report it with the input file.";
    IMAGE_IMPORT = 406, Bug, "an import cannot be expressed", "This is a bug in bpf2native; please report it with the input file.";
    IMAGE_LAYOUT = 407, Bug, "the image cannot be laid out", "This is a bug in bpf2native; please report it with the input file.";
    IMAGE_REFUSED = 408, Bug, "the driver image fails its own check", "Nothing was written. This is a bug in bpf2native; please report it with the input file.";
    IMAGE_PLATFORM = 409, Environment, "bytecode of another platform cannot become a driver", "Drivers are made from eBPF for Windows objects; Linux objects can be verified and `run` on this host.";
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
    RUN_TRAP = 601, Program, "the program was stopped while running", "The message names the instruction and the access; verify the program to see the whole path to it.";
    RUN_BUDGET = 602, Program, "the program used up its instruction budget", "Bound the loop, or raise the budget.";
    RUN_STOPPED = 603, Program, "the program was stopped by a helper", "The test suite's own helper ended the program.";
    RUN_HELPER = 604, Environment, "a helper is not available here", "Only the helpers listed in the helper documentation can run on a host; compile for the target instead.";
    RUN_MEMORY = 605, Environment, "out of memory while preparing the run", "Use smaller maps, or a machine with more memory.";
    RUN_BYTECODE = 606, Environment, "the bytecode cannot be run by the interpreter", "Verify the program first; the message names the instruction.";
    RUN_MAP = 607, Environment, "a map cannot be created", "Check type, sizes and max_entries in the map definition.";
    RUN_MODULE = 608, Environment, "not a native module that can be loaded", "The image must carry the metadata of a native eBPF module of version 0.21 or later.";
    RUN_IMAGE = 609, Environment, "the image cannot be mapped", "Use `inspect` to see what is wrong with the file.";
    RUN_IMPORT = 610, Environment, "the image imports something that this host does not simulate", "Native modules import only NMR and registry functions.";
    RUN_ENTRY = 611, Environment, "DriverEntry failed", "The status says why; `inspect` shows the module.";
    RUN_PROGRAM = 612, Environment, "there is no such program in the module", "The message lists the programs.";
    RUN_CONTEXT = 613, Environment, "the input does not fit the program type", "Give packets to packet programs and --ctx bytes of the documented size to others.";
    RUN_FAULT = 614, Bug, "native code faulted", "Verified code does not fault: this is a bug in bpf2native; please report it with the input file.";
    RUN_TAIL_CALL = 615, Environment, "a program array could not be filled", "Programs in one array must be of one type.";
    RUN_HOST = 616, Environment, "this host cannot do that", "Native code runs on x64 hosts with Linux or another Unix; use `--engine interpreter` elsewhere.";
    RUN_ATTACH = 617, Environment, "the driver does not attach to the runtime", "Only native eBPF modules can be run here; `inspect` shows what the driver is.";
    RUN_UNLOAD = 618, Environment, "the driver cannot be unloaded", "A module must set DriverUnload and deregister there.";
    RUN_MAP_ACCESS = 619, Environment, "a map cannot be read or set like that", "Check name, key and value sizes; `inspect` lists the maps.";
    RUN_SERVICE = 620, Environment, "not a name for a service", "Use letters, digits and `_`, at most 200 characters.";
    RUN_ENGINE = 621, Environment, "the program is not loaded for this engine", "A driver has no bytecode: give the object file for `--engine interpreter`.";
    MAP_UNSUITABLE = 651, Environment, "the driver image cannot be mapped", "Look at `bpf2native inspect`; images with writable code or a damaged layout are not run.";
    MAP_MACHINE = 652, Environment, "native code for another machine", "Run x64 drivers on an x64 host, or use `--engine interpreter` on the object file.";
    MAP_IMPORTS = 653, Environment, "the driver imports functions that this host does not simulate", "Only native eBPF modules can be run here.";
    MAP_MEMORY = 654, Environment, "no memory for the driver image", "Check the limits of this process on memory and executable mappings.";
    // 07xx: usage and environment (crate bpf2native)
    USAGE = 701, Environment, "the command line does not make sense", "See `bpf2native --help`.";
    INPUT_UNREADABLE = 702, Environment, "an input file cannot be read", "Check the path and the permissions.";
    OUTPUT_UNWRITABLE = 703, Environment, "the output cannot be written", "Check that the folder exists and may be written to; nothing was changed.";
    NO_SUCH_PROGRAM = 704, Environment, "no such program in the file", "`bpf2native disassemble FILE.o` and `bpf2native inspect FILE.sys` list the programs.";
    CAPTURE_UNREADABLE = 705, Environment, "the packet capture cannot be read", "Give a pcap or pcapng file with Ethernet frames, for example from `tcpdump -w FILE.pcap`.";
    BAD_HEX = 706, Environment, "not a string of hexadecimal bytes", "Write two digits a byte, with or without spaces, for example `0a 1b 2c`.";
    NOT_A_DRIVER_PLATFORM = 707, Environment, "programs of this platform make no driver", "Only programs for eBPF for Windows become drivers; `bpf2native run` and `verify` take Linux objects.";
    PASSWORD_MISSING = 708, Environment, "the password variable is not set", "Set the environment variable that --password-env names.";
    NO_CACHE_FOLDER = 709, Environment, "no folder for the test certificate", "Set HOME or XDG_CACHE_HOME, or sign with --pfx, or write an unsigned driver with --unsigned.";
    OUTPUT_CLASH = 710, Environment, "two inputs have the same output, or an output is an input", "Give each input its own output name.";
    NOTHING_TO_RUN = 711, Environment, "nothing to run the program on", "Give --packet FILE.pcap for packet programs or --ctx HEX for others.";
    HOST_UNSUPPORTED = 712, Environment, "this machine cannot run driver images", "Native runs need x86-64 Linux; use --engine interpreter.";
    LOADER_NOTE = 713, Environment, "a remark about the input", "Nothing has to be done when this is intended.";
    // 08xx: talking to the runtime (crate ebpfapi)
    API_NOT_RUNNING = 801, Environment, "the runtime is not running", "Install and start the driver as administrator: `sc create EbpfCore type= kernel start= demand binPath= C:\\path\\ebpfcore.sys`, then `sc start EbpfCore`.";
    API_DENIED = 802, Environment, "the runtime refuses the caller", "Run from an administrator's prompt; the device is open to administrators, the system and the eBPF service.";
    API_REFUSED = 803, Environment, "the runtime refuses a request", "The message says what was asked and why it was refused.";
    API_PROTOCOL = 804, Environment, "a message does not follow the protocol", "The runtime and this library are of different versions; install both from one release.";
    API_TOO_LARGE = 805, Environment, "a message is too large for the protocol", "A message has at most 65,535 bytes: compile large programs to a driver with bpf2native, use smaller values or batches.";
    API_FILE = 806, Environment, "the file cannot be loaded", "Give an eBPF object (.o) made by `clang -target bpf`, or a driver (.sys) made by bpf2native.";
    API_SERVICE = 807, Environment, "the service manager refuses an operation", "Run as administrator; `sc query` and `sc delete` show and remove services that were left over.";
    API_MODULE = 808, Environment, "the driver of a module does not start", "Windows loads signed drivers only: on a test machine run `bcdedit /set testsigning on`, restart, and sign with bpf2native; `bpf2native inspect` shows what is wrong with a file.";
    API_INPUT = 809, Environment, "the call does not fit the object", "Check names, sizes and the order of calls; the message says what was expected.";
    API_SYSTEM = 810, Environment, "the operating system refuses an operation", "The number is the error code of the system; `net helpmsg NUMBER` explains it.";
    // 09xx: internal
    INTERNAL = 901, Bug, "internal error", "This is a bug in bpf2native; please report it with the input file.";
}

/// The row of an id.
#[must_use]
pub fn row(code: Code) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.code == code)
}
