//! `delete program` and `set program`.

use crate::answer::{Answer, Failure, Outcome};
use crate::file;
use crate::runtime::add::hook_of;
use crate::runtime::{is_missing, parameter, pins, program};
use crate::table::tag;
use crate::{Arguments, Session};
use abi::{AttachType, program_type};
use ebpfapi::{Client, Link, Program};

/// Detaches a program and removes its pins.
pub(crate) fn delete_program(session: &mut Session, arguments: &Arguments) -> Outcome {
    let client = session.client()?;
    let id = arguments.id(&tag::ID);
    // Held so that it does not go before everything of it is gone.
    let _held = program(&client, id)?;
    detach(&client, id)?;
    let out = pins::unpin_all(&client, id)?;
    session.loaded.retain(|loaded| {
        let infos = loaded.programs().iter().map(Program::info);
        !infos.flatten().any(|info| info.id == id)
    });
    Ok(Answer::done(out))
}

/// Attaches, detaches, pins or unpins a program.
pub(crate) fn set_program(session: &mut Session, arguments: &Arguments) -> Outcome {
    let client = session.client()?;
    let id = arguments.id(&tag::ID);
    let program = program(&client, id)?;
    let nothing = [tag::ATTACHED, tag::PINPATH, tag::INTERFACE];
    if !nothing.iter().any(|tag| arguments.has(tag)) {
        let what = "nothing to set: give attached=, pinpath= or interface=";
        return Err(Failure::error(what));
    }
    match arguments.text(&tag::ATTACHED) {
        Some("") => detach(&client, id)?,
        Some(name) => attach(session, arguments, (&program, Some(named_hook(name)?)))?,
        None if arguments.has(&tag::INTERFACE) => attach(session, arguments, (&program, None))?,
        None => {}
    }
    match arguments.text(&tag::PINPATH) {
        Some("") => pins::unpin_all(&client, id).map(drop)?,
        Some(path) => {
            let pinned = program.pin(path);
            pinned.map_err(|error| Failure::refused(format_args!("pin to {path}"), &error))?;
        }
        None => {}
    }
    Ok(Answer::okay())
}

/// The hook of a name, or the first one of a program type.
fn named_hook(name: &str) -> Result<&'static AttachType, Failure> {
    if let Some(hook) = hook_of(name) {
        return Ok(hook);
    }
    let wanted = file::type_of(name)?;
    let mut all = program_type::ATTACH_WINDOWS.iter();
    let found = all.find(|hook| hook.program_type.guid == wanted.guid);
    found.ok_or_else(|| Failure::error(format_args!("nothing calls programs of type {name}")))
}

/// Attaches it to a hook, or to the one of its section, in place of where it is attached there.
fn attach(
    session: &Session,
    arguments: &Arguments,
    (program, hook): (&Program, Option<&'static AttachType>),
) -> Result<(), Failure> {
    let hook = hook.or(program.attach_type());
    let Some(hook) = hook else {
        let what = "the section of the program names no hook; give attached=";
        return Err(Failure::error(what));
    };
    let parameter = parameter(&*session.host, arguments, Some(hook))?;
    let link = program.attach_with(hook.guid, &parameter);
    let kept = link.and_then(|link| link.keep());
    kept.map_err(|error| Failure::refused("attach program", &error))
}

/// Detaches a program from all hooks.
fn detach(client: &Client, program: u32) -> Result<(), Failure> {
    let refused = |error| Failure::refused("detach program", &error);
    for id in client.link_ids().map_err(refused)? {
        let detached = client
            .link_by_id(id)
            .and_then(|link| detach_link(&link, program));
        match detached {
            // Somebody detached it meanwhile.
            Err(error) if is_missing(&error) => {}
            other => other.map_err(refused)?,
        }
    }
    Ok(())
}

fn detach_link(link: &Link, program: u32) -> Result<(), ebpfapi::Error> {
    match link.info()?.program_id == program {
        true => link.detach(),
        false => Ok(()),
    }
}
