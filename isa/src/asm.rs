//! Assembler: text in the notation that [`Insn`] prints to instructions, with labels and comments.
//!
//! ```text
//!     r0 = 1
//!     if r1 > 5 goto out      # comments start with ; or # or //
//!     call square             # call of a function in this program
//! out:
//!     exit
//! ```
//!
//! One instruction per line, after any number of labels. A jump names a label or a signed offset in
//! slots (`goto +2`); `call 1` is a helper, `call name` a function of this program. Immediates of
//! 32-bit operations may be written signed or as the unsigned bit pattern; 64-bit operations
//! sign-extend theirs, so `r1 = 0xffffffff` is refused rather than made into -1.
//!
//! Invariants: everything [`Insn`] prints is read back as the same instruction; every result has an
//! encoding. What is left out: sections, symbols and data, which belong to object files.

mod cursor;
mod parse;
mod token;

use crate::insn::{CallTarget, Imm64, Insn, InsnIdx};
use alloc::{borrow::ToOwned, collections::BTreeMap, string::String, vec::Vec};
use core::fmt;
use cursor::{LabelRef, Line};

/// Assembles a program. `lddw` is followed by [`Insn::Imm64High`], as the decoder has it.
///
/// # Errors
/// The first mistake, with line and column.
pub fn assemble(text: &str) -> Result<Vec<Insn>, AsmError> {
    let mut labels = BTreeMap::new();
    let mut statements = Vec::new();
    let mut slots = 0u32;
    for (number, line) in (1u32..).zip(text.lines()) {
        let mut line = Line::new(number, line)?;
        while let Some((name, column)) = line.label() {
            let label = Label {
                at: InsnIdx(slots),
                line: number,
            };
            if let Some(first) = labels.insert(name, label) {
                let kind = AsmErrorKind::DuplicateLabel {
                    name: name.to_owned(),
                    first_line: first.line,
                };
                return Err(AsmError {
                    line: number,
                    column,
                    kind,
                });
            }
        }
        if let Some((insn, reference)) = line.statement()? {
            statements.push(Statement {
                insn,
                at: InsnIdx(slots),
                line: number,
                reference,
            });
            slots = slots.saturating_add(insn.slots());
        }
    }
    let mut insns = Vec::with_capacity(statements.len());
    for statement in statements {
        let insn = statement.resolve(&labels)?;
        insns.push(insn);
        insns.extend((insn.slots() == 2).then_some(Insn::Imm64High));
    }
    Ok(insns)
}

struct Label {
    at: InsnIdx,
    line: u32,
}

/// One instruction, its jump still open when it names a label.
struct Statement<'t> {
    insn: Insn,
    at: InsnIdx,
    line: u32,
    reference: Option<LabelRef<'t>>,
}

impl Statement<'_> {
    fn resolve(&self, labels: &BTreeMap<&str, Label>) -> Result<Insn, AsmError> {
        let Some(LabelRef { name, column }) = self.reference else {
            return Ok(self.insn);
        };
        let fail = |kind| AsmError {
            line: self.line,
            column,
            kind,
        };
        let label = labels.get(name).ok_or_else(|| {
            fail(AsmErrorKind::UnknownLabel {
                name: name.to_owned(),
            })
        })?;
        let from = i64::from(self.at.0).saturating_add(1);
        let offset = i64::from(label.at.0).saturating_sub(from);
        with_offset(self.insn, offset).ok_or_else(|| fail(AsmErrorKind::JumpTooFar { offset }))
    }
}

/// Puts the offset of a resolved label into the instruction that names it.
fn with_offset(insn: Insn, offset: i64) -> Option<Insn> {
    let wide = i32::try_from(offset).ok()?;
    let narrow = i16::try_from(offset).ok();
    Some(match insn {
        Insn::Jump { long: false, .. } => Insn::Jump {
            offset: i32::from(narrow?),
            long: false,
        },
        Insn::Jump { long: true, .. } => Insn::Jump {
            offset: wide,
            long: true,
        },
        Insn::JumpIf {
            cond,
            width,
            dst,
            src,
            ..
        } => Insn::JumpIf {
            cond,
            width,
            dst,
            src,
            offset: narrow?,
        },
        Insn::MayGoto { .. } => Insn::MayGoto { offset: narrow? },
        Insn::Call(CallTarget::Local(_)) => Insn::Call(CallTarget::Local(wide)),
        Insn::LoadImm64 {
            dst,
            imm: Imm64::Code(_),
        } => Insn::LoadImm64 {
            dst,
            imm: Imm64::Code(wide),
        },
        other => other,
    })
}

/// A mistake in assembler text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AsmError {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong there.
    pub kind: AsmErrorKind,
}

/// What is wrong in assembler text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AsmErrorKind {
    /// A character that begins no token.
    Character(char),
    /// Something else was expected.
    Expected {
        /// What could stand here.
        expected: &'static str,
        /// What stands here; empty at the end of the line.
        found: String,
    },
    /// A number does not fit its field.
    OutOfRange {
        /// Smallest value allowed.
        min: i64,
        /// Largest value allowed.
        max: u64,
    },
    /// Well-formed text of an instruction that has no encoding, as a sign-extending 64-bit load.
    NoEncoding,
    /// A jump names a label that is nowhere defined.
    UnknownLabel {
        /// The label.
        name: String,
    },
    /// A label is defined twice.
    DuplicateLabel {
        /// The label.
        name: String,
        /// Line of its first definition.
        first_line: u32,
    },
    /// The label is farther away than the instruction can say.
    JumpTooFar {
        /// The offset in slots.
        offset: i64,
    },
}

impl fmt::Display for AsmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.kind)
    }
}

impl fmt::Display for AsmErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AsmErrorKind::Character(found) => write!(f, "unexpected character {found:?}"),
            AsmErrorKind::Expected { expected, found } if found.is_empty() => {
                write!(f, "expected {expected}, found the end of the line")
            }
            AsmErrorKind::Expected { expected, found } => {
                write!(f, "expected {expected}, found `{found}`")
            }
            AsmErrorKind::OutOfRange { min, max } => {
                write!(f, "number out of range, must be {min} to {max}")
            }
            AsmErrorKind::NoEncoding => f.write_str("this instruction has no encoding"),
            AsmErrorKind::UnknownLabel { name } => write!(f, "label `{name}` is not defined"),
            AsmErrorKind::DuplicateLabel { name, first_line } => {
                write!(f, "label `{name}` is already defined in line {first_line}")
            }
            AsmErrorKind::JumpTooFar { offset } => {
                write!(
                    f,
                    "label is {offset} slots away, which does not fit the offset field"
                )
            }
        }
    }
}

impl core::error::Error for AsmError {}
