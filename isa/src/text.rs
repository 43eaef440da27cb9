//! Instructions as text, in the C-like notation of clang and bpftool.
//!
//! What is printed assembles back to the same instruction ([`crate::asm`]); immediates and offsets
//! are decimal, `lddw` constants above 16 bits hexadecimal. Relocated `lddw` kinds and BTF calls
//! have no notation in clang; ours name the kind: `r1 = map_fd(3) ll`, `call btf(7)`.

use crate::insn::{
    AluOp, AtomicOp, CallTarget, Cond, Endian, Imm64, Insn, Operand, Reg, Size, Width,
};
use core::fmt;

impl fmt::Display for Insn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Insn::Alu {
                op,
                width,
                dst,
                src,
            } => {
                write!(
                    f,
                    "{} {} {}",
                    Sub(width, dst),
                    op.symbol(),
                    SubOperand(width, src)
                )
            }
            Insn::MovSx {
                width,
                dst,
                src,
                size,
            } => {
                write!(
                    f,
                    "{} = (s{}){}",
                    Sub(width, dst),
                    size.bits(),
                    Sub(width, src)
                )
            }
            Insn::Neg { width, dst } => write!(f, "{0} = -{0}", Sub(width, dst)),
            Insn::Endian { kind, dst, size } => {
                write!(f, "{dst} = {}{} {dst}", kind.name(), size.bits())
            }
            Insn::LoadImm64 { dst, imm } => write!(f, "{dst} = {imm} ll"),
            Insn::Imm64High => f.write_str("; second slot of lddw"),
            Insn::Load {
                size,
                signed,
                dst,
                base,
                offset,
            } => write!(
                f,
                "{dst} = *({} *){}",
                Int(size, signed),
                Address(base, offset)
            ),
            Insn::Store {
                size,
                base,
                offset,
                src,
            } => {
                write!(f, "*(u{} *){} = {src}", size.bits(), Address(base, offset))
            }
            Insn::Atomic {
                op,
                fetch,
                size,
                base,
                offset,
                src,
            } => write_atomic(f, (op, fetch, size), Address(base, offset), src),
            Insn::LoadAcquire {
                size,
                dst,
                base,
                offset,
            } => {
                let (dst, bits) = (Sub(of_size(size), dst), size.bits());
                write!(
                    f,
                    "{dst} = load_acquire((u{bits} *){})",
                    Address(base, offset)
                )
            }
            Insn::StoreRelease {
                size,
                base,
                offset,
                src,
            } => {
                let (src, bits) = (Sub(of_size(size), src), size.bits());
                write!(
                    f,
                    "store_release((u{bits} *){}, {src})",
                    Address(base, offset)
                )
            }
            Insn::MayGoto { offset } => write!(f, "may_goto {offset:+}"),
            Insn::LoadPacket {
                size,
                index: None,
                imm,
            } => {
                write!(f, "r0 = *(u{} *)skb[{imm}]", size.bits())
            }
            Insn::LoadPacket {
                size,
                index: Some(reg),
                imm,
            } => {
                write!(f, "r0 = *(u{} *)skb[{reg}{}]", size.bits(), Plus(imm))
            }
            Insn::Jump {
                offset,
                long: false,
            } => write!(f, "goto {offset:+}"),
            Insn::Jump { offset, long: true } => write!(f, "gotol {offset:+}"),
            Insn::JumpIf {
                cond,
                width,
                dst,
                src,
                offset,
            } => {
                let (a, b) = (Sub(width, dst), SubOperand(width, src));
                write!(f, "if {a} {} {b} goto {offset:+}", cond.symbol())
            }
            Insn::Call(target) => target.fmt(f),
            Insn::Exit => f.write_str("exit"),
        }
    }
}

/// Atomics without result are assignments under `lock`; the others are functions.
fn write_atomic(
    f: &mut fmt::Formatter<'_>,
    (op, fetch, size): (AtomicOp, bool, Size),
    address: Address,
    src: Reg,
) -> fmt::Result {
    let bits = size.bits();
    let width = of_size(size);
    let (src, result) = (Sub(width, src), Sub(width, Reg::R0));
    // clang marks the 32-bit forms of these two twice.
    let mark = if bits == 32 { "32" } else { "" };
    let Address(base, offset) = address;
    let inner = Plus0(base, offset);
    match (op, fetch) {
        (AtomicOp::Xchg, _) => write!(f, "{src} = xchg{mark}_{bits}({inner}, {src})"),
        (AtomicOp::CmpXchg, _) => {
            write!(
                f,
                "{result} = cmpxchg{mark}_{bits}({inner}, {result}, {src})"
            )
        }
        (_, true) => {
            let name = op.name();
            write!(
                f,
                "{src} = atomic_fetch_{name}((u{bits} *){address}, {src})"
            )
        }
        (_, false) => write!(f, "lock *(u{bits} *){address} {} {src}", op.symbol()),
    }
}

