//! Instructions as values: the raw 8-byte slot and the decoded form.
//!
//! Instruction positions are counted in *slots* everywhere ([`InsnIdx`]): the wide `lddw`
//! instruction takes two, and its second slot decodes to [`Insn::Imm64High`], which no jump may
//! target and no program may execute. Jump offsets are relative to the following slot, as in
//! RFC 9669 §4.3.

use core::fmt;

/// Position of an instruction, in 8-byte slots from the start of its program. Prints as `i12`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct InsnIdx(pub u32);

impl InsnIdx {
    /// The index as an array position.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The slot that `offset` names when it stands in the instruction at `self` (RFC 9669 §4.3:
    /// relative to the following slot), or `None` when it would leave the 32-bit index space.
    #[must_use]
    pub const fn jump(self, offset: i32) -> Option<InsnIdx> {
        let target = self.0 as i64 + 1 + offset as i64;
        if target < 0 || target > u32::MAX as i64 {
            None
        } else {
            Some(InsnIdx(target as u32))
        }
    }
}

impl fmt::Display for InsnIdx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "i{}", self.0)
    }
}

impl fmt::Debug for InsnIdx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One register, `r0` to `r10`. `r10` is the read-only frame pointer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reg(u8);

impl Reg {
    /// Return value and scratch.
    pub const R0: Reg = Reg(0);
    /// First argument.
    pub const R1: Reg = Reg(1);
    /// Second argument.
    pub const R2: Reg = Reg(2);
    /// Third argument.
    pub const R3: Reg = Reg(3);
    /// Fourth argument.
    pub const R4: Reg = Reg(4);
    /// Fifth argument.
    pub const R5: Reg = Reg(5);
    /// Saved by the callee.
    pub const R6: Reg = Reg(6);
    /// Saved by the callee.
    pub const R7: Reg = Reg(7);
    /// Saved by the callee.
    pub const R8: Reg = Reg(8);
    /// Saved by the callee.
    pub const R9: Reg = Reg(9);
    /// Frame pointer: the end of the 512-byte stack frame; read-only.
    pub const R10: Reg = Reg(10);
    /// How many registers there are.
    pub const COUNT: usize = 11;
    /// All registers in order.
    pub const ALL: [Reg; Reg::COUNT] = [
        Reg(0),
        Reg(1),
        Reg(2),
        Reg(3),
        Reg(4),
        Reg(5),
        Reg(6),
        Reg(7),
        Reg(8),
        Reg(9),
        Reg(10),
    ];
    /// The five argument registers in order.
    pub const ARGS: [Reg; 5] = [Reg(1), Reg(2), Reg(3), Reg(4), Reg(5)];

    /// The register with this number, or `None` above 10.
    #[must_use]
    pub const fn new(number: u8) -> Option<Reg> {
        if number <= 10 {
            Some(Reg(number))
        } else {
            None
        }
    }

    /// Its number, 0 to 10.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Its number as an array position.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl fmt::Debug for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Operand width of arithmetic and comparisons.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Width {
    /// 32 bits; results are zero-extended to 64.
    W32,
    /// 64 bits.
    W64,
}

impl Width {
    /// Both widths.
    pub const ALL: [Width; 2] = [Width::W32, Width::W64];

    /// 32 or 64.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Width::W32 => 32,
            Width::W64 => 64,
        }
    }
}

/// Size of a memory access.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Size {
    /// One byte.
    B,
    /// Two bytes.
    H,
    /// Four bytes.
    W,
    /// Eight bytes.
    Dw,
}

impl Size {
    /// All sizes, smallest first.
    pub const ALL: [Size; 4] = [Size::B, Size::H, Size::W, Size::Dw];

    /// 1, 2, 4 or 8.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        match self {
            Size::B => 1,
            Size::H => 2,
            Size::W => 4,
            Size::Dw => 8,
        }
    }

    /// 8, 16, 32 or 64.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.bytes() * 8
    }
}

/// Second operand of arithmetic, comparisons and stores: a register or a sign-extended immediate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operand {
    /// A register.
    Reg(Reg),
    /// The 32-bit immediate; 64-bit operations sign-extend it.
    Imm(i32),
}

/// Binary arithmetic (RFC 9669 §4.1). `Neg`, byte swaps and sign-extending moves are instructions
/// of their own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AluOp {
    /// `dst += src`
    Add,
    /// `dst -= src`
    Sub,
    /// `dst *= src`
    Mul,
    /// Unsigned division; by zero gives 0.
    Div,
    /// Signed division (offset 1); by zero gives 0, MIN / -1 gives MIN.
    SDiv,
    /// `dst |= src`
    Or,
    /// `dst &= src`
    And,
    /// Shift left by the low 5 or 6 bits of the source.
    Lsh,
    /// Logical shift right.
    Rsh,
    /// Unsigned remainder; by zero leaves dst (32-bit: zero-extended).
    Mod,
    /// Signed remainder (offset 1); by zero leaves dst, MIN % -1 gives 0.
    SMod,
    /// `dst ^= src`
    Xor,
    /// `dst = src`
    Mov,
    /// Arithmetic shift right.
    Arsh,
}

