//! The process that drivers serve.
//!
//! Under Wine it is the one whose request is dispatched; on a host a thread says itself which process
//! it stands for ([`run_as`]). What is left out: everything of a process but its id and its end.

use crate::platform::{Platform, installed};
use std::cell::Cell;

/// The system's own process.
pub const SYSTEM: u64 = 4;

thread_local! {
    /// Whom the thread works for, when something else than what lies underneath says so.
    static CURRENT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Id of the calling process.
#[must_use]
pub fn current() -> u64 {
    let underneath = || installed().map_or(SYSTEM, Platform::process);
    CURRENT.get().unwrap_or_else(underneath)
}

/// Runs `action` on behalf of a process.
pub fn run_as<T>(process: u64, action: impl FnOnce() -> T) -> T {
    /// Puts the outer process back, also when `action` panics.
    struct Leave(Option<u64>);
    impl Drop for Leave {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _leave = Leave(CURRENT.replace(Some(process)));
    action()
}

/// Asks to be told of the end of a process; false when it has ended. On a host whoever plays the
/// process says it.
#[cfg(target_arch = "x86_64")]
pub(crate) fn watch(process: u64) -> bool {
    installed().is_none_or(|platform| platform.watch_process(process))
}
