//! Helper functions: prototypes with what the verifier needs to check each argument.
//!
//! A call names a helper by number. The numbers mean different things per platform and, above
//! 65535 on Windows, per program type; [`lookup`] is the one place that knows the order.

mod linux;
mod linux_functions;
mod linux_kernel;
mod linux_permitted;

pub use linux_functions::{function, may_call};
pub use linux_kernel::{
    is_kernel_result, kernel_arguments, kernel_context, kernel_result, leads_surely,
};
pub(crate) mod windows;

pub use linux::LINUX;
pub(crate) use linux::own as linux_own;
pub use windows::{WINDOWS, WITHOUT_DEFAULT};

use crate::program_type::{Platform, ProgramType};

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
    /// Readable and writable memory, hashed as the one before; its size is the next argument.
    InOutMem,
    /// A stack pointer (12), or NULL (13).
    Stack,
    /// The context pointer or NULL (14).
    ContextOrNull,
    /// Writable memory or NULL with size 0 (15).
    WritableMemOrNull,
    /// The same, or NULL.
    MapValueOrNull,
    /// Writable memory of the map's value size (Linux pop/peek; on Windows hashed as 8).
    MapValueOut,
    /// Memory of the given constant size that is written, e.g. `bpf_strtol` results.
    FixedMemOut(u16),
    /// Readable memory of the given constant size, e.g. an IP header.
    FixedMem(u16),
    /// A constant number that the verifier must know (e.g. `bpf_ringbuf_reserve` size).
    ConstAllocSize,
    /// Memory obtained from an acquiring helper (`bpf_ringbuf_reserve`), offset 0; released.
    AllocMem,
    /// A socket, common part readable.
    Socket,
    /// The same, or NULL.
    SocketOrNull,
    /// A function of this program, as a callback.
    Callback,
    /// Pointer to stack memory handed to the callback, or NULL.
    CallbackContext,
    /// `struct bpf_spin_lock` inside a map value.
    SpinLock,
    /// `struct bpf_timer` inside a map value.
    Timer,
    /// Writable memory in the value of a map; its size is the next argument.
    MapMem,
    /// An initialised dynamic pointer (`struct bpf_dynptr`).
    Dynptr,
    /// One that describes a record of a ring buffer, on the stack; released.
    DynptrRecord,
    /// Space on the stack for a dynamic pointer to memory of this kind, which the helper makes.
    DynptrOut(DynptrKind),
    /// Space on the stack for a copy of the [`ArgKind::Dynptr`] argument, which the function makes.
    DynptrCopy,
    /// Writable memory, or NULL, of the size in the `ConstAllocSize` argument behind it. The slice
    /// that is returned may be this memory.
    BufferOrNull,
    /// A kernel object of BTF type, unchecked beyond being one.
    BtfId,
    /// A zero-terminated constant string in a read-only map.
    ConstStr,
    /// Anything, pointers too: only the address counts, and is not shown.
    Address,
    /// The constant number of a structure in the kernel's BTF.
    KernelType,
}

/// What memory a dynamic pointer describes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DynptrKind {
    /// Some, as one knows who was handed the pointer by others: perhaps a packet.
    Any,
    /// Memory that is there while the program runs: of a map value, or a sample being drained.
    Local,
    /// A record of a ring buffer, which must be submitted or discarded.
    Record,
    /// The data of a `struct __sk_buff`, which writing may move.
    Skb,
    /// The data of a `struct xdp_md`.
    Xdp,
}

