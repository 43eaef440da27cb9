//! The result of a run: verdict counts, time, map contents, what the program printed.

use super::{Run, failed};
use crate::report::{Outcome, style};
use crate::{Response, hex};
use ebpfcore::Map;
use ebpfcore_sim::{Dump, Entry, Invocation, Value};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;

/// Entries of a map shown to people; JSON has all.
const SHOWN: usize = 16;

/// Text and JSON of a run.
pub(super) fn response(run: &Run) -> Outcome<Response> {
    let mut response = Response {
        text: head(run),
        ..Response::default()
    };
    let mut maps = serde_json::Map::new();
    for map in run.host.maps() {
        let dump = run.host.dump(map.name()).map_err(failed)?;
        response.text += &map_text(map, &dump);
        maps.insert(map.name().to_owned(), map_json(map, &dump));
    }
    let trace = run.host.take_trace();
    for line in &trace.lines {
        let _ = writeln!(response.text, "printed: {line}");
    }
    response.set("program", run.program.as_str());
    response.set("type", run.program_type.name);
    response.set("engine", run.engine.to_string());
    response.set("invocations", run.measurement.invocations);
    response.set("ns_per_invocation", run.measurement.ns_per_invocation());
    response.set("verdicts", verdicts_json(run));
    response.set(
        "results",
        run.invocations
            .iter()
            .map(|one| one.result)
            .collect::<Vec<_>>(),
    );
    response.set(
        "contexts",
        run.invocations.iter().map(context).collect::<Vec<_>>(),
    );
    response.set("maps", maps);
    response.set("printed", trace.lines);
    Ok(response)
}

fn context(invocation: &Invocation) -> Json {
    json!({"context": hex::text(&invocation.context), "data": hex::text(&invocation.data)})
}

fn head(run: &Run) -> String {
    let (on, off) = (style::BOLD.render(), style::BOLD.render_reset());
    let mut out = format!(
        "{on}{}{off} ({}), {}, {} runs\n",
        run.program, run.program_type.name, run.engine, run.measurement.invocations
    );
    for (result, count) in &run.measurement.results {
        let name = abi::verdict::name(run.program_type, *result).unwrap_or("result");
        let share = *count as f64 * 100.0 / run.measurement.invocations.max(1) as f64;
        let _ = writeln!(out, "  {name:<14} {result:<3} {count:>10}  {share:5.1} %");
    }
    let warm = if run.invocations.is_empty() {
        ""
    } else {
        " (one cold pass; --repeat N measures)"
    };
    let _ = writeln!(
        out,
        "  {:.1} ns per run{warm}",
        run.measurement.ns_per_invocation()
    );
    out
}

fn verdicts_json(run: &Run) -> Vec<Json> {
    let one = |(result, count): (&u32, &u64)| json!({"result": result, "name": abi::verdict::name(run.program_type, *result), "count": count});
    run.measurement.results.iter().map(one).collect()
}

fn map_text(map: &Map, dump: &Dump) -> String {
    let (on, off) = (style::BOLD.render(), style::BOLD.render_reset());
    let (summary, lines) = contents(map, dump);
    let mut out = format!("map {on}{}{off} ({}, {summary})\n", map.name(), kind(map));
    for line in lines.iter().take(SHOWN) {
        let _ = writeln!(out, "  {line}");
    }
    if lines.len() > SHOWN {
        out += "  ... (--format json shows all)\n";
    }
    out
}

/// How much is in a map, and one line more of it than is shown.
fn contents(map: &Map, dump: &Dump) -> (String, Vec<String>) {
    let room = map.definition().max_entries;
    match dump {
        Dump::Entries(entries) => (
            format!("{} of {room} entries", entries.len()),
            entries.iter().take(SHOWN + 1).map(entry_text).collect(),
        ),
        Dump::Elements(elements) => (
            format!("{} of {room} elements", elements.len()),
            elements
                .iter()
                .take(SHOWN + 1)
                .map(|bytes| hex::text(bytes))
                .collect(),
        ),
        Dump::Records { records, lost } => (
            format!("{} records, {lost} lost", records.len()),
            records
                .iter()
                .take(SHOWN + 1)
                .map(|record| hex::text(&record.data))
                .collect(),
        ),
    }
}

/// The display name of a map's type.
fn kind(map: &Map) -> &'static str {
    let kind = map.definition().kind;
    abi::map::TABLE
        .iter()
        .find(|row| row.kind == kind)
        .map_or("other", |row| row.name)
}

fn entry_text(entry: &Entry) -> String {
    let value = match &entry.value {
        Value::Bytes(bytes) => number(bytes),
        Value::PerCpu(values) => values
            .iter()
            .map(|bytes| number(bytes))
            .collect::<Vec<_>>()
            .join(" | "),
        Value::Reference { name, .. } => name.clone(),
    };
    format!("{} = {value}", hex::text(&entry.key))
}

/// Value bytes, with the number they make when they have the size of one.
fn number(bytes: &[u8]) -> String {
    let text = hex::text(bytes);
    let value = match *bytes {
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => return text,
    };
    format!("{text} ({value})")
}

fn map_json(map: &Map, dump: &Dump) -> Json {
    let definition = map.definition();
    let mut out = json!({
        "type": kind(map),
        "key_size": definition.key_size,
        "value_size": definition.value_size,
        "max_entries": definition.max_entries,
    });
    match dump {
        Dump::Entries(entries) => out["entries"] = entries.iter().map(entry_json).collect(),
        Dump::Elements(elements) => {
            out["elements"] = elements
                .iter()
                .map(|bytes| Json::from(hex::text(bytes)))
                .collect();
        }
        Dump::Records { records, lost } => {
            out["records"] = records
                .iter()
                .map(|record| Json::from(hex::text(&record.data)))
                .collect();
            out["lost"] = Json::from(*lost);
        }
    }
    out
}

fn entry_json(entry: &Entry) -> Json {
    let value = match &entry.value {
        Value::Bytes(bytes) => Json::from(hex::text(bytes)),
        Value::PerCpu(values) => values
            .iter()
            .map(|bytes| Json::from(hex::text(bytes)))
            .collect(),
        Value::Reference { name, .. } => Json::from(name.as_str()),
    };
    json!({"key": hex::text(&entry.key), "value": value})
}
