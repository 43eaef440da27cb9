//! The BTF of the system that a program is made for, and its types by name.

use super::malformed;
use crate::{
    btf::{Btf, Index, Kind, TypeId},
    error::LoadError,
};
use abi::{diagnostic, limits};
use object::read::{Object as _, ObjectSection as _, ReadCache};
use std::collections::HashMap;
use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

/// Type information of the system that programs will run on, for CO-RE relocations.
#[derive(Clone)]
pub struct TargetBtf {
    bytes: Arc<[u8]>,
    index: Arc<Index>,
}

impl TargetBtf {
    /// Reads raw BTF (as in `/sys/kernel/btf/vmlinux`) or the `.BTF` section of an ELF file (such as
    /// `vmlinux`); of the latter nothing else is read.
    ///
    /// # Errors
    /// A file that is neither, is over the limit, or whose types are malformed.
    pub fn read(mut source: impl Read + Seek) -> Result<TargetBtf, LoadError> {
        let mut magic = [0; 4];
        source
            .read_exact(&mut magic)
            .and_then(|()| source.seek(SeekFrom::Start(0)))
            .map_err(|error| unreadable(&error.to_string()))?;
        let bytes = match magic {
            object::elf::ELFMAG => section(source)?,
            _ => whole(source)?,
        };
        let index = Btf::parse(&bytes).map_err(unusable)?.index();
        Ok(TargetBtf {
            bytes: bytes.into(),
            index,
        })
    }

    /// Its types.
    pub(crate) fn btf(&self) -> Result<Btf<'_>, LoadError> {
        Btf::again(&self.bytes, self.index.clone())
    }

    /// The name of a type; nothing where there is none.
    pub(crate) fn name_of(&self, id: TypeId) -> &str {
        let name = self.btf().and_then(|btf| btf.name(&btf.ty(id)?));
        name.unwrap_or_default()
    }
}

impl fmt::Debug for TargetBtf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TargetBtf({} bytes)", self.bytes.len())
    }
}

fn whole(source: impl Read) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    let read = source
        .take(limits::BTF_BYTES.saturating_add(1))
        .read_to_end(&mut bytes);
    read.map_err(|error| unreadable(&error.to_string()))?;
    check_len(bytes.len() as u64)?;
    Ok(bytes)
}

fn section(source: impl Read + Seek) -> Result<Vec<u8>, LoadError> {
    let cache = ReadCache::new(source);
    let failed = |error: object::read::Error| unreadable(&error.to_string());
    let file = object::read::elf::ElfFile64::<object::LittleEndian, _>::parse(&cache)
        .map_err(|_| unreadable("not a 64-bit little-endian ELF file"))?;
    let section = file
        .section_by_name(".BTF")
        .ok_or_else(|| unreadable("the file has no section .BTF"))?;
    check_len(section.size())?;
    Ok(section.data().map_err(failed)?.to_vec())
}

fn check_len(len: u64) -> Result<(), LoadError> {
    match len <= limits::BTF_BYTES {
        true => Ok(()),
        false => Err(unreadable(&format!(
            "over the limit of {} bytes",
            limits::BTF_BYTES
        ))),
    }
}

/// An error in the target must not be looked for in the object.
pub(super) fn unusable(error: LoadError) -> LoadError {
    unreadable(&error.to_string())
}

fn unreadable(text: &str) -> LoadError {
    LoadError::new(
        diagnostic::CORE_TARGET,
        format!("BTF to relocate against: {text}"),
    )
}

/// The types of the target that have the names which an object asks for.
pub(super) struct Names<'a> {
    by_name: HashMap<&'a str, Vec<TypeId>>,
    kinds: HashMap<TypeId, Kind>,
}

impl<'a> Names<'a> {
    /// Looks through the target once, for the names of some types of the object.
    pub(super) fn index<'d: 'a>(
        target: &Btf<'_>,
        local: &'a Btf<'d>,
        roots: impl Iterator<Item = TypeId>,
    ) -> Result<Names<'a>, LoadError> {
        let mut names = Names {
            by_name: HashMap::new(),
            kinds: HashMap::new(),
        };
        for root in roots {
            // A bad record is reported with its function.
            if let Ok(ty) = local.ty(root) {
                let name = essential(local.name(&ty)?);
                names.by_name.entry(name).or_default();
            }
        }
        for id in 1..target.len() {
            let ty = target.ty(id)?;
            if !ty.is_named() || !is_candidate(ty.kind) {
                continue;
            }
            if let Some(list) = names.by_name.get_mut(essential(target.name(&ty)?)) {
                list.push(id);
                names.kinds.insert(id, ty.kind);
            }
        }
        Ok(names)
    }

    /// The types that a type of the object may stand for: of its name and kind.
    pub(super) fn of(&self, local: &Btf<'_>, root: TypeId) -> Result<Vec<TypeId>, LoadError> {
        let ty = local.ty(root)?;
        let name = essential(local.name(&ty)?);
        if name.is_empty() {
            return Err(malformed("anonymous types cannot be found in another BTF"));
        }
        let list = self.by_name.get(name).map_or(&[][..], Vec::as_slice);
        let is_same = |id: &&TypeId| {
            self.kinds
                .get(*id)
                .is_some_and(|kind| kind.is_like(ty.kind))
        };
        Ok(list.iter().filter(is_same).copied().collect())
    }
}

/// Kinds that a record may start from.
fn is_candidate(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Int
            | Kind::Struct
            | Kind::Union
            | Kind::Enum
            | Kind::Enum64
            | Kind::Forward
            | Kind::Typedef
            | Kind::Function
            | Kind::Float
    )
}

/// A name without its flavour: `task_struct___new` means `task_struct`.
pub(super) fn essential(name: &str) -> &str {
    let bytes = name.as_bytes();
    let is_flavour =
        |window: &[u8]| window[0] != b'_' && window[1..4] == *b"___" && window[4] != b'_';
    match bytes.windows(5).rposition(is_flavour) {
        // The byte before the flavour may end a longer character; the one behind it starts one.
        Some(at) => name.get(..at.saturating_add(1)).unwrap_or(name),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::essential;

    #[test]
    fn flavours_end_names() {
        for (name, short) in [
            ("task_struct", "task_struct"),
            ("task_struct___new", "task_struct"),
            ("a___b___c", "a___b"),
            ("a___", "a___"),
            ("___a", "___a"),
            ("a____b", "a____b"),
            ("a__b", "a__b"),
            ("é___x", "é"),
            ("", ""),
        ] {
            assert_eq!(essential(name), short);
        }
    }
}
