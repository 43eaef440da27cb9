//! BTF type information, read lazily from a checked table.
//!
//! [`Btf::parse`] walks the type section once, so that every later access is in bounds. Type ids
//! are checked when followed; chains (typedef, qualifiers, arrays) are followed for a bounded
//! number of steps, so cyclic types cost an error, not a loop. What is left out: deduplication,
//! what needs a second BTF (see `relocate`).

pub(crate) mod ext;
mod parse;

use crate::{elf::file::name_at, error::LoadError};
use abi::{diagnostic, limits};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Kind of a type (`BTF_KIND_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    Void = 0,
    Int = 1,
    Pointer = 2,
    Array = 3,
    Struct = 4,
    Union = 5,
    Enum = 6,
    Forward = 7,
    Typedef = 8,
    Volatile = 9,
    Const = 10,
    Restrict = 11,
    Function = 12,
    FunctionProto = 13,
    Variable = 14,
    DataSection = 15,
    Float = 16,
    DeclTag = 17,
    TypeTag = 18,
    Enum64 = 19,
}

impl Kind {
    /// A structure or union.
    pub(crate) fn is_composite(self) -> bool {
        matches!(self, Kind::Struct | Kind::Union)
    }

    /// The same kind; enumerations of both widths are one.
    pub(crate) fn is_like(self, other: Kind) -> bool {
        let is_enum = |kind| matches!(kind, Kind::Enum | Kind::Enum64);
        self == other || is_enum(self) && is_enum(other)
    }
}

/// One type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Type {
    /// Its kind.
    pub(crate) kind: Kind,
    /// `kind_flag`: bit-field structures, signed enumerations.
    flag: bool,
    /// `vlen`: count of members, variables or parameters; linkage of functions.
    pub(crate) vlen: u32,
    /// Offset of the name.
    name: u32,
    /// Size or referenced type, by kind.
    pub(crate) size_or_type: u32,
    /// Where its extra data starts.
    extra: usize,
}

impl Type {
    /// Whether it has a name at all.
    pub(crate) fn is_named(&self) -> bool {
        self.name != 0
    }

    /// What a structure, union or forward declaration declares.
    pub(crate) fn aggregate(&self) -> Option<Kind> {
        match self.kind {
            Kind::Struct | Kind::Union => Some(self.kind),
            Kind::Forward if self.flag => Some(Kind::Union),
            Kind::Forward => Some(Kind::Struct),
            _ => None,
        }
    }
}

const MEMBER_BYTES: usize = 12;
/// With `kind_flag` the upper 8 bits of a member's offset are the size of its bit field.
const BIT_OFFSET: u32 = 0xff_ffff;

/// Prefix of the structures that `BPF_ANNOTATE_KV_PAIR` makes.
const MAP_ANNOTATION: &str = "____btf_map_";

/// A structure that a runtime treats specially inside map values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Special {
    /// `struct bpf_spin_lock`
    SpinLock,
    /// `struct bpf_timer`
    Timer,
    /// Another one that only functions of the kernel may touch.
    Reserved,
}

/// Id of a type; 0 is void.
pub(crate) type TypeId = u32;

/// One member of a structure or union.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'d> {
    /// Name; empty for anonymous members.
    pub(crate) name: &'d str,
    /// Its type.
    pub(crate) ty: TypeId,
    /// Offset from the start of the structure, in bits.
    pub(crate) bit_offset: u32,
    /// Bits of a bit field, otherwise 0.
    pub(crate) bits: u32,
}

/// One enumerator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Enumerator<'d> {
    /// Name.
    pub(crate) name: &'d str,
    /// Value, extended to 64 bits by the enumeration's sign.
    pub(crate) value: u64,
}

/// A checked `.BTF` section.
#[derive(Debug)]
pub(crate) struct Btf<'d> {
    index: Arc<Index>,
    /// The type section, for the extra data.
    data: &'d [u8],
    strings: &'d [u8],
    /// Data sections and key/value annotations of legacy maps (`____btf_map_*`) by name; the first
    /// of a name counts. An index, because both are looked up once per section or map.
    named: BTreeMap<(bool, &'d str), TypeId>,
}

/// What one pass over a section finds; shared by those who read the same section again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    types: Vec<Type>,
    /// Declaration tags of whole types: annotated type to offset of the tag's text.
    tags: BTreeMap<TypeId, Vec<u32>>,
    /// Declaration tags of parameters: function and position to offset of the tag's text.
    parameter_tags: BTreeMap<(TypeId, u32), Vec<u32>>,
    /// The structures that mean something to a runtime.
    special: BTreeMap<TypeId, Special>,
}

impl<'d> Btf<'d> {
    /// How many types there are, void included.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.index.types.len()).unwrap_or(u32::MAX)
    }

    /// The string section.
    pub(crate) fn strings(&self) -> &'d [u8] {
        self.strings
    }

    /// A type by id.
    pub(crate) fn ty(&self, id: TypeId) -> Result<Type, LoadError> {
        self.index.types.get(id as usize).copied().ok_or_else(|| {
            malformed(format!(
                "type id {id} does not exist, there are {}",
                self.index.types.len()
            ))
        })
    }

    /// The name of a type.
    pub(crate) fn name(&self, ty: &Type) -> Result<&'d str, LoadError> {
        self.string(ty.name)
    }

    /// A string of the string section.
    pub(crate) fn string(&self, offset: u32) -> Result<&'d str, LoadError> {
        name_at(self.strings, offset)
            .map_err(|text| malformed(text.into()).offset(u64::from(offset)))
    }

    /// The type behind typedefs and qualifiers.
    pub(crate) fn strip(&self, id: TypeId) -> Result<(TypeId, Type), LoadError> {
        let mut id = id;
        for _ in 0..limits::BTF_CHAIN {
            let ty = self.ty(id)?;
            match ty.kind {
                Kind::Typedef | Kind::Volatile | Kind::Const | Kind::Restrict | Kind::TypeTag => {
                    id = ty.size_or_type;
                }
                _ => return Ok((id, ty)),
            }
        }
        Err(too_deep(id))
    }

    /// The type a pointer points to, behind typedefs and qualifiers of the pointer.
    pub(crate) fn pointee(&self, id: TypeId) -> Result<Option<TypeId>, LoadError> {
        let (_, ty) = self.strip(id)?;
        Ok((ty.kind == Kind::Pointer).then_some(ty.size_or_type))
    }

    /// Element type and count of an array, behind typedefs and qualifiers.
    pub(crate) fn array(&self, id: TypeId) -> Result<Option<(TypeId, u32)>, LoadError> {
        let (_, ty) = self.strip(id)?;
        if ty.kind != Kind::Array {
            return Ok(None);
        }
        Ok(Some((self.extra(&ty, 0)?, self.extra(&ty, 8)?)))
    }

    /// Size of a type in bytes.
    pub(crate) fn size_of(&self, id: TypeId) -> Result<u32, LoadError> {
        let mut count = 1u32;
        let mut next = id;
        for _ in 0..limits::BTF_CHAIN {
            let (stripped, ty) = self.strip(next)?;
            let size = match ty.kind {
                Kind::Array => {
                    next = self.extra(&ty, 0)?;
                    let elements = self.extra(&ty, 8)?;
                    count = count.checked_mul(elements).ok_or_else(|| too_large(id))?;
                    continue;
                }
                Kind::Pointer => 8,
                Kind::Int
                | Kind::Struct
                | Kind::Union
                | Kind::Enum
                | Kind::Enum64
                | Kind::Float
                | Kind::DataSection => ty.size_or_type,
                Kind::Variable => {
                    next = ty.size_or_type;
                    continue;
                }
                other => {
                    let text = format!("type {stripped} ({other:?}) has no size");
                    return Err(malformed(text));
                }
            };
            return count.checked_mul(size).ok_or_else(|| too_large(id));
        }
        Err(too_deep(id))
    }

    /// What a structure means to a runtime.
    pub(crate) fn special(&self, id: TypeId) -> Option<Special> {
        self.index.special.get(&id).copied()
    }

    /// Type and bit offset of each member of a structure or union, without the names.
    pub(crate) fn member_types(
        &self,
        ty: &Type,
    ) -> Result<impl Iterator<Item = (TypeId, u32)> + use<'d>, LoadError> {
        let len = match ty.kind {
            Kind::Struct | Kind::Union => ty.vlen as usize * MEMBER_BYTES,
            _ => 0,
        };
        let bytes = self
            .data
            .get(ty.extra..)
            .and_then(|tail| tail.get(..len))
            .ok_or_else(|| malformed("type is cut short".into()))?;
        let mask = if ty.flag { BIT_OFFSET } else { u32::MAX };
        let (members, _) = bytes.as_chunks::<MEMBER_BYTES>();
        Ok(members.iter().map(move |m| {
            let ty = u32::from_le_bytes([m[4], m[5], m[6], m[7]]);
            let offset = u32::from_le_bytes([m[8], m[9], m[10], m[11]]);
            (ty, offset & mask)
        }))
    }

    /// The members of a structure or union.
    pub(crate) fn members(&self, ty: &Type) -> Result<Vec<Member<'d>>, LoadError> {
        let count = match ty.kind.is_composite() {
            true => ty.vlen,
            false => 0,
        };
        (0..count).map(|index| self.member(ty, index)).collect()
    }

    /// A member of a structure or union by position.
    pub(crate) fn member(&self, ty: &Type, index: u32) -> Result<Member<'d>, LoadError> {
        if !ty.kind.is_composite() || index >= ty.vlen {
            let text = format!("{:?} of {} members has no member {index}", ty.kind, ty.vlen);
            return Err(malformed(text));
        }
        let at = index as usize * MEMBER_BYTES;
        let place = self.extra(ty, at + 8)?;
        Ok(Member {
            name: self.string(self.extra(ty, at)?)?,
            ty: self.extra(ty, at + 4)?,
            bit_offset: if ty.flag { place & BIT_OFFSET } else { place },
            bits: if ty.flag { place >> 24 } else { 0 },
        })
    }

    /// An enumerator by position.
    pub(crate) fn enumerator(
        &self,
        ty: &Type,
        index: u32,
    ) -> Result<Option<Enumerator<'d>>, LoadError> {
        let (bytes, at) = match ty.kind {
            Kind::Enum => (8, index as usize * 8),
            Kind::Enum64 => (12, index as usize * 12),
            _ => return Ok(None),
        };
        if index >= ty.vlen {
            return Ok(None);
        }
        let low = self.extra(ty, at + 4)?;
        let value = match (bytes, ty.flag) {
            (8, true) => i64::from(low as i32) as u64,
            (8, false) => u64::from(low),
            _ => u64::from(low) | u64::from(self.extra(ty, at + 8)?) << 32,
        };
        let name = self.string(self.extra(ty, at)?)?;
        Ok(Some(Enumerator { name, value }))
    }

    /// The type of a parameter of a prototype.
    pub(crate) fn parameter(&self, ty: &Type, index: u32) -> Result<TypeId, LoadError> {
        if ty.kind != Kind::FunctionProto || index >= ty.vlen {
            return Err(malformed(format!("prototype without parameter {index}")));
        }
        self.extra(ty, index as usize * 8 + 4)
    }

    /// Whether a type is a number of one byte that says yes or no.
    pub(crate) fn is_bool(&self, id: TypeId) -> Result<bool, LoadError> {
        /// `BTF_INT_BOOL` among the bits of the encoding.
        const BOOL: u32 = 4 << 24;
        let (_, ty) = self.strip(id)?;
        let is_byte = ty.kind == Kind::Int && ty.size_or_type == 1;
        Ok(is_byte && self.extra(&ty, 0)? & BOOL != 0)
    }

    /// Whether a type is a signed number.
    pub(crate) fn is_signed(&self, id: TypeId) -> Result<bool, LoadError> {
        /// `BTF_INT_SIGNED` among the bits of the encoding.
        const SIGNED: u32 = 1 << 24;
        let (_, ty) = self.strip(id)?;
        Ok(match ty.kind {
            Kind::Int => self.extra(&ty, 0)? & SIGNED != 0,
            Kind::Enum | Kind::Enum64 => ty.flag,
            _ => false,
        })
    }

    /// The type of the elements of an array of arrays; a type that is no array itself.
    pub(crate) fn innermost(&self, id: TypeId) -> Result<TypeId, LoadError> {
        let mut id = id;
        for _ in 0..limits::BTF_CHAIN {
            match self.array(id)? {
                Some((element, _)) => id = element,
                None => return Ok(id),
            }
        }
        Err(too_deep(id))
    }

    /// The data section of a name and its variables (or extern functions), in its order. Offsets
    /// are not read: clang leaves them 0 for the linker, the symbol table knows them.
    pub(crate) fn data_section(
        &self,
        name: &str,
    ) -> Result<Option<(Type, Vec<TypeId>)>, LoadError> {
        let Some(&id) = self.named.get(&(true, name)) else {
            return Ok(None);
        };
        let ty = self.ty(id)?;
        let variables = (0..ty.vlen as usize)
            .map(|index| self.extra(&ty, index * 12))
            .collect::<Result<Vec<_>, LoadError>>()?;
        Ok(Some((ty, variables)))
    }

    /// The structure `____btf_map_<map>` that tells key and value of a legacy map.
    pub(crate) fn map_annotation(&self, map: &str) -> Option<TypeId> {
        let name = format!("{MAP_ANNOTATION}{map}");
        self.named.get(&(false, name.as_str())).copied()
    }

    /// The texts of the declaration tags on a whole type.
    pub(crate) fn tags(&self, id: TypeId) -> Result<Vec<&'d str>, LoadError> {
        self.index.tags.get(&id).map_or(Ok(Vec::new()), |texts| {
            texts.iter().map(|&text| self.string(text)).collect()
        })
    }

    /// The texts of the declaration tags on a parameter of a function.
    pub(crate) fn parameter_tags(
        &self,
        function: TypeId,
        index: u32,
    ) -> Result<Vec<&'d str>, LoadError> {
        self.index
            .parameter_tags
            .get(&(function, index))
            .map_or(Ok(Vec::new()), |texts| {
                texts.iter().map(|&text| self.string(text)).collect()
            })
    }

    /// A word of a type's extra data; in bounds after parsing.
    fn extra(&self, ty: &Type, at: usize) -> Result<u32, LoadError> {
        ty.extra
            .checked_add(at)
            .and_then(|from| self.data.get(from..)?.first_chunk::<4>())
            .map(|bytes| u32::from_le_bytes(*bytes))
            .ok_or_else(|| malformed("type is cut short".into()))
    }
}

fn malformed(message: String) -> LoadError {
    LoadError::new(diagnostic::BTF_MALFORMED, message).section(".BTF")
}

fn too_deep(id: TypeId) -> LoadError {
    let text = format!(
        "type {id}: more than {} typedefs, qualifiers or arrays in a row, or a cycle",
        limits::BTF_CHAIN
    );
    LoadError::new(diagnostic::BTF_LIMIT, text).section(".BTF")
}

fn too_large(id: TypeId) -> LoadError {
    LoadError::new(
        diagnostic::BTF_LIMIT,
        format!("type {id} is larger than 4 GiB"),
    )
    .section(".BTF")
}
