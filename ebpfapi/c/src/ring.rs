//! Ring buffers and perf event arrays with callbacks.
//!
//! A reader polls in the thread of the program, or has threads of its own that call back ("auto
//! callback"). One that polls has an event for those who wait themselves: it is set while there are
//! records, so reading takes it back first and sets it again when something is left.

mod background;

use crate::error::{Fault, code, done, number, some};
use crate::exports;
use crate::fd;
use crate::raw::{Input, Token};
use background::Background;
use client::{EbpfResult, Error, Handle, RingBuffer, RingView, WaitEvent};
use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// `ring_buffer_sample_fn`: what is called with each record; negative numbers end reading.
type SampleFn = extern "C" fn(context: *mut c_void, data: *mut c_void, size: usize) -> c_int;
/// `perf_buffer_sample_fn`.
type PerfSampleFn = extern "C" fn(context: *mut c_void, cpu: c_int, data: *mut c_void, size: u32);
/// `perf_buffer_lost_fn`.
type PerfLostFn = extern "C" fn(context: *mut c_void, cpu: c_int, count: u64);

/// `ebpf_handle_invalid`.
const NO_HANDLE: i64 = -1;

/// `struct ebpf_ring_buffer_opts` and `struct ebpf_perf_buffer_opts`.
#[repr(C)]
pub(crate) struct Opts {
    sz: usize,
    flags: u64,
}

/// Who calls back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The thread that polls.
    Polled,
    /// Threads of the library.
    Auto,
}

impl Mode {
    fn of(opts: Option<&Opts>) -> Result<Mode, Fault> {
        /// `EBPF_RINGBUF_FLAG_AUTO_CALLBACK`, `EBPF_PERFBUF_FLAG_AUTO_CALLBACK`.
        const AUTO_CALLBACK: u64 = 1;
        match opts {
            Some(opts) if opts.sz >= size_of::<Opts>() => match opts.flags {
                0 => Ok(Mode::Polled),
                AUTO_CALLBACK => Ok(Mode::Auto),
                _ => Err(Fault::INVALID),
            },
            _ => Ok(Mode::Polled),
        }
    }
}

/// What a ring is read with.
trait Callback: Send + 'static {
    /// Tells of a record.
    fn record(&mut self, ring: &RingBuffer, record: Vec<u8>) -> Result<(), Fault>;

    /// Tells of records that were lost since the last time.
    fn lost(&mut self, _ring: &RingBuffer) {}
}

/// What a ring buffer is read with.
struct Sample {
    sample: SampleFn,
    context: Token,
}

/// What a ring of a perf event array is read with.
struct Perf {
    sample: PerfSampleFn,
    lost: Option<PerfLostFn>,
    context: Token,
    /// Lost records that were told of; those before the reader are not its own.
    told: u64,
}

impl Callback for Sample {
    fn record(&mut self, _: &RingBuffer, mut record: Vec<u8>) -> Result<(), Fault> {
        let size = record.len();
        match (self.sample)(self.context.0, record.as_mut_ptr().cast(), size) {
            error @ ..0 => Err(Fault::of_callback(error)),
            _ => Ok(()),
        }
    }
}

impl Callback for Perf {
    fn record(&mut self, ring: &RingBuffer, mut record: Vec<u8>) -> Result<(), Fault> {
        let size = u32::try_from(record.len()).unwrap_or(u32::MAX);
        let data = record.as_mut_ptr().cast();
        (self.sample)(self.context.0, ring.index() as c_int, data, size);
        Ok(())
    }

    fn lost(&mut self, ring: &RingBuffer) {
        let lost = ring.lost();
        let new = lost.saturating_sub(self.told);
        self.told = lost;
        match self.lost {
            Some(tell) if new > 0 => tell(self.context.0, ring.index() as c_int, new),
            _ => {}
        }
    }
}

/// Several rings that are read in turn, or by threads.
struct Rings<C> {
    rings: Vec<(RingBuffer, C)>,
    /// Set while a ring has records; made when somebody waits for it.
    event: Option<WaitEvent>,
    background: Option<Background>,
}

/// `struct ring_buffer`.
pub(crate) struct BpfRingBuffer(Rings<Sample>);

/// `struct perf_buffer`.
pub(crate) struct BpfPerfBuffer(Rings<Perf>);

impl<C: Callback> Rings<C> {
    fn new(rings: Vec<(RingBuffer, C)>, mode: Mode) -> Result<Rings<C>, Fault> {
        let (rings, background) = match mode {
            Mode::Polled => (rings, None),
            Mode::Auto => (Vec::new(), Some(Background::start(rings)?)),
        };
        Ok(Rings {
            rings,
            event: None,
            background,
        })
    }

