//! Raw slots to instructions; reserved fields must be zero (RFC 9669 §3).

use crate::insn::{
    AluOp, AtomicOp, CallTarget, Cond, Endian, Imm64, Insn, InsnIdx, Operand, Reg, Size, Slot,
    Width,
};
use alloc::vec::Vec;
use core::fmt;

/// Why a slot is no instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DecodeError {
    /// No instruction has this opcode byte.
    UnknownOpcode(u8),
    /// A register field above 10.
    BadRegister(u8),
    /// A field that this opcode reserves is not zero, or holds a value that names no operation.
    BadField {
        /// Opcode byte.
        opcode: u8,
        /// `dst`, `src`, `offset` or `imm`.
        field: &'static str,
        /// Its value.
        value: i32,
    },
    /// `lddw` without its second slot.
    TruncatedImm64,
    /// The length is not a multiple of 8 bytes; the value is what is left over.
    PartialSlot(usize),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::UnknownOpcode(opcode) => write!(f, "unknown opcode {opcode:#04x}"),
            DecodeError::BadRegister(number) => write!(f, "register r{number}, expected r0 to r10"),
            DecodeError::BadField {
                opcode,
                field,
                value,
            } => {
                write!(
                    f,
                    "{field} field is {value} where opcode {opcode:#04x} does not allow it"
                )
            }
            DecodeError::TruncatedImm64 => write!(f, "lddw without its second slot"),
            DecodeError::PartialSlot(bytes) => {
                write!(f, "{bytes} bytes left over, expected slots of 8")
            }
        }
    }
}

/// Decodes a program; `lddw` is followed by [`Insn::Imm64High`].
///
/// # Errors
/// The position and reason of the first slot that is no instruction.
pub fn program(bytes: &[u8]) -> Result<Vec<Insn>, (InsnIdx, DecodeError)> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let mut insns = Vec::with_capacity(chunks.len());
    while insns.len() < chunks.len() {
        let at = insns.len();
        let slot = Slot::from_bytes(chunks[at]);
        let next = chunks.get(at + 1).map(|bytes| Slot::from_bytes(*bytes));
        let decoded = insn(slot, next).map_err(|error| (InsnIdx(at as u32), error))?;
        insns.push(decoded);
        if decoded.slots() == 2 {
            insns.push(Insn::Imm64High);
        }
    }
    match rest.len() {
        0 => Ok(insns),
        left => Err((InsnIdx(insns.len() as u32), DecodeError::PartialSlot(left))),
    }
}

/// Decodes one instruction; `next` is the following slot, which `lddw` needs.
///
/// # Errors
/// What is wrong with the slot.
pub fn insn(slot: Slot, next: Option<Slot>) -> Result<Insn, DecodeError> {
    match slot.opcode & 7 {
        0 => load_imm(slot, next),
        1 => load(slot),
        2 | 3 => store(slot),
        4 => alu(slot, Width::W32),
        7 => alu(slot, Width::W64),
        5 => jump(slot, Width::W64),
        _ => jump(slot, Width::W32),
    }
}

fn reg(number: u8) -> Result<Reg, DecodeError> {
    Reg::new(number).ok_or(DecodeError::BadRegister(number))
}

fn bad(slot: Slot, field: &'static str, value: i32) -> DecodeError {
    DecodeError::BadField {
        opcode: slot.opcode,
        field,
        value,
    }
}

