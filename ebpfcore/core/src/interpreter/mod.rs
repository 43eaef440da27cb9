//! The interpreter: bytecode translated once into compact operations, then run without
//! allocating.
//!
//! [`translate`] turns a program into [`Op`]s with resolved maps, helpers and jump distances, and
//! joins frequent pairs of instructions into one operation. [`crate::Machine`] runs them over a
//! [`Memory`]: [`crate::RawMemory`] for programs that the verifier proved, [`CheckedMemory`] for
//! everything else. What operations compute comes from `isa::semantics` alone.

mod fuse;
pub(crate) mod op;
mod translate;

pub use crate::raw::checked::{CheckedMemory, Initialization, Region, RegionKind};
pub(crate) use op::tables;
pub use op::{Op, Opcode};
pub(crate) use translate::unpack_atomic;
pub use translate::{Links, TranslateError, TranslateErrorKind, Translated, translate};

use crate::raw::helpers::HelperFn;
use core::fmt;
use isa::{AtomicOp, InsnIdx, Size};

/// A function that programs call, resolved.
#[derive(Clone, Copy)]
pub struct Callee {
    /// Its address.
    pub function: HelperFn,
    /// Its prototype; `None` when arguments cannot be checked (functions of a test suite).
    pub helper: Option<&'static abi::Helper>,
    /// A result of 0 ends the program: another one was put in its place.
    pub tail_call: bool,
}

/// An atomic access.
#[derive(Clone, Copy, Debug)]
pub struct Atomic {
    /// Operation.
    pub op: AtomicOp,
    /// W or Dw.
    pub size: Size,
    /// Operand.
    pub operand: u64,
    /// r0, which compare-and-exchange compares with.
    pub expected: u64,
}

/// What the interpreter's memory instructions act on.
pub trait Memory {
    /// Reads `size` bytes, zero-extended.
    ///
    /// # Errors
    ///
    /// Why the access is not allowed.
    fn load(&mut self, address: u64, size: Size) -> Result<u64, TrapKind>;

    /// Writes the low `size` bytes of a value.
    ///
    /// # Errors
    ///
    /// Why the access is not allowed.
    fn store(&mut self, address: u64, size: Size, value: u64) -> Result<(), TrapKind>;

    /// Changes memory atomically; gives the old content.
    ///
    /// # Errors
    ///
    /// Why the access is not allowed.
    fn atomic(&mut self, address: u64, request: Atomic) -> Result<u64, TrapKind>;

    /// Calls a helper with r1 to r5 and the context.
    ///
    /// # Errors
    ///
    /// Which argument is not allowed.
    fn call(&mut self, callee: &Callee, args: [u64; 5], context: u64) -> Result<u64, TrapKind>;

    /// A program begins to run with this stack, of all frames.
    fn enter_stack(&mut self, start: u64, size: u64);

    /// A function begins to use the stack frame that ends at `frame_end`: its content is not
    /// initialised.
    fn enter_frame(&mut self, frame_end: u64);
}

/// Why a program was stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trap {
    /// The instruction.
    pub at: InsnIdx,
    /// What it did.
    pub kind: TrapKind,
}

/// What a program did that stopped it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TrapKind {
    /// Read outside of its memory.
    Read {
        /// First byte.
        address: u64,
        /// Bytes.
        size: u64,
    },
    /// Wrote outside of its memory, or to read-only memory.
    Write {
        /// First byte.
        address: u64,
        /// Bytes.
        size: u64,
    },
    /// Read stack bytes that it never wrote.
    Uninitialized {
        /// First byte.
        address: u64,
        /// Bytes.
        size: u64,
    },
    /// An atomic access that is not aligned to its size.
    Misaligned {
        /// First byte.
        address: u64,
        /// Bytes.
        size: u64,
    },
    /// Passed something to a helper that its prototype forbids.
    Argument {
        /// Argument number, 1 to 5.
        number: u8,
        /// Its value.
        value: u64,
    },
    /// Ran longer than its instruction budget.
    Budget,
    /// Called functions deeper than the frame limit.
    Frames,
    /// Was stopped by a helper of a test suite.
    Stopped,
}

impl TrapKind {
    /// Its diagnostic id.
    #[must_use]
    pub const fn code(self) -> abi::Code {
        match self {
            TrapKind::Budget => abi::diagnostic::RUN_BUDGET,
            TrapKind::Stopped => abi::diagnostic::RUN_STOPPED,
            _ => abi::diagnostic::RUN_TRAP,
        }
    }
}

impl fmt::Display for TrapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrapKind::Read { address, size } => {
                write!(
                    f,
                    "read of {size} bytes at {address:#x}, outside of the program's memory"
                )
            }
            TrapKind::Write { address, size } => {
                write!(
                    f,
                    "write of {size} bytes at {address:#x}, outside of its writable memory"
                )
            }
            TrapKind::Uninitialized { address, size } => {
                write!(
                    f,
                    "read of {size} stack bytes at {address:#x} that were never written"
                )
            }
            TrapKind::Misaligned { address, size } => {
                write!(
                    f,
                    "atomic access to {size} bytes at {address:#x}, which is not aligned"
                )
            }
            TrapKind::Argument { number, value } => {
                write!(
                    f,
                    "helper argument r{number} = {value:#x} is not what the helper takes"
                )
            }
            TrapKind::Budget => f.write_str("the instruction budget is used up"),
            TrapKind::Frames => write!(
                f,
                "more than {} nested function calls",
                abi::limits::CALL_FRAMES
            ),
            TrapKind::Stopped => f.write_str("stopped by a helper"),
        }
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instruction {}: {}", self.at, self.kind)
    }
}

impl core::error::Error for Trap {}
