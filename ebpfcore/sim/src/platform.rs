//! The host beneath the runtime: clock, random numbers, identity of the caller, trace output.
//!
//! By default everything is deterministic, so that two runs give the same result: the clock stands
//! still unless a step is given, random numbers come from a fixed seed. Programs run on processor
//! 0, one at a time.

use crate::raw::events::Events;
use crate::tickets::Tickets;
use ebpfcore::{Platform, Status};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Lines of trace output that are kept.
const TRACE_LINES: usize = 10_000;
/// Boot lies this long before the clock that does not count time asleep, when that stands still.
const SLEPT_NS: u64 = 1_000_000_000;

/// Where time comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clock {
    /// The clock of the host.
    Host,
    /// A clock that shows `start_ns` first and advances by `step_ns` with each reading.
    Fixed {
        /// First reading, nanoseconds since boot.
        start_ns: u64,
        /// Advance per reading.
        step_ns: u64,
    },
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::Fixed {
            start_ns: 1_000_000_000_000,
            step_ns: 0,
        }
    }
}

/// Where random numbers come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Random {
    /// A sequence from a seed.
    Seed(u64),
    /// A sequence from the time of the start.
    Host,
}

impl Default for Random {
    fn default() -> Random {
        Random::Seed(0x9e37_79b9_7f4a_7c15)
    }
}

/// The settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Environment {
    /// Processors; per-CPU values have this many copies.
    pub cpus: u32,
    /// Time.
    pub clock: Clock,
    /// Random numbers.
    pub random: Random,
    /// Process and thread id that programs see.
    pub pid_tid: (u32, u32),
}

impl Default for Environment {
    fn default() -> Environment {
        Environment {
            cpus: 1,
            clock: Clock::default(),
            random: Random::default(),
            pid_tid: (4242, 4243),
        }
    }
}

/// Trace output of programs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trace {
    /// The first lines.
    pub lines: Vec<String>,
    /// Lines beyond those.
    pub dropped: u64,
}

/// The platform of one [`crate::Host`].
#[derive(Debug)]
pub(crate) struct HostPlatform {
    environment: Environment,
    started: Instant,
    reading: AtomicU64,
    random: AtomicU64,
    trace: Mutex<Trace>,
    tickets: Tickets,
    events: Events,
}

impl HostPlatform {
    /// The runtime wants its platform for ever; a few hundred bytes per host stay allocated.
    pub(crate) fn leaked(environment: Environment) -> &'static HostPlatform {
        let seed = match environment.random {
            Random::Seed(seed) => seed,
            Random::Host => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_nanos() as u64),
        };
        let reading = match environment.clock {
            Clock::Fixed { start_ns, .. } => start_ns,
            Clock::Host => 0,
        };
        Box::leak(Box::new(HostPlatform {
            environment: Environment {
                cpus: environment.cpus.max(1),
                ..environment
            },
            started: Instant::now(),
            reading: AtomicU64::new(reading),
            random: AtomicU64::new(seed),
            trace: Mutex::default(),
            tickets: Tickets::default(),
            events: Events::default(),
        }))
    }

    /// Requests that end later.
    pub(crate) fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    /// Events of processes that the runtime refers to.
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// Takes the trace output so far.
    pub(crate) fn take_trace(&self) -> Trace {
        match self.trace.lock() {
            Ok(mut trace) => std::mem::take(&mut trace),
            Err(_) => Trace::default(),
        }
    }
}

impl Platform for HostPlatform {
    fn cpu_count(&self) -> u32 {
        self.environment.cpus
    }

    fn current_cpu(&self) -> u32 {
        0
    }

    fn raise_irql(&self) -> u8 {
        0
    }

    fn lower_irql(&self, _level: u8) {}

    fn relax(&self) {
        std::thread::yield_now();
    }

    fn ktime_ns(&self) -> u64 {
        match self.environment.clock {
            Clock::Host => self.started.elapsed().as_nanos() as u64,
            Clock::Fixed { step_ns, .. } => self.reading.fetch_add(step_ns, Relaxed),
        }
    }

    fn boot_ns(&self) -> u64 {
        self.ktime_ns().saturating_add(SLEPT_NS)
    }

    /// SplitMix64 (Steele, Lea, Flood, 2014).
    fn random_u32(&self) -> u32 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.random.fetch_add(STEP, Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as u32
    }

    fn pid_tid(&self) -> (u32, u32) {
        self.environment.pid_tid
    }

    /// The well-known logon session of the system, `0x3e7`.
    fn logon_id(&self) -> u64 {
        0x3e7
    }

    fn is_admin(&self) -> i32 {
        1
    }

    fn process_start_key(&self) -> u64 {
        0x0001_0000_0000_0000 | u64::from(self.environment.pid_tid.0)
    }

    /// 2024-01-01 in 100 ns units since 1601.
    fn thread_create_time(&self) -> i64 {
        133_485_408_000_000_000
    }

    fn trace(&self, line: &[u8]) {
        let Ok(mut trace) = self.trace.lock() else {
            return;
        };
        if trace.lines.len() < TRACE_LINES {
            trace.lines.push(String::from_utf8_lossy(line).into_owned());
        } else {
            trace.dropped += 1;
        }
    }

    fn complete(&self, ticket: u64, reply: Result<&[u8], Status>) {
        self.tickets.complete(ticket, reply);
    }

    fn signal(&self, event: u64) {
        self.events.set(event);
    }

    fn forget_event(&self, event: u64) {
        self.events.forget(event);
    }
}
