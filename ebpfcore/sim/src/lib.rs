//! The runtime and emitted driver images on this host.
//!
//! [`raw::mapping`] puts a finished image into memory with the protections that a kernel under HVCI
//! gives it.

pub mod raw;