/// The width of the register name that an access of a size has.
const fn of_size(size: Size) -> Width {
    match size {
        Size::Dw => Width::W64,
        _ => Width::W32,
    }
}

/// A register by its name at a width: `r1` or `w1`.
struct Sub(Width, Reg);

impl fmt::Display for Sub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.0 {
            Width::W32 => 'w',
            Width::W64 => 'r',
        };
        write!(f, "{letter}{}", self.1.number())
    }
}

struct SubOperand(Width, Operand);

impl fmt::Display for SubOperand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Operand::Reg(reg) => Sub(self.0, reg).fmt(f),
            Operand::Imm(imm) => imm.fmt(f),
        }
    }
}

/// A type of memory: `u8`, `s32`.
struct Int(Size, bool);

impl fmt::Display for Int {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.1 { 's' } else { 'u' };
        write!(f, "{sign}{}", self.0.bits())
    }
}

/// `(r1 + 8)`
#[derive(Clone, Copy)]
struct Address(Reg, i16);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({})", Plus0(self.0, self.1))
    }
}

/// `r1 + 8`, `r1 - 8`, `r1 + 0`
struct Plus0(Reg, i16);

impl fmt::Display for Plus0 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.1 < 0 { '-' } else { '+' };
        write!(f, "{} {sign} {}", self.0, self.1.unsigned_abs())
    }
}

/// ` + 8`, ` - 8`, nothing for zero.
struct Plus(i32);

impl fmt::Display for Plus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            negative if negative < 0 => write!(f, " - {}", negative.unsigned_abs()),
            positive => write!(f, " + {positive}"),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SubOperand(Width::W64, *self).fmt(f)
    }
}

impl fmt::Display for Imm64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Imm64::Const(value) if value <= 0xffff => write!(f, "{value}"),
            Imm64::Const(value) => write!(f, "{value:#x}"),
            Imm64::MapFd(fd) => write!(f, "map_fd({fd})"),
            Imm64::MapValue { fd, offset } => write!(f, "map_value({fd}, {offset})"),
            Imm64::Var(id) => write!(f, "var({id})"),
            Imm64::Code(offset) => write!(f, "code({offset:+})"),
            Imm64::MapIdx(index) => write!(f, "map_idx({index})"),
            Imm64::MapIdxValue { index, offset } => write!(f, "map_idx_value({index}, {offset})"),
        }
    }
}

impl fmt::Display for CallTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            CallTarget::Helper(id) => write!(f, "call {id}"),
            CallTarget::Local(offset) => write!(f, "call pc{offset:+}"),
            CallTarget::Btf(id) => write!(f, "call btf({id})"),
            CallTarget::Register(reg) => write!(f, "callx {reg}"),
        }
    }
}

impl AluOp {
    /// The assignment operator: `+=`, `s/=`, `=`.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            AluOp::Add => "+=",
            AluOp::Sub => "-=",
            AluOp::Mul => "*=",
            AluOp::Div => "/=",
            AluOp::SDiv => "s/=",
            AluOp::Or => "|=",
            AluOp::And => "&=",
            AluOp::Lsh => "<<=",
            AluOp::Rsh => ">>=",
            AluOp::Mod => "%=",
            AluOp::SMod => "s%=",
            AluOp::Xor => "^=",
            AluOp::Mov => "=",
            AluOp::Arsh => "s>>=",
        }
    }
}

impl Cond {
    /// The comparison operator: `==`, `s>`, `&`.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Cond::Eq => "==",
            Cond::Gt => ">",
            Cond::Ge => ">=",
            Cond::Set => "&",
            Cond::Ne => "!=",
            Cond::Sgt => "s>",
            Cond::Sge => "s>=",
            Cond::Lt => "<",
            Cond::Le => "<=",
            Cond::Slt => "s<",
            Cond::Sle => "s<=",
        }
    }
}

impl Endian {
    /// Its name without the size: `le`, `be`, `bswap`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Endian::ToLittle => "le",
            Endian::ToBig => "be",
            Endian::Swap => "bswap",
        }
    }
}

impl AtomicOp {
    /// Its name: `add`, `cmpxchg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            AtomicOp::Add => "add",
            AtomicOp::Or => "or",
            AtomicOp::And => "and",
            AtomicOp::Xor => "xor",
            AtomicOp::Xchg => "xchg",
            AtomicOp::CmpXchg => "cmpxchg",
        }
    }

    /// Operator of the form that forgets the old value; the exchanges have none and print `=`.
    const fn symbol(self) -> &'static str {
        match self {
            AtomicOp::Add => "+=",
            AtomicOp::Or => "|=",
            AtomicOp::And => "&=",
            AtomicOp::Xor => "^=",
            AtomicOp::Xchg | AtomicOp::CmpXchg => "=",
        }
    }
}
