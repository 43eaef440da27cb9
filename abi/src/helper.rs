//! Helper functions: prototypes with what the verifier needs to check each argument.

/// What an argument must be. The numbers of the Windows rows are hashed into `program_info_hash`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ArgKind {
    /// No argument (hash value 0).
    None,
    /// Any initialised number; pointers only where the program type is privileged (1).
    Anything,
    /// Size of the memory in the previous argument, not zero (2).
    ConstSize,
    /// Size of the memory in the previous argument, zero allowed (3).
    ConstSizeOrZero,
    /// The context pointer, offset 0 (4).
    Context,
    /// A map (5).
    Map,
    /// A map of programs (6).
    MapOfPrograms,
    /// Readable memory of the map's key size (7).
    MapKey,
    /// Readable memory of the map's value size (8).
    MapValue,
    /// Readable memory; its size is the next argument (9).
    ReadableMem,
    /// The same, or NULL with size 0 (10).
    ReadableMemOrNull,
    /// Writable memory, need not be initialised; its size is the next argument (11).
    WritableMem,
    /// A stack pointer (12), or NULL (13).
    Stack,
    /// The context pointer or NULL (14).
    ContextOrNull,
    /// Writable memory or NULL with size 0 (15).
    WritableMemOrNull,
    /// Writable memory of the map's value size (Linux pop/peek; on Windows hashed as 8).
    MapValueOut,
    /// Memory of the given constant size that is written, e.g. `bpf_strtol` results.
    FixedMemOut(u16),
    /// A constant number that the verifier must know (e.g. `bpf_ringbuf_reserve` size).
    ConstAllocSize,
    /// Memory obtained from an acquiring helper (`bpf_ringbuf_reserve`), offset 0; released.
    AllocMem,
    /// A socket, common part readable.
    Socket,
    /// A function of this program, as a callback.
    Callback,
    /// Pointer to stack memory handed to a callback, or NULL.
    CallbackContext,
    /// `struct bpf_spin_lock` inside a map value.
    SpinLock,
    /// `struct bpf_timer` inside a map value.
    Timer,
    /// A kernel object of BTF type, unchecked beyond being one.
    BtfId,
    /// A zero-terminated constant string in a read-only map.
    ConstStr,
}

/// What a helper returns in r0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReturnKind {
    /// A number (0).
    Integer,
    /// Pointer to a map value, or NULL (1).
    MapValueOrNull,
    /// A number; on success the helper does not return (2): tail call.
    NoReturnIfSucceed,
    /// Nothing useful; r0 is not readable.
    Void,
    /// Memory of the size in the `ConstAllocSize` argument, or NULL; a reference to release.
    AllocMemOrNull,
    /// A socket or NULL; a reference to release when the row says `acquires`.
    SocketOrNull,
    /// A socket of common or TCP kind or NULL, no reference.
    SockCommonOrNull,
    /// Pointer to per-CPU or kernel memory of BTF type, or NULL.
    BtfIdOrNull,
    /// Pointer to a kernel object of BTF type, never NULL.
    BtfId,
}

/// One helper prototype.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Helper {
    /// Number in the call instruction.
    pub id: u32,
    /// Name, as hashed and printed.
    pub name: &'static str,
    /// Result.
    pub ret: ReturnKind,
    /// Arguments; `None` from the first absent one on.
    pub args: [ArgKind; 5],
    /// May move packet data: all packet pointers become invalid.
    pub reallocates_packet: bool,
    /// Receives the original context as hidden sixth argument and uses it.
    pub implicit_context: bool,
    /// The result is a reference that must be released.
    pub acquires: bool,
    /// Releases the reference in its first argument.
    pub releases: bool,
    /// r0 is a 32-bit pattern, zero-extended (see the width quirk in the helper documentation).
    pub result_32: bool,
}
