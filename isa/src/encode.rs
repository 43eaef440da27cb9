//! Instructions to bytes, the inverse of [`crate::decode`].
//!
//! The table row of the instruction's form supplies every fixed field; the instruction supplies the
//! operands. Some values of [`Insn`] have no encoding (an 8-bit atomic, a short jump over more than
//! 32767 slots); they are errors here rather than impossible types, because the types are shared
//! with passes that build instructions piecewise.

use crate::insn::{CallTarget, Imm64, Insn, InsnIdx, Operand, Reg, Slot};
use crate::opcode::Field;
use alloc::vec::Vec;
use core::fmt;

/// Encodes a whole program. Takes one entry per slot, as [`crate::decode::program`] returns it.
///
/// # Errors
/// An instruction without encoding, or `lddw` and [`Insn::Imm64High`] not in pairs.
pub fn program(insns: &[Insn]) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    let len = insns.len().saturating_mul(Slot::BYTES);
    let fail = |at: usize, kind| EncodeError {
        at: index(at),
        kind,
    };
    bytes
        .try_reserve_exact(len)
        .map_err(|_| fail(0, EncodeErrorKind::OutOfMemory))?;
    let mut expect_high = false;
    for (at, next) in insns.iter().enumerate() {
        match (expect_high, matches!(next, Insn::Imm64High)) {
            (true, false) => return Err(fail(at, EncodeErrorKind::MissingSecondSlot)),
            (false, true) => return Err(fail(at, EncodeErrorKind::StraySecondSlot)),
            (true, true) => expect_high = false,
            (false, false) => {
                let encoded = insn(next).map_err(|kind| fail(at, kind))?;
                expect_high = encoded.second.is_some();
                encoded
                    .slots()
                    .for_each(|slot| bytes.extend_from_slice(&slot.to_bytes()));
            }
        }
    }
    if expect_high {
        return Err(fail(insns.len(), EncodeErrorKind::MissingSecondSlot));
    }
    Ok(bytes)
}

/// Encodes one instruction: two slots for `lddw`, one otherwise.
///
/// # Errors
/// When the instruction has no encoding.
pub fn insn(insn: &Insn) -> Result<Encoded, EncodeErrorKind> {
    let row = insn
        .row()
        .ok_or(EncodeErrorKind::NoEncoding { insn: *insn })?;
    let (mut first, high) = operands(insn)?;
    first.opcode = row.opcode;
    if let Field::Is(only) = row.dst {
        first.dst = only as u8;
    }
    if let Field::Is(only) = row.src {
        first.src = only as u8;
    }
    if let Field::Is(only) = row.offset {
        first.offset = only as i16;
    }
    if let Field::Is(only) = row.imm {
        first.imm = only;
    }
    let second = high.map(|imm| Slot {
        imm,
        ..Slot::default()
    });
    Ok(Encoded { first, second })
}

