//! Limits that several crates share, each with its source.

/// Stack bytes of one frame (RFC 9669 §2.1 leaves it to the platform; both platforms use 512).
pub const STACK_BYTES: u32 = 512;
/// Stack bytes of all frames of a chain of calls on Linux (`MAX_BPF_STACK`).
pub const CHAIN_STACK_BYTES: u32 = 512;
/// Stack bytes below a function that makes a tail call, which must be fewer (Linux).
pub const TAIL_CALL_STACK_BYTES: u32 = 256;
/// Call frames, the main program included (Linux and PREVAIL: 8).
pub const CALL_FRAMES: u32 = 8;
/// Tail calls in one invocation (`MAX_TAIL_CALL_CNT` of both platforms).
pub const TAIL_CALLS: u32 = 33;
/// Rounds of `bpf_loop`, and with them calls of its callback (Linux: `BPF_MAX_LOOPS`).
pub const LOOP_ROUNDS: u32 = 1 << 23;
/// Instruction slots of one program (Linux: 1 000 000 for privileged users).
pub const PROGRAM_SLOTS: u32 = 1_000_000;
/// Longest name of a map, section or program without the terminator (native ABI: 1..63).
pub const NAME_BYTES: usize = 63;
/// Longest name of the file of a program that the runtime keeps.
pub const FILE_NAME_BYTES: usize = 1_024;
/// Largest `.data`/`.rodata`/`.bss` section that becomes a map (bpf2c: 1 MiB).
pub const GLOBAL_SECTION_BYTES: u64 = 1 << 20;
/// Largest ELF file read.
pub const ELF_BYTES: u64 = 64 << 20;
/// Sections of one ELF file (clang makes a few per program).
pub const ELF_SECTIONS: usize = 32_768;
/// Symbols of one ELF file.
pub const ELF_SYMBOLS: usize = 1_000_000;
/// Longest symbol, section or BTF name that is read.
pub const SYMBOL_NAME_BYTES: usize = 1_024;
/// Relocations of code, maps and global variables of one ELF file.
pub const ELF_RELOCATIONS: usize = 4_000_000;
/// Bytes of all global variables of one object.
pub const GLOBAL_BYTES: usize = 64 << 20;
/// Remarks about one object; more are counted, not kept.
pub const NOTES: usize = 1_000;
/// Members of a map definition (there are about a dozen).
pub const MAP_MEMBERS: u32 = 64;
/// Members of a value type that are searched for locks and timers.
pub const VALUE_MEMBERS: usize = 4_096;
/// Instruction slots of all linked programs of one object; subprograms count once per program.
pub const OBJECT_SLOTS: usize = 4_000_000;
/// Bytes of source text that line information may carry in one object.
pub const LINE_TEXT_BYTES: usize = 64 << 20;
/// Line records of all linked programs of one object.
pub const LINE_RECORDS: usize = 4_000_000;
/// Maps of one object (indices are 16 bits wide in the native ABI).
pub const MAPS: usize = 65_535;
/// Programs of one object.
pub const PROGRAMS: usize = 65_535;
/// Types of one BTF section (the format's own limit is 20 bits of type id).
pub const BTF_TYPES: usize = 1 << 20;
/// Bytes of a BTF section to relocate against (those of distribution kernels have 4 to 8 MiB).
pub const BTF_BYTES: u64 = 64 << 20;
/// Comparisons of types that the CO-RE relocations of one object may take.
pub const CORE_STEPS: usize = 20_000_000;
/// Members of structures that are looked at to find one field of a kernel object (the largest
/// structures of a kernel have some hundred).
pub const KERNEL_MEMBERS: u32 = 1 << 13;
/// Steps along a chain of typedefs, qualifiers and array elements.
pub const BTF_CHAIN: usize = 64;
