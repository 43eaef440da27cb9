//! Frames on their way in: indicated at the layer of the miniport driver, counted by verdict.
//!
//! Frames come in bursts, as network cards bring them, at DISPATCH_LEVEL. What callouts inject is
//! completed between bursts. What is left out: anything above layer 2.

use crate::irql;
use crate::machine::{Machine, violation};
use crate::raw::classify::{Subject, classify};
use crate::raw::fwps::complete_injected;
use crate::raw::ndis::Frame;
use crate::wire::{Reader, Writer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use wdk::fwp::{
    IncomingMetadata, IncomingValues, TYPE_UINT16, TYPE_UINT32, TYPE_UINT64, Value, layer,
};

/// Frames that are indicated together.
const BURST: usize = 32;
/// Most threads.
const THREADS: u32 = 64;
/// How long another thread may take to complete what was sent.
const PATIENCE: Duration = Duration::from_secs(5);

/// Fields of the layer of incoming frames.
mod field {
    pub(super) const MEDIA_TYPE: usize = 0;
    pub(super) const PHYSICAL_MEDIA_TYPE: usize = 1;
    pub(super) const INTERFACE: usize = 2;
    pub(super) const INTERFACE_TYPE: usize = 3;
    pub(super) const INTERFACE_INDEX: usize = 4;
    pub(super) const NDIS_PORT: usize = 5;
    pub(super) const L2_FLAGS: usize = 6;
    pub(super) const COUNT: usize = 7;
}

/// What comes in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Index of the interface.
    pub interface: u32,
    /// Frames longer than this lie in two pieces.
    pub split: u32,
    /// Frames per second and thread; 0 for as many as possible.
    pub rate: u64,
    /// How often each thread brings all frames.
    pub rounds: u64,
    /// Threads.
    pub threads: u32,
    /// The frames.
    pub frames: Vec<Vec<u8>>,
}

/// What became of one of the frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Count {
    /// Permitted.
    pub passed: u64,
    /// Blocked.
    pub dropped: u64,
}

/// What became of all of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// By frame.
    pub counts: Vec<Count>,
    /// From first to last.
    pub nanoseconds: u64,
}

impl Traffic {
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer
            .number(u64::from(self.interface))
            .number(u64::from(self.split));
        writer
            .number(self.rate)
            .number(self.rounds)
            .number(u64::from(self.threads));
        writer.number(self.frames.len() as u64);
        for frame in &self.frames {
            writer.bytes(frame);
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Traffic> {
        Some(Traffic {
            interface: reader.small()?,
            split: reader.small()?,
            rate: reader.number()?,
            rounds: reader.number()?,
            threads: reader
                .small()
                .filter(|threads| (1..=THREADS).contains(threads))?,
            frames: reader.list(|reader| reader.bytes().map(<[u8]>::to_vec))?,
        })
    }
}

impl Outcome {
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer
            .number(self.nanoseconds)
            .number(self.counts.len() as u64);
        for count in &self.counts {
            writer.number(count.passed).number(count.dropped);
        }
        writer.0
    }

    /// From the reply to a request.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Outcome> {
        let mut reader = Reader(bytes);
        let count = |reader: &mut Reader<'_>| {
            Some(Count {
                passed: reader.number()?,
                dropped: reader.number()?,
            })
        };
        Some(Outcome {
            nanoseconds: reader.number()?,
            counts: reader.list(count)?,
        })
    }
}

/// Counts of a frame that threads share.
#[derive(Default)]
struct Shared {
    passed: AtomicU64,
    dropped: AtomicU64,
}

/// Brings the frames; ends when all of them have got their verdict.
#[must_use]
pub fn run(machine: &Arc<Machine>, traffic: &Traffic) -> Outcome {
    let counts: Vec<Shared> = traffic.frames.iter().map(|_| Shared::default()).collect();
    let since = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..traffic.threads.min(THREADS) {
            scope.spawn(|| machine.enter(|| bring(machine, traffic, &counts)));
        }
    });
    let nanoseconds = since.elapsed().as_nanos() as u64;
    let load = |count: &Shared| Count {
        passed: count.passed.load(Ordering::Relaxed),
        dropped: count.dropped.load(Ordering::Relaxed),
    };
    Outcome {
        counts: counts.iter().map(load).collect(),
        nanoseconds,
    }
}

