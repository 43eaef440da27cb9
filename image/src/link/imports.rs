//! The import tables, in `.rdata`: addresses, lookup table, descriptors, hint/name entries.
//!
//! The address table comes first and is never in an executable section (the kernel makes it
//! writable while it binds). One descriptor per imported module, in order of first use.

use super::layout::Layout;
use crate::Error;
use codegen::Import;

const THUNK: usize = 8;
const DESCRIPTOR: usize = 20;
/// Longest name of a function or module.
const NAME_BYTES: usize = 255;

/// Sizes and positions of the import tables, relative to their first byte.
#[derive(Debug)]
pub(super) struct Plan {
    /// Per imported module: its name and the indices of its functions in `Module::imports`.
    groups: Vec<(String, Vec<usize>)>,
    names: Vec<String>,
    /// Slot number (in the address table) of each import.
    slots: Vec<usize>,
    thunks: usize,
}

impl Plan {
    /// Groups the imports by module, ignoring case as the loader does.
    pub(super) fn new(imports: &[Import]) -> Result<Plan, Error> {
        let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
        for (index, import) in imports.iter().enumerate() {
            if !is_name(&import.module) || !is_name(&import.name) {
                let (module, name) = (import.module.clone(), import.name.clone());
                return Err(Error::Import { module, name });
            }
            match groups
                .iter_mut()
                .find(|(name, _)| name.eq_ignore_ascii_case(&import.module))
            {
                Some((_, members)) => members.push(index),
                None => groups.push((import.module.clone(), vec![index])),
            }
        }
        let (mut slots, mut thunks) = (vec![0; imports.len()], 0);
        for (_, members) in &groups {
            for &member in members {
                slots[member] = thunks;
                thunks += 1;
            }
            thunks += 1; // terminator
        }
        let names = imports.iter().map(|import| import.name.clone()).collect();
        Ok(Plan {
            groups,
            names,
            slots,
            thunks,
        })
    }

    /// Size of all tables together.
    pub(super) fn len_bytes(&self) -> usize {
        let strings = self.names.iter().map(|n| hint_name_len(n)).sum::<usize>()
            + self
                .groups
                .iter()
                .map(|(name, _)| (name.len() + 1).next_multiple_of(2))
                .sum::<usize>();
        if self.is_empty() {
            0
        } else {
            self.strings_at() + strings
        }
    }

    fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    fn descriptors_at(&self) -> usize {
        2 * self.thunks * THUNK
    }

    fn strings_at(&self) -> usize {
        self.descriptors_at() + (self.groups.len() + 1) * DESCRIPTOR
    }

    /// Fills the tables at `at` in `.rdata`.
    pub(super) fn write(&self, layout: &mut Layout, at: u32) {
        if self.is_empty() {
            return;
        }
        let (base, _) = layout.rdata_span(at, 0);
        let rva = |offset: usize| base + offset as u32;
        let mut thunks: Vec<u64> = Vec::with_capacity(self.thunks);
        let mut descriptors = Vec::new();
        let mut strings = Vec::new();
        for (module, members) in &self.groups {
            let first = thunks.len() * THUNK;
            for &member in members {
                thunks.push(u64::from(rva(self.strings_at() + strings.len())));
                push_hint_name(&mut strings, &self.names[member]);
            }
            thunks.push(0);
            let name = rva(self.strings_at() + strings.len());
            let lookup = rva(self.thunks * THUNK + first);
            for field in [lookup, 0, 0, name, rva(first)] {
                descriptors.extend_from_slice(&u32::to_le_bytes(field));
            }
            strings.extend_from_slice(module.as_bytes());
            strings.push(0);
            // The next hint/name entry starts at an even address.
            strings.resize(strings.len().next_multiple_of(2), 0);
        }
        descriptors.extend_from_slice(&[0; DESCRIPTOR]);
        let table: Vec<u8> = thunks
            .iter()
            .flat_map(|thunk| thunk.to_le_bytes())
            .collect();
        let all = [&table[..], &table, &descriptors, &strings].concat();
        layout.write_rdata(at, &all);
    }

    /// RVA of the address slot of `Module::imports[index]`.
    pub(super) fn slot_rva(&self, layout: &Layout, at: u32, index: u16) -> Option<u32> {
        let slot = *self.slots.get(usize::from(index))?;
        Some(layout.rdata_span(at, 0).0 + (slot * THUNK) as u32)
    }

    /// RVA and size of the descriptors.
    pub(super) fn directory(&self, layout: &Layout, at: u32) -> (u32, u32) {
        if self.is_empty() {
            return (0, 0);
        }
        let len = (self.groups.len() + 1) * DESCRIPTOR;
        layout.rdata_span(at + self.descriptors_at() as u32, len)
    }

    /// RVA and size of the import address table.
    pub(super) fn address_directory(&self, layout: &Layout, at: u32) -> (u32, u32) {
        if self.is_empty() {
            return (0, 0);
        }
        layout.rdata_span(at, self.thunks * THUNK)
    }
}

fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
}

/// Hint, name, terminator, padded to an even length.
fn hint_name_len(name: &str) -> usize {
    (2 + name.len() + 1).next_multiple_of(2)
}

fn push_hint_name(strings: &mut Vec<u8>, name: &str) {
    let end = strings.len() + hint_name_len(name);
    strings.extend_from_slice(&[0, 0]);
    strings.extend_from_slice(name.as_bytes());
    strings.resize(end, 0);
}
