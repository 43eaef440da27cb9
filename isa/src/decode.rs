//! Bytes to instructions.
//!
//! A slot is matched against the rows of its opcode field by field: source register, offset,
//! immediate, destination. The first field that no remaining row accepts is the error, so a message
//! names one field, its value and what the table allows there. Reserved fields must be zero, as
//! RFC 9669 §3 asks of programs: a field ignored today may select another operation tomorrow.
//!
//! Invariants: whatever decodes encodes to the same bytes; no panic and at most one allocation, of
//! size proportional to the input. What is left out: jump targets and everything else that needs
//! more than one instruction; see `program`.

use crate::insn::{CallTarget, Imm64, Insn, InsnIdx, Operand, Reg, Slot};
use crate::opcode::{self, Field, Form, Row, WideKind};
use alloc::vec::Vec;
use core::fmt;

/// Decodes a whole program. The result has one entry per slot: `lddw` is followed by
/// [`Insn::Imm64High`].
///
/// # Errors
/// The first slot that is no instruction, with its position.
pub fn program(bytes: &[u8]) -> Result<Vec<Insn>, (InsnIdx, DecodeError)> {
    let (slots, rest) = bytes.as_chunks::<{ Slot::BYTES }>();
    if !rest.is_empty() {
        let error = DecodeError::Length { bytes: bytes.len() };
        return Err((index(slots.len()), error));
    }
    let mut insns = Vec::new();
    if insns.try_reserve_exact(slots.len()).is_err() {
        return Err((InsnIdx(0), DecodeError::OutOfMemory));
    }
    let mut slots = slots.iter().map(|slot| Slot::from_bytes(*slot)).peekable();
    while let Some(slot) = slots.next() {
        let at = index(insns.len());
        let decoded = insn(slot, slots.peek().copied()).map_err(|error| (at, error))?;
        insns.push(decoded);
        if matches!(decoded, Insn::LoadImm64 { .. }) && slots.next().is_some() {
            insns.push(Insn::Imm64High);
        }
    }
    Ok(insns)
}

/// Decodes one instruction; `next` is the following slot, which only `lddw` reads.
///
/// # Errors
/// When the slot is no instruction of the table.
pub fn insn(slot: Slot, next: Option<Slot>) -> Result<Insn, DecodeError> {
    let row = select(&slot)?;
    // `select` made sure of register numbers where the form has a register.
    let dst = Reg::new(slot.dst).unwrap_or(Reg::R0);
    let src = Reg::new(slot.src).unwrap_or(Reg::R0);
    let Slot { offset, imm, .. } = slot;
    Ok(match row.form {
        Form::AluImm(op, width) => Insn::Alu {
            op,
            width,
            dst,
            src: Operand::Imm(imm),
        },
        Form::AluReg(op, width) => Insn::Alu {
            op,
            width,
            dst,
            src: Operand::Reg(src),
        },
        Form::MovSx(size, width) => Insn::MovSx {
            width,
            dst,
            src,
            size,
        },
        Form::Neg(width) => Insn::Neg { width, dst },
        Form::Endian(kind, size) => Insn::Endian { kind, dst, size },
        Form::Wide(kind) => Insn::LoadImm64 {
            dst,
            imm: wide(kind, imm, next)?,
        },
        Form::Load(size) => Insn::Load {
            size,
            signed: false,
            dst,
            base: src,
            offset,
        },
        Form::LoadSx(size) => Insn::Load {
            size,
            signed: true,
            dst,
            base: src,
            offset,
        },
        Form::StoreImm(size) => Insn::Store {
            size,
            base: dst,
            offset,
            src: Operand::Imm(imm),
        },
        Form::StoreReg(size) => Insn::Store {
            size,
            base: dst,
            offset,
            src: Operand::Reg(src),
        },
        Form::Atomic(op, size) => Insn::Atomic {
            op,
            fetch: false,
            size,
            base: dst,
            offset,
            src,
        },
        Form::AtomicFetch(op, size) => Insn::Atomic {
            op,
            fetch: true,
            size,
            base: dst,
            offset,
            src,
        },
        Form::LoadAcquire(size) => Insn::LoadAcquire {
            size,
            dst,
            base: src,
            offset,
        },
        Form::StoreRelease(size) => Insn::StoreRelease {
            size,
            base: dst,
            offset,
            src,
        },
        Form::MayGoto => Insn::MayGoto { offset },
        Form::PacketAbs(size) => Insn::LoadPacket {
            size,
            index: None,
            imm,
        },
        Form::PacketInd(size) => Insn::LoadPacket {
            size,
            index: Some(src),
            imm,
        },
        Form::Jump => Insn::Jump {
            offset: i32::from(offset),
            long: false,
        },
        Form::JumpLong => Insn::Jump {
            offset: imm,
            long: true,
        },
        Form::JumpIfImm(cond, width) => Insn::JumpIf {
            cond,
            width,
            dst,
            src: Operand::Imm(imm),
            offset,
        },
        Form::JumpIfReg(cond, width) => Insn::JumpIf {
            cond,
            width,
            dst,
            src: Operand::Reg(src),
            offset,
        },
        Form::CallHelper => Insn::Call(CallTarget::Helper(imm)),
        Form::CallLocal => Insn::Call(CallTarget::Local(imm)),
        Form::CallBtf => Insn::Call(CallTarget::Btf(imm)),
        Form::CallRegister => Insn::Call(CallTarget::Register(dst)),
        Form::Exit => Insn::Exit,
    })
}

