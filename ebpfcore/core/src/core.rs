//! One runtime: its platform, its epoch, its object ids.

use crate::atomic::{AtomicU32, Ordering};
use crate::{Epoch, Guard, Platform, Shared, Status};

/// A runtime. Everything made over it keeps it alive.
pub struct Core {
    platform: &'static dyn Platform,
    epoch: Epoch,
    next_id: AtomicU32,
}

impl Core {
    /// A runtime over a platform.
    ///
    /// # Errors
    ///
    /// [`Status::NoMemory`].
    pub fn new(platform: &'static dyn Platform) -> Result<Shared<Core>, Status> {
        let epoch = Epoch::new(platform.cpu_count())?;
        // The first id is 2, as in eBPF for Windows.
        let next_id = AtomicU32::new(2);
        Shared::try_new(Core {
            platform,
            epoch,
            next_id,
        })
    }

    /// The platform below.
    #[must_use]
    pub fn platform(&self) -> &'static dyn Platform {
        self.platform
    }

    /// The epoch of this runtime.
    #[must_use]
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// Pins the epoch for an operation outside of a program.
    pub(crate) fn pin(&self) -> Guard<'_> {
        self.epoch.pin(self.platform.current_cpu())
    }

    /// A new object id; maps and programs share one sequence.
    pub(crate) fn take_id(&self) -> u32 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}
