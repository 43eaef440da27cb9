//! Writing a number into an instruction.

use super::{
    malformed,
    value::{Holds, Memory, Number},
};
use crate::{error::LoadError, model::POISON};
use abi::diagnostic;
use isa::{CallTarget, Imm64, Insn, Operand, Size};

/// What is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    /// The number for the types that the object was compiled with.
    pub(super) old: Number,
    /// The number to write.
    pub(super) new: Number,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// The instruction is right now.
    Done,
    /// The instruction cannot do what is needed on the target.
    Impossible(&'static str),
}

/// Writes the number where the instruction has it.
pub(super) fn apply(
    insns: &mut [Insn],
    slot: usize,
    change: &Change,
) -> Result<Outcome, LoadError> {
    let insn = insns
        .get_mut(slot)
        .ok_or_else(|| malformed("CO-RE relocation outside of the function"))?;
    match insn {
        Insn::Alu {
            src: Operand::Imm(imm),
            ..
        } => {
            expect(change, u64::from(*imm as u32), u64::from(u32::MAX))?;
            *imm = immediate(change.new.value)?;
        }
        Insn::LoadImm64 {
            imm: Imm64::Const(imm),
            ..
        } => {
            expect(change, *imm, u64::MAX)?;
            *imm = change.new.value;
        }
        Insn::Load {
            size,
            signed,
            offset,
            ..
        } => {
            let old = (*size, *offset);
            let Some((new_size, new_offset)) = access(change, old)? else {
                return Ok(RESIZED);
            };
            if new_size != *size && *signed {
                return Ok(RESIZED);
            }
            (*size, *offset) = (new_size, new_offset);
        }
        Insn::Store { size, offset, .. } | Insn::StoreRelease { size, offset, .. } => {
            let Some(access) = access(change, (*size, *offset))? else {
                return Ok(RESIZED);
            };
            (*size, *offset) = access;
        }
        Insn::Atomic { size, offset, .. } | Insn::LoadAcquire { size, offset, .. } => {
            match access(change, (*size, *offset))? {
                Some((new_size, new_offset)) if new_size == *size => *offset = new_offset,
                _ => return Ok(RESIZED),
            }
        }
        _ => {
            return Err(malformed(
                "CO-RE relocation of an instruction that holds no number",
            ));
        }
    }
    Ok(Outcome::Done)
}

/// Puts a call in the instruction's place that no helper answers.
pub(super) fn poison(insns: &mut [Insn], slot: usize) {
    let slots = match insns.get(slot) {
        Some(Insn::LoadImm64 { .. }) => 2,
        _ => 1,
    };
    for insn in insns.iter_mut().skip(slot).take(slots) {
        *insn = Insn::Call(CallTarget::Helper(POISON));
    }
}

const RESIZED: Outcome =
    Outcome::Impossible("the field has another size there, to which the access cannot change");

/// The instruction must hold the number of the types that it was compiled with.
fn expect(change: &Change, found: u64, mask: u64) -> Result<(), LoadError> {
    let expected = change.old.value & mask;
    if !change.old.checked || found == expected {
        return Ok(());
    }
    Err(malformed(&format!(
        "the instruction holds {found:#x}, but the object's own types say {expected:#x}"
    )))
}

/// Size and offset of an access; `None` when its size cannot follow.
fn access(change: &Change, (size, offset): (Size, i16)) -> Result<Option<(Size, i16)>, LoadError> {
    expect(change, u64::from(offset as u16), u64::from(u16::MAX))?;
    let size = match (change.old.memory, change.new.memory) {
        (Some(old), Some(new)) if old.size != new.size => match resized(old, new, size)? {
            Some(size) => size,
            None => return Ok(None),
        },
        _ => size,
    };
    let offset = i16::try_from(change.new.value).map_err(|_| {
        let text = format!(
            "offset {} does not fit into the instruction, at most {} does",
            change.new.value,
            i16::MAX
        );
        LoadError::new(diagnostic::CORE_RANGE, text)
    })?;
    Ok(Some((size, offset)))
}

/// The size of an access whose field has another size on the target. Only pointers and unsigned
/// numbers survive that: what is read is extended by zeros.
fn resized(old: Memory, new: Memory, size: Size) -> Result<Option<Size>, LoadError> {
    let both = |holds| old.holds == holds && new.holds == holds;
    if !both(Holds::Pointer) && !both(Holds::Unsigned) {
        return Ok(None);
    }
    if size.bytes() != old.size {
        let text = format!(
            "the instruction moves {} bytes, but the object's own type has {}",
            size.bytes(),
            old.size
        );
        return Err(malformed(&text));
    }
    Ok(Size::ALL.into_iter().find(|size| size.bytes() == new.size))
}

fn immediate(value: u64) -> Result<i32, LoadError> {
    let signed = i32::try_from(value as i64).ok();
    let unsigned = u32::try_from(value).ok().map(|value| value as i32);
    signed.or(unsigned).ok_or_else(|| {
        let text = format!("{value:#x} does not fit into the instruction's 32 bits");
        LoadError::new(diagnostic::CORE_RANGE, text)
    })
}
