//! Why a program is refused: what was needed and what is known, as data.
//!
//! One variant per row of the diagnostics table (`BN02xx`). Texts are made from the data by
//! [`Display`](core::fmt::Display) (one line) and [`Reason::hint`] (what to change).

use crate::domain::Scalar;
use crate::value::{Unreadable, Value};
use abi::helper::ArgKind;
use abi::{Code, diagnostic};
use alloc::sync::Arc;
use isa::{InsnIdx, Reg};

/// Why an instruction is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// The program or one of its functions has no instructions, or too many.
    Size {
        /// Instruction slots.
        slots: usize,
    },
    /// A jump or call leads somewhere it must not.
    Target {
        /// Where it leads, when that is a slot number at all.
        target: Option<InsnIdx>,
        /// What is wrong there.
        wrong: WrongTarget,
    },
    /// Control runs past the last instruction of a function.
    FallsOff,
    /// An instruction that no platform of ours runs.
    Unsupported {
        /// What it is.
        what: &'static str,
    },
    /// A function calls itself, directly or not.
    Recursion {
        /// Index of the function.
        function: usize,
    },
    /// Calls nest too deeply.
    CallDepth {
        /// Frames that the calls would need.
        frames: usize,
    },
    /// The platform has no helper of this number.
    UnknownHelper {
        /// The number.
        id: i32,
        /// Name of the helper of this number on the other platform.
        elsewhere: Option<&'static str>,
    },
    /// A CO-RE relocation found nothing in the BTF given, and the instruction can be reached.
    Missing {
        /// What the instruction needs, and why it is not there.
        what: Arc<str>,
    },
    /// The helper exists but this program type may not call it.
    HelperNotAllowed {
        /// The helper.
        helper: &'static str,
        /// The program type.
        program_type: &'static str,
    },
    /// A register is read that holds nothing readable.
    Unreadable {
        /// The register.
        reg: Reg,
        /// Why it must not be read.
        why: Unreadable,
    },
    /// r10 is written.
    FramePointerWrite,
    /// Arithmetic that pointers of this kind do not allow.
    PointerArithmetic {
        /// The register.
        reg: Reg,
        /// What it holds.
        found: Value,
        /// The operation.
        what: &'static str,
    },
    /// A pointer would move too far, or by an unknown distance.
    PointerOffset {
        /// The register.
        reg: Reg,
        /// The pointer.
        found: Value,
        /// What is added.
        added: Scalar,
    },
    /// A comparison of pointers that means nothing or tells too much.
    PointerComparison {
        /// Left operand.
        left: Value,
        /// Right operand.
        right: Value,
    },
    /// The address of an access is a number.
    NotAPointer {
        /// The register.
        reg: Reg,
        /// What it holds.
        found: Value,
    },
    /// The pointer may be NULL.
    MaybeNull {
        /// The register.
        reg: Reg,
        /// What it holds.
        found: Value,
    },
    /// Programs may not look into what the pointer points to.
    NoAccess {
        /// The register.
        reg: Reg,
        /// What it holds.
        found: Value,
        /// The access.
        what: &'static str,
    },
    /// Outside the stack frame.
    StackBounds(Bounds),
    /// Outside the bytes proven to be in the packet.
    PacketBounds(Bounds),
    /// Outside a map value.
    MapValueBounds(Bounds),
    /// Outside memory obtained from the platform.
    MemoryBounds(Bounds),
    /// Not a field of the context, or not an access that the field allows.
    ContextAccess {
        /// The register.
        reg: Reg,
        /// What it holds.
        found: Value,
        /// First byte of the access, when known.
        offset: Option<i64>,
        /// Bytes.
        size: u32,
        /// Structure.
        context: &'static str,
        /// Field at the offset.
        field: Option<&'static str>,
    },
    /// A write to memory that is read-only.
    ReadOnly {
        /// The register.
        reg: Reg,
        /// What it holds.
        found: Value,
        /// What is read-only.
        what: &'static str,
    },
    /// A stack byte is read that was never written.
    StackUninitialised {
        /// The register.
        reg: Reg,
        /// Offset of the byte from the end of the frame.
        offset: i64,
    },
    /// Bytes of a pointer on the stack are read or written as if they were a number.
    StackPointer {
        /// The register.
        reg: Reg,
        /// Offset from the end of the frame.
        offset: i64,
    },
    /// A pointer would get where others can see it.
    Leak {
        /// The register that holds it.
        reg: Reg,
        /// The pointer.
        found: Value,
        /// Where it would get.
        into: &'static str,
    },
    /// An argument is not what the function needs.
    Argument {
        /// The argument register.
        reg: Reg,
        /// What it holds.
        found: Value,
        /// What is needed.
        needs: ArgKind,
        /// The helper.
        helper: &'static str,
    },
    /// The size in an argument does not fit.
    ArgumentSize {
        /// The argument register.
        reg: Reg,
        /// What it holds.
        found: Value,
        /// Smallest size allowed.
        least: i64,
        /// The helper.
        helper: &'static str,
    },
    /// A kind of argument that is not supported.
    ArgumentUnsupported {
        /// The argument register.
        reg: Reg,
        /// What would be needed.
        needs: ArgKind,
        /// The helper.
        helper: &'static str,
    },
    /// The helper does not work on maps of this type.
    MapType {
        /// The map's name.
        map: usize,
        /// The helper.
        helper: &'static str,
    },
    /// A resource is not released on this path.
    NotReleased {
        /// Call that acquired it.
        acquired: InsnIdx,
        /// What ends or overtakes its life.
        before: &'static str,
    },
    /// What is released was never acquired.
    NotAcquired {
        /// The argument register.
        reg: Reg,
        /// What it holds.
        found: Value,
        /// The helper.
        helper: &'static str,
    },
    /// A spin lock is misused.
    Lock {
        /// How.
        what: &'static str,
    },
    /// r0 at the end is outside what the hook understands.
    ReturnValue {
        /// What r0 holds.
        found: Value,
        /// Smallest and largest value allowed.
        range: (i32, i32),
    },
    /// A pointer to the callee's stack is returned.
    ReturnsStack {
        /// What r0 holds.
        found: Value,
    },
    /// The frames of a chain of calls take too much stack.
    ChainStack {
        /// Bytes that they take.
        bytes: u32,
        /// Bytes allowed.
        most: u32,
    },
    /// A callback does something that its helper does not allow.
    Callback {
        /// What.
        what: &'static str,
    },
    /// A callback returns something that its helper does not take.
    CallbackResult {
        /// What r0 holds.
        found: Value,
        /// Largest number allowed.
        most: u32,
    },
    /// The same state comes back: the loop may never end.
    EndlessLoop,
    /// The step budget is used up.
    Budget {
        /// The budget.
        steps: u64,
    },
    /// The memory budget is used up.
    Memory {
        /// Bytes that there are.
        bytes: usize,
    },
    /// A tail call where the platform does not continue with the other program.
    TailCall,
    /// An atomic operation on memory that does not allow it, or at an address that is not aligned.
    Atomic {
        /// The register.
        reg: Reg,
        /// What it holds.
        found: Value,
        /// What is wrong.
        what: &'static str,
    },
    /// A dynamic pointer, or the place of one, is used in a way that it is not for.
    Dynptr {
        /// The register.
        reg: Reg,
        /// What it holds.
        found: Value,
        /// What is wrong.
        what: &'static str,
    },
    /// A function resolved by name gets something other than numbers and the context.
    PlatformArgument {
        /// The argument register.
        reg: Reg,
        /// What it holds.
        found: Value,
    },
}

