//! `Verified` programs to a relocatable [`Module`]: lowering through Cranelift, unwind data, and
//! the metadata of the native module ABI.
//!
//! The driver skeleton (DriverEntry, unload, NMR callbacks, metadata getters) is textual Cranelift
//! IR in `templates/driver/`, compiled the same way as program code. Invariant: no relocation in an
//! executable section other than PC-relative ones that the linker resolves. What is left out: file
//! layout (crate `image`).
#![forbid(unsafe_code)]

mod builder;
mod compile;
mod error;
mod info_hash;
mod lower;
mod machine;
mod metadata;
pub mod module;
mod names;
mod options;
mod plan;
pub mod print;
mod skeleton;
mod stack;
mod unwind;

pub use abi::native::module_id_of_hash as module_id;
pub use compile::{compile, compile_with};
pub use error::{Error, Place};
pub use info_hash::program_info_hash;
pub use module::{
    FunctionRange, Import, Module, Reloc, RelocKind, Section, SectionId, SectionKind, Symbol,
    SymbolId, Target,
};
pub use options::{ElfHash, Options};
pub use skeleton::Skeleton;
