//! `ebpfctl pin`: paths that keep objects.

use crate::args::Pin;
use crate::{Outcome, Response, value};
use ebpfapi::{Client, ObjectKind};
use serde_json::{Value, json};

pub(crate) fn run(client: &Client, command: &Pin) -> Outcome {
    match command {
        Pin::List => return list(client),
        Pin::Prog { program, path } => value::program(client, program)?.pin(path)?,
        Pin::Map { map, path } => value::map(client, map)?.pin(path)?,
        Pin::Remove { path } => client.unpin(path)?,
    }
    Ok(Response {
        text: String::new(),
        json: json!({"done": true}),
    })
}

fn list(client: &Client) -> Outcome {
    let pins = client.pins()?;
    let kind = |kind| match kind {
        ObjectKind::Map => "map",
        ObjectKind::Link => "link",
        ObjectKind::Program => "program",
    };
    let json = |pin: &ebpfapi::Pin| json!({"path": pin.path, "kind": kind(pin.kind)});
    let line = |pin: &ebpfapi::Pin| format!("{:<8} {}\n", kind(pin.kind), pin.path);
    Ok(Response {
        text: pins.iter().map(line).collect(),
        json: json!({"pins": pins.iter().map(json).collect::<Vec<Value>>()}),
    })
}
