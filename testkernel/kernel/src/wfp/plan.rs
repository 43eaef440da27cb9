//! The order in which a layer asks, and callouts that run.

use crate::machine::violation;
use abi::Guid;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use wdk::fwp as w;

/// Added to the count of a callout that is leaving.
const LEAVING: u64 = 1 << 63;
/// After this time a classify function that does not return is reported.
const PATIENCE: Duration = Duration::from_secs(20);

/// A callout whose functions may be called.
#[derive(Debug)]
pub struct Running {
    /// Its number.
    pub id: u32,
    /// Its functions.
    pub callout: w::Callout,
    calls: AtomicU64,
}

impl Running {
    pub(super) fn new(id: u32, callout: w::Callout) -> Running {
        Running {
            id,
            callout,
            calls: AtomicU64::new(0),
        }
    }

    /// Says that its functions are about to be called; false when it is leaving.
    #[must_use]
    pub fn enter(&self) -> bool {
        let is_in = self.calls.fetch_add(1, Ordering::Acquire) & LEAVING == 0;
        if !is_in {
            self.leave();
        }
        is_in
    }

    /// Says that they are not called any more.
    pub fn leave(&self) {
        self.calls.fetch_sub(1, Ordering::Release);
    }

    /// Waits until nobody calls them, and lets nobody in.
    pub(super) fn wait(&self) {
        let since = Instant::now();
        let mut is_told = false;
        self.calls.fetch_or(LEAVING, Ordering::AcqRel);
        while self.calls.load(Ordering::Acquire) != LEAVING {
            if since.elapsed() > PATIENCE && !is_told {
                is_told = true;
                violation(|| "a classify function does not return".to_owned());
            }
            std::thread::yield_now();
        }
    }
}

/// One filter of a layer.
#[derive(Clone, Debug)]
pub struct Step {
    /// What the callout sees of it.
    pub filter: w::Filter,
    /// Its sublayer.
    pub sublayer: Guid,
    /// Its callout, when it has one that is registered.
    pub callout: Option<Arc<Running>>,
}

/// The filters of a layer, in the order of asking.
#[derive(Debug, Default)]
pub struct Plan {
    /// By falling weight.
    pub steps: Vec<Step>,
}
