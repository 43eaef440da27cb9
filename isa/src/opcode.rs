//! The instruction table: one row per encoding of RFC 9669, from which decoder, encoder and tests
//! derive.
//!
//! A row fixes some fields of the slot and leaves the others to operands, in the notation of the
//! registry in RFC 9669 Appendix A: a number is the only value allowed, `reg` is a register number
//! 0 to 10, `any` is unrestricted. Several rows share an opcode byte when another field selects the
//! operation (division by offset, atomics by immediate, calls and `lddw` by source register).
//!
//! Invariants: rows ascend by opcode; for one opcode no two rows accept the same slot; every form
//! occurs once. The first is checked at compile time, the others by tests. What the Linux kernel adds
//! to the RFC has a group of its own ([`Group::Linux`]); of that, arenas with their address-space
//! casts are left out, and [`extension`] knows them only to name them in errors.

use crate::insn::{
    AluOp, AtomicOp, CallTarget, Cond, Endian, Imm64, Insn, Operand, Size, Slot, Width,
};
use AluOp::{Add, And, Arsh, Div, Lsh, Mod, Mov, Mul, Or, Rsh, SDiv, SMod, Sub, Xor};
use Cond::{Eq, Ge, Gt, Le, Lt, Ne, Set, Sge, Sgt, Sle, Slt};
use Endian::{Swap, ToBig, ToLittle};
use Form::{
    AluImm, AluReg, Atomic, AtomicFetch, CallBtf, CallHelper, CallLocal, CallRegister, Exit, Jump,
    JumpIfImm, JumpIfReg, JumpLong, Load, LoadAcquire, LoadSx, MayGoto, MovSx, Neg, PacketAbs,
    PacketInd, StoreImm, StoreReg, StoreRelease, Wide,
};
use Group::{Atomic32, Atomic64, Base32, Base64, Callx, Divmul32, Divmul64, Linux, Packet};
use Size::{B, Dw, H, W};
use Width::{W32, W64};
use core::fmt;

/// Conformance group (RFC 9669 §2.4): what an implementation says it supports.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Group {
    /// Everything 32-bit not in another group, jumps and calls included.
    Base32,
    /// 64-bit arithmetic, jumps, loads and stores; sign-extending loads; `lddw`.
    Base64,
    /// 32-bit multiplication, division, remainder.
    Divmul32,
    /// 64-bit multiplication, division, remainder.
    Divmul64,
    /// 32-bit atomics.
    Atomic32,
    /// 64-bit atomics.
    Atomic64,
    /// Deprecated packet access.
    Packet,
    /// Added by the Linux kernel: `may_goto`, acquire loads, release stores; not in the RFC.
    Linux,
    /// Call through a register; not in the RFC, known to its conformance suite.
    Callx,
}

impl Group {
    /// All groups in the order of the enum.
    pub const ALL: [Group; 9] = [
        Base32, Base64, Divmul32, Divmul64, Atomic32, Atomic64, Packet, Linux, Callx,
    ];

    /// The registered name, for example `divmul32`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Base32 => "base32",
            Base64 => "base64",
            Divmul32 => "divmul32",
            Divmul64 => "divmul64",
            Atomic32 => "atomic32",
            Atomic64 => "atomic64",
            Packet => "packet",
            Linux => "linux",
            Callx => "callx",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a row allows in one field of the slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// Exactly this value.
    Is(i32),
    /// A register number, 0 to 10.
    Reg,
    /// Anything.
    Any,
}

impl Field {
    /// Whether the field may hold `value`.
    #[must_use]
    pub const fn accepts(self, value: i32) -> bool {
        match self {
            Field::Is(only) => only == value,
            Field::Reg => value >= 0 && value < crate::Reg::COUNT as i32,
            Field::Any => true,
        }
    }
}

/// Meaning of `lddw` without its operands; selected by the source register field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WideKind {
    /// [`Imm64::Const`]
    Const,
    /// [`Imm64::MapFd`]
    MapFd,
    /// [`Imm64::MapValue`]
    MapValue,
    /// [`Imm64::Var`]
    Var,
    /// [`Imm64::Code`]
    Code,
    /// [`Imm64::MapIdx`]
    MapIdx,
    /// [`Imm64::MapIdxValue`]
    MapIdxValue,
}