/// What a helper returns in r0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReturnKind {
    /// A number (0).
    Integer,
    /// Pointer to a map value, or NULL (1).
    MapValueOrNull,
    /// Pointer to a map value, never NULL.
    MapValue,
    /// A number; on success the helper does not return (2): tail call.
    NoReturnIfSucceed,
    /// Nothing useful; r0 is not readable.
    Void,
    /// Memory of the size in the `ConstAllocSize` argument, or NULL; a reference to release.
    AllocMemOrNull,
    /// Memory that the [`ArgKind::Dynptr`] argument describes, of the size in the `ConstAllocSize`
    /// argument, or NULL.
    SliceOrNull,
    /// The same, read-only.
    ReadOnlySliceOrNull,
    /// A socket or NULL; a reference to release when the row says `acquires`.
    SocketOrNull,
    /// A socket that may be no full one, or NULL; a reference as above.
    SockCommonOrNull,
    /// What a socket of TCP shows, or NULL.
    TcpSockOrNull,
    /// Pointer to per-CPU or kernel memory of BTF type, or NULL.
    BtfIdOrNull,
    /// Pointer to a kernel object of BTF type, never NULL.
    BtfId,
    /// The kernel's own form of the context, never NULL.
    KernelContext,
    /// The address in the first argument as that of an object of the [`ArgKind::KernelType`]: what is
    /// there can be anything.
    KernelCast,
}

/// What a function gets that a helper calls back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CallbackArg {
    /// A number below the number in the helper's first argument.
    Index,
    /// The map argument of the helper, or the map that the timer lies in.
    Map,
    /// The key of an element of that map; read-only.
    Key,
    /// The value of that element.
    Value,
    /// A kernel object.
    Object,
    /// A dynamic pointer that can be read only while the callback runs.
    Dynptr,
    /// The helper's [`ArgKind::CallbackContext`].
    Context,
}

/// When a helper calls a function back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CallbackTime {
    /// Any number of times, before the helper returns.
    During,
    /// At any later time, with a stack of its own.
    Later,
}

/// How a helper calls a function back.
#[derive(PartialEq, Eq, Debug)]
pub struct Callback {
    /// Arguments of the function.
    pub args: &'static [CallbackArg],
    /// When it is called.
    pub time: CallbackTime,
    /// Largest number that it may return; the smallest is 0.
    pub result_most: u32,
}

/// Which numbers a helper can return.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResultRange {
    /// Any.
    Any,
    /// An error from [`LEAST_ERROR`] to -1, or at most the size in its one size argument: how much
    /// of the memory was filled.
    UpToSize,
    /// From 0 to below this.
    Below(u32),
}

/// How much of the writable memory that it is given a helper surely writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fills {
    /// All of it, also when it fails.
    All,
    /// Perhaps a part, perhaps nothing.
    Some,
    /// As much as it reads from its [`ArgKind::ReadableMem`], where that fits; else perhaps a part.
    AsMuchAsItReads,
}

/// The smallest number that Linux takes for an error.
pub const LEAST_ERROR: i64 = -4095;

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
    /// r0 is a 32-bit pattern, zero-extended: the implementation returns `int` and compilers of
    /// native modules take the whole register, so -22 arrives as `0x0000_0000_ffff_ffea`.
    pub result_32: bool,
    /// Which numbers it returns.
    pub result: ResultRange,
    /// How much it writes.
    pub fills: Fills,
    /// Sizes are `u32`: the helper looks at the lower halves of these arguments only.
    pub size_32: bool,
    /// Flags byte appended to the helper's part of `program_info_hash`, when not zero.
    pub hashed_flags: u8,
    /// How it calls the function in its [`ArgKind::Callback`] argument.
    pub callback: Option<&'static Callback>,
}

/// First number that is specific to a program type on Windows.
pub const FIRST_TYPE_SPECIFIC: u32 = 0x1_0000;

impl Helper {
    /// A row with no special property.
    #[must_use]
    pub const fn new(id: u32, name: &'static str, ret: ReturnKind, present: &[ArgKind]) -> Helper {
        let mut args = [ArgKind::None; 5];
        let mut at = 0;
        while at < present.len() {
            args[at] = present[at];
            at += 1;
        }
        Helper {
            id,
            name,
            ret,
            args,
            reallocates_packet: false,
            implicit_context: false,
            acquires: false,
            releases: false,
            result_32: false,
            result: ResultRange::Any,
            fills: Fills::All,
            size_32: false,
            hashed_flags: 0,
            callback: None,
        }
    }

