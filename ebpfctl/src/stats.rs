//! `ebpfctl stats`: how often programs run, and what they count.
//!
//! The runtime counts the runs of each program. Programs that count themselves do it in maps with
//! values of 8 bytes; shown is the sum of each such map. Both come with how much they grow per second.
//! On a terminal `--watch` draws the last rates as a line of bars; elsewhere it prints lines.

use crate::args::Stats;
use crate::{Outcome, Output, Response, value};
use abi::MapKind;
use ebpfapi::{Client, Map};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write};
use std::time::{Duration, Instant};

/// Bytes of a counter.
const COUNTER: u32 = 8;
/// Rates that the graph shows.
const HISTORY: usize = 40;
/// Bars of the graph, by height.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How people see rates.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As numbers.
    Lines,
    /// As bars too, each answer in place of the last one.
    Graph,
}

/// What counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// The runtime, runs of the program of an id.
    Program(u32),
    /// Programs, in the map of an id.
    Map(u32),
}

/// What is known of one counter.
#[derive(Default)]
struct Counter {
    name: String,
    total: u64,
    /// Per second, oldest first.
    rates: Vec<u64>,
}

pub(crate) fn run<W: Write>(client: &Client, args: &Stats, out: &mut Output<W>) -> Outcome<()> {
    let mut counters = BTreeMap::new();
    let form = match args.watch && !out.json && std::io::stdout().is_terminal() {
        true => Form::Graph,
        false => Form::Lines,
    };
    let answers = args.count.unwrap_or(if args.watch { u64::MAX } else { 1 });
    let mut last: Option<Instant> = None;
    let mut drawn = 0;
    for round in 0..answers {
        if round > 0 {
            std::thread::sleep(Duration::from_millis(args.interval));
        }
        let now = Instant::now();
        let elapsed = last.map(|last| now.duration_since(last));
        measure(client, &mut counters, elapsed)?;
        last = Some(now);
        if form == Form::Graph && round > 0 {
            // Back to the first line of the last answer.
            write!(out.to, "\x1b[{drawn}A\x1b[J")?;
        }
        let answer = answer(&counters, form);
        drawn = answer.text.lines().count();
        out.show(&answer)?;
    }
    Ok(())
}

/// Reads all counters; rates need the time since the last reading.
fn measure(
    client: &Client,
    counters: &mut BTreeMap<Source, Counter>,
    elapsed: Option<Duration>,
) -> Outcome<()> {
    let mut found = runs(client)?;
    found.extend(sums(client)?);
    counters.retain(|source, _| found.iter().any(|(known, ..)| known == source));
    for (source, name, total) in found {
        let counter = counters.entry(source).or_default();
        if let Some(elapsed) = elapsed.filter(|_| !counter.name.is_empty()) {
            let grown = u128::from(total.saturating_sub(counter.total));
            let rate = grown * 1_000_000_000 / elapsed.as_nanos().max(1);
            counter.rates.push(u64::try_from(rate).unwrap_or(u64::MAX));
            let over = counter.rates.len().saturating_sub(HISTORY);
            counter.rates.drain(..over);
        }
        (counter.name, counter.total) = (name, total);
    }
    Ok(())
}

/// The runs of all programs, where the runtime tells them.
fn runs(client: &Client) -> Outcome<Vec<(Source, String, u64)>> {
    let counted = |id| {
        // A program may go between listing and asking.
        let info = client.program_by_id(id).ok()?.info().ok()?;
        Some((Source::Program(id), info.name, info.runs?))
    };
    Ok(client
        .program_ids()?
        .into_iter()
        .filter_map(counted)
        .collect())
}

/// The sums of all maps that count.
fn sums(client: &Client) -> Outcome<Vec<(Source, String, u64)>> {
    let counted = |id| {
        let map = client.map_by_id(id).ok()?;
        Some((Source::Map(id), map.name().to_owned(), total(&map)?))
    };
    Ok(client.map_ids()?.into_iter().filter_map(counted).collect())
}

/// The sum of a map's values; `None` when they are no counters.
fn total(map: &Map) -> Option<u64> {
    use MapKind as K;
    let kind = map.definition().row()?.kind;
    let counts = [
        K::Hash,
        K::Array,
        K::PerCpuHash,
        K::PerCpuArray,
        K::LruHash,
        K::LruPerCpuHash,
    ];
    if map.definition().value_size != COUNTER || !counts.contains(&kind) {
        return None;
    }
    let entries = map.entries().ok()?;
    let sum = |sum: u64, number| sum.saturating_add(number);
    let values = entries
        .iter()
        .flat_map(|(_, found)| value::per_cpu(map, found));
    Some(values.filter_map(value::as_number).fold(0, sum))
}

fn answer(counters: &BTreeMap<Source, Counter>, form: Form) -> Response {
    let mut text = format!(
        "{:<7} {:>6}  {:<24} {:>16} {:>12}\n",
        "WHAT", "ID", "NAME", "TOTAL", "PER SECOND"
    );
    let (mut programs, mut maps): (Vec<Value>, Vec<Value>) = Default::default();
    for (source, counter) in counters {
        let rate = counter.rates.last();
        let shown = rate.map_or_else(|| "-".to_owned(), u64::to_string);
        let graph = match form {
            Form::Graph => format!("  {}", graph(&counter.rates)),
            Form::Lines => String::new(),
        };
        let (name, total) = (&counter.name, counter.total);
        let (what, id) = match source {
            Source::Program(id) => {
                programs
                    .push(json!({"program": id, "name": name, "runs": total, "per_second": rate}));
                ("runs", id)
            }
            Source::Map(id) => {
                maps.push(json!({"map": id, "name": name, "total": total, "per_second": rate}));
                ("counter", id)
            }
        };
        text += &format!("{what:<7} {id:>6}  {name:<24} {total:>16} {shown:>12}{graph}\n");
    }
    Response {
        text,
        json: json!({"programs": programs, "counters": maps}),
    }
}

/// Rates as bars, the highest of them as the full height.
fn graph(rates: &[u64]) -> String {
    let most = u128::from(rates.iter().copied().max().unwrap_or(0).max(1));
    let height = |rate: &u64| (u128::from(*rate) * (BARS.len() as u128 - 1) / most) as usize;
    rates
        .iter()
        .filter_map(|rate| BARS.get(height(rate)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::graph;

    #[test]
    fn the_highest_rate_has_the_full_height() {
        assert_eq!(graph(&[0, 50, 100]), "▁▄█");
        assert_eq!(graph(&[u64::MAX, 0]), "█▁");
        assert_eq!(graph(&[0, 0]), "▁▁");
        assert_eq!(graph(&[]), "");
    }
}