/// The fields that the instruction itself determines, and the immediate of a second slot.
fn operands(insn: &Insn) -> Result<(Slot, Option<i32>), EncodeErrorKind> {
    let zero = Slot::default();
    Ok((
        match *insn {
            Insn::Alu { dst, src, .. } => Slot {
                dst: dst.number(),
                ..operand(src)
            },
            Insn::MovSx { dst, src, .. } => Slot {
                dst: dst.number(),
                src: src.number(),
                ..zero
            },
            Insn::Neg { dst, .. } | Insn::Endian { dst, .. } => Slot {
                dst: dst.number(),
                ..zero
            },
            Insn::LoadImm64 { dst, imm } => {
                let (low, high) = wide(imm);
                return Ok((
                    Slot {
                        dst: dst.number(),
                        imm: low,
                        ..zero
                    },
                    Some(high),
                ));
            }
            Insn::Load {
                dst, base, offset, ..
            } => Slot {
                dst: dst.number(),
                src: base.number(),
                offset,
                ..zero
            },
            Insn::Store {
                base, offset, src, ..
            } => Slot {
                dst: base.number(),
                offset,
                ..operand(src)
            },
            Insn::Atomic {
                base, offset, src, ..
            } => Slot {
                dst: base.number(),
                src: src.number(),
                offset,
                ..zero
            },
            Insn::LoadAcquire {
                dst, base, offset, ..
            } => Slot {
                dst: dst.number(),
                src: base.number(),
                offset,
                ..zero
            },
            Insn::StoreRelease {
                base, offset, src, ..
            } => Slot {
                dst: base.number(),
                src: src.number(),
                offset,
                ..zero
            },
            Insn::MayGoto { offset } => Slot { offset, ..zero },
            Insn::LoadPacket { index, imm, .. } => Slot {
                src: index.map_or(0, Reg::number),
                imm,
                ..zero
            },
            Insn::Jump { offset, long: true } => Slot {
                imm: offset,
                ..zero
            },
            Insn::Jump {
                offset,
                long: false,
            } => Slot {
                offset: short(offset)?,
                ..zero
            },
            Insn::JumpIf {
                dst, src, offset, ..
            } => Slot {
                dst: dst.number(),
                offset,
                ..operand(src)
            },
            Insn::Call(CallTarget::Register(reg)) => Slot {
                dst: reg.number(),
                ..zero
            },
            Insn::Call(CallTarget::Helper(imm) | CallTarget::Local(imm) | CallTarget::Btf(imm)) => {
                Slot { imm, ..zero }
            }
            Insn::Exit | Insn::Imm64High => zero,
        },
        None,
    ))
}

fn operand(src: Operand) -> Slot {
    match src {
        Operand::Reg(reg) => Slot {
            src: reg.number(),
            ..Slot::default()
        },
        Operand::Imm(imm) => Slot {
            imm,
            ..Slot::default()
        },
    }
}

fn short(offset: i32) -> Result<i16, EncodeErrorKind> {
    i16::try_from(offset).map_err(|_| EncodeErrorKind::JumpTooFar { offset })
}

/// The immediates of the two slots of `lddw`.
const fn wide(imm: Imm64) -> (i32, i32) {
    match imm {
        Imm64::Const(value) => (value as i32, (value >> 32) as i32),
        Imm64::MapValue { fd, offset } => (fd, offset),
        Imm64::MapIdxValue { index, offset } => (index, offset),
        Imm64::MapFd(low) | Imm64::Var(low) | Imm64::Code(low) | Imm64::MapIdx(low) => (low, 0),
    }
}

fn index(at: usize) -> InsnIdx {
    InsnIdx(u32::try_from(at).unwrap_or(u32::MAX))
}

/// The slots of one instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Encoded {
    /// First slot.
    pub first: Slot,
    /// Second slot, only of `lddw`.
    pub second: Option<Slot>,
}

impl Encoded {
    /// The slots in order.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        core::iter::once(self.first).chain(self.second)
    }
}

/// Why a program cannot be encoded, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EncodeError {
    /// The slot.
    pub at: InsnIdx,
    /// The reason.
    pub kind: EncodeErrorKind,
}

/// Why an instruction cannot be encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EncodeErrorKind {
    /// No row of the table has this form.
    NoEncoding {
        /// The instruction.
        insn: Insn,
    },
    /// A `goto` over more slots than its 16-bit field can say; `gotol` could.
    JumpTooFar {
        /// The offset.
        offset: i32,
    },
    /// `lddw` without [`Insn::Imm64High`] behind it.
    MissingSecondSlot,
    /// [`Insn::Imm64High`] without `lddw` before it.
    StraySecondSlot,
    /// No memory for the bytes.
    OutOfMemory,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.kind)
    }
}

impl fmt::Display for EncodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeErrorKind::NoEncoding { insn } => write!(f, "no encoding exists for {insn:?}"),
            EncodeErrorKind::JumpTooFar { offset } => {
                write!(f, "goto {offset:+} does not fit 16 bits; gotol has 32")
            }
            EncodeErrorKind::MissingSecondSlot => {
                f.write_str("lddw is not followed by its second slot")
            }
            EncodeErrorKind::StraySecondSlot => f.write_str("second slot of lddw without a first"),
            EncodeErrorKind::OutOfMemory => f.write_str("no memory for the encoded program"),
        }
    }
}

impl core::error::Error for EncodeError {}
