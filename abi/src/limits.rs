//! Limits that several crates share, each with its source.

/// Stack bytes of one frame (RFC 9669 §2.1 leaves it to the platform; both platforms use 512).
pub const STACK_BYTES: u32 = 512;
/// Call frames, the main program included (Linux and PREVAIL: 8).
pub const CALL_FRAMES: u32 = 8;
/// Tail calls in one invocation (`MAX_TAIL_CALL_CNT` of both platforms).
pub const TAIL_CALLS: u32 = 33;
/// Instruction slots of one program (Linux: 1 000 000 for privileged users).
pub const PROGRAM_SLOTS: u32 = 1_000_000;
/// Longest name of a map, section or program without the terminator (native ABI: 1..63).
pub const NAME_BYTES: usize = 63;
/// Largest `.data`/`.rodata`/`.bss` section that becomes a map (bpf2c: 1 MiB).
pub const GLOBAL_SECTION_BYTES: u64 = 1 << 20;
/// Largest ELF file read.
pub const ELF_BYTES: u64 = 64 << 20;