impl WideKind {
    /// Whether the immediate of the second slot carries information; otherwise it must be zero.
    #[must_use]
    pub const fn uses_second(self) -> bool {
        matches!(
            self,
            WideKind::Const | WideKind::MapValue | WideKind::MapIdxValue
        )
    }
}

/// An instruction without its operands: what a row denotes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Arithmetic with the immediate.
    AluImm(AluOp, Width),
    /// Arithmetic with a register.
    AluReg(AluOp, Width),
    /// Sign-extending move.
    MovSx(Size, Width),
    /// Negation.
    Neg(Width),
    /// Byte order conversion.
    Endian(Endian, Size),
    /// `lddw`, the two-slot load.
    Wide(WideKind),
    /// Zero-extending load.
    Load(Size),
    /// Sign-extending load.
    LoadSx(Size),
    /// Store of the immediate.
    StoreImm(Size),
    /// Store of a register.
    StoreReg(Size),
    /// Atomic that forgets the old value.
    Atomic(AtomicOp, Size),
    /// Atomic that returns the old value.
    AtomicFetch(AtomicOp, Size),
    /// Load that later accesses cannot overtake.
    LoadAcquire(Size),
    /// Store that does not overtake earlier accesses.
    StoreRelease(Size),
    /// Packet load at a constant offset.
    PacketAbs(Size),
    /// Packet load at register plus constant.
    PacketInd(Size),
    /// `goto` with a 16-bit offset.
    Jump,
    /// `gotol` with a 32-bit offset.
    JumpLong,
    /// Jump once the turns of a loop are used up.
    MayGoto,
    /// Comparison with the immediate.
    JumpIfImm(Cond, Width),
    /// Comparison with a register.
    JumpIfReg(Cond, Width),
    /// Helper by static id.
    CallHelper,
    /// Function of this program.
    CallLocal,
    /// Function by BTF id.
    CallBtf,
    /// Function by register.
    CallRegister,
    /// Return.
    Exit,
}

/// One encoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Opcode byte.
    pub opcode: u8,
    /// Destination register field.
    pub dst: Field,
    /// Source register field.
    pub src: Field,
    /// Offset field.
    pub offset: Field,
    /// Immediate field.
    pub imm: Field,
    /// Conformance group.
    pub group: Group,
    /// Section of RFC 9669.
    pub section: &'static str,
    /// Short name, unique up to immediate or register operand.
    pub mnemonic: &'static str,
    /// What it means.
    pub form: Form,
}

macro_rules! field {
    (reg) => {
        Field::Reg
    };
    (any) => {
        Field::Any
    };
    ($only:literal) => {
        Field::Is($only)
    };
}

macro_rules! rows {
    ($($opcode:literal, $dst:tt, $src:tt, $offset:tt, $imm:tt, $group:ident, $section:literal, $mnemonic:literal, $form:expr;)*) => {
        /// Every encoding, ascending by opcode byte.
        pub static ROWS: [Row; [$($opcode),*].len()] = TABLE;
        const TABLE: [Row; [$($opcode),*].len()] = [$(Row {
            opcode: $opcode,
            dst: field!($dst),
            src: field!($src),
            offset: field!($offset),
            imm: field!($imm),
            group: $group,
            section: $section,
            mnemonic: $mnemonic,
            form: $form,
        }),*];
    };
}

