//! Keys, values and references to objects, as they are typed and shown.

use crate::{Failure, Outcome};
use ebpfapi::{Client, Map, Pinned, Program};
use serde_json::{Value, json};

/// What begins bytes in hexadecimal digits.
const HEX: &str = "hex:";

/// Bytes of a size from a number or from digits.
pub(crate) fn bytes(what: &str, text: &str, size: usize) -> Outcome<Vec<u8>> {
    let bytes = match text.strip_prefix(HEX) {
        Some(digits) => hex(what, digits)?,
        None => number(text, size).ok_or_else(|| {
            let problem = format!("{what}: `{text}` is no number of {size} bytes; give hex:DIGITS");
            Failure::Usage(problem)
        })?,
    };
    match bytes.len() == size {
        true => Ok(bytes),
        false => Err(Failure::Usage(format!(
            "{what}: `{text}` has {} bytes, not {size}",
            bytes.len()
        ))),
    }
}

/// Bytes of any size from digits.
pub(crate) fn hex(what: &str, digits: &str) -> Outcome<Vec<u8>> {
    if digits.is_empty() {
        return Ok(Vec::new());
    }
    let read = ebpfcore_sim::read::hex(digits);
    read.map_err(|problem| Failure::Usage(format!("{what}: {problem}")))
}

/// A number in little-endian bytes, when it fits; negative ones as two's complement.
fn number(text: &str, size: usize) -> Option<Vec<u8>> {
    let bits = u32::try_from(size).ok()?.checked_mul(8)?;
    if !matches!(size, 1 | 2 | 4 | 8) {
        return None;
    }
    let number: i128 = text.parse().ok()?;
    let range = -(1i128 << (bits - 1))..(1i128 << bits);
    let bytes = number.to_le_bytes();
    range.contains(&number).then(|| bytes[..size].to_vec())
}

/// A text, or a dash where there is none.
pub(crate) fn or_dash(text: &str) -> &str {
    match text {
        "" => "-",
        text => text,
    }
}

/// Bytes as digits.
pub(crate) fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes as a number, where they have the size of one.
pub(crate) fn as_number(bytes: &[u8]) -> Option<u64> {
    let mut wide = [0; 8];
    if !matches!(bytes.len(), 1 | 2 | 4 | 8) {
        return None;
    }
    wide.iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = *from);
    Some(u64::from_le_bytes(wide))
}

/// For people: a number where it is one, digits otherwise.
pub(crate) fn show(bytes: &[u8]) -> String {
    as_number(bytes).map_or_else(
        || format!("{HEX}{}", digits(bytes)),
        |number| number.to_string(),
    )
}

/// For scripts: both.
pub(crate) fn json(bytes: &[u8]) -> Value {
    json!({"hex": digits(bytes), "number": as_number(bytes)})
}

/// The values of a map's element: one, or one for each processor.
pub(crate) fn per_cpu<'v>(map: &Map, value: &'v [u8]) -> Vec<&'v [u8]> {
    let size = map.definition().value_size as usize;
    let is_per_cpu = map
        .definition()
        .row()
        .is_some_and(|row| row.kind.is_per_cpu());
    if !is_per_cpu || size == 0 {
        return vec![value];
    }
    let copies = value.chunks(size.next_multiple_of(8));
    copies
        .map(|copy| copy.get(..size).unwrap_or(copy))
        .collect()
}

/// How an object is named.
enum Reference<'a> {
    Id(u32),
    Name(&'a str),
    Pin(&'a str),
}

fn reference(text: &str) -> Outcome<Reference<'_>> {
    if let Some(name) = text.strip_prefix("name:") {
        return Ok(Reference::Name(name));
    }
    if let Some(path) = text.strip_prefix("pinned:") {
        return Ok(Reference::Pin(path));
    }
    let problem = || format!("`{text}` is neither an ID, name:NAME nor pinned:PATH");
    text.parse()
        .map(Reference::Id)
        .map_err(|_| Failure::Usage(problem()))
}

/// The map that a text names.
pub(crate) fn map(client: &Client, text: &str) -> Outcome<Map> {
    match reference(text)? {
        Reference::Id(id) => Ok(client.map_by_id(id)?),
        Reference::Pin(path) => match client.pinned(path)? {
            Pinned::Map(map) => Ok(map),
            _ => Err(Failure::Usage(format!("{path} is the pin of no map"))),
        },
        Reference::Name(name) => {
            let all = client.map_ids()?.into_iter();
            let maps = all.flat_map(|id| client.map_by_id(id));
            one(maps.filter(|map| map.name() == name).collect(), "map", name)
        }
    }
}

/// The program that a text names.
pub(crate) fn program(client: &Client, text: &str) -> Outcome<Program> {
    match reference(text)? {
        Reference::Id(id) => Ok(client.program_by_id(id)?),
        Reference::Pin(path) => match client.pinned(path)? {
            Pinned::Program(program) => Ok(program),
            _ => Err(Failure::Usage(format!("{path} is the pin of no program"))),
        },
        Reference::Name(name) => {
            let all = client.program_ids()?.into_iter();
            let programs = all.flat_map(|id| client.program_by_id(id));
            let named = programs.filter(|program| program.name() == name);
            one(named.collect(), "program", name)
        }
    }
}

fn one<T>(mut found: Vec<T>, what: &str, name: &str) -> Outcome<T> {
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => {
            let help = format!("`ebpfctl {} list` shows all", what.get(..4).unwrap_or(what));
            Err(Failure::Usage(format!("there is no {what} {name}; {help}")))
        }
        _ => Err(Failure::Usage(format!(
            "several {what}s are called {name}; give an ID"
        ))),
    }
}
