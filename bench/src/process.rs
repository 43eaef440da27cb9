//! What the operating system says about this process: processor time and peak memory.
//!
//! Reads `/proc`; where there is none the answers are `None`. What is left out: other threads (the
//! benchmarks that ask have one).

use std::fs;
use std::time::Duration;

/// Time that this thread has had a processor: unlike the clock on the wall it does not count what
/// other processes do meanwhile. Up to date to a few milliseconds.
pub(crate) fn processor_time() -> Option<Duration> {
    let text = fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// The most memory that the process has had at once, in bytes.
pub(crate) fn peak_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

/// Forgets the peak so far: [`peak_memory`] counts from what is used now. Without effect where the
/// system does not offer it.
pub(crate) fn forget_peak() {
    // The system takes 5 for "the peak of resident memory".
    let _ = fs::write("/proc/self/clear_refs", "5");
}
