//! Contracts with the outside: platforms, helpers, maps, program types, contexts, the native
//! module ABI and the device protocol of eBPF for Windows, result codes, limits, diagnostic ids.
//!
//! Every fact is one row of one table; verifier, compiler, runtime, command line, documentation
//! and tests are derived from the rows. Invariants: `no_std`, no allocation, no code with policy.
//! Sources: the public headers and documents of eBPF for Windows, the libbpf documentation,
//! RFC 9669. What is left out: instructions (crate `isa`).
#![no_std]
#![forbid(unsafe_code)]

pub mod context;
pub mod diagnostic;
pub mod guid;
pub mod helper;
pub mod info_hash;
pub mod ioctl;
pub mod limits;
pub mod map;
pub mod native;
pub mod pin;
pub mod program_type;
pub mod result;
pub mod verdict;

pub use context::{Context, Field, FieldKind};
pub use diagnostic::{Code, Fault};
pub use guid::Guid;
pub use helper::{ArgKind, DynptrKind, Helper, ReturnKind};
pub use map::{MapKind, MapTypeRow};
pub use program_type::{AttachType, Platform, ProgramType};
