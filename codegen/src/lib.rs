//! `Verified` programs to a relocatable [`Module`]: lowering through Cranelift, unwind data, and
//! the metadata of the native module ABI.
//!
//! The driver skeleton (DriverEntry, unload, NMR callbacks, metadata getters) is textual Cranelift
//! IR in `templates/driver/`, compiled the same way as program code. Invariant: no relocation in an
//! executable section other than PC-relative ones that the linker resolves. What is left out: file
//! layout (crate `image`).
#![forbid(unsafe_code)]

pub mod module;
pub use module::{
    FunctionRange, Import, Module, Reloc, RelocKind, Section, SectionId, SectionKind, Symbol,
    SymbolId, Target,
};
