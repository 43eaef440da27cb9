//! Base relocations.

use super::{Malformed, Pe, directory};

/// Type of a base relocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RelocationKind {
    /// A 64-bit address (IMAGE_REL_BASED_DIR64).
    Dir64,
    /// Anything else that is not padding.
    Other(u8),
}

/// One base relocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Relocation {
    /// RVA of the field.
    pub rva: u32,
    /// Its type.
    pub kind: RelocationKind,
}

impl Pe<'_> {
    /// All base relocations in file order, without the padding.
    ///
    /// # Errors
    /// The table does not lie in the file, or a block's size is wrong.
    pub fn relocations(&self) -> Result<Vec<Relocation>, Malformed> {
        let what = "base relocations";
        let Some((start, mut rest)) = self.directory_bytes(directory::BASE_RELOCATION, what)?
        else {
            return Ok(Vec::new());
        };
        let total = rest.len();
        let mut all = Vec::new();
        while !rest.is_empty() {
            let at = start.saturating_add((total - rest.len()) as u32);
            let malformed = |problem| Malformed { what, at, problem };
            let Some((header, _)) = rest.split_first_chunk::<8>() else {
                return Err(malformed("a block header is cut off"));
            };
            let page = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
            let size = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
            if size < 8 || !size.is_multiple_of(4) || size > rest.len() {
                return Err(malformed("the size of a block is wrong"));
            }
            let (block, after) = rest.split_at(size);
            for entry in block[8..].chunks_exact(2) {
                let entry = u16::from_le_bytes([entry[0], entry[1]]);
                let rva = page.checked_add(u32::from(entry & 0xFFF));
                let rva = rva.ok_or(malformed("a field lies outside the image"))?;
                match entry >> 12 {
                    0 => {}
                    10 => all.push(Relocation {
                        rva,
                        kind: RelocationKind::Dir64,
                    }),
                    kind => all.push(Relocation {
                        rva,
                        kind: RelocationKind::Other(kind as u8),
                    }),
                }
            }
            rest = after;
        }
        Ok(all)
    }
}