// One row per line in columns, so that the table can be read against RFC 9669 Appendix A.
#[rustfmt::skip]
rows! {
    // op   dst  src  offset imm   group     section  mnemonic              form
    0x04, reg,   0,   0,  any, Base32,    "4.1",   "add32",               AluImm(Add, W32);
    0x05,   0,   0, any,    0, Base32,    "4.3",   "ja",                  Jump;
    0x06,   0,   0,   0,  any, Base32,    "4.3",   "ja32",                JumpLong;
    0x07, reg,   0,   0,  any, Base64,    "4.1",   "add64",               AluImm(Add, W64);
    0x0c, reg, reg,   0,    0, Base32,    "4.1",   "add32",               AluReg(Add, W32);
    0x0f, reg, reg,   0,    0, Base64,    "4.1",   "add64",               AluReg(Add, W64);
    0x14, reg,   0,   0,  any, Base32,    "4.1",   "sub32",               AluImm(Sub, W32);
    0x15, reg,   0, any,  any, Base64,    "4.3",   "jeq",                 JumpIfImm(Eq, W64);
    0x16, reg,   0, any,  any, Base32,    "4.3",   "jeq32",               JumpIfImm(Eq, W32);
    0x17, reg,   0,   0,  any, Base64,    "4.1",   "sub64",               AluImm(Sub, W64);
    0x18, reg,   0,   0,  any, Base64,    "5.4",   "lddw",                Wide(WideKind::Const);
    0x18, reg,   1,   0,  any, Base64,    "5.4",   "lddw_map_fd",         Wide(WideKind::MapFd);
    0x18, reg,   2,   0,  any, Base64,    "5.4",   "lddw_map_value",      Wide(WideKind::MapValue);
    0x18, reg,   3,   0,  any, Base64,    "5.4",   "lddw_var",            Wide(WideKind::Var);
    0x18, reg,   4,   0,  any, Base64,    "5.4",   "lddw_code",           Wide(WideKind::Code);
    0x18, reg,   5,   0,  any, Base64,    "5.4",   "lddw_map_idx",        Wide(WideKind::MapIdx);
    0x18, reg,   6,   0,  any, Base64,    "5.4",   "lddw_map_idx_value",  Wide(WideKind::MapIdxValue);
    0x1c, reg, reg,   0,    0, Base32,    "4.1",   "sub32",               AluReg(Sub, W32);
    0x1d, reg, reg, any,    0, Base64,    "4.3",   "jeq",                 JumpIfReg(Eq, W64);
    0x1e, reg, reg, any,    0, Base32,    "4.3",   "jeq32",               JumpIfReg(Eq, W32);
    0x1f, reg, reg,   0,    0, Base64,    "4.1",   "sub64",               AluReg(Sub, W64);
    0x20,   0,   0,   0,  any, Packet,    "5.5",   "ldabsw",              PacketAbs(W);
    0x24, reg,   0,   0,  any, Divmul32,  "4.1",   "mul32",               AluImm(Mul, W32);
    0x25, reg,   0, any,  any, Base64,    "4.3",   "jgt",                 JumpIfImm(Gt, W64);
    0x26, reg,   0, any,  any, Base32,    "4.3",   "jgt32",               JumpIfImm(Gt, W32);
    0x27, reg,   0,   0,  any, Divmul64,  "4.1",   "mul64",               AluImm(Mul, W64);
    0x28,   0,   0,   0,  any, Packet,    "5.5",   "ldabsh",              PacketAbs(H);
    0x2c, reg, reg,   0,    0, Divmul32,  "4.1",   "mul32",               AluReg(Mul, W32);
    0x2d, reg, reg, any,    0, Base64,    "4.3",   "jgt",                 JumpIfReg(Gt, W64);
    0x2e, reg, reg, any,    0, Base32,    "4.3",   "jgt32",               JumpIfReg(Gt, W32);
    0x2f, reg, reg,   0,    0, Divmul64,  "4.1",   "mul64",               AluReg(Mul, W64);
    0x30,   0,   0,   0,  any, Packet,    "5.5",   "ldabsb",              PacketAbs(B);
    0x34, reg,   0,   0,  any, Divmul32,  "4.1",   "div32",               AluImm(Div, W32);
    0x34, reg,   0,   1,  any, Divmul32,  "4.1",   "sdiv32",              AluImm(SDiv, W32);
    0x35, reg,   0, any,  any, Base64,    "4.3",   "jge",                 JumpIfImm(Ge, W64);
    0x36, reg,   0, any,  any, Base32,    "4.3",   "jge32",               JumpIfImm(Ge, W32);
    0x37, reg,   0,   0,  any, Divmul64,  "4.1",   "div64",               AluImm(Div, W64);
    0x37, reg,   0,   1,  any, Divmul64,  "4.1",   "sdiv64",              AluImm(SDiv, W64);
    0x3c, reg, reg,   0,    0, Divmul32,  "4.1",   "div32",               AluReg(Div, W32);
    0x3c, reg, reg,   1,    0, Divmul32,  "4.1",   "sdiv32",              AluReg(SDiv, W32);
    0x3d, reg, reg, any,    0, Base64,    "4.3",   "jge",                 JumpIfReg(Ge, W64);
    0x3e, reg, reg, any,    0, Base32,    "4.3",   "jge32",               JumpIfReg(Ge, W32);
    0x3f, reg, reg,   0,    0, Divmul64,  "4.1",   "div64",               AluReg(Div, W64);
    0x3f, reg, reg,   1,    0, Divmul64,  "4.1",   "sdiv64",              AluReg(SDiv, W64);
    0x40,   0, reg,   0,  any, Packet,    "5.5",   "ldindw",              PacketInd(W);
    0x44, reg,   0,   0,  any, Base32,    "4.1",   "or32",                AluImm(Or, W32);
    0x45, reg,   0, any,  any, Base64,    "4.3",   "jset",                JumpIfImm(Set, W64);
    0x46, reg,   0, any,  any, Base32,    "4.3",   "jset32",              JumpIfImm(Set, W32);
    0x47, reg,   0,   0,  any, Base64,    "4.1",   "or64",                AluImm(Or, W64);
    0x48,   0, reg,   0,  any, Packet,    "5.5",   "ldindh",              PacketInd(H);
    0x4c, reg, reg,   0,    0, Base32,    "4.1",   "or32",                AluReg(Or, W32);
    0x4d, reg, reg, any,    0, Base64,    "4.3",   "jset",                JumpIfReg(Set, W64);
    0x4e, reg, reg, any,    0, Base32,    "4.3",   "jset32",              JumpIfReg(Set, W32);
    0x4f, reg, reg,   0,    0, Base64,    "4.1",   "or64",                AluReg(Or, W64);
    0x50,   0, reg,   0,  any, Packet,    "5.5",   "ldindb",              PacketInd(B);
    0x54, reg,   0,   0,  any, Base32,    "4.1",   "and32",               AluImm(And, W32);
    0x55, reg,   0, any,  any, Base64,    "4.3",   "jne",                 JumpIfImm(Ne, W64);
    0x56, reg,   0, any,  any, Base32,    "4.3",   "jne32",               JumpIfImm(Ne, W32);
    0x57, reg,   0,   0,  any, Base64,    "4.1",   "and64",               AluImm(And, W64);
    0x5c, reg, reg,   0,    0, Base32,    "4.1",   "and32",               AluReg(And, W32);
    0x5d, reg, reg, any,    0, Base64,    "4.3",   "jne",                 JumpIfReg(Ne, W64);
    0x5e, reg, reg, any,    0, Base32,    "4.3",   "jne32",               JumpIfReg(Ne, W32);
    0x5f, reg, reg,   0,    0, Base64,    "4.1",   "and64",               AluReg(And, W64);
    0x61, reg, reg, any,    0, Base32,    "5.1",   "ldxw",                Load(W);
    0x62, reg,   0, any,  any, Base32,    "5.1",   "stw",                 StoreImm(W);
    0x63, reg, reg, any,    0, Base32,    "5.1",   "stxw",                StoreReg(W);
    0x64, reg,   0,   0,  any, Base32,    "4.1",   "lsh32",               AluImm(Lsh, W32);
    0x65, reg,   0, any,  any, Base64,    "4.3",   "jsgt",                JumpIfImm(Sgt, W64);
    0x66, reg,   0, any,  any, Base32,    "4.3",   "jsgt32",              JumpIfImm(Sgt, W32);
    0x67, reg,   0,   0,  any, Base64,    "4.1",   "lsh64",               AluImm(Lsh, W64);
    0x69, reg, reg, any,    0, Base32,    "5.1",   "ldxh",                Load(H);
    0x6a, reg,   0, any,  any, Base32,    "5.1",   "sth",                 StoreImm(H);
    0x6b, reg, reg, any,    0, Base32,    "5.1",   "stxh",                StoreReg(H);
    0x6c, reg, reg,   0,    0, Base32,    "4.1",   "lsh32",               AluReg(Lsh, W32);
    0x6d, reg, reg, any,    0, Base64,    "4.3",   "jsgt",                JumpIfReg(Sgt, W64);
    0x6e, reg, reg, any,    0, Base32,    "4.3",   "jsgt32",              JumpIfReg(Sgt, W32);
    0x6f, reg, reg,   0,    0, Base64,    "4.1",   "lsh64",               AluReg(Lsh, W64);
    0x71, reg, reg, any,    0, Base32,    "5.1",   "ldxb",                Load(B);
    0x72, reg,   0, any,  any, Base32,    "5.1",   "stb",                 StoreImm(B);
    0x73, reg, reg, any,    0, Base32,    "5.1",   "stxb",                StoreReg(B);
    0x74, reg,   0,   0,  any, Base32,    "4.1",   "rsh32",               AluImm(Rsh, W32);
    0x75, reg,   0, any,  any, Base64,    "4.3",   "jsge",                JumpIfImm(Sge, W64);
    0x76, reg,   0, any,  any, Base32,    "4.3",   "jsge32",              JumpIfImm(Sge, W32);
    0x77, reg,   0,   0,  any, Base64,    "4.1",   "rsh64",               AluImm(Rsh, W64);
    0x79, reg, reg, any,    0, Base64,    "5.1",   "ldxdw",               Load(Dw);
    0x7a, reg,   0, any,  any, Base64,    "5.1",   "stdw",                StoreImm(Dw);
    0x7b, reg, reg, any,    0, Base64,    "5.1",   "stxdw",               StoreReg(Dw);
    0x7c, reg, reg,   0,    0, Base32,    "4.1",   "rsh32",               AluReg(Rsh, W32);
    0x7d, reg, reg, any,    0, Base64,    "4.3",   "jsge",                JumpIfReg(Sge, W64);
    0x7e, reg, reg, any,    0, Base32,    "4.3",   "jsge32",              JumpIfReg(Sge, W32);
    0x7f, reg, reg,   0,    0, Base64,    "4.1",   "rsh64",               AluReg(Rsh, W64);
    0x81, reg, reg, any,    0, Base64,    "5.2",   "ldxsw",               LoadSx(W);
    0x84, reg,   0,   0,    0, Base32,    "4.1",   "neg32",               Neg(W32);
    0x85,   0,   0,   0,  any, Base32,    "4.3.1", "call",                CallHelper;
    0x85,   0,   1,   0,  any, Base32,    "4.3.2", "call_local",          CallLocal;
    0x85,   0,   2,   0,  any, Base32,    "4.3.1", "call_btf",            CallBtf;
    0x87, reg,   0,   0,    0, Base64,    "4.1",   "neg64",               Neg(W64);
    0x89, reg, reg, any,    0, Base64,    "5.2",   "ldxsh",               LoadSx(H);
    0x8d, reg,   0,   0,    0, Callx,     "4.3",   "callx",               CallRegister;
    0x91, reg, reg, any,    0, Base64,    "5.2",   "ldxsb",               LoadSx(B);
    0x94, reg,   0,   0,  any, Divmul32,  "4.1",   "mod32",               AluImm(Mod, W32);
    0x94, reg,   0,   1,  any, Divmul32,  "4.1",   "smod32",              AluImm(SMod, W32);
    0x95,   0,   0,   0,    0, Base32,    "4.3",   "exit",                Exit;
    0x97, reg,   0,   0,  any, Divmul64,  "4.1",   "mod64",               AluImm(Mod, W64);
    0x97, reg,   0,   1,  any, Divmul64,  "4.1",   "smod64",              AluImm(SMod, W64);
    0x9c, reg, reg,   0,    0, Divmul32,  "4.1",   "mod32",               AluReg(Mod, W32);
    0x9c, reg, reg,   1,    0, Divmul32,  "4.1",   "smod32",              AluReg(SMod, W32);
    0x9f, reg, reg,   0,    0, Divmul64,  "4.1",   "mod64",               AluReg(Mod, W64);
    0x9f, reg, reg,   1,    0, Divmul64,  "4.1",   "smod64",              AluReg(SMod, W64);
    0xa4, reg,   0,   0,  any, Base32,    "4.1",   "xor32",               AluImm(Xor, W32);
    0xa5, reg,   0, any,  any, Base64,    "4.3",   "jlt",                 JumpIfImm(Lt, W64);
    0xa6, reg,   0, any,  any, Base32,    "4.3",   "jlt32",               JumpIfImm(Lt, W32);
    0xa7, reg,   0,   0,  any, Base64,    "4.1",   "xor64",               AluImm(Xor, W64);
    0xac, reg, reg,   0,    0, Base32,    "4.1",   "xor32",               AluReg(Xor, W32);
    0xad, reg, reg, any,    0, Base64,    "4.3",   "jlt",                 JumpIfReg(Lt, W64);
    0xae, reg, reg, any,    0, Base32,    "4.3",   "jlt32",               JumpIfReg(Lt, W32);
    0xaf, reg, reg,   0,    0, Base64,    "4.1",   "xor64",               AluReg(Xor, W64);
    0xb4, reg,   0,   0,  any, Base32,    "4.1",   "mov32",               AluImm(Mov, W32);
    0xb5, reg,   0, any,  any, Base64,    "4.3",   "jle",                 JumpIfImm(Le, W64);
    0xb6, reg,   0, any,  any, Base32,    "4.3",   "jle32",               JumpIfImm(Le, W32);
    0xb7, reg,   0,   0,  any, Base64,    "4.1",   "mov64",               AluImm(Mov, W64);
    0xbc, reg, reg,   0,    0, Base32,    "4.1",   "mov32",               AluReg(Mov, W32);
    0xbc, reg, reg,   8,    0, Base32,    "4.1",   "movsx8_32",           MovSx(B, W32);
    0xbc, reg, reg,  16,    0, Base32,    "4.1",   "movsx16_32",          MovSx(H, W32);
    0xbd, reg, reg, any,    0, Base64,    "4.3",   "jle",                 JumpIfReg(Le, W64);
    0xbe, reg, reg, any,    0, Base32,    "4.3",   "jle32",               JumpIfReg(Le, W32);
    0xbf, reg, reg,   0,    0, Base64,    "4.1",   "mov64",               AluReg(Mov, W64);
    0xbf, reg, reg,   8,    0, Base64,    "4.1",   "movsx8_64",           MovSx(B, W64);
    0xbf, reg, reg,  16,    0, Base64,    "4.1",   "movsx16_64",          MovSx(H, W64);
    0xbf, reg, reg,  32,    0, Base64,    "4.1",   "movsx32_64",          MovSx(W, W64);
    0xc3, reg, reg, any, 0x00, Atomic32,  "5.3",   "atomic_add32",        Atomic(AtomicOp::Add, W);
    0xc3, reg, reg, any, 0x01, Atomic32,  "5.3",   "atomic_fetch_add32",  AtomicFetch(AtomicOp::Add, W);
    0xc3, reg, reg, any, 0x40, Atomic32,  "5.3",   "atomic_or32",         Atomic(AtomicOp::Or, W);
    0xc3, reg, reg, any, 0x41, Atomic32,  "5.3",   "atomic_fetch_or32",   AtomicFetch(AtomicOp::Or, W);
    0xc3, reg, reg, any, 0x50, Atomic32,  "5.3",   "atomic_and32",        Atomic(AtomicOp::And, W);
    0xc3, reg, reg, any, 0x51, Atomic32,  "5.3",   "atomic_fetch_and32",  AtomicFetch(AtomicOp::And, W);
    0xc3, reg, reg, any, 0xa0, Atomic32,  "5.3",   "atomic_xor32",        Atomic(AtomicOp::Xor, W);
    0xc3, reg, reg, any, 0xa1, Atomic32,  "5.3",   "atomic_fetch_xor32",  AtomicFetch(AtomicOp::Xor, W);
    0xc3, reg, reg, any, 0xe1, Atomic32,  "5.3",   "xchg32",              AtomicFetch(AtomicOp::Xchg, W);
    0xc3, reg, reg, any, 0xf1, Atomic32,  "5.3",   "cmpxchg32",           AtomicFetch(AtomicOp::CmpXchg, W);
    0xc3, reg, reg, any, 0x100, Linux,    "-",     "load_acquire32",     LoadAcquire(W);
    0xc3, reg, reg, any, 0x110, Linux,    "-",     "store_release32",    StoreRelease(W);
    0xc4, reg,   0,   0,  any, Base32,    "4.1",   "arsh32",              AluImm(Arsh, W32);
    0xc5, reg,   0, any,  any, Base64,    "4.3",   "jslt",                JumpIfImm(Slt, W64);
    0xc6, reg,   0, any,  any, Base32,    "4.3",   "jslt32",              JumpIfImm(Slt, W32);
    0xc7, reg,   0,   0,  any, Base64,    "4.1",   "arsh64",              AluImm(Arsh, W64);
    0xcb, reg, reg, any, 0x100, Linux,    "-",     "load_acquire16",     LoadAcquire(H);
    0xcb, reg, reg, any, 0x110, Linux,    "-",     "store_release16",    StoreRelease(H);
    0xcc, reg, reg,   0,    0, Base32,    "4.1",   "arsh32",              AluReg(Arsh, W32);
    0xcd, reg, reg, any,    0, Base64,    "4.3",   "jslt",                JumpIfReg(Slt, W64);
    0xce, reg, reg, any,    0, Base32,    "4.3",   "jslt32",              JumpIfReg(Slt, W32);
    0xcf, reg, reg,   0,    0, Base64,    "4.1",   "arsh64",              AluReg(Arsh, W64);
    0xd3, reg, reg, any, 0x100, Linux,    "-",     "load_acquire8",      LoadAcquire(B);
    0xd3, reg, reg, any, 0x110, Linux,    "-",     "store_release8",     StoreRelease(B);
    0xd4, reg,   0,   0,   16, Base32,    "4.2",   "le16",                Form::Endian(ToLittle, H);
    0xd4, reg,   0,   0,   32, Base32,    "4.2",   "le32",                Form::Endian(ToLittle, W);
    0xd4, reg,   0,   0,   64, Base64,    "4.2",   "le64",                Form::Endian(ToLittle, Dw);
    0xd5, reg,   0, any,  any, Base64,    "4.3",   "jsle",                JumpIfImm(Sle, W64);
    0xd6, reg,   0, any,  any, Base32,    "4.3",   "jsle32",              JumpIfImm(Sle, W32);
    0xd7, reg,   0,   0,   16, Base32,    "4.2",   "bswap16",             Form::Endian(Swap, H);
    0xd7, reg,   0,   0,   32, Base32,    "4.2",   "bswap32",             Form::Endian(Swap, W);
    0xd7, reg,   0,   0,   64, Base64,    "4.2",   "bswap64",             Form::Endian(Swap, Dw);
    0xdb, reg, reg, any, 0x00, Atomic64,  "5.3",   "atomic_add64",        Atomic(AtomicOp::Add, Dw);
    0xdb, reg, reg, any, 0x01, Atomic64,  "5.3",   "atomic_fetch_add64",  AtomicFetch(AtomicOp::Add, Dw);
    0xdb, reg, reg, any, 0x40, Atomic64,  "5.3",   "atomic_or64",         Atomic(AtomicOp::Or, Dw);
    0xdb, reg, reg, any, 0x41, Atomic64,  "5.3",   "atomic_fetch_or64",   AtomicFetch(AtomicOp::Or, Dw);
    0xdb, reg, reg, any, 0x50, Atomic64,  "5.3",   "atomic_and64",        Atomic(AtomicOp::And, Dw);
    0xdb, reg, reg, any, 0x51, Atomic64,  "5.3",   "atomic_fetch_and64",  AtomicFetch(AtomicOp::And, Dw);
    0xdb, reg, reg, any, 0xa0, Atomic64,  "5.3",   "atomic_xor64",        Atomic(AtomicOp::Xor, Dw);
    0xdb, reg, reg, any, 0xa1, Atomic64,  "5.3",   "atomic_fetch_xor64",  AtomicFetch(AtomicOp::Xor, Dw);
    0xdb, reg, reg, any, 0xe1, Atomic64,  "5.3",   "xchg64",              AtomicFetch(AtomicOp::Xchg, Dw);
    0xdb, reg, reg, any, 0xf1, Atomic64,  "5.3",   "cmpxchg64",           AtomicFetch(AtomicOp::CmpXchg, Dw);
    0xdb, reg, reg, any, 0x100, Linux,    "-",     "load_acquire64",     LoadAcquire(Dw);
    0xdb, reg, reg, any, 0x110, Linux,    "-",     "store_release64",    StoreRelease(Dw);
    0xdc, reg,   0,   0,   16, Base32,    "4.2",   "be16",                Form::Endian(ToBig, H);
    0xdc, reg,   0,   0,   32, Base32,    "4.2",   "be32",                Form::Endian(ToBig, W);
    0xdc, reg,   0,   0,   64, Base64,    "4.2",   "be64",                Form::Endian(ToBig, Dw);
    0xdd, reg, reg, any,    0, Base64,    "4.3",   "jsle",                JumpIfReg(Sle, W64);
    0xde, reg, reg, any,    0, Base32,    "4.3",   "jsle32",              JumpIfReg(Sle, W32);
    0xe5,   0,   0, any,    0, Linux,    "-",     "may_goto",           MayGoto;
}

