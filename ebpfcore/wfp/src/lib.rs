//! The hooks of the runtime in the Windows Filtering Platform.
//!
//! [`Engine::start`] registers a callout for every layer of `ebpfcore::hooks::table`; a filter sends
//! frames and socket operations to it while the hook has programs. The classify functions turn what
//! the platform says into the records of the portable hooks and the actions that come back into
//! what the platform wants.
//!
//! Invariants: `no_std`; functions of the system are called through a table of addresses ([`Api`]),
//! so that all of it runs and is tested on any host; classify functions do not allocate, but for a
//! frame in pieces, a flow, and the context of a redirection. `unsafe` is what this crate is made
//! of: it lives between addresses and records. Left out: policy, which is the portable runtime's.
#![no_std]
#![expect(unsafe_code, reason = "reads the structures of the filtering platform")]

extern crate alloc;

mod api;
mod classify;
mod engine;
mod flows;
mod packet;
mod record;
mod values;

pub use api::{Api, ClassifyFn, FlowDeleteFn, InjectCompleteFn, NotifyFn};
pub use engine::Engine;
