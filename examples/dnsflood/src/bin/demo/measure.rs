//! What the server's network stack receives, sampled while the story goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Time between samples.
const STEP: Duration = Duration::from_millis(100);

/// How many datagrams had come at a time since the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) received: u64,
}

/// Samples in a thread of its own.
pub(crate) struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Sample>>,
}

impl Sampler {
    /// Reads the counters of the network namespace that a process is in.
    pub(crate) fn start(process: u32, start: Instant) -> Sampler {
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut samples = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                if let Some(received) = received(process) {
                    let at = start.elapsed();
                    samples.push(Sample { at, received });
                }
                thread::sleep(STEP);
            }
            samples
        });
        Sampler { stop, thread }
    }

    pub(crate) fn finish(self) -> Vec<Sample> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// UDP datagrams that came for this machine: delivered, without a listener, or beyond the room that
/// the listener's queue has (RFC 4113).
fn received(process: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/net/snmp")).ok()?;
    udp_received(&text)
}

fn udp_received(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let counters = names.split(' ').zip(values.split(' '));
    let counted =
        counters.filter(|(name, _)| ["InDatagrams", "NoPorts", "InErrors"].contains(name));
    counted.map(|(_, value)| value.parse::<u64>().ok()).sum()
}

/// Datagrams per second between two times.
pub(crate) fn rate(samples: &[Sample], from: Duration, to: Duration) -> Option<f64> {
    let mut inside = samples
        .iter()
        .filter(|sample| (from..=to).contains(&sample.at));
    let first = inside.next()?;
    let last = inside.next_back()?;
    let received = last.received.saturating_sub(first.received);
    Some(received as f64 / (last.at - first.at).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::{Sample, rate, udp_received};
    use std::time::Duration;

    #[test]
    fn counters_are_found_by_their_names() {
        let text = "Ip: Forwarding\nIp: 1\n\
                    Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors\n\
                    Udp: 100 20 3 999 3\nUdpLite: InDatagrams\nUdpLite: 5\n";
        assert_eq!(udp_received(text), Some(123));
        assert_eq!(udp_received("Udp: InDatagrams\n"), None);
    }

    #[test]
    fn the_rate_is_that_between_the_samples_inside() {
        let sample = |at, received| Sample {
            at: Duration::from_millis(at),
            received,
        };
        let samples = [
            sample(0, 0),
            sample(100, 50),
            sample(600, 1050),
            sample(900, 9999),
        ];
        let between = |from, to| {
            rate(
                &samples,
                Duration::from_millis(from),
                Duration::from_millis(to),
            )
        };
        assert_eq!(between(50, 700), Some(2000.0));
        assert_eq!(between(101, 700), None, "one sample has no rate");
    }
}