/// The row that a slot belongs to.
fn select(slot: &Slot) -> Result<&'static Row, DecodeError> {
    let rows = opcode::rows(slot.opcode);
    if let Some(row) = rows
        .iter()
        .find(|row| FieldName::ALL.iter().all(|f| f.matches(row, slot)))
    {
        return Ok(row);
    }
    if rows.is_empty() {
        return Err(DecodeError::Opcode { slot: *slot });
    }
    let wrong = FieldName::ALL.into_iter().find(|field| {
        let fits = |row: &Row| field.and_before().iter().all(|f| f.matches(row, slot));
        !rows.iter().any(fits)
    });
    // Some prefix of the fields matches no row, or the search above had succeeded.
    Err(DecodeError::Field {
        slot: *slot,
        field: wrong.unwrap_or(FieldName::Dst),
    })
}

/// Joins the immediates of the two slots of `lddw`.
fn wide(kind: WideKind, low: i32, next: Option<Slot>) -> Result<Imm64, DecodeError> {
    let Some(slot) = next else {
        return Err(DecodeError::MissingSecondSlot);
    };
    let zero = [
        (SecondField::Opcode, slot.opcode != 0),
        (SecondField::Dst, slot.dst != 0),
        (SecondField::Src, slot.src != 0),
        (SecondField::Offset, slot.offset != 0),
        (SecondField::Imm, slot.imm != 0 && !kind.uses_second()),
    ];
    if let Some((field, _)) = zero.into_iter().find(|(_, wrong)| *wrong) {
        return Err(DecodeError::SecondSlot { slot, field });
    }
    let high = slot.imm;
    Ok(match kind {
        WideKind::Const => Imm64::Const(u64::from(low as u32) | (u64::from(high as u32) << 32)),
        WideKind::MapFd => Imm64::MapFd(low),
        WideKind::MapValue => Imm64::MapValue {
            fd: low,
            offset: high,
        },
        WideKind::Var => Imm64::Var(low),
        WideKind::Code => Imm64::Code(low),
        WideKind::MapIdx => Imm64::MapIdx(low),
        WideKind::MapIdxValue => Imm64::MapIdxValue {
            index: low,
            offset: high,
        },
    })
}

fn index(at: usize) -> InsnIdx {
    InsnIdx(u32::try_from(at).unwrap_or(u32::MAX))
}

/// A field of a slot besides the opcode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldName {
    /// Source register field.
    Src,
    /// Offset field.
    Offset,
    /// Immediate field.
    Imm,
    /// Destination register field.
    Dst,
}

impl FieldName {
    /// The order of matching: fields that select an operation first.
    pub const ALL: [FieldName; 4] = [
        FieldName::Src,
        FieldName::Offset,
        FieldName::Imm,
        FieldName::Dst,
    ];

    /// What a row allows in this field.
    #[must_use]
    pub const fn of(self, row: &Row) -> Field {
        match self {
            FieldName::Src => row.src,
            FieldName::Offset => row.offset,
            FieldName::Imm => row.imm,
            FieldName::Dst => row.dst,
        }
    }

    /// What a slot holds in this field.
    #[must_use]
    pub const fn value(self, slot: &Slot) -> i32 {
        match self {
            FieldName::Src => slot.src as i32,
            FieldName::Offset => slot.offset as i32,
            FieldName::Imm => slot.imm,
            FieldName::Dst => slot.dst as i32,
        }
    }

    fn matches(self, row: &Row, slot: &Slot) -> bool {
        self.of(row).accepts(self.value(slot))
    }

    fn before(self) -> &'static [FieldName] {
        &Self::ALL[..self as usize]
    }

    fn and_before(self) -> &'static [FieldName] {
        &Self::ALL[..=self as usize]
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FieldName::Src => "source register",
            FieldName::Offset => "offset",
            FieldName::Imm => "immediate",
            FieldName::Dst => "destination register",
        })
    }
}