    /// The same helper, calling a function back.
    #[must_use]
    pub const fn calls(self, callback: &'static Callback) -> Helper {
        Helper {
            callback: Some(callback),
            ..self
        }
    }

    /// The same helper, returning a zero-extended 32-bit number.
    #[must_use]
    pub const fn result_32(self) -> Helper {
        Helper {
            result_32: true,
            ..self
        }
    }

    /// The same helper, returning how much of its memory it filled, or an error.
    #[must_use]
    pub const fn up_to_size(self) -> Helper {
        Helper {
            result: ResultRange::UpToSize,
            ..self
        }
    }

    /// The same helper, returning numbers below a limit.
    #[must_use]
    pub const fn below(self, limit: u32) -> Helper {
        Helper {
            result: ResultRange::Below(limit),
            ..self
        }
    }

    /// The same helper, writing not all of the memory that it is given.
    #[must_use]
    pub const fn fills(self, fills: Fills) -> Helper {
        Helper { fills, ..self }
    }

    /// The same helper, taking sizes of 32 bits.
    #[must_use]
    pub const fn size_32(self) -> Helper {
        Helper {
            size_32: true,
            ..self
        }
    }

    /// Whether a socket that it returns without acquiring it is the one that was passed, and lives as
    /// long as that. Those that listen for others stay while the program runs.
    #[must_use]
    pub fn shows_what_is_passed(&self) -> bool {
        !self.acquires && self.name != "bpf_get_listener_sock"
    }

    /// The same helper, moving packet data.
    #[must_use]
    pub const fn reallocates(self) -> Helper {
        Helper {
            reallocates_packet: true,
            ..self
        }
    }

    /// The same helper, using the hidden sixth argument.
    #[must_use]
    pub const fn implicit(self) -> Helper {
        Helper {
            implicit_context: true,
            ..self
        }
    }

    /// The same helper, returning a reference to release.
    #[must_use]
    pub const fn acquires(self) -> Helper {
        Helper {
            acquires: true,
            ..self
        }
    }

    /// The same helper, releasing the reference in its first argument.
    #[must_use]
    pub const fn releases(self) -> Helper {
        Helper {
            releases: true,
            ..self
        }
    }

    /// Does it write to the memory of its first [`ArgKind::Dynptr`] argument?
    #[must_use]
    pub fn writes_dynptr(&self) -> bool {
        ["bpf_dynptr_write", "bpf_dynptr_copy", "bpf_dynptr_memset"].contains(&self.name)
    }

    /// The arguments that exist.
    pub fn present_args(&self) -> impl Iterator<Item = ArgKind> + '_ {
        self.args
            .iter()
            .copied()
            .take_while(|arg| *arg != ArgKind::None)
    }
}

impl ArgKind {
    /// The number hashed into `program_info_hash`; `None` for kinds that Windows does not have.
    #[must_use]
    pub const fn hash_number(self) -> Option<u32> {
        Some(match self {
            ArgKind::None => 0,
            ArgKind::Anything => 1,
            ArgKind::ConstSize => 2,
            ArgKind::ConstSizeOrZero => 3,
            ArgKind::Context => 4,
            ArgKind::Map => 5,
            ArgKind::MapOfPrograms => 6,
            ArgKind::MapKey => 7,
            ArgKind::MapValue | ArgKind::MapValueOut => 8,
            ArgKind::ReadableMem => 9,
            ArgKind::ReadableMemOrNull => 10,
            ArgKind::WritableMem | ArgKind::InOutMem => 11,
            ArgKind::Stack => 12,
            ArgKind::ContextOrNull => 14,
            ArgKind::WritableMemOrNull => 15,
            _ => return None,
        })
    }

