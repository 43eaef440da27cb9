//! Ring buffers and perf event arrays: records as programs write them.
//!
//! A record is `{u32 length | BUSY | DISCARD, u32 page offset}` and then the data, padded to 8. The
//! memory is there twice, one behind the other, so that no record is in two parts. Positions only
//! grow; that of the reader stands in a page that the runtime reads, so what was read makes room at
//! once. The runtime is asked only when there is nothing to read.
//!
//! Invariant: one reader for each ring; nothing outside of the view is touched, whatever the records
//! and positions say.

use crate::client::Asked;
use crate::encode::room;
use crate::raw::RingView;
use crate::{Cause, Error, Map, Waiting};
use abi::MapKind;
use abi::ioctl::{Handle, Request};
use abi::result::EbpfResult;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The record is not finished.
const BUSY: u32 = 1 << 31;
/// The record carries nothing.
const DISCARD: u32 = 1 << 30;
/// Bytes in front of a record's data.
const HEADER: u64 = 8;

/// The reader of one ring.
pub struct RingBuffer {
    query: Arc<Query>,
    view: RingView,
    map: Map,
    index: u32,
}

/// Ends the waiting of a reader from another thread, now and ever after.
#[derive(Clone)]
pub struct Interrupt(Arc<Query>);

/// The request that waits for records, if any does.
#[derive(Default)]
struct Query(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Option<Arc<dyn Waiting>>,
    is_interrupted: bool,
}

impl Query {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interrupt {
    /// Waiting ends with [`EbpfResult::Canceled`].
    pub fn raise(&self) {
        let waiting = {
            let mut state = self.0.lock();
            state.is_interrupted = true;
            state.waiting.clone()
        };
        if let Some(waiting) = waiting {
            waiting.cancel();
        }
    }

    /// Whether it was raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.lock().is_interrupted
    }
}

impl RingBuffer {
    /// The reader of a ring buffer.
    ///
    /// # Errors
    /// The map is none, or cannot be shown to this process.
    pub fn open(map: &Map) -> Result<RingBuffer, Error> {
        RingBuffer::open_ring(&RingView::own(map)?, 0)
    }

    /// The readers of a perf event array, one for each processor.
    ///
    /// # Errors
    /// As [`RingBuffer::open`].
    pub fn open_all(map: &Map) -> Result<Vec<RingBuffer>, Error> {
        let own = RingView::own(map)?;
        let kind = map.definition().row().map(|row| row.kind);
        let rings = match kind {
            Some(MapKind::PerfEventArray) => map.client().cpu_count(),
            _ => 1,
        };
        (0..rings)
            .map(|index| RingBuffer::open_ring(&own, index))
            .collect()
    }

    fn open_ring(own: &Map, index: u32) -> Result<RingBuffer, Error> {
        Ok(RingBuffer {
            query: Arc::default(),
            view: RingView::open_with(own, index)?,
            map: own.clone(),
            index,
        })
    }

    /// Its map.
    #[must_use]
    pub fn source(&self) -> &Map {
        &self.map
    }

    /// Number of the ring in its map.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The ring itself, for those who read it in place.
    #[must_use]
    pub fn view(&self) -> &RingView {
        &self.view
    }

    /// Records that found no room so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.view.lost()
    }

    /// Whether there is a record to read.
    #[must_use]
    pub fn has_record(&self) -> bool {
        let at = self.view.consumed();
        let header = || self.view.number(self.place(at)).unwrap_or(BUSY);
        at != self.view.produced() && header() & BUSY == 0
    }

    /// What ends [`RingBuffer::wait`] from another thread.
    #[must_use]
    pub fn interrupt(&self) -> Interrupt {
        Interrupt(Arc::clone(&self.query))
    }

    /// Has an event set whenever there are records, `None` for none any more. The ring has one event:
    /// it replaces what was there.
    ///
    /// # Errors
    /// It is no event.
    pub fn set_wait_handle(&self, event: Option<Handle>) -> Result<(), Error> {
        self.map.set_wait_handle(u64::from(self.index), event)
    }

    /// Waits for records; false when there are none after this time. Without a timeout it waits until
    /// there are some.
    ///
    /// # Errors
    /// The runtime cannot be asked, the map is gone, or waiting was interrupted.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<bool, Error> {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if self.has_record() {
                return Ok(true);
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if !self.ask(left)? {
                return Ok(false);
            }
        }
    }

    /// The next record that is finished, without waiting.
    ///
    /// # Errors
    /// A record is not as the protocol says.
    pub fn read(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            let at = self.view.consumed();
            let filled = self.view.produced().wrapping_sub(at);
            if filled > self.view.size() as u64 {
                return Err(self.malformed());
            }
            let place = self.place(at);
            let header = match filled {
                0 => BUSY,
                _ => self.view.number(place).unwrap_or(BUSY),
            };
            if header & BUSY != 0 {
                return Ok(None);
            }
            let length = u64::from(header & !DISCARD);
            let next = length.next_multiple_of(8).saturating_add(HEADER);
            if next > filled {
                return Err(self.malformed());
            }
            let data = match header & DISCARD {
                0 => self.view.copy(place + HEADER as usize, length as usize),
                _ => None,
            };
            self.view.consume_to(at.wrapping_add(next));
            if data.is_some() {
                return Ok(data);
            }
        }
    }

    /// Where in the view a position is.
    fn place(&self, position: u64) -> usize {
        (position & (self.view.size() as u64 - 1)) as usize
    }

    /// Asks the runtime for records, or goes on waiting; false when the time is over.
    fn ask(&mut self, timeout: Option<Duration>) -> Result<bool, Error> {
        let waiting = match self.pending()? {
            Some(waiting) => waiting,
            None => {
                let request = Request::MapAsyncQuery {
                    map_handle: self.map.handle(),
                    index: self.index,
                    consumer_offset: self.view.consumed(),
                };
                match self.map.client().begin(&request, room(&request))? {
                    Asked::Done(_) => return Ok(true),
                    Asked::Later(waiting) => Arc::from(waiting),
                }
            }
        };
        self.query.lock().waiting = Some(Arc::clone(&waiting));
        // Interrupted before the request was there to be cancelled?
        self.pending()?;
        let reply = waiting.wait(timeout);
        if reply.is_some() {
            self.query.lock().waiting = None;
        }
        match reply {
            Some(Ok(_)) => Ok(true),
            Some(Err(cause)) => Err(Error::new(self.doing(), cause)),
            None => Ok(false),
        }
    }

    /// The request that waits already.
    fn pending(&self) -> Result<Option<Arc<dyn Waiting>>, Error> {
        let state = self.query.lock();
        match state.is_interrupted {
            true => Err(Error::new(self.doing(), EbpfResult::Canceled)),
            false => Ok(state.waiting.clone()),
        }
    }

    fn malformed(&self) -> Error {
        Error::new(self.doing(), Cause::Runtime(EbpfResult::InvalidState))
    }

    fn doing(&self) -> String {
        format!("read records of map {}", self.map.name())
    }
}

/// The request goes before the handle that it was made with.
impl Drop for RingBuffer {
    fn drop(&mut self) {
        let waiting = self.query.lock().waiting.take();
        drop(waiting);
    }
}

/// Waits for each record; ends with the first error.
impl Iterator for RingBuffer {
    type Item = Result<Vec<u8>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read() {
                Ok(Some(record)) => return Some(Ok(record)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
            if let Err(error) = self.wait(None) {
                return Some(Err(error));
            }
        }
    }
}

impl std::fmt::Debug for RingBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RingBuffer")
            .field("map", &self.map)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}
