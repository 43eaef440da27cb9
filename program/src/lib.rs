//! ELF + BTF to [`Object`]: decoded programs, maps, globals and line information.
//!
//! An [`Object`] holds every program of one file. Each [`Program`] is *linked*: one linear run of
//! instruction slots, the entry function first, then every subprogram it reaches, with all calls
//! relative and all map references turned into indices of [`Object::maps`]. The verifier, the
//! compiler and the kernel runtime see only this form, so bytecode that arrives without an ELF file
//! is described the same way.
//!
//! Invariants: every [`MapId`] in a program is in range, every local call hits the start of a
//! function, every function ends before the next begins. What is left out: safety; see `verifier`.
#![cfg_attr(not(feature = "elf"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod bytecode;
pub mod error;
mod form;
pub mod kernel;
pub mod model;

#[cfg(feature = "elf")]
mod btf;
#[cfg(feature = "elf")]
mod configuration;
#[cfg(feature = "elf")]
mod elf;
#[cfg(feature = "elf")]
mod maps;
#[cfg(feature = "elf")]
mod relocate;

pub use bytecode::{RawProgram, from_bytecode};
#[cfg(feature = "elf")]
pub use configuration::Configuration;
#[cfg(feature = "elf")]
pub use elf::{LoadOptions, TextFunctions, Unlinkable, load, section};
pub use error::{LoadError, Place};
pub use kernel::{Argument, KernelField, KernelType, KernelTypes};
pub use model::{
    BtfFunction, Contract, Function, GlobalSection, InitialValue, Line, MapDef, MapId, Missing,
    Object, POISON, Parameter, Program, ProgramId, Unlinked,
};
#[cfg(feature = "elf")]
pub use relocate::TargetBtf;