    fn count(&self) -> usize {
        let threads = self.background.as_ref().map_or(0, Background::count);
        self.rings.len() + threads
    }

    /// Those who have threads for it do not read.
    fn check_polled(&self) -> Result<(), Fault> {
        match self.background {
            None => Ok(()),
            Some(_) => Err(Fault::INVALID),
        }
    }

    fn add(&mut self, ring: RingBuffer, callback: C) -> Result<(), Fault> {
        if let Some(event) = &self.event {
            ring.set_wait_handle(Some(event.handle()))?;
        }
        self.rings.push((ring, callback));
        Ok(())
    }

    fn has_record(&self) -> bool {
        self.rings.iter().any(|(ring, _)| ring.has_record())
    }

    /// Reads what some of the rings have; gives the number of records.
    fn consume(&mut self, which: Range<usize>) -> Result<c_int, Fault> {
        self.check_polled()?;
        if let Some(event) = &self.event {
            event.reset();
        }
        let rings = self.rings.get_mut(which).ok_or(Fault::INVALID)?;
        let mut counts = rings
            .iter_mut()
            .map(|(ring, callback)| read(ring, callback));
        let count = counts.try_fold(0, |sum: c_int, count| Ok(sum.saturating_add(count?)));
        match &self.event {
            Some(event) if self.has_record() => event.set(),
            _ => {}
        }
        count
    }

    fn poll(&mut self, timeout_ms: c_int) -> Result<c_int, Fault> {
        self.check_polled()?;
        self.wait(timeout_ms)?;
        self.consume(0..self.rings.len())
    }

    /// Waits until a ring has records, at most so many milliseconds; negative waits for ever.
    fn wait(&mut self, timeout_ms: c_int) -> Result<(), Fault> {
        let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        if let [(ring, _)] = &mut self.rings[..] {
            ring.wait(timeout)?;
            return Ok(());
        }
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let event = self.event()?;
            // Records that come after this set it again; those from before are seen.
            event.reset();
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if self.has_record() || !self.event()?.wait(left) {
                return Ok(());
            }
        }
    }

    /// The event of all rings.
    fn event(&mut self) -> Result<&WaitEvent, Fault> {
        self.check_polled()?;
        let event = match self.event.take() {
            Some(event) => event,
            None => {
                let event = WaitEvent::new()?;
                let handle = Some(event.handle());
                let mut rings = self.rings.iter();
                if let Err(error) = rings.try_for_each(|(ring, _)| ring.set_wait_handle(handle)) {
                    self.forget_event();
                    return Err(error.into());
                }
                event
            }
        };
        Ok(self.event.insert(event))
    }

    fn wait_handle(&mut self) -> i64 {
        match self.event() {
            Ok(event) => event.handle().0 as i64,
            Err(fault) => {
                fault.tell();
                NO_HANDLE
            }
        }
    }
}

impl<C> Rings<C> {
    fn forget_event(&self) {
        for (ring, _) in &self.rings {
            // A ring that is gone has none any more.
            let _ = ring.set_wait_handle(None);
        }
    }
}

impl<C> Drop for Rings<C> {
    fn drop(&mut self) {
        if self.event.is_some() {
            self.forget_event();
        }
    }
}

/// Reads what a ring has; gives the number of records.
fn read(ring: &mut RingBuffer, callback: &mut impl Callback) -> Result<c_int, Fault> {
    let mut count: c_int = 0;
    callback.lost(ring);
    // A ring that is written as fast as it is read must not keep the others waiting.
    let most = ring.view().size() / 8;
    for _ in 0..most {
        let Some(record) = ring.read()? else { break };
        callback.record(ring, record)?;
        count = count.saturating_add(1);
    }
    Ok(count)
}

impl BpfRingBuffer {
    fn open(
        map: c_int,
        sample: Option<SampleFn>,
        context: Token,
        mode: Mode,
    ) -> Result<Box<BpfRingBuffer>, Fault> {
        let sample = sample.ok_or(Fault::INVALID)?;
        let ring = RingBuffer::open(&fd::map(map)?)?;
        let rings = Rings::new(vec![(ring, Sample { sample, context })], mode)?;
        Ok(Box::new(BpfRingBuffer(rings)))
    }

    fn add(&mut self, map: c_int, sample: Option<SampleFn>, context: Token) -> Result<(), Fault> {
        let sample = sample.ok_or(Fault::INVALID)?;
        if self.0.background.is_some() {
            let cause = EbpfResult::OperationNotSupported;
            return Err(Error::new("add a ring to a reader with auto callback", cause).into());
        }
        let ring = RingBuffer::open(&fd::map(map)?)?;
        self.0.add(ring, Sample { sample, context })
    }
}

