//! Ring buffers and perf event arrays with callbacks.

use crate::error::{Fault, done, number, some};
use crate::exports;
use crate::fd;
use crate::raw::{Input, Token};
use client::RingBuffer;
use std::ffi::{c_int, c_void};
use std::time::{Duration, Instant};

/// How long one of several rings is waited for before the others are looked at.
const TURN: Duration = Duration::from_millis(5);

/// `ring_buffer_sample_fn`: what is called with each record; negative numbers end reading.
type SampleFn = extern "C" fn(context: *mut c_void, data: *mut c_void, size: usize) -> c_int;
/// `perf_buffer_sample_fn`.
type PerfSampleFn = extern "C" fn(context: *mut c_void, cpu: c_int, data: *mut c_void, size: u32);
/// `perf_buffer_lost_fn`.
type PerfLostFn = extern "C" fn(context: *mut c_void, cpu: c_int, count: u64);

/// Several rings that are read in turn.
struct Rings<C> {
    rings: Vec<(RingBuffer, C)>,
}

/// `struct ring_buffer`.
pub(crate) struct BpfRingBuffer(Rings<(SampleFn, Token)>);

/// `struct perf_buffer`.
pub(crate) struct BpfPerfBuffer(Rings<Perf>);

/// What a ring of a perf event array is read with.
struct Perf {
    sample: PerfSampleFn,
    lost: Option<PerfLostFn>,
    context: Token,
    told: u64,
}

impl<C> Rings<C> {
    /// Reads what there is; gives the number of records.
    fn consume(
        &mut self,
        mut call: impl FnMut(&mut C, &RingBuffer, Vec<u8>) -> Result<(), Fault>,
    ) -> Result<c_int, Fault> {
        let mut count: c_int = 0;
        for (ring, callback) in &mut self.rings {
            // A ring that is written as fast as it is read must not keep the others waiting.
            let most = u64::from(ring.source().definition().max_entries) / 8;
            for _ in 0..most {
                let record = match ring.read()? {
                    Some(record) => record,
                    None if ring.wait(Some(Duration::ZERO))? => continue,
                    None => break,
                };
                call(callback, ring, record)?;
                count = count.saturating_add(1);
            }
        }
        Ok(count)
    }

    /// Waits until a ring has records, at most so many milliseconds; negative waits for ever.
    fn wait(&mut self, timeout_ms: c_int) -> Result<(), Fault> {
        let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let is_one = self.rings.len() == 1;
        loop {
            for (ring, _) in &mut self.rings {
                let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                let turn = match is_one {
                    true => left,
                    false => Some(left.map_or(TURN, |left| left.min(TURN))),
                };
                if ring.wait(turn)? {
                    return Ok(());
                }
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(());
            }
        }
    }
}

impl BpfRingBuffer {
    fn consume(&mut self) -> Result<c_int, Fault> {
        self.0.consume(|(sample, context), _, mut record| {
            let size = record.len();
            match sample(context.0, record.as_mut_ptr().cast(), size) {
                error @ ..0 => Err(Fault::of_callback(error)),
                _ => Ok(()),
            }
        })
    }

    fn add(&mut self, map: c_int, sample: Option<SampleFn>, context: Token) -> Result<(), Fault> {
        let sample = sample.ok_or(Fault::INVALID)?;
        let ring = RingBuffer::open(&fd::map(map)?)?;
        self.0.rings.push((ring, (sample, context)));
        Ok(())
    }
}

impl BpfPerfBuffer {
    fn open(map: c_int, perf: &Perf) -> Result<Box<BpfPerfBuffer>, Fault> {
        let rings = RingBuffer::open_all(&fd::map(map)?)?;
        let with_callbacks = rings.into_iter().map(|ring| (ring, Perf { ..*perf }));
        Ok(Box::new(BpfPerfBuffer(Rings {
            rings: with_callbacks.collect(),
        })))
    }

    fn consume(&mut self) -> Result<c_int, Fault> {
        let count = self.0.consume(|perf, ring, mut record| {
            let size = u32::try_from(record.len()).unwrap_or(u32::MAX);
            let data = record.as_mut_ptr().cast();
            (perf.sample)(perf.context.0, ring.index() as c_int, data, size);
            Ok(())
        })?;
        for (ring, perf) in &mut self.0.rings {
            let new = ring.lost().saturating_sub(perf.told);
            perf.told = ring.lost();
            match perf.lost {
                Some(lost) if new > 0 => lost(perf.context.0, ring.index() as c_int, new),
                _ => {}
            }
        }
        Ok(count)
    }
}

exports! {
    /// A reader of a ring buffer.
    fn ring_buffer__new(map_fd: c_int, sample: Option<SampleFn>, context: Token, _opts: Input) -> Option<Box<BpfRingBuffer>> {
        let mut buffer = Box::new(BpfRingBuffer(Rings { rings: Vec::new() }));
        some(buffer.add(map_fd, sample, context).map(|()| buffer))
    }

    /// Reads another ring buffer too.
    fn ring_buffer__add(buffer: Option<&mut BpfRingBuffer>, map_fd: c_int, sample: Option<SampleFn>, context: Token) -> c_int {
        done(buffer.ok_or(Fault::INVALID).and_then(|buffer| buffer.add(map_fd, sample, context)))
    }

    /// Waits for records and gives them to the callback; the number of records.
    fn ring_buffer__poll(buffer: Option<&mut BpfRingBuffer>, timeout_ms: c_int) -> c_int {
        number(buffer.ok_or(Fault::INVALID).and_then(|buffer| {
            buffer.0.wait(timeout_ms)?;
            buffer.consume()
        }))
    }

    /// Gives the records that are there to the callback; their number.
    fn ring_buffer__consume(buffer: Option<&mut BpfRingBuffer>) -> c_int {
        number(buffer.ok_or(Fault::INVALID).and_then(BpfRingBuffer::consume))
    }

    /// Gives a reader up.
    fn ring_buffer__free(buffer: Option<Box<BpfRingBuffer>>) {
        drop(buffer);
    }

    /// A reader of a perf event array, with a ring for each processor.
    fn perf_buffer__new(map_fd: c_int, _pages: usize, sample: Option<PerfSampleFn>, lost: Option<PerfLostFn>, context: Token, _opts: Input) -> Option<Box<BpfPerfBuffer>> {
        some(sample.ok_or(Fault::INVALID).and_then(|sample| {
            BpfPerfBuffer::open(map_fd, &Perf { sample, lost, context, told: 0 })
        }))
    }

    /// Waits for records and gives them to the callback; the number of records.
    fn perf_buffer__poll(buffer: Option<&mut BpfPerfBuffer>, timeout_ms: c_int) -> c_int {
        number(buffer.ok_or(Fault::INVALID).and_then(|buffer| {
            buffer.0.wait(timeout_ms)?;
            buffer.consume()
        }))
    }

    /// Gives the records that are there to the callback; their number.
    fn perf_buffer__consume(buffer: Option<&mut BpfPerfBuffer>) -> c_int {
        number(buffer.ok_or(Fault::INVALID).and_then(BpfPerfBuffer::consume))
    }

    /// Rings of a reader.
    fn perf_buffer__buffer_cnt(buffer: Option<&BpfPerfBuffer>) -> usize {
        buffer.map_or(0, |buffer| buffer.0.rings.len())
    }

    /// Gives a reader up.
    fn perf_buffer__free(buffer: Option<Box<BpfPerfBuffer>>) {
        drop(buffer);
    }
}
