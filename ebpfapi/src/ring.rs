//! Ring buffers and perf event arrays: records as programs write them.
//!
//! A record is `{u32 length | BUSY | DISCARD, u32 page offset}` and then the data, padded to 8. The
//! memory is there twice, one behind the other, so that no record is in two parts. Positions only
//! grow. The runtime learns what was read with the next query.
//!
//! Invariant: one reader for each ring; nothing outside of the view is touched, whatever the records
//! say.

use crate::client::Asked;
use crate::encode::{answer, room};
use crate::raw::View;
use crate::{Cause, Error, Map, Waiting};
use abi::MapKind;
use abi::ioctl::Request;
use abi::result::EbpfResult;
use std::time::{Duration, Instant};

/// The record is not finished.
const BUSY: u32 = 1 << 31;
/// The record carries nothing.
const DISCARD: u32 = 1 << 30;
/// Bytes in front of a record's data.
const HEADER: u64 = 8;

/// The reader of one ring.
pub struct RingBuffer {
    query: Option<Box<dyn Waiting>>,
    view: View,
    map: Map,
    index: u32,
    size: u64,
    consumed: u64,
    produced: u64,
    lost: u64,
}

impl RingBuffer {
    /// The reader of a ring buffer.
    ///
    /// # Errors
    /// The map is none, or cannot be shown to this process.
    pub fn open(map: &Map) -> Result<RingBuffer, Error> {
        RingBuffer::open_ring(map, 0)
    }

    /// The readers of a perf event array, one for each processor.
    ///
    /// # Errors
    /// As [`RingBuffer::open`].
    pub fn open_all(map: &Map) -> Result<Vec<RingBuffer>, Error> {
        let kind = map.definition().row().map(|row| row.kind);
        let rings = match kind {
            Some(MapKind::PerfEventArray) => map.client().cpu_count(),
            _ => 1,
        };
        (0..rings)
            .map(|index| RingBuffer::open_ring(map, index))
            .collect()
    }

    fn open_ring(map: &Map, index: u32) -> Result<RingBuffer, Error> {
        let kind = map.definition().row().map(|row| row.kind);
        let size = map.definition().max_entries;
        if !matches!(kind, Some(MapKind::RingBuf | MapKind::PerfEventArray))
            || !size.is_power_of_two()
        {
            let doing = format!("read records of map {}", map.name());
            return Err(Error::input(doing, "the map is no ring buffer"));
        }
        let opened = View::open(map, index);
        let (view, consumed) = opened.map_err(|error| map.failed(error, "read records"))?;
        Ok(RingBuffer {
            query: None,
            view,
            map: map.clone(),
            index,
            size: u64::from(size),
            consumed,
            produced: consumed,
            lost: 0,
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

    /// Records that found no room so far, as the runtime said last.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Waits for records; false when there are none after this time. Without a timeout it waits until
    /// there are some.
    ///
    /// # Errors
    /// The runtime cannot be asked, or the map is gone.
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

    /// The next record that is finished, without waiting; `None` when the runtime has to be asked for
    /// more ([`RingBuffer::wait`]).
    ///
    /// # Errors
    /// A record is not as the protocol says.
    pub fn read(&mut self) -> Result<Option<Vec<u8>>, Error> {
        while self.has_record() {
            let place = self.place();
            let header = self.view.number(place).unwrap_or(BUSY);
            let length = u64::from(header & !(BUSY | DISCARD));
            let next = length.next_multiple_of(8).saturating_add(HEADER);
            if next > self.produced.wrapping_sub(self.consumed) {
                return Err(self.malformed());
            }
            let data = match header & DISCARD {
                0 => self.view.copy(place + HEADER as usize, length as usize),
                _ => None,
            };
            self.consumed = self.consumed.wrapping_add(next);
            if data.is_some() {
                return Ok(data);
            }
        }
        Ok(None)
    }

    /// Lets the runtime use the room of what was read, without waiting for more.
    ///
    /// # Errors
    /// The runtime cannot be asked.
    pub fn release(&mut self) -> Result<(), Error> {
        self.ask(Some(Duration::ZERO)).map(drop)
    }

    /// Whether the next record is finished.
    fn has_record(&self) -> bool {
        let header = || self.view.number(self.place()).unwrap_or(BUSY);
        self.consumed != self.produced && header() & BUSY == 0
    }

    /// Where in the view the next record is.
    fn place(&self) -> usize {
        (self.consumed & (self.size - 1)) as usize
    }

    /// Asks the runtime how far producers are, or goes on waiting; false when the time is over.
    fn ask(&mut self, timeout: Option<Duration>) -> Result<bool, Error> {
        let waiting = match self.query.take() {
            Some(waiting) => waiting,
            None => {
                let request = Request::MapAsyncQuery {
                    map_handle: self.map.handle(),
                    index: self.index,
                    consumer_offset: self.consumed,
                };
                match self.map.client().begin(&request, room(&request))? {
                    Asked::Done(reply) => return self.note(&reply).map(|()| true),
                    Asked::Later(waiting) => waiting,
                }
            }
        };
        match waiting.wait(timeout) {
            Some(Ok(reply)) => self.note(&reply).map(|()| true),
            Some(Err(cause)) => Err(Error::new(self.doing(), cause)),
            None => {
                self.query = Some(waiting);
                Ok(false)
            }
        }
    }

    fn note(&mut self, reply: &[u8]) -> Result<(), Error> {
        let positions = answer!(reply, MapAsyncQuery { producer, lost_count }
            => (producer, lost_count));
        let (produced, lost) = positions.map_err(|cause| Error::new(self.doing(), cause))?;
        if produced.wrapping_sub(self.consumed) > self.size {
            return Err(self.malformed());
        }
        (self.produced, self.lost) = (produced, lost);
        Ok(())
    }

    fn malformed(&self) -> Error {
        Error::new(self.doing(), Cause::Runtime(EbpfResult::InvalidState))
    }

    fn doing(&self) -> String {
        format!("read records of map {}", self.map.name())
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
