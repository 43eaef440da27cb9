//! Stand-ins for the parts of the Windows kernel that drivers of this project meet, and a small
//! driver verifier in them.
//!
//! The semantics are portable: clients and providers of the Network Module Registrar, pool with
//! accounting, levels per thread, locks, registry queries. [`raw`] puts them into the Windows calling
//! convention, in one table of functions with two users: the simulator binds the imports of driver
//! images to them, and `testkernel/shim` is the library by which Wine's own kernel gets what it
//! lacks. Rules that drivers break are noted in [`report::Reports`]; tests fail on any.
//!
//! Invariant: no lock of this crate is held while code of a driver runs.

#[cfg(target_arch = "x86_64")]
pub mod control;
#[cfg(target_arch = "x86_64")]
pub mod event;
pub mod files;
pub mod images;
pub mod irql;
pub mod machine;
pub mod nmr;
pub mod platform;
pub mod pool;
pub mod process;
#[cfg(target_arch = "x86_64")]
pub mod raw;
pub mod registry;
pub mod report;
pub mod sections;
pub mod status;
#[cfg(target_arch = "x86_64")]
pub mod traffic;
pub mod wfp;
#[cfg(target_arch = "x86_64")]
mod wire;
pub mod work;

pub use machine::Machine;
