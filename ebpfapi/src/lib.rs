//! The client of the runtime: what applications do with programs, maps and links.
//!
//! ```no_run
//! use ebpfapi::{Client, Object};
//!
//! # fn main() -> Result<(), ebpfapi::Error> {
//! let client = Client::connect()?;
//! let object = Object::open("droppacket.o")?.load(&client)?;
//! let link = object.program("DropPacket")?.attach()?;
//! let drops = object.map("dropcnt_map")?.lookup(&0u32.to_le_bytes())?;
//! # let _ = (link, drops);
//! # Ok(())
//! # }
//! ```
//!
//! A [`Client`] sends messages of the device protocol (`abi::ioctl`) through a [`Transport`]: on Windows
//! the driver's device, elsewhere a runtime in this process. [`Map`], [`Program`] and [`Link`] own
//! a handle that is closed with their last clone; everything may be used from several threads.
//!
//! Invariants: messages are made and read through the protocol's one table; an operation that fails
//! leaves no handle, pin or service behind; every error says what was tried, why it failed and what to
//! do ([`Error`]). Left out: the C interface, which lies over this crate.

mod client;
mod encode;
mod error;
mod event;
mod handle;
mod info;
pub mod inspect;
mod link;
mod load;
mod map;
mod native;
mod object;
mod pin;
mod program;
mod raw;
mod ring;
#[cfg(unix)]
mod sim;
pub mod store;
mod transport;
#[cfg(windows)]
mod windows;

pub use abi::ioctl::Handle;
pub use abi::result::EbpfResult;
pub use client::{Client, CodeIntegrity};
pub use error::{Cause, Error, Refusal};
pub use event::WaitEvent;
pub use info::{CodeType, LinkInfo, MapInfo, ObjectKind, ProgramInfo};
pub use link::Link;
pub use load::Loaded;
pub use map::{Entries, Map, MapSpec, Update};
pub use object::{Object, ObjectMap, ObjectProgram, OpenOptions};
pub use pin::{Pin, Pinned};
pub use program::{Program, ProgramSpec, Run, RunResult};
pub use raw::RingView;
pub use ring::{Interrupt, RingBuffer};
#[cfg(unix)]
pub use sim::Simulator;
pub use transport::{Answer, Mapped, NewService, Section, Transport, Waiting};
pub use verifier::Facts;
#[cfg(windows)]
pub use windows::Driver;