impl BpfPerfBuffer {
    fn open(map: c_int, perf: &Perf, mode: Mode) -> Result<Box<BpfPerfBuffer>, Fault> {
        let rings = RingBuffer::open_all(&fd::map(map)?)?;
        let with_callbacks = rings.into_iter().map(|ring| {
            let told = ring.lost();
            (ring, Perf { told, ..*perf })
        });
        let rings = Rings::new(with_callbacks.collect(), mode)?;
        Ok(Box::new(BpfPerfBuffer(rings)))
    }
}

/// Where a program wants to know of a ring in place.
struct Places<'a> {
    consumer: Option<&'a mut *mut c_void>,
    producer: Option<&'a mut *const c_void>,
    records: Option<&'a mut *const u8>,
    size: Option<&'a mut u64>,
}

/// Says where a ring is.
fn tell_view(view: &RingView, to: Places<'_>) -> Result<(), Fault> {
    let (Some(consumer), Some(producer)) = (to.consumer, to.producer) else {
        return Err(Fault::INVALID);
    };
    let (Some(records), Some(size)) = (to.records, to.size) else {
        return Err(Fault::INVALID);
    };
    let Some(place) = view.records() else {
        let cause = EbpfResult::OperationNotSupported;
        return Err(Error::new("map the records of a ring twice", cause).into());
    };
    *consumer = std::ptr::with_exposed_provenance_mut(view.consumer_page());
    *producer = std::ptr::with_exposed_provenance(view.producer_page());
    *records = std::ptr::with_exposed_provenance(place);
    *size = view.size() as u64;
    Ok(())
}

/// Rings that programs have mapped themselves.
static VIEWS: Mutex<Vec<RingView>> = Mutex::new(Vec::new());

fn views() -> MutexGuard<'static, Vec<RingView>> {
    VIEWS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the ring away that a program has mapped at these places.
fn unmap(map: c_int, consumer: Input, producer: Input, records: Input) -> Result<(), Fault> {
    fd::map(map)?;
    let places = [consumer, producer, records].map(|place| place.address() as usize);
    let is_meant = |view: &RingView| {
        let records = view.records().unwrap_or(0);
        [view.consumer_page(), view.producer_page(), records] == places
    };
    let found = {
        let mut views = views();
        let at = views.iter().position(is_meant);
        at.map(|at| views.swap_remove(at))
    };
    // Dropped without the lock.
    found.map(drop).ok_or(Fault::INVALID)
}

/// The event of a handle of the system, none for the invalid one.
fn event_of(handle: i64) -> Option<Handle> {
    (handle != NO_HANDLE).then_some(Handle(handle as u64))
}