impl AluOp {
    /// All operations.
    pub const ALL: [AluOp; 14] = [
        AluOp::Add,
        AluOp::Sub,
        AluOp::Mul,
        AluOp::Div,
        AluOp::SDiv,
        AluOp::Or,
        AluOp::And,
        AluOp::Lsh,
        AluOp::Rsh,
        AluOp::Mod,
        AluOp::SMod,
        AluOp::Xor,
        AluOp::Mov,
        AluOp::Arsh,
    ];
}

/// Comparison of a conditional jump (RFC 9669 §4.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cond {
    /// `==`
    Eq,
    /// Unsigned `>`
    Gt,
    /// Unsigned `>=`
    Ge,
    /// `dst & src != 0`
    Set,
    /// `!=`
    Ne,
    /// Signed `>`
    Sgt,
    /// Signed `>=`
    Sge,
    /// Unsigned `<`
    Lt,
    /// Unsigned `<=`
    Le,
    /// Signed `<`
    Slt,
    /// Signed `<=`
    Sle,
}

impl Cond {
    /// All comparisons.
    pub const ALL: [Cond; 11] = [
        Cond::Eq,
        Cond::Gt,
        Cond::Ge,
        Cond::Set,
        Cond::Ne,
        Cond::Sgt,
        Cond::Sge,
        Cond::Lt,
        Cond::Le,
        Cond::Slt,
        Cond::Sle,
    ];
}

/// Byte order conversion (RFC 9669 §4.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Endian {
    /// `le16/32/64`: to little endian; on a little-endian host a truncation.
    ToLittle,
    /// `be16/32/64`: to big endian; on a little-endian host a swap and truncation.
    ToBig,
    /// `bswap16/32/64`: unconditional swap and truncation (ISA v4).
    Swap,
}

impl Endian {
    /// All conversions.
    pub const ALL: [Endian; 3] = [Endian::ToLittle, Endian::ToBig, Endian::Swap];
}

/// Atomic read-modify-write (RFC 9669 §5.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AtomicOp {
    /// `*p += src`
    Add,
    /// `*p |= src`
    Or,
    /// `*p &= src`
    And,
    /// `*p ^= src`
    Xor,
    /// `src = xchg(*p, src)`; always fetches.
    Xchg,
    /// `r0 = cmpxchg(*p, r0, src)`; always fetches, into r0.
    CmpXchg,
}

impl AtomicOp {
    /// All operations.
    pub const ALL: [AtomicOp; 6] = [
        AtomicOp::Add,
        AtomicOp::Or,
        AtomicOp::And,
        AtomicOp::Xor,
        AtomicOp::Xchg,
        AtomicOp::CmpXchg,
    ];
}

/// What a 64-bit immediate load means (RFC 9669 §5.4, the source register field).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Imm64 {
    /// src 0: the constant itself.
    Const(u64),
    /// src 1: map by file descriptor; after loading an object, the map's index in the object.
    MapFd(i32),
    /// src 2: address of a byte in the value of map `fd` (its first element), for globals.
    MapValue {
        /// Map descriptor or index.
        fd: i32,
        /// Byte offset into the value.
        offset: i32,
    },
    /// src 3: address of a platform variable.
    Var(i32),
    /// src 4: address of a function in this program; the immediate is a relative slot offset.
    Code(i32),
    /// src 5: map by index.
    MapIdx(i32),
    /// src 6: address inside the value of map by index.
    MapIdxValue {
        /// Map index.
        index: i32,
        /// Byte offset into the value.
        offset: i32,
    },
}

/// Target of a call (RFC 9669 §4.3.1, the source register field).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CallTarget {
    /// src 0: platform helper by static id.
    Helper(i32),
    /// src 1: function of this program; offset in slots relative to the following slot.
    Local(i32),
    /// src 2: platform function by BTF id; after loading an object, its index in the object's
    /// table of BTF-resolved functions.
    Btf(i32),
    /// `callx`: through a register. Recognised, never accepted by a platform of ours.
    Register(Reg),
}

