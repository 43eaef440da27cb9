//! Imported functions.

use super::{Malformed, Pe, directory};
use std::fmt;

const DESCRIPTOR: u32 = 20;
/// Descriptors and functions read at most; the largest Windows drivers import a few hundred.
const MODULES: u32 = 1024;
const FUNCTIONS: usize = 1 << 16;
/// Longest name read.
const NAME_BYTES: usize = 512;
const BY_ORDINAL: u64 = 1 << 63;

/// How a function is imported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ImportName {
    /// By name.
    Name(String),
    /// By number.
    Ordinal(u16),
}

impl fmt::Display for ImportName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImportName::Name(name) => f.write_str(name),
            ImportName::Ordinal(number) => write!(f, "#{number}"),
        }
    }
}

/// One imported function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Import {
    /// File name of the exporting module.
    pub module: String,
    /// The function.
    pub name: ImportName,
    /// RVA of the address slot that the loader fills.
    pub slot: u32,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}!{}", self.module, self.name)
    }
}

impl Pe<'_> {
    /// All imported functions in table order.
    ///
    /// # Errors
    /// Any part of the tables does not lie in the file, or there are absurdly many.
    pub fn imports(&self) -> Result<Vec<Import>, Malformed> {
        let table = self.directory(directory::IMPORT);
        let mut all = Vec::new();
        if !table.is_present() {
            return Ok(all);
        }
        for index in 0..MODULES {
            let at = table.rva.saturating_add(index * DESCRIPTOR);
            let descriptor = self.descriptor(at)?;
            if descriptor.name == 0 && descriptor.slots == 0 {
                return Ok(all);
            }
            self.module_imports(at, &descriptor, &mut all)?;
        }
        Err(Malformed {
            what: "import table",
            at: table.rva,
            problem: "it has no end",
        })
    }

    fn descriptor(&self, at: u32) -> Result<Descriptor, Malformed> {
        let problem = "a descriptor does not lie in the file";
        let malformed = Malformed {
            what: "import table",
            at,
            problem,
        };
        let field = |index: u32| at.checked_add(index * 4).and_then(|rva| self.u32(rva));
        let [lookup, name, slots] = [0, 3, 4].map(field);
        Ok(Descriptor {
            lookup: lookup.ok_or(malformed)?,
            name: name.ok_or(malformed)?,
            slots: slots.ok_or(malformed)?,
        })
    }

    fn module_imports(
        &self,
        at: u32,
        descriptor: &Descriptor,
        all: &mut Vec<Import>,
    ) -> Result<(), Malformed> {
        let malformed = |problem| Malformed {
            what: "import descriptor",
            at,
            problem,
        };
        let module = self.string(descriptor.name, NAME_BYTES);
        let module = module.ok_or(malformed("the module name cannot be read"))?;
        // Without a lookup table the address table serves as one.
        let lookup = if descriptor.lookup == 0 {
            descriptor.slots
        } else {
            descriptor.lookup
        };
        let mut offset = 0;
        loop {
            let thunk = lookup.checked_add(offset).and_then(|rva| self.u64(rva));
            let thunk = thunk.ok_or(malformed("the lookup table does not end in the file"))?;
            if thunk == 0 {
                return Ok(());
            }
            if all.len() == FUNCTIONS {
                return Err(malformed("too many functions"));
            }
            let slot = descriptor.slots.checked_add(offset);
            let slot = slot.ok_or(malformed("the address table is outside the image"))?;
            let name = self.import_name(thunk);
            let name = name.ok_or(malformed("a function name cannot be read"))?;
            all.push(Import {
                module: module.clone(),
                name,
                slot,
            });
            offset += 8;
        }
    }

    fn import_name(&self, thunk: u64) -> Option<ImportName> {
        if thunk & BY_ORDINAL != 0 {
            return Some(ImportName::Ordinal(thunk as u16));
        }
        let name = u32::try_from(thunk).ok()?.checked_add(2)?;
        self.string(name, NAME_BYTES)
            .filter(|name| !name.is_empty())
            .map(ImportName::Name)
    }
}

struct Descriptor {
    lookup: u32,
    name: u32,
    slots: u32,
}
