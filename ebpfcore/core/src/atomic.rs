//! Atomic numbers: the processor's, or those of the models of concurrency.
//!
//! `ebpfcore/models` compiles these very sources as a package of its own, with feature `model`; there,
//! a scheduler may run another thread before each of these operations. All shared state that threads
//! agree through must use this module, else the models do not see it.

#[cfg(not(feature = "model"))]
pub(crate) use core::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

#[cfg(feature = "model")]
#[path = "../../models/src/atomic.rs"]
mod model;
#[cfg(feature = "model")]
pub(crate) use model::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence, spin_loop};
