//! `ebpfctl map`: maps and what is in them.

use crate::args::Map as Command;
use crate::{Outcome, Response, value};
use ebpfapi::{Client, Map, MapInfo, Update};
use serde_json::{Value, json};

pub(crate) fn run(client: &Client, command: &Command) -> Outcome {
    match command {
        Command::List => list(client),
        Command::Dump { map } => dump(&value::map(client, map)?),
        Command::Lookup { map, key } => {
            let map = value::map(client, map)?;
            let key = key_of(&map, key)?;
            let found = map.lookup(&key)?;
            Ok(entry(&map, (&key, &found)))
        }
        Command::Update { map, key, value } => update(&value::map(client, map)?, key, value),
        Command::Delete { map, key } => {
            let map = value::map(client, map)?;
            map.delete(&key_of(&map, key)?)?;
            Ok(done())
        }
    }
}

fn done() -> Response {
    Response {
        text: String::new(),
        json: json!({"done": true}),
    }
}

fn key_of(map: &Map, text: &str) -> Outcome<Vec<u8>> {
    value::bytes("key", text, map.key_size())
}

fn list(client: &Client) -> Outcome {
    // A map may go between listing and asking.
    let maps = client.map_ids()?.into_iter();
    let infos: Vec<MapInfo> = maps
        .flat_map(|id| client.map_by_id(id).and_then(|map| map.info()))
        .collect();
    let line = |info: &MapInfo| {
        format!(
            "{}: {}  name {}  key {}B  value {}B  max_entries {}  pins {}\n",
            info.id,
            type_name(info),
            info.name,
            info.key_size,
            info.value_size,
            info.max_entries,
            info.pinned_paths
        )
    };
    let json = |info: &MapInfo| {
        json!({
            "id": info.id,
            "name": info.name,
            "type": type_name(info),
            "key_size": info.key_size,
            "value_size": info.value_size,
            "max_entries": info.max_entries,
            "pins": info.pinned_paths,
        })
    };
    Ok(Response {
        text: infos.iter().map(line).collect(),
        json: json!({"maps": infos.iter().map(json).collect::<Vec<Value>>()}),
    })
}

fn type_name(info: &MapInfo) -> &'static str {
    info.row().map_or("unspec", |row| row.name)
}

fn dump(map: &Map) -> Outcome {
    let mut entries = map.entries()?;
    entries.sort();
    let shown: Vec<Response> = entries
        .iter()
        .map(|(key, found)| entry(map, (key, found)))
        .collect();
    let text: String = shown.iter().map(|one| one.text.as_str()).collect();
    let found: Vec<Value> = shown.into_iter().map(|one| one.json).collect();
    Ok(Response {
        text: format!("{text}{} entries\n", found.len()),
        json: json!({"map": map.name(), "id": map.id(), "entries": found}),
    })
}

fn entry(map: &Map, (key, found): (&[u8], &[u8])) -> Response {
    let copies = value::per_cpu(map, found);
    let text: Vec<String> = copies.iter().map(|copy| value::show(copy)).collect();
    let values: Vec<Value> = copies.iter().map(|copy| value::json(copy)).collect();
    Response {
        text: format!("{}: {}\n", value::show(key), text.join(" ")),
        json: json!({"key": value::json(key), "values": values}),
    }
}

/// Per-CPU maps get the value for each processor.
fn update(map: &Map, key: &str, text: &str) -> Outcome {
    let size = map.definition().value_size as usize;
    let mut one = value::bytes("value", text, size)?;
    let all = map.value_size();
    if all != size {
        one.resize(size.next_multiple_of(8), 0);
        one = one.repeat(all / one.len().max(1));
    }
    map.update(&key_of(map, key)?, &one, Update::Any)?;
    Ok(done())
}
