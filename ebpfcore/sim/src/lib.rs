//! The runtime and emitted driver images on this host.
//!
//! [`Host`] puts a finished image into memory with the protections that a kernel under HVCI gives
//! it, binds its imports to simulated functions of the kernel, starts it as a service, lets it
//! attach to `ebpfcore`, and runs its programs on packets or other contexts; or it runs verified
//! bytecode on the interpreter over the same maps. [`service::Service`] lets drivers come and go
//! beside each other over the control side of one runtime; [`device::Device`] is that runtime as
//! processes see it, with handles, requests that end later and services. [`conformance`] runs programs
//! of the public conformance suite.
//!
//! Native code needs an x64 host with Unix memory protections; elsewhere everything compiles, and
//! the native engine says [`Error::UnsupportedHost`]. A fault of native code ends the process with
//! status 3 and a message that names the program and the place: Rust cannot leave a signal handler
//! by another way. [`interface::Interface`] lets drivers decide about the frames of a real interface.
//! What is left out: a network stack, several processors at once.

mod bytecode;
#[cfg(all(unix, target_arch = "x86_64"))]
pub mod computer;
pub mod conformance;
pub mod device;
mod error;
mod host;
mod input;
pub mod interface;
mod maps;
mod platform;
pub mod raw;
pub mod read;
pub mod service;
mod tickets;
#[cfg(not(all(unix, target_arch = "x86_64")))]
mod unsupported;

pub use ebpfcore::hooks::Action;
pub use ebpfcore::{Map, Program, Record, Shared, object::Checking};
pub use error::Error;
pub use host::{Engine, Host, Invocation, Measurement, Options};
pub use input::{DATA_BYTES, Input};
pub use maps::{DUMP_ENTRIES, Dump, Entry, Value};
pub use platform::{Clock, Environment, Random, Trace};
pub use testkernel::registry::{self, ModuleIdValue};

#[cfg(all(unix, target_arch = "x86_64"))]
pub(crate) use raw::driver::Driver;
#[cfg(not(all(unix, target_arch = "x86_64")))]
pub(crate) use unsupported::Driver;