fn zero(slot: Slot, fields: &[&'static str]) -> Result<(), DecodeError> {
    for field in fields {
        let value = match *field {
            "dst" => i32::from(slot.dst),
            "src" => i32::from(slot.src),
            "offset" => i32::from(slot.offset),
            _ => slot.imm,
        };
        if value != 0 {
            return Err(bad(slot, field, value));
        }
    }
    Ok(())
}

fn size(opcode: u8) -> Size {
    match opcode & 0x18 {
        0x00 => Size::W,
        0x08 => Size::H,
        0x10 => Size::B,
        _ => Size::Dw,
    }
}

fn load_imm(slot: Slot, next: Option<Slot>) -> Result<Insn, DecodeError> {
    match slot.opcode {
        0x18 => load_imm64(slot, next),
        0x20 | 0x28 | 0x30 => {
            zero(slot, &["dst", "src", "offset"])?;
            Ok(Insn::LoadPacket {
                size: size(slot.opcode),
                index: None,
                imm: slot.imm,
            })
        }
        0x40 | 0x48 | 0x50 => {
            zero(slot, &["dst", "offset"])?;
            Ok(Insn::LoadPacket {
                size: size(slot.opcode),
                index: Some(reg(slot.src)?),
                imm: slot.imm,
            })
        }
        other => Err(DecodeError::UnknownOpcode(other)),
    }
}

fn load_imm64(slot: Slot, next: Option<Slot>) -> Result<Insn, DecodeError> {
    let dst = reg(slot.dst)?;
    zero(slot, &["offset"])?;
    let high = next.ok_or(DecodeError::TruncatedImm64)?;
    if high.opcode != 0 {
        return Err(DecodeError::TruncatedImm64);
    }
    zero(high, &["dst", "src", "offset"])?;
    let only = |imm: Imm64| {
        if high.imm == 0 {
            Ok(imm)
        } else {
            Err(bad(high, "imm", high.imm))
        }
    };
    let imm = match slot.src {
        0 => Imm64::Const(u64::from(slot.imm as u32) | u64::from(high.imm as u32) << 32),
        1 => only(Imm64::MapFd(slot.imm))?,
        2 => Imm64::MapValue {
            fd: slot.imm,
            offset: high.imm,
        },
        3 => only(Imm64::Var(slot.imm))?,
        4 => only(Imm64::Code(slot.imm))?,
        5 => only(Imm64::MapIdx(slot.imm))?,
        6 => Imm64::MapIdxValue {
            index: slot.imm,
            offset: high.imm,
        },
        src => return Err(bad(slot, "src", i32::from(src))),
    };
    Ok(Insn::LoadImm64 { dst, imm })
}

fn load(slot: Slot) -> Result<Insn, DecodeError> {
    let (dst, base) = (reg(slot.dst)?, reg(slot.src)?);
    zero(slot, &["imm"])?;
    let (size, offset) = (size(slot.opcode), slot.offset);
    match slot.opcode & 0xe0 {
        0x60 => Ok(Insn::Load {
            size,
            signed: false,
            dst,
            base,
            offset,
        }),
        0x80 if size != Size::Dw => Ok(Insn::Load {
            size,
            signed: true,
            dst,
            base,
            offset,
        }),
        _ => Err(DecodeError::UnknownOpcode(slot.opcode)),
    }
}

fn store(slot: Slot) -> Result<Insn, DecodeError> {
    let size = size(slot.opcode);
    let (immediate, mode) = (slot.opcode & 7 == 2, slot.opcode & 0xe0);
    match (immediate, mode, size) {
        (true, 0x60, _) => {
            zero(slot, &["src"])?;
            Ok(Insn::Store {
                size,
                base: reg(slot.dst)?,
                offset: slot.offset,
                src: Operand::Imm(slot.imm),
            })
        }
        (false, 0x60, _) => {
            zero(slot, &["imm"])?;
            let src = Operand::Reg(reg(slot.src)?);
            Ok(Insn::Store {
                size,
                base: reg(slot.dst)?,
                offset: slot.offset,
                src,
            })
        }
        (false, 0xc0, Size::W | Size::Dw) => atomic(slot, size),
        _ => Err(DecodeError::UnknownOpcode(slot.opcode)),
    }
}

fn atomic(slot: Slot, size: Size) -> Result<Insn, DecodeError> {
    let (op, fetch) = match slot.imm {
        0x00 => (AtomicOp::Add, false),
        0x01 => (AtomicOp::Add, true),
        0x40 => (AtomicOp::Or, false),
        0x41 => (AtomicOp::Or, true),
        0x50 => (AtomicOp::And, false),
        0x51 => (AtomicOp::And, true),
        0xa0 => (AtomicOp::Xor, false),
        0xa1 => (AtomicOp::Xor, true),
        0xe1 => (AtomicOp::Xchg, true),
        0xf1 => (AtomicOp::CmpXchg, true),
        other => return Err(bad(slot, "imm", other)),
    };
    let (base, src) = (reg(slot.dst)?, reg(slot.src)?);
    Ok(Insn::Atomic {
        op,
        fetch,
        size,
        base,
        offset: slot.offset,
        src,
    })
}

fn operand(slot: Slot) -> Result<Operand, DecodeError> {
    if slot.opcode & 8 != 0 {
        zero(slot, &["imm"])?;
        Ok(Operand::Reg(reg(slot.src)?))
    } else {
        zero(slot, &["src"])?;
        Ok(Operand::Imm(slot.imm))
    }
}

fn alu(slot: Slot, width: Width) -> Result<Insn, DecodeError> {
    let dst = reg(slot.dst)?;
    let code = slot.opcode & 0xf0;
    match code {
        0x80 if slot.opcode & 8 == 0 => {
            zero(slot, &["src", "offset", "imm"])?;
            return Ok(Insn::Neg { width, dst });
        }
        0xd0 => return endian(slot, width, dst),
        0xb0 if slot.offset != 0 && slot.opcode & 8 != 0 => return mov_sx(slot, width, dst),
        _ => {}
    }
    let op = match (code, slot.offset) {
        (0x00, 0) => AluOp::Add,
        (0x10, 0) => AluOp::Sub,
        (0x20, 0) => AluOp::Mul,
        (0x30, 0) => AluOp::Div,
        (0x30, 1) => AluOp::SDiv,
        (0x40, 0) => AluOp::Or,
        (0x50, 0) => AluOp::And,
        (0x60, 0) => AluOp::Lsh,
        (0x70, 0) => AluOp::Rsh,
        (0x90, 0) => AluOp::Mod,
        (0x90, 1) => AluOp::SMod,
        (0xa0, 0) => AluOp::Xor,
        (0xb0, 0) => AluOp::Mov,
        (0xc0, 0) => AluOp::Arsh,
        (0x80 | 0xe0 | 0xf0, _) => return Err(DecodeError::UnknownOpcode(slot.opcode)),
        (_, offset) => return Err(bad(slot, "offset", i32::from(offset))),
    };
    Ok(Insn::Alu {
        op,
        width,
        dst,
        src: operand(slot)?,
    })
}

fn mov_sx(slot: Slot, width: Width, dst: Reg) -> Result<Insn, DecodeError> {
    zero(slot, &["imm"])?;
    let size = match (slot.offset, width) {
        (8, _) => Size::B,
        (16, _) => Size::H,
        (32, Width::W64) => Size::W,
        (other, _) => return Err(bad(slot, "offset", i32::from(other))),
    };
    Ok(Insn::MovSx {
        width,
        dst,
        src: reg(slot.src)?,
        size,
    })
}

fn endian(slot: Slot, width: Width, dst: Reg) -> Result<Insn, DecodeError> {
    zero(slot, &["src", "offset"])?;
    let kind = match (width, slot.opcode & 8) {
        (Width::W32, 0) => Endian::ToLittle,
        (Width::W32, _) => Endian::ToBig,
        (Width::W64, 0) => Endian::Swap,
        (Width::W64, _) => return Err(DecodeError::UnknownOpcode(slot.opcode)),
    };
    let size = match slot.imm {
        16 => Size::H,
        32 => Size::W,
        64 => Size::Dw,
        other => return Err(bad(slot, "imm", other)),
    };
    Ok(Insn::Endian { kind, dst, size })
}

fn jump(slot: Slot, width: Width) -> Result<Insn, DecodeError> {
    let cond = match slot.opcode & 0xf0 {
        0x00 => return unconditional(slot, width),
        0x80 if width == Width::W64 => return call(slot),
        0x90 if slot.opcode == 0x95 => {
            zero(slot, &["dst", "src", "offset", "imm"])?;
            return Ok(Insn::Exit);
        }
        0x10 => Cond::Eq,
        0x20 => Cond::Gt,
        0x30 => Cond::Ge,
        0x40 => Cond::Set,
        0x50 => Cond::Ne,
        0x60 => Cond::Sgt,
        0x70 => Cond::Sge,
        0xa0 => Cond::Lt,
        0xb0 => Cond::Le,
        0xc0 => Cond::Slt,
        0xd0 => Cond::Sle,
        _ => return Err(DecodeError::UnknownOpcode(slot.opcode)),
    };
    Ok(Insn::JumpIf {
        cond,
        width,
        dst: reg(slot.dst)?,
        src: operand(slot)?,
        offset: slot.offset,
    })
}

fn unconditional(slot: Slot, width: Width) -> Result<Insn, DecodeError> {
    match (slot.opcode, width) {
        (0x05, _) => {
            zero(slot, &["dst", "src", "imm"])?;
            Ok(Insn::Jump {
                offset: i32::from(slot.offset),
                long: false,
            })
        }
        (0x06, _) => {
            zero(slot, &["dst", "src", "offset"])?;
            Ok(Insn::Jump {
                offset: slot.imm,
                long: true,
            })
        }
        (other, _) => Err(DecodeError::UnknownOpcode(other)),
    }
}

fn call(slot: Slot) -> Result<Insn, DecodeError> {
    if slot.opcode == 0x8d {
        return call_register(slot);
    }
    zero(slot, &["dst", "offset"])?;
    let target = match slot.src {
        0 => CallTarget::Helper(slot.imm),
        1 => CallTarget::Local(slot.imm),
        2 => CallTarget::Btf(slot.imm),
        src => return Err(bad(slot, "src", i32::from(src))),
    };
    Ok(Insn::Call(target))
}

/// clang puts the register into dst; older versions put it into the immediate.
fn call_register(slot: Slot) -> Result<Insn, DecodeError> {
    zero(slot, &["src", "offset"])?;
    match (slot.dst, slot.imm) {
        (dst, 0) => Ok(Insn::Call(CallTarget::Register(reg(dst)?))),
        (0, imm) => {
            let number = u8::try_from(imm).map_err(|_| bad(slot, "imm", imm))?;
            Ok(Insn::Call(CallTarget::Register(reg(number)?)))
        }
        (_, imm) => Err(bad(slot, "imm", imm)),
    }
}
