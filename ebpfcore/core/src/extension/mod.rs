//! Extensions: drivers that bring program types, functions and hooks.
//!
//! An extension registers as provider of interfaces of eBPF for Windows; the shell is a client of
//! them and hands over what it finds. `parse` reads a provider's tables through bounds-checked
//! reads, like those of a native module; `describe` makes a row of a program type out of them;
//! [`Outlet`] is what the hook of an extension calls. Who provides what at a time, and the wait for
//! programs when a provider leaves, is in [`crate::control`].
//!
//! Invariant: a function of an extension is called only by programs that hold a
//! [`Usage`](crate::native::Usage) of its provider. Deliberately absent: custom maps, and the
//! functions of an extension that make contexts for test runs (contexts are made from the
//! descriptor).

mod describe;
mod outlet;
mod parse;

pub use outlet::{Outlet, Target};

pub(crate) use describe::describe;
pub(crate) use parse::{Functions, ProgramData, functions, program_data};

use abi::Guid;

/// A provider that offers itself, as the shell knows it.
pub struct Offer<'a> {
    /// The shell's own number for it, unique among providers while it is attached.
    pub binding: u64,
    /// The interface that it provides: program information or functions.
    pub npi: Guid,
    /// The id it registered under: the program type, or the module of the functions.
    pub module_id: Guid,
    /// Address of its data.
    pub data: u64,
    /// The image of the driver that the data lies in.
    pub memory: &'a dyn crate::native::ModuleMemory,
}
