//! The runtime of eBPF programs, portable: maps, helpers, interpreter, native modules.
//!
//! The same code runs inside `ebpfcore.sys` and, over `ebpfcore-sim`, inside a process on any
//! host. A [`Core`] is made over a [`Platform`]; [`Map`]s and [`Program`]s are made over the core;
//! [`Core::enter`] pins an epoch in which programs run. Programs come as machine code in a driver
//! image ([`native::validate`], [`native::Instance`]) or as proved bytecode for the interpreter
//! ([`Machine`]).
//!
//! Invariants: `no_std`; every allocation can fail and says so; nothing allocates without bound
//! or blocks while a program runs; an address handed to a running program stays valid until the
//! run ends. `unsafe` code stands in `raw`; [`hooks`] passes its callers' obligations on. Deliberately
//! absent: where hooks are called from, which belongs to the shell around the core.
#![no_std]

extern crate alloc;

mod atomic;
pub mod control;
mod core;
mod epoch;
pub mod extension;
pub mod helper;
pub mod hooks;
pub mod interpreter;
pub mod link;
mod map;
pub mod native;
pub mod object;
pub mod pin;
mod platform;
mod program;
pub mod raw;
mod runs;
mod status;
mod sync;

pub use self::core::Core;
pub use epoch::{Epoch, Guard};
pub use link::{Hook, Link};
pub use map::{Definition, Flags, Map, Record};
pub use platform::{Platform, RingMemory};
pub use program::{Code, Program};
pub use raw::context::{CONTEXT_HEADER_BYTES, Extra, Run};
pub use raw::shared::Shared;
pub use raw::{Machine, RawMemory, Start, read_bytes, write_bytes};
pub use status::Status;
