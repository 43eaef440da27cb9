//! Enumerators of both widths.

use super::malformed;
use crate::{
    btf::{Btf, Enumerator, TypeId},
    error::LoadError,
};

/// An enumerator by position.
pub(super) fn at<'d>(btf: &Btf<'d>, id: TypeId, index: u32) -> Result<Enumerator<'d>, LoadError> {
    let (_, ty) = btf.strip(id)?;
    let found = btf.enumerator(&ty, index)?;
    found.ok_or_else(|| malformed("CO-RE relocation of an enumerator that is not there"))
}

/// The position of the enumerator of a name, flavours aside.
pub(super) fn position(
    btf: &Btf<'_>,
    id: TypeId,
    name: &str,
) -> Result<Option<(TypeId, u32)>, LoadError> {
    let (stripped, ty) = btf.strip(id)?;
    let wanted = super::target::essential(name);
    for index in 0..ty.vlen {
        match btf.enumerator(&ty, index)? {
            None => return Ok(None),
            Some(found) if super::target::essential(found.name) == wanted => {
                return Ok(Some((stripped, index)));
            }
            Some(_) => {}
        }
    }
    Ok(None)
}