exports! {
    /// A reader of a ring buffer.
    fn ring_buffer__new(map_fd: c_int, sample: Option<SampleFn>, context: Token, _opts: Input) -> Option<Box<BpfRingBuffer>> {
        some(BpfRingBuffer::open(map_fd, sample, context, Mode::Polled))
    }

    /// The same; with `EBPF_RINGBUF_FLAG_AUTO_CALLBACK` the library calls back by itself.
    fn ebpf_ring_buffer__new(map_fd: c_int, sample: Option<SampleFn>, context: Token, opts: Option<&Opts>) -> Option<Box<BpfRingBuffer>> {
        some(Mode::of(opts).and_then(|mode| BpfRingBuffer::open(map_fd, sample, context, mode)))
    }

    /// Reads another ring buffer too.
    fn ring_buffer__add(buffer: Option<&mut BpfRingBuffer>, map_fd: c_int, sample: Option<SampleFn>, context: Token) -> c_int {
        done(buffer.ok_or(Fault::INVALID).and_then(|buffer| buffer.add(map_fd, sample, context)))
    }

    /// Waits for records and gives them to the callback; the number of records.
    fn ring_buffer__poll(buffer: Option<&mut BpfRingBuffer>, timeout_ms: c_int) -> c_int {
        number(buffer.ok_or(Fault::INVALID).and_then(|buffer| buffer.0.poll(timeout_ms)))
    }

    /// Gives the records that are there to the callback; their number.
    fn ring_buffer__consume(buffer: Option<&mut BpfRingBuffer>) -> c_int {
        number(buffer.ok_or(Fault::INVALID).and_then(|buffer| buffer.0.consume(0..buffer.0.count())))
    }

    /// What is set while there are records: an event on Windows, a descriptor on Linux.
    fn ebpf_ring_buffer_get_wait_handle(buffer: Option<&mut BpfRingBuffer>) -> i64 {
        buffer.map_or(NO_HANDLE, |buffer| buffer.0.wait_handle())
    }

    /// Where one of the rings of a reader is, in the order in which they were added.
    fn ebpf_ring_buffer_get_buffer(buffer: Option<&BpfRingBuffer>, index: u32, consumer: Option<&mut *mut c_void>, producer: Option<&mut *const c_void>, records: Option<&mut *const u8>, size: Option<&mut u64>) -> c_int {
        let places = Places { consumer, producer, records, size };
        code(buffer.ok_or(Fault::INVALID).and_then(|buffer| {
            buffer.0.check_polled()?;
            let (ring, _) = buffer.0.rings.get(index as usize).ok_or(Fault::MISSING)?;
            tell_view(ring.view(), places)
        }))
    }

    /// Gives a reader up. Its callbacks are not called any more, except the one that this is called from.
    fn ring_buffer__free(buffer: Option<Box<BpfRingBuffer>>) {
        drop(buffer);
    }

    /// Shows a ring buffer to the program, until it is unmapped.
    fn ebpf_ring_buffer_map_map_buffer(map_fd: c_int, consumer: Option<&mut *mut c_void>, producer: Option<&mut *const c_void>, records: Option<&mut *const u8>, size: Option<&mut u64>) -> c_int {
        let places = Places { consumer, producer, records, size };
        code(fd::map(map_fd).and_then(|map| {
            let view = RingView::open(&map, 0)?;
            tell_view(&view, places)?;
            views().push(view);
            Ok(())
        }))
    }

    /// Takes it away again.
    fn ebpf_ring_buffer_map_unmap_buffer(map_fd: c_int, consumer: Input, producer: Input, records: Input) -> c_int {
        code(unmap(map_fd, consumer, producer, records))
    }

    /// Has an event of the program set whenever there are records; -1 for none any more.
    fn ebpf_map_set_wait_handle(map_fd: c_int, index: u64, handle: i64) -> c_int {
        code(fd::map(map_fd).and_then(|map| Ok(map.set_wait_handle(index, event_of(handle))?)))
    }

    /// A reader of a perf event array, with a ring for each processor.
    fn perf_buffer__new(map_fd: c_int, pages: usize, sample: Option<PerfSampleFn>, lost: Option<PerfLostFn>, context: Token, _opts: Input) -> Option<Box<BpfPerfBuffer>> {
        ebpf_perf_buffer__new(map_fd, pages, sample, lost, context, None)
    }

    /// The same; with `EBPF_PERFBUF_FLAG_AUTO_CALLBACK` the library calls back by itself.
    fn ebpf_perf_buffer__new(map_fd: c_int, _pages: usize, sample: Option<PerfSampleFn>, lost: Option<PerfLostFn>, context: Token, opts: Option<&Opts>) -> Option<Box<BpfPerfBuffer>> {
        some(Mode::of(opts).and_then(|mode| {
            let sample = sample.ok_or(Fault::INVALID)?;
            BpfPerfBuffer::open(map_fd, &Perf { sample, lost, context, told: 0 }, mode)
        }))
    }

    /// Waits for records and gives them to the callback; the number of records.
    fn perf_buffer__poll(buffer: Option<&mut BpfPerfBuffer>, timeout_ms: c_int) -> c_int {
        number(buffer.ok_or(Fault::INVALID).and_then(|buffer| buffer.0.poll(timeout_ms)))
    }

    /// Gives the records that are there to the callback; their number.
    fn perf_buffer__consume(buffer: Option<&mut BpfPerfBuffer>) -> c_int {
        number(buffer.ok_or(Fault::INVALID).and_then(|buffer| buffer.0.consume(0..buffer.0.count())))
    }

    /// The same for the ring of one processor.
    fn perf_buffer__consume_buffer(buffer: Option<&mut BpfPerfBuffer>, cpu: usize) -> c_int {
        number(buffer.ok_or(Fault::INVALID).and_then(|buffer| {
            let end = cpu.checked_add(1).ok_or(Fault::INVALID)?;
            buffer.0.consume(cpu..end)
        }))
    }

    /// What is set while there are records: an event on Windows, a descriptor on Linux.
    fn ebpf_perf_buffer_get_wait_handle(buffer: Option<&mut BpfPerfBuffer>) -> i64 {
        buffer.map_or(NO_HANDLE, |buffer| buffer.0.wait_handle())
    }

    /// Rings of a reader.
    fn perf_buffer__buffer_cnt(buffer: Option<&BpfPerfBuffer>) -> usize {
        buffer.map_or(0, |buffer| buffer.0.count())
    }

    /// Gives a reader up. Its callbacks are not called any more, except the one that this is called from.
    fn perf_buffer__free(buffer: Option<Box<BpfPerfBuffer>>) {
        drop(buffer);
    }
}