/// `FIRST[opcode]..FIRST[opcode + 1]` are the rows of an opcode.
static FIRST: [u16; 257] = first_rows();

const fn first_rows() -> [u16; 257] {
    let mut first = [0u16; 257];
    let mut row = 0;
    let mut opcode = 0;
    while opcode < 257 {
        while row < TABLE.len() && (TABLE[row].opcode as usize) < opcode {
            assert!(row == 0 || TABLE[row - 1].opcode <= TABLE[row].opcode);
            row += 1;
        }
        first[opcode] = row as u16;
        opcode += 1;
    }
    first
}

/// The rows of an opcode byte; empty when it is not an instruction.
#[must_use]
pub fn rows(opcode: u8) -> &'static [Row] {
    let at = usize::from(opcode);
    ROWS.get(usize::from(FIRST[at])..usize::from(FIRST[at + 1]))
        .unwrap_or_default()
}

/// The row of a form; `None` when no encoding exists (an 8-bit atomic, for example).
#[must_use]
pub fn row(form: Form) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.form == form)
}

/// Name of a slot that some platform defines outside RFC 9669 and that is not an instruction here.
#[must_use]
pub const fn extension(slot: &Slot) -> Option<&'static str> {
    match (slot.opcode, slot.offset) {
        (0xbf, 1) => Some("addr_space_cast, for arenas"),
        (0x38 | 0x58, _) => Some("64-bit legacy packet access"),
        _ => None,
    }
}

