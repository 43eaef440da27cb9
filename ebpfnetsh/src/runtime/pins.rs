//! `pin` and `unpin`.

use crate::answer::{Answer, Failure, Outcome};
use crate::runtime::{is_missing, program};
use crate::table::tag;
use crate::{Arguments, Session};
use ebpfapi::{Client, Error, Map, Pin, Pinned};
use std::fmt::Write as _;

/// Keeps a map under a path.
pub(crate) fn pin_map(session: &mut Session, arguments: &Arguments) -> Outcome {
    let map = map(&session.client()?, arguments.id(&tag::ID))?;
    let path = path(arguments, map.name());
    pinned(path, map.pin(path))
}

/// Keeps a program under a path.
pub(crate) fn pin_program(session: &mut Session, arguments: &Arguments) -> Outcome {
    let program = program(&session.client()?, arguments.id(&tag::ID))?;
    let path = path(arguments, program.name());
    pinned(path, program.pin(path))
}

/// Takes a map from a path.
pub(crate) fn unpin_map(session: &mut Session, arguments: &Arguments) -> Outcome {
    let client = session.client()?;
    let map = map(&client, arguments.id(&tag::ID))?;
    unpin_from(&client, map.id(), path(arguments, map.name()))
}

/// Takes a program from a path.
pub(crate) fn unpin_program(session: &mut Session, arguments: &Arguments) -> Outcome {
    let client = session.client()?;
    let id = arguments.id(&tag::ID);
    let program = program(&client, id)?;
    unpin_from(&client, id, path(arguments, program.name()))
}

fn map(client: &Client, id: u32) -> Result<Map, Failure> {
    client
        .map_by_id(id)
        .map_err(|error| match is_missing(&error) {
            true => Failure::new("Map not found"),
            false => Failure::refused(format_args!("open map {id}"), &error),
        })
}

/// The path that was given, or the object's name.
fn path<'a>(arguments: &'a Arguments, name: &'a str) -> &'a str {
    let given = arguments
        .text(&tag::PINPATH)
        .filter(|text| !text.is_empty());
    given.unwrap_or(name)
}

fn pinned(path: &str, done: Result<(), Error>) -> Outcome {
    match done {
        Ok(()) => Ok(Answer::okay()),
        Err(error) => Err(Failure::refused(format_args!("pin to {path}"), &error)),
    }
}

fn unpin_from(client: &Client, id: u32, path: &str) -> Outcome {
    let what = format!("unpin from {path}");
    let before = pins_of(client, id)?;
    let found = client.pinned(path).and_then(|pinned| id_of(&pinned));
    if found.map_err(|error| Failure::refused(&what, &error))? != id {
        let what = format_args!("{path} is the pin of another object; `show pins` lists all");
        return Err(Failure::error(what));
    }
    let done = client.unpin(path);
    done.map_err(|error| Failure::refused(&what, &error))?;
    let after = pins_of(client, id)?;
    let gone = before.iter().filter(|pin| !after.contains(pin));
    Ok(Answer::done(gone.map(|pin| line(id, pin)).collect()))
}

fn line(id: u32, pin: &Pin) -> String {
    format!("Unpinned {id} from {}\n", pin.path)
}

/// The id of what is pinned.
pub(crate) fn id_of(pinned: &Pinned) -> Result<u32, Error> {
    match pinned {
        Pinned::Map(map) => Ok(map.id()),
        Pinned::Program(program) => program.info().map(|info| info.id),
        Pinned::Link(link) => link.info().map(|info| info.id),
    }
}

/// All pins with the ids of their objects.
pub(crate) fn pins(client: &Client) -> Result<Vec<(u32, Pin)>, Failure> {
    let refused = |error| Failure::refused("list pins", &error);
    let mut all = Vec::new();
    for pin in client.pins().map_err(refused)? {
        match client.pinned(&pin.path).and_then(|pinned| id_of(&pinned)) {
            Ok(id) => all.push((id, pin)),
            // Somebody unpinned it meanwhile.
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(refused(error)),
        }
    }
    Ok(all)
}

/// The pins of an object.
fn pins_of(client: &Client, id: u32) -> Result<Vec<Pin>, Failure> {
    let all = pins(client)?.into_iter();
    Ok(all
        .filter(|(found, _)| *found == id)
        .map(|(_, pin)| pin)
        .collect())
}

/// Removes all pins of an object; tells which.
pub(crate) fn unpin_all(client: &Client, id: u32) -> Result<String, Failure> {
    let mut out = String::new();
    for pin in pins_of(client, id)? {
        let done = client.unpin(&pin.path);
        done.map_err(|error| Failure::refused(format_args!("unpin from {}", pin.path), &error))?;
        let _ = write!(out, "{}", line(id, &pin));
    }
    Ok(out)
}