/// One thread.
fn bring(machine: &Machine, traffic: &Traffic, counts: &[Shared]) {
    let mut slots: Vec<Frame> = (0..BURST).map(|_| Frame::new()).collect();
    let since = Instant::now();
    let mut brought = 0u64;
    for _ in 0..traffic.rounds {
        for (burst, counts) in traffic.frames.chunks(BURST).zip(counts.chunks(BURST)) {
            indicate(machine, traffic, burst, (&mut slots, counts));
            brought += burst.len() as u64;
            pace(since, brought, traffic.rate);
        }
    }
}

/// One burst.
fn indicate(
    machine: &Machine,
    traffic: &Traffic,
    burst: &[Vec<u8>],
    (slots, counts): (&mut [Frame], &[Shared]),
) {
    let luid = u64::from(traffic.interface) << 24 | 6 << 48;
    let values = values(traffic.interface, &luid);
    let incoming = IncomingValues {
        layer: layer::InboundMacFrameNative,
        reserved: 0,
        count: field::COUNT as u32,
        values: values.as_ptr().expose_provenance() as u64,
    };
    let metadata = IncomingMetadata::default();
    // Callouts that leave wait for the burst at most.
    let plan = machine.engine.plan(layer::InboundMacFrameNative);
    for ((frame, slot), count) in burst.iter().zip(slots.iter_mut()).zip(counts) {
        let subject = Subject {
            values: &incoming,
            metadata: &metadata,
            data: slot.set(frame, traffic.split as usize),
            context: 0,
            level: irql::DISPATCH,
        };
        let verdict = classify(&plan, &subject);
        let count = if verdict.is_blocked {
            &count.dropped
        } else {
            &count.passed
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
    complete_injected();
    let clones = clones_left(slots);
    if clones != 0 {
        violation(|| format!("{clones} clones of frames are left when their frames go"));
    }
}

/// Clones that stay. Another thread may be just completing what this one has sent.
fn clones_left(slots: &[Frame]) -> i32 {
    let since = Instant::now();
    loop {
        let clones = slots.iter().map(Frame::clones).sum();
        if clones == 0 || since.elapsed() > PATIENCE {
            return clones;
        }
        std::thread::yield_now();
    }
}

fn values(interface: u32, luid: &u64) -> [Value; field::COUNT] {
    const ETHERNET: u64 = 6;
    let value = |kind, value| Value {
        kind,
        reserved: 0,
        value,
    };
    let mut values = [Value::default(); field::COUNT];
    values[field::MEDIA_TYPE] = value(TYPE_UINT16, 0);
    values[field::PHYSICAL_MEDIA_TYPE] = value(TYPE_UINT16, 0);
    let luid = std::ptr::from_ref(luid).expose_provenance() as u64;
    values[field::INTERFACE] = value(TYPE_UINT64, luid);
    values[field::INTERFACE_TYPE] = value(TYPE_UINT32, ETHERNET);
    values[field::INTERFACE_INDEX] = value(TYPE_UINT32, u64::from(interface));
    values[field::NDIS_PORT] = value(TYPE_UINT32, 0);
    values[field::L2_FLAGS] = value(TYPE_UINT32, 0);
    values
}

/// Waits until so many frames are due.
fn pace(since: Instant, brought: u64, rate: u64) {
    let Some(nanoseconds) = brought.saturating_mul(1_000_000_000).checked_div(rate) else {
        return;
    };
    let due = Duration::from_nanos(nanoseconds);
    // Sleeping is coarse; what it oversleeps the next bursts make up for.
    if let Some(left) = due.checked_sub(since.elapsed())
        && left > Duration::from_millis(1)
    {
        std::thread::sleep(left);
    }
}
