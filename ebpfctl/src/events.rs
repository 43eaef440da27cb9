//! `ebpfctl events`: records of ring buffers and perf event arrays as they come.

use crate::args::Events;
use crate::{Outcome, Output, Response, value};
use ebpfapi::{Client, RingBuffer};
use serde_json::json;
use std::io::Write;
use std::time::{Duration, Instant};

/// How long one ring is waited for before the next one has its turn.
const TURN: Duration = Duration::from_millis(50);

pub(crate) fn run<W: Write>(client: &Client, args: &Events, out: &mut Output<W>) -> Outcome<()> {
    let map = value::map(client, &args.map)?;
    let mut rings = RingBuffer::open_all(&map)?;
    let quiet = args.timeout.map(Duration::from_millis);
    let (mut shown, mut last) = (0, Instant::now());
    let is_over = |shown, last: Instant| {
        args.count.is_some_and(|count| shown >= count)
            || quiet.is_some_and(|quiet| last.elapsed() >= quiet)
    };
    while !is_over(shown, last) {
        for ring in &mut rings {
            ring.wait(Some(quiet.map_or(TURN, |quiet| quiet.min(TURN))))?;
            while !is_over(shown, last) {
                let Some(record) = ring.read()? else { break };
                out.show(&answer(ring, &record))?;
                (shown, last) = (shown + 1, Instant::now());
            }
        }
    }
    Ok(())
}

fn answer(ring: &RingBuffer, record: &[u8]) -> Response {
    Response {
        text: format!("{}\n", value::digits(record)),
        json: json!({
            "ring": ring.index(),
            "data": value::digits(record),
            "lost": ring.lost(),
        }),
    }
}