impl Form {
    /// The form of an instruction; `None` for the second slot of `lddw`, which is no instruction.
    #[must_use]
    pub const fn of(insn: &Insn) -> Option<Form> {
        Some(match *insn {
            Insn::Alu {
                op,
                width,
                src: Operand::Imm(_),
                ..
            } => AluImm(op, width),
            Insn::Alu {
                op,
                width,
                src: Operand::Reg(_),
                ..
            } => AluReg(op, width),
            Insn::MovSx { width, size, .. } => MovSx(size, width),
            Insn::Neg { width, .. } => Neg(width),
            Insn::Endian { kind, size, .. } => Form::Endian(kind, size),
            Insn::LoadImm64 { imm, .. } => Wide(WideKind::of(imm)),
            Insn::Imm64High => return None,
            Insn::Load {
                size,
                signed: false,
                ..
            } => Load(size),
            Insn::Load {
                size, signed: true, ..
            } => LoadSx(size),
            Insn::Store {
                size,
                src: Operand::Imm(_),
                ..
            } => StoreImm(size),
            Insn::Store {
                size,
                src: Operand::Reg(_),
                ..
            } => StoreReg(size),
            Insn::Atomic {
                op,
                fetch: false,
                size,
                ..
            } => Atomic(op, size),
            Insn::Atomic {
                op,
                fetch: true,
                size,
                ..
            } => AtomicFetch(op, size),
            Insn::LoadAcquire { size, .. } => LoadAcquire(size),
            Insn::StoreRelease { size, .. } => StoreRelease(size),
            Insn::MayGoto { .. } => MayGoto,
            Insn::LoadPacket {
                size, index: None, ..
            } => PacketAbs(size),
            Insn::LoadPacket {
                size,
                index: Some(_),
                ..
            } => PacketInd(size),
            Insn::Jump { long: false, .. } => Jump,
            Insn::Jump { long: true, .. } => JumpLong,
            Insn::JumpIf {
                cond,
                width,
                src: Operand::Imm(_),
                ..
            } => JumpIfImm(cond, width),
            Insn::JumpIf {
                cond,
                width,
                src: Operand::Reg(_),
                ..
            } => JumpIfReg(cond, width),
            Insn::Call(CallTarget::Helper(_)) => CallHelper,
            Insn::Call(CallTarget::Local(_)) => CallLocal,
            Insn::Call(CallTarget::Btf(_)) => CallBtf,
            Insn::Call(CallTarget::Register(_)) => CallRegister,
            Insn::Exit => Exit,
        })
    }
}

impl WideKind {
    const fn of(imm: Imm64) -> WideKind {
        match imm {
            Imm64::Const(_) => WideKind::Const,
            Imm64::MapFd(_) => WideKind::MapFd,
            Imm64::MapValue { .. } => WideKind::MapValue,
            Imm64::Var(_) => WideKind::Var,
            Imm64::Code(_) => WideKind::Code,
            Imm64::MapIdx(_) => WideKind::MapIdx,
            Imm64::MapIdxValue { .. } => WideKind::MapIdxValue,
        }
    }
}

impl Insn {
    /// The table row that encodes this instruction; `None` when there is none, as for a
    /// sign-extending 64-bit load or the second slot of `lddw`.
    #[must_use]
    pub fn row(&self) -> Option<&'static Row> {
        row(Form::of(self)?)
    }

    /// Its conformance group; `None` when it has no encoding (see [`Insn::row`]).
    #[must_use]
    pub fn group(&self) -> Option<Group> {
        self.row().map(|row| row.group)
    }
}