    /// The kind that an extension names by its number; the reverse of [`ArgKind::hash_number`].
    #[must_use]
    pub fn of_hash_number(number: u32) -> Option<ArgKind> {
        const KINDS: [ArgKind; 15] = [
            ArgKind::None,
            ArgKind::Anything,
            ArgKind::ConstSize,
            ArgKind::ConstSizeOrZero,
            ArgKind::Context,
            ArgKind::Map,
            ArgKind::MapOfPrograms,
            ArgKind::MapKey,
            ArgKind::MapValue,
            ArgKind::ReadableMem,
            ArgKind::ReadableMemOrNull,
            ArgKind::WritableMem,
            ArgKind::Stack,
            ArgKind::ContextOrNull,
            ArgKind::WritableMemOrNull,
        ];
        let is_meant = |kind: &ArgKind| kind.hash_number() == Some(number);
        KINDS.into_iter().find(is_meant)
    }

    /// Whether the next argument holds the size of the memory this one points to.
    #[must_use]
    pub const fn is_sized_memory(self) -> bool {
        matches!(
            self,
            ArgKind::ReadableMem
                | ArgKind::ReadableMemOrNull
                | ArgKind::WritableMem
                | ArgKind::WritableMemOrNull
                | ArgKind::InOutMem
                | ArgKind::MapMem
        )
    }

    /// Whether this is a dynamic pointer, or space for one.
    #[must_use]
    pub const fn is_dynptr(self) -> bool {
        matches!(
            self,
            ArgKind::Dynptr | ArgKind::DynptrRecord | ArgKind::DynptrOut(_) | ArgKind::DynptrCopy
        )
    }

    /// Whether this is the size of the memory in the previous argument.
    #[must_use]
    pub const fn is_size(self) -> bool {
        matches!(self, ArgKind::ConstSize | ArgKind::ConstSizeOrZero)
    }
}

impl ReturnKind {
    /// The kind that an extension names by its number; the reverse of [`ReturnKind::hash_number`].
    #[must_use]
    pub const fn of_hash_number(number: u32) -> Option<ReturnKind> {
        match number {
            0 => Some(ReturnKind::Integer),
            1 => Some(ReturnKind::MapValueOrNull),
            2 => Some(ReturnKind::NoReturnIfSucceed),
            _ => None,
        }
    }

    /// The number hashed into `program_info_hash`; `None` for kinds that Windows does not have.
    #[must_use]
    pub const fn hash_number(self) -> Option<u32> {
        match self {
            ReturnKind::Integer => Some(0),
            ReturnKind::MapValueOrNull => Some(1),
            ReturnKind::NoReturnIfSucceed => Some(2),
            _ => None,
        }
    }
}

/// The general helpers of a platform, ascending by id.
#[must_use]
pub const fn general(platform: Platform) -> &'static [Helper] {
    match platform {
        Platform::Windows => WINDOWS,
        Platform::Linux => LINUX,
    }
}

/// The helper a program of this type calls by this number.
///
/// Rows of the program type come first (they override), then the general table. On Windows a few
/// general helpers have no implementation of their own ([`WITHOUT_DEFAULT`]): they exist only for
/// program types that override them. On Linux each program type may call its own selection.
#[must_use]
pub fn lookup(program_type: &ProgramType, id: u32) -> Option<&'static Helper> {
    if let Some(own) = find(program_type.helpers, id) {
        return Some(own);
    }
    let permitted = match program_type.platform {
        Platform::Windows => !WITHOUT_DEFAULT.contains(&id),
        Platform::Linux => linux_permitted::is_permitted(program_type.number, id),
    };
    permitted.then(|| by_id(program_type.platform, id))?
}

/// A general helper of a platform, whether or not a program type may call it.
#[must_use]
pub fn by_id(platform: Platform, id: u32) -> Option<&'static Helper> {
    find(general(platform), id)
}

/// The row of an id in a table of a program type or platform.
fn find(table: &'static [Helper], id: u32) -> Option<&'static Helper> {
    let at = table.binary_search_by_key(&id, |row| row.id).ok()?;
    table.get(at)
}