/// An access outside its memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// The register.
    pub reg: Reg,
    /// What it holds.
    pub found: Value,
    /// Smallest offset of the first byte.
    pub low: i64,
    /// Largest offset of the byte after the last.
    pub high: i64,
    /// Bytes of the access; the largest possible number where the size varies.
    pub size: i64,
    /// First byte that may be accessed.
    pub first: i64,
    /// The byte after the last that may be accessed.
    pub end: i64,
}

/// What is wrong with the target of a jump or call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongTarget {
    /// Outside the function that jumps.
    OutsideFunction,
    /// The second slot of a wide instruction.
    MiddleOfInsn,
    /// A call that does not lead to the start of a function.
    NotAFunction,
}

impl Reason {
    /// Its row in the diagnostics table.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Reason::Size { .. } => diagnostic::VERIFY_SIZE,
            Reason::Target { .. } => diagnostic::VERIFY_TARGET,
            Reason::FallsOff => diagnostic::VERIFY_FALLS_OFF,
            Reason::Unsupported { .. } => diagnostic::VERIFY_UNSUPPORTED,
            Reason::Recursion { .. } => diagnostic::VERIFY_RECURSION,
            Reason::CallDepth { .. } => diagnostic::VERIFY_CALL_DEPTH,
            Reason::UnknownHelper { .. } => diagnostic::VERIFY_UNKNOWN_HELPER,
            Reason::Missing { .. } => diagnostic::VERIFY_MISSING,
            Reason::HelperNotAllowed { .. } => diagnostic::VERIFY_HELPER_NOT_ALLOWED,
            Reason::Unreadable { .. } => diagnostic::VERIFY_UNREADABLE,
            Reason::FramePointerWrite => diagnostic::VERIFY_FRAME_POINTER,
            Reason::PointerArithmetic { .. } => diagnostic::VERIFY_POINTER_ARITHMETIC,
            Reason::PointerOffset { .. } => diagnostic::VERIFY_POINTER_OFFSET,
            Reason::PointerComparison { .. } => diagnostic::VERIFY_POINTER_COMPARISON,
            Reason::NotAPointer { .. } => diagnostic::VERIFY_NOT_A_POINTER,
            Reason::MaybeNull { .. } => diagnostic::VERIFY_MAYBE_NULL,
            Reason::NoAccess { .. } => diagnostic::VERIFY_NO_ACCESS,
            Reason::StackBounds(_) => diagnostic::VERIFY_STACK_BOUNDS,
            Reason::PacketBounds(_) => diagnostic::VERIFY_PACKET_BOUNDS,
            Reason::MapValueBounds(_) => diagnostic::VERIFY_MAP_VALUE_BOUNDS,
            Reason::MemoryBounds(_) => diagnostic::VERIFY_MEMORY_BOUNDS,
            Reason::ContextAccess { .. } => diagnostic::VERIFY_CONTEXT,
            Reason::ReadOnly { .. } => diagnostic::VERIFY_READ_ONLY,
            Reason::StackUninitialised { .. } => diagnostic::VERIFY_STACK_UNINITIALISED,
            Reason::StackPointer { .. } => diagnostic::VERIFY_STACK_POINTER,
            Reason::Leak { .. } => diagnostic::VERIFY_LEAK,
            Reason::Argument { .. } => diagnostic::VERIFY_ARGUMENT,
            Reason::ArgumentSize { .. } => diagnostic::VERIFY_ARGUMENT_SIZE,
            Reason::ArgumentUnsupported { .. } => diagnostic::VERIFY_ARGUMENT_UNSUPPORTED,
            Reason::MapType { .. } => diagnostic::VERIFY_MAP_TYPE,
            Reason::NotReleased { .. } => diagnostic::VERIFY_NOT_RELEASED,
            Reason::NotAcquired { .. } => diagnostic::VERIFY_NOT_ACQUIRED,
            Reason::Lock { .. } => diagnostic::VERIFY_LOCK,
            Reason::ReturnValue { .. } => diagnostic::VERIFY_RETURN_VALUE,
            Reason::ReturnsStack { .. } => diagnostic::VERIFY_RETURNS_STACK,
            Reason::ChainStack { .. } => diagnostic::VERIFY_CHAIN_STACK,
            Reason::Callback { .. } | Reason::CallbackResult { .. } => diagnostic::VERIFY_CALLBACK,
            Reason::EndlessLoop => diagnostic::VERIFY_ENDLESS_LOOP,
            Reason::Budget { .. } => diagnostic::VERIFY_BUDGET,
            Reason::Memory { .. } => diagnostic::VERIFY_MEMORY,
            Reason::TailCall => diagnostic::VERIFY_TAIL_CALL,
            Reason::Atomic { .. } => diagnostic::VERIFY_ATOMIC,
            Reason::Dynptr { .. } => diagnostic::VERIFY_DYNPTR,
            Reason::PlatformArgument { .. } => diagnostic::VERIFY_PLATFORM_ARGUMENT,
        }
    }
}
