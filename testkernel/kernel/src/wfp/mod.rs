//! The Windows Filtering Platform: what drivers add to it, and how it asks them.
//!
//! A callout is registered (its functions) and added (its place in management); a filter of a layer
//! leads to it from a sublayer. [`plan`] turns that into the order in which a layer asks. Semantics
//! by the documentation of the platform. What is left out: conditions other than equality of fields
//! that are given with the packet, boot-time and persistent objects, provider contexts, user mode.

mod arbitration;
pub mod flow;
pub mod inject;
mod management;
pub mod plan;

pub use arbitration::{Asked, Verdict, arbitrate};
pub use management::{Change, Engine};
pub use plan::{Plan, Running, Step};

/// Values of `NTSTATUS` that belong to the platform.
pub mod status {
    /// No such callout.
    pub const CALLOUT_NOT_FOUND: u32 = 0xc022_0001;
    /// No such filter.
    pub const FILTER_NOT_FOUND: u32 = 0xc022_0003;
    /// No such layer.
    pub const LAYER_NOT_FOUND: u32 = 0xc022_0004;
    /// No such sublayer.
    pub const SUBLAYER_NOT_FOUND: u32 = 0xc022_0007;
    /// Something of this id exists.
    pub const ALREADY_EXISTS: u32 = 0xc022_0009;
    /// Something else refers to it.
    pub const IN_USE: u32 = 0xc022_000a;
    /// No transaction is under way.
    pub const NO_TRANSACTION: u32 = 0xc022_000d;
    /// A transaction is under way.
    pub const TRANSACTION: u32 = 0xc022_000e;
    /// The callout still has contexts of flows.
    pub const DEVICE_BUSY: u32 = 0x8000_0011;
    /// There was nothing to remove.
    pub const UNSUCCESSFUL: u32 = 0xc000_0001;
}
