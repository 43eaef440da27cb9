//! A name server's network over time: a client's questions, then a flood of empty datagrams beside them.
//!
//! Each step prints a line: milliseconds since the start, datagrams that have reached the server so
//! far, and whether the step's question was among them (`-` for steps without one). What is left out:
//! the server; what passes has reached it.

use crate::{bring, frames};
use std::io::Write as _;
use std::time::{Duration, Instant};

/// Time of a step; every second one has a question, which makes five per second.
const STEP: Duration = Duration::from_millis(100);
/// Time that one step makes up for at most.
const MOST: Duration = Duration::from_millis(150);
/// Ports that the flood comes from.
const PORTS: u16 = 64;

pub(crate) fn run([quiet, seconds, rate]: [u64; 3]) -> Result<(), String> {
    let flood: Vec<Vec<u8>> = (0..PORTS).map(|port| frames::datagram(port, &[])).collect();
    let (start, mut received) = (Instant::now(), 0);
    let mut last = Duration::from_secs(quiet);
    for step in 0u64.. {
        if start.elapsed() >= Duration::from_secs(quiet + seconds) {
            break;
        }
        let question = step.is_multiple_of(2).then(ask).transpose()?;
        received += u64::from(question == Some(true));
        // Questions that were late are not asked in haste: there are five per second at most.
        let due = start.elapsed() + STEP;
        // What the last step lacked this one brings too, as far as the machine can.
        let time = due.saturating_sub(last).min(MOST);
        let rounds = rate * time.as_millis() as u64 / 1000 / u64::from(PORTS);
        if rounds > 0 {
            last += time;
            // A little faster, so that there is time for the rest of the step.
            let outcome = bring(flood.clone(), rate + rate / 8, rounds)?;
            received += outcome.counts.iter().map(|count| count.passed).sum::<u64>();
        }
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        let question = match question {
            Some(true) => "passed",
            Some(false) => "lost",
            None => "-",
        };
        println!("{} {received} {question}", start.elapsed().as_millis());
        let flushed = std::io::stdout().flush();
        flushed.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Brings a question; whether it passed.
fn ask() -> Result<bool, String> {
    let outcome = bring(vec![frames::question()], 0, 1)?;
    Ok(outcome.counts.iter().all(|count| count.passed == 1))
}
