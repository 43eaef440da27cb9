//! Requests that end later: who waits for them, and how they ended.
//!
//! A ticket is taken before the runtime may complete it and given up by whoever waits. Invariant: an
//! outcome is kept only for tickets that somebody holds, so nothing piles up.

use ebpfcore::Status;
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How a request ended: the bytes of its reply, or why it failed.
pub(crate) type Outcome = Result<Vec<u8>, Status>;

/// All tickets that somebody holds.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    held: Mutex<Held>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    last: u64,
    /// `None` until the request ended.
    outcomes: BTreeMap<u64, Option<Outcome>>,
}

impl Tickets {
    /// A new one; never 0.
    pub(crate) fn take(&self) -> u64 {
        let mut held = self.lock();
        held.last += 1;
        let ticket = held.last;
        held.outcomes.insert(ticket, None);
        ticket
    }

    /// The request of a ticket ended.
    pub(crate) fn complete(&self, ticket: u64, reply: Result<&[u8], Status>) {
        if let Some(outcome) = self.lock().outcomes.get_mut(&ticket) {
            *outcome = Some(reply.map(<[u8]>::to_vec));
        }
        self.changed.notify_all();
    }

    /// Waits for the end of a request; `None` when it did not end in time.
    pub(crate) fn wait(&self, ticket: u64, timeout: Option<Duration>) -> Option<Outcome> {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut held = self.lock();
        loop {
            match held.outcomes.get(&ticket) {
                Some(None) => {}
                Some(Some(outcome)) => return Some(outcome.clone()),
                None => return Some(Err(Status::InvalidArgument)),
            }
            held = match until {
                None => self
                    .changed
                    .wait(held)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    let waited = self.changed.wait_timeout(held, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Nobody waits for it any more.
    pub(crate) fn forget(&self, ticket: u64) {
        self.lock().outcomes.remove(&ticket);
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