/// A field of the second slot of `lddw`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecondField {
    /// Opcode byte.
    Opcode,
    /// Destination register field.
    Dst,
    /// Source register field.
    Src,
    /// Offset field.
    Offset,
    /// Immediate field, where the kind of `lddw` has no use for it.
    Imm,
}

/// Why bytes are not an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// The program is not a whole number of slots.
    Length {
        /// Length of the program.
        bytes: usize,
    },
    /// No instruction has this opcode.
    Opcode {
        /// The whole slot.
        slot: Slot,
    },
    /// The opcode exists, but not with this value of a field.
    Field {
        /// The whole slot.
        slot: Slot,
        /// The field that is wrong.
        field: FieldName,
    },
    /// `lddw` is the last slot of the program.
    MissingSecondSlot,
    /// A field in the second slot of `lddw` must be zero.
    SecondSlot {
        /// The second slot.
        slot: Slot,
        /// The field that is not zero.
        field: SecondField,
    },
    /// No memory for the decoded program.
    OutOfMemory,
}

impl DecodeError {
    /// The rows that remain when all fields matched before the wrong one are taken into account:
    /// what they allow in the wrong field is what would have been accepted. Empty unless the error
    /// is [`DecodeError::Field`].
    pub fn candidates(&self) -> impl Iterator<Item = &'static Row> {
        let (slot, before) = match *self {
            DecodeError::Field { slot, field } => (Some(slot), field.before()),
            _ => (None, FieldName::Src.before()),
        };
        let rows = slot.map_or(&[][..], |slot| opcode::rows(slot.opcode));
        rows.iter()
            .filter(move |row| slot.is_none_or(|slot| before.iter().all(|f| f.matches(row, &slot))))
    }

    /// Writes what the table allows in `field`: `0`, `0 or 1`, `0, 8 or 16`, `r0 to r10`.
    fn write_allowed(&self, field: FieldName, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allowed = |row: &'static Row| field.of(row);
        let first_of =
            |at: usize, value: Field| self.candidates().take(at).all(|row| allowed(row) != value);
        let distinct = || {
            self.candidates()
                .map(allowed)
                .enumerate()
                .filter(|(at, v)| first_of(*at, *v))
                .map(|(_, v)| v)
        };
        let count = distinct().count();
        for (at, value) in distinct().enumerate() {
            f.write_str(match at {
                0 => "",
                _ if at.saturating_add(1) == count => " or ",
                _ => ", ",
            })?;
            match value {
                Field::Is(only) => write_value(field, only, f)?,
                Field::Reg => f.write_str("r0 to r10")?,
                Field::Any => f.write_str("any value")?,
            }
        }
        Ok(())
    }
}

/// Immediates that select an operation are written in hexadecimal in the RFC, offsets in decimal.
fn write_value(field: FieldName, value: i32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match field {
        FieldName::Imm => write!(f, "{value:#x}"),
        _ => write!(f, "{value}"),
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            DecodeError::Length { bytes } => {
                write!(
                    f,
                    "program of {bytes} bytes is not a whole number of 8-byte slots"
                )
            }
            DecodeError::Opcode { slot } | DecodeError::Field { slot, .. }
                if opcode::extension(&slot).is_some() =>
            {
                let name = opcode::extension(&slot).unwrap_or_default();
                write!(
                    f,
                    "opcode {:#04x} ({name}) is not part of RFC 9669 and not supported",
                    slot.opcode
                )
            }
            DecodeError::Opcode { slot } => {
                write!(f, "opcode {:#04x} is not an instruction", slot.opcode)
            }
            DecodeError::Field { slot, field } => {
                write!(f, "opcode {:#04x}", slot.opcode)?;
                if let Some(row) = self.candidates().next() {
                    write!(f, " ({})", row.mnemonic)?;
                }
                write!(f, ": {field} field is ")?;
                write_value(field, field.value(&slot), f)?;
                f.write_str(", must be ")?;
                self.write_allowed(field, f)
            }
            DecodeError::MissingSecondSlot => f.write_str(
                "opcode 0x18 (lddw) takes two slots, but the program ends after the first",
            ),
            DecodeError::SecondSlot { slot, field } => {
                let (name, value) = match field {
                    SecondField::Opcode => ("opcode", i32::from(slot.opcode)),
                    SecondField::Dst => ("destination register", i32::from(slot.dst)),
                    SecondField::Src => ("source register", i32::from(slot.src)),
                    SecondField::Offset => ("offset", i32::from(slot.offset)),
                    SecondField::Imm => ("immediate", slot.imm),
                };
                write!(
                    f,
                    "second slot of lddw: {name} field is {value:#x}, must be 0"
                )
            }
            DecodeError::OutOfMemory => f.write_str("no memory for the decoded program"),
        }
    }
}

impl core::error::Error for DecodeError {}
