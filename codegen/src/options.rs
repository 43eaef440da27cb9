//! What the user may choose about a module.

use abi::native::{ModuleVersion, VERSION_ARRAY_DATA, VERSION_BASE};

/// Choices for [`crate::compile`].
///
/// The default makes the module that the most runtimes can load.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Newest version of the native module ABI that the module may use.
    ///
    /// `None` takes the oldest version that the code needs and no optional feature of newer ones.
    /// `Some` also allows the features that make code faster (from 1.4.0 on: array lookups without
    /// a helper call), and is an error when the code needs something newer.
    pub abi: Option<ModuleVersion>,
    /// Put the SHA-256 of the ELF file into the module.
    pub elf_hash: ElfHash,
}

/// Whether a module carries the hash of the file it was made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ElfHash {
    /// SHA-256, in section `hash`.
    #[default]
    Sha256,
    /// None: the getter answers null and 0.
    Omit,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            abi: None,
            elf_hash: ElfHash::Sha256,
        }
    }
}

impl Options {
    /// Options with a cap on the ABI version.
    #[must_use]
    pub fn with_abi(mut self, abi: ModuleVersion) -> Options {
        self.abi = Some(abi);
        self
    }

    /// Options with or without the hash of the ELF file.
    #[must_use]
    pub fn with_elf_hash(mut self, elf_hash: ElfHash) -> Options {
        self.elf_hash = elf_hash;
        self
    }

    /// Whether lookups in array maps may be done without a helper call.
    pub(crate) fn inline_array_lookups(&self) -> bool {
        self.abi.is_some_and(|cap| cap >= VERSION_ARRAY_DATA)
    }

    /// The newest version allowed, for messages.
    pub(crate) fn cap(&self) -> ModuleVersion {
        self.abi.unwrap_or(VERSION_BASE)
    }
}