/// One decoded instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Insn {
    /// `dst = dst op src`
    Alu {
        /// Operation.
        op: AluOp,
        /// Operand width.
        width: Width,
        /// Destination and left operand.
        dst: Reg,
        /// Right operand.
        src: Operand,
    },
    /// `dst = (s8|s16|s32)src`, sign-extended to the width (ISA v4).
    MovSx {
        /// Result width; 32-bit results are then zero-extended.
        width: Width,
        /// Destination.
        dst: Reg,
        /// Source.
        src: Reg,
        /// Source size: B, H, or (64-bit only) W.
        size: Size,
    },
    /// `dst = -dst`
    Neg {
        /// Operand width.
        width: Width,
        /// Operand.
        dst: Reg,
    },
    /// Byte order conversion of the low 16, 32 or 64 bits; the rest becomes zero.
    Endian {
        /// Conversion.
        kind: Endian,
        /// Operand.
        dst: Reg,
        /// H, W or Dw.
        size: Size,
    },
    /// `lddw`: a 64-bit immediate or pseudo address; takes two slots.
    LoadImm64 {
        /// Destination.
        dst: Reg,
        /// What is loaded.
        imm: Imm64,
    },
    /// Second slot of `lddw`; never executed, never a jump target.
    Imm64High,
    /// `dst = *(size *)(base + offset)`
    Load {
        /// Access size.
        size: Size,
        /// Sign-extend to 64 bits (ISA v4; never with Dw).
        signed: bool,
        /// Destination.
        dst: Reg,
        /// Base address.
        base: Reg,
        /// Byte offset.
        offset: i16,
    },
    /// `*(size *)(base + offset) = src`
    Store {
        /// Access size.
        size: Size,
        /// Base address.
        base: Reg,
        /// Byte offset.
        offset: i16,
        /// Value; an immediate is sign-extended to the size.
        src: Operand,
    },
    /// Atomic read-modify-write at `base + offset`.
    Atomic {
        /// Operation.
        op: AtomicOp,
        /// Old value returned in `src` (`CmpXchg`: in r0); always true for `Xchg` and `CmpXchg`.
        fetch: bool,
        /// W or Dw.
        size: Size,
        /// Base address.
        base: Reg,
        /// Byte offset.
        offset: i16,
        /// Operand.
        src: Reg,
    },
    /// `dst = load_acquire(*(size *)(base + offset))`, zero-extended: no later access of the program
    /// is done before it (Linux).
    LoadAcquire {
        /// Access size.
        size: Size,
        /// Destination.
        dst: Reg,
        /// Base address.
        base: Reg,
        /// Byte offset.
        offset: i16,
    },
    /// `store_release(*(size *)(base + offset), src)`: every earlier access of the program is done
    /// before it (Linux).
    StoreRelease {
        /// Access size.
        size: Size,
        /// Base address.
        base: Reg,
        /// Byte offset.
        offset: i16,
        /// Value.
        src: Reg,
    },
    /// `may_goto` (Linux): goes on, but at most [`MAY_GOTO_TURNS`] times in one run of the function;
    /// then it jumps. It bounds loops that nothing else bounds.
    MayGoto {
        /// Offset in slots relative to the following slot.
        offset: i16,
    },
    /// Legacy packet load: `r0 = ntoh(*(size *)(packet + src? + imm))`, r1..r5 clobbered.
    LoadPacket {
        /// B, H or W.
        size: Size,
        /// Index register for the indirect form.
        index: Option<Reg>,
        /// Byte offset.
        imm: i32,
    },
    /// Unconditional jump (`ja` with a 16-bit or `gotol` with a 32-bit offset).
    Jump {
        /// Offset in slots relative to the following slot.
        offset: i32,
        /// Encoded as `gotol` (JMP32 class, offset in the immediate).
        long: bool,
    },
    /// Conditional jump.
    JumpIf {
        /// Comparison.
        cond: Cond,
        /// Operand width.
        width: Width,
        /// Left operand.
        dst: Reg,
        /// Right operand.
        src: Operand,
        /// Offset in slots relative to the following slot.
        offset: i16,
    },
    /// Call; arguments in r1..r5, result in r0, r1..r5 clobbered.
    Call(CallTarget),
    /// Return from the current function with r0.
    Exit,
}

/// How often the `may_goto` instructions of a function go on, all together, in one run of it (Linux:
/// `BPF_MAX_LOOPS`). Each call of a function counts anew, as on Linux, where the count is in the
/// function's stack frame.
pub const MAY_GOTO_TURNS: u32 = 8 << 20;

impl Insn {
    /// Slots the instruction takes: 2 for `lddw`, otherwise 1.
    #[must_use]
    pub const fn slots(&self) -> u32 {
        match self {
            Insn::LoadImm64 { .. } => 2,
            _ => 1,
        }
    }

    /// Does it subtract a register from the lower half of `dst`, and keep nothing else of `dst`?
    #[must_use]
    pub fn is_difference_of_halves(&self, dst: Reg) -> bool {
        matches!(self, Insn::Alu { op: AluOp::Sub, width: Width::W32, dst: of, src: Operand::Reg(_) } if *of == dst)
    }
}

/// One raw 8-byte instruction slot, little-endian encoding (RFC 9669 §3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Slot {
    /// Opcode byte.
    pub opcode: u8,
    /// Destination register field, 0 to 15.
    pub dst: u8,
    /// Source register field, 0 to 15.
    pub src: u8,
    /// Offset field.
    pub offset: i16,
    /// Immediate field.
    pub imm: i32,
}

impl Slot {
    /// Bytes of a slot.
    pub const BYTES: usize = 8;

    /// Reads a slot from its little-endian encoding.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Slot {
        Slot {
            opcode: bytes[0],
            dst: bytes[1] & 0xf,
            src: bytes[1] >> 4,
            offset: i16::from_le_bytes([bytes[2], bytes[3]]),
            imm: i32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        }
    }

    /// The little-endian encoding.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        let offset = self.offset.to_le_bytes();
        let imm = self.imm.to_le_bytes();
        [
            self.opcode,
            (self.dst & 0xf) | (self.src << 4),
            offset[0],
            offset[1],
            imm[0],
            imm[1],
            imm[2],
            imm[3],
        ]
    }
}
