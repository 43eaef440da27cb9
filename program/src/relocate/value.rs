//! The number that a record asks for, computed from a way into a type.

use super::{
    Kind, enumerator, malformed,
    spec::{Spec, Step},
};
use crate::{
    btf::{Btf, Kind as TypeKind, TypeId},
    error::LoadError,
};

/// A number for an instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    /// The number itself.
    pub(super) value: u64,
    /// What a load or store at a field's offset moves.
    pub(super) memory: Option<Memory>,
    /// Whether the compiler must have written the same number for its own types. Not so for ids,
    /// which linkers change, and for the words of bit fields, which compilers choose freely.
    pub(super) checked: bool,
}

/// The memory behind a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Memory {
    /// Bytes; of arrays, those of one element.
    pub(super) size: u32,
    /// What it holds.
    pub(super) holds: Holds,
}

/// What a field holds, as far as it matters when its size differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Holds {
    /// A pointer.
    Pointer,
    /// A number that is not negative.
    Unsigned,
    /// Anything else.
    Other,
}

impl Number {
    /// Whether two types of one name give the same answer.
    pub(super) fn agrees(&self, other: &Number) -> bool {
        let size = |number: &Number| number.memory.map(|memory| memory.size);
        self.value == other.value && size(self) == size(other)
    }

    fn checked(value: impl Into<u64>) -> Number {
        Number {
            value: value.into(),
            memory: None,
            checked: true,
        }
    }

    fn unchecked(value: impl Into<u64>) -> Number {
        Number {
            checked: false,
            ..Number::checked(value)
        }
    }
}

/// The answer where nothing fits; `None` when there can be none.
pub(super) fn of_missing(kind: Kind) -> Option<Number> {
    match kind {
        Kind::FieldExists
        | Kind::TypeIdLocal
        | Kind::TypeIdTarget
        | Kind::TypeExists
        | Kind::TypeSize
        | Kind::TypeMatches
        | Kind::EnumeratorExists => Some(Number::checked(0u32)),
        Kind::FieldOffset
        | Kind::FieldSize
        | Kind::FieldSigned
        | Kind::FieldLeftShift
        | Kind::FieldRightShift
        | Kind::EnumeratorValue => None,
    }
}

/// The answer for a way into a type.
pub(super) fn of(btf: &Btf<'_>, kind: Kind, spec: &Spec<'_>) -> Result<Number, LoadError> {
    match kind {
        Kind::FieldExists | Kind::TypeExists | Kind::EnumeratorExists | Kind::TypeMatches => {
            Ok(Number::checked(1u32))
        }
        Kind::TypeIdLocal | Kind::TypeIdTarget => Ok(Number::unchecked(spec.root)),
        Kind::TypeSize => Ok(Number::checked(btf.size_of(spec.root)?)),
        Kind::EnumeratorValue => {
            let index = spec.last()?.index;
            let found = enumerator::at(btf, spec.root, index)?;
            Ok(Number::checked(found.value))
        }
        Kind::FieldOffset
        | Kind::FieldSize
        | Kind::FieldSigned
        | Kind::FieldLeftShift
        | Kind::FieldRightShift => {
            let last = spec.last()?;
            match last.name {
                None => of_element(btf, kind, spec, last),
                Some(_) => of_member(btf, kind, spec, last),
            }
        }
    }
}

fn of_element(
    btf: &Btf<'_>,
    kind: Kind,
    spec: &Spec<'_>,
    last: &Step<'_>,
) -> Result<Number, LoadError> {
    match kind {
        Kind::FieldOffset => Ok(Number {
            memory: memory(btf, last.ty)?,
            ..Number::checked(spec.bit_offset / 8)
        }),
        Kind::FieldSize => Ok(Number::checked(btf.size_of(last.ty)?)),
        _ => Err(malformed(
            "CO-RE relocation asks an array element what only members have",
        )),
    }
}

fn of_member(
    btf: &Btf<'_>,
    kind: Kind,
    spec: &Spec<'_>,
    last: &Step<'_>,
) -> Result<Number, LoadError> {
    let member = btf.member(&btf.ty(last.ty)?, last.index)?;
    let word = Word::around(btf, spec.bit_offset, member.ty, member.bits)?;
    let is_bit_field = member.bits > 0;
    let plain = Number {
        checked: !is_bit_field,
        ..Number::checked(0u32)
    };
    Ok(match kind {
        Kind::FieldOffset => Number {
            value: word.offset,
            memory: match is_bit_field {
                true => None,
                false => memory(btf, member.ty)?,
            },
            ..plain
        },
        Kind::FieldSize => Number {
            value: word.size,
            ..plain
        },
        Kind::FieldSigned => Number::checked(u32::from(btf.is_signed(member.ty)?)),
        Kind::FieldLeftShift => Number {
            value: 64u64.wrapping_sub(word.end_bit),
            ..plain
        },
        _ => Number::checked(64u64.wrapping_sub(word.bits)),
    })
}

/// The word of memory that holds a member.
struct Word {
    /// Byte offset.
    offset: u64,
    /// Bytes.
    size: u64,
    /// Bits of the member.
    bits: u64,
    /// Bit of the word after the member's last.
    end_bit: u64,
}

impl Word {
    /// For a bit field the smallest aligned word, of at least its type's size, that holds all of it.
    fn around(btf: &Btf<'_>, bit: u64, ty: TypeId, bits: u32) -> Result<Word, LoadError> {
        let mut size = u64::from(btf.size_of(ty)?);
        if bits == 0 {
            return Ok(Word {
                offset: bit / 8,
                size,
                bits: size * 8,
                end_bit: size * 8,
            });
        }
        let bits = u64::from(bits);
        while matches!(size, 1 | 2 | 4 | 8) {
            let offset = bit / 8 / size * size;
            // The offset is at most the bit's own byte; a word has at most 64 bits.
            let end_bit = bit - offset * 8 + bits;
            if end_bit <= size * 8 {
                return Ok(Word {
                    offset,
                    size,
                    bits,
                    end_bit,
                });
            }
            size *= 2;
        }
        Err(malformed("bit field that no word of 8 bytes holds"))
    }
}

/// What is moved by an access to a field of a type: of arrays an element. `None` for what has no
/// size.
fn memory(btf: &Btf<'_>, id: TypeId) -> Result<Option<Memory>, LoadError> {
    let (_, ty) = btf.strip(id)?;
    let element = btf.innermost(id)?;
    let holds = match ty.kind {
        TypeKind::Pointer => Holds::Pointer,
        TypeKind::Int if !btf.is_signed(id)? => Holds::Unsigned,
        _ => Holds::Other,
    };
    Ok(btf.size_of(element).ok().map(|size| Memory { size, holds }))
}
