//! Everything of the host runner that needs `unsafe`: memory mappings, calls of emitted code, the
//! functions that drivers import and the helpers that programs call.

pub(crate) mod conformance;
#[cfg(all(unix, target_arch = "x86_64"))]
pub(crate) mod driver;
pub(crate) mod events;
pub(crate) mod extensions;
#[cfg(unix)]
pub(crate) mod fault;
#[cfg(not(unix))]
pub(crate) mod fault {
    //! Without signals there is nothing to report faults with.

    /// Nothing.
    pub(crate) struct Watch;

    impl Watch {
        /// Nothing.
        pub(crate) fn new(_: &str, _: (u64, u64)) -> Watch {
            Watch
        }
    }
}
pub(crate) mod gate;
pub(crate) mod invoke;
#[cfg(all(unix, target_arch = "x86_64"))]
pub(crate) mod loaded;
#[cfg(unix)]
pub mod mapping;
pub(crate) mod memory;
mod packet;
mod pages;
