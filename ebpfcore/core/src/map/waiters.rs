//! Who waits for records of a ring: pended requests and an event.
//!
//! Producers run where nothing may wait or allocate, so there is a fixed number of places, each one
//! word. Invariants: a ticket leaves its place by one exchange, so exactly one of waking, cancelling
//! and abandoning completes its request; whoever waits registers first and looks for records
//! afterwards, and a producer submits first and looks for who waits afterwards, with a fence between
//! the two steps on both sides, so no record is missed.

use crate::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst, fence};
use crate::{Core, Platform, Status};
use abi::ioctl::Reply;

/// Requests that can wait for one ring.
const TICKETS: usize = 4;
/// Bytes that hold the answer to a request.
const REPLY_BYTES: usize = 64;

/// Positions of a ring, as those who wait are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Positions {
    pub(crate) producer: u64,
    pub(crate) consumer: u64,
    pub(crate) lost: u64,
}

/// The places.
#[derive(Default)]
pub(crate) struct Waiters {
    /// Places in use.
    waiting: AtomicU32,
    tickets: [AtomicU64; TICKETS],
    event: AtomicU64,
}

impl Positions {
    /// Writes the answer to a query.
    pub(crate) fn reply(self) -> Reply<'static> {
        Reply::MapAsyncQuery {
            producer: self.producer,
            consumer: self.consumer,
            lost_count: self.lost,
        }
    }
}

impl Waiters {
    /// Is there anybody?
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.load(SeqCst) == 0
    }

    /// Tells everybody that there are records. IRQL: any.
    #[cold]
    pub(crate) fn wake(&self, platform: &dyn Platform, positions: Positions) {
        let event = self.event.load(SeqCst);
        if event != 0 {
            platform.signal(event);
        }
        let mut bytes = [0; REPLY_BYTES];
        let length = positions.reply().encode(&mut bytes);
        let reply = length.ok().and_then(|length| bytes.get(..length));
        self.end_all(platform, reply.ok_or(Status::Failed));
    }

    /// Ends all requests, because nobody can take records any more.
    pub(crate) fn abandon(&self, core: &Core) {
        self.end_all(core.platform(), Err(Status::Canceled));
        self.set_event(core, 0);
    }

    fn end_all(&self, platform: &dyn Platform, result: Result<&[u8], Status>) {
        for place in &self.tickets {
            let ticket = place.swap(0, SeqCst);
            if ticket != 0 {
                self.waiting.fetch_sub(1, SeqCst);
                platform.complete(ticket, result);
            }
        }
    }

    /// Lets a request wait.
    pub(crate) fn add(&self, ticket: u64) -> Result<(), Status> {
        self.waiting.fetch_add(1, SeqCst);
        let is_placed = |place: &AtomicU64| {
            let placed = place.compare_exchange(0, ticket, SeqCst, SeqCst);
            placed.is_ok()
        };
        if ticket != 0 && self.tickets.iter().any(is_placed) {
            fence(SeqCst);
            return Ok(());
        }
        self.waiting.fetch_sub(1, SeqCst);
        Err(Status::OutOfSpace)
    }

    /// Takes a request back; false when it was not waiting any more.
    pub(crate) fn take(&self, ticket: u64) -> bool {
        let is_taken = |place: &AtomicU64| {
            let taken = place.compare_exchange(ticket, 0, SeqCst, SeqCst);
            taken.is_ok()
        };
        let found = ticket != 0 && self.tickets.iter().any(is_taken);
        if found {
            self.waiting.fetch_sub(1, SeqCst);
        }
        found
    }

    /// Puts another event, 0 for none. Waits for running programs: IRQL PASSIVE, no epoch pinned.
    pub(crate) fn set_event(&self, core: &Core, event: u64) {
        if event != 0 {
            self.waiting.fetch_add(1, SeqCst);
        }
        let old = self.event.swap(event, SeqCst);
        fence(SeqCst);
        if old != 0 {
            self.waiting.fetch_sub(1, SeqCst);
            core.epoch().synchronize(core.platform());
            core.platform().forget_event(old);
        }
    }
}
