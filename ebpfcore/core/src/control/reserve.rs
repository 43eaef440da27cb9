//! Memory that is set aside before an operation begins, for the parts of it that cannot fail.
//!
//! The runtime's own allocations say when they fail; but the verifier, the linker of bytecode and the
//! texts of errors use ordinary collections, which end the system when memory is short. Every message
//! is therefore answered under a reserve ([`Platform::reserve`]), and so is a native module that attaches:
//! either it is there before anything happens, or they get [`Status::NoMemory`].
//!
//! How much verification needs is measured, not proved: 0.55 KiB for each slot of the largest programs
//! of the corpus, 1.1 MiB for the loop with the most turns. The reserve is what lasts when the system
//! has nothing left; until then verification uses what there is.

use crate::{Platform, Status};
use abi::ioctl::Request;
use isa::Slot;

/// For names, lists and texts of errors.
const OPERATION_BYTES: usize = 64 << 10;
/// For a verification, however short the program.
const VERIFICATION_BYTES: usize = 3 << 20;
/// For each slot of the program, in addition.
const SLOT_BYTES: usize = 2 << 10;

/// A reserve of the current thread.
pub(crate) struct Reserve<'a> {
    platform: &'a dyn Platform,
}

impl<'a> Reserve<'a> {
    /// Sets aside what a request may need.
    pub(super) fn new(
        platform: &'a dyn Platform,
        request: &Request<'_>,
    ) -> Result<Reserve<'a>, Status> {
        Reserve::of(platform, bytes(request))
    }

    /// Sets aside what the arrival of a native module may need.
    pub(super) fn for_module(platform: &'a dyn Platform) -> Result<Reserve<'a>, Status> {
        Reserve::of(platform, OPERATION_BYTES)
    }

    fn of(platform: &'a dyn Platform, bytes: usize) -> Result<Reserve<'a>, Status> {
        let reserve = platform.reserve(bytes);
        reserve
            .then_some(Reserve { platform })
            .ok_or(Status::NoMemory)
    }
}

impl Drop for Reserve<'_> {
    fn drop(&mut self) {
        self.platform.release();
    }
}

/// What the parts of an operation that cannot fail need at most.
fn bytes(request: &Request<'_>) -> usize {
    let Request::LoadCode { code, .. } = request else {
        return OPERATION_BYTES;
    };
    let slots = code.len() / Slot::BYTES;
    OPERATION_BYTES + VERIFICATION_BYTES + slots.saturating_mul(SLOT_BYTES)
}
