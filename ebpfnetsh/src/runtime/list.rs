//! `show programs`, `maps`, `links`, `pins`, `processes`.

use crate::answer::{Answer, Failure, Outcome};
use crate::file::type_of;
use crate::runtime::{is_missing, pins};
use crate::show::{map_type_name, type_name};
use crate::table::tag;
use crate::{Arguments, NotElevated, Session};
use ebpfapi::{Client, CodeType, Error, ObjectKind, ProgramInfo};
use std::fmt::Write as _;

/// Lists programs.
pub(crate) fn show_programs(session: &mut Session, arguments: &Arguments) -> Outcome {
    let client = session.client()?;
    let one = arguments.number(&tag::ONE_ID);
    let programs = all(&client, Client::program_ids, |id| {
        client.program_by_id(id)?.info()
    })?;
    let mut programs: Vec<ProgramInfo> = programs;
    refuse_unknown_type(&programs, arguments)?;
    programs.retain(|info| is_wanted(info, arguments));
    if programs.is_empty() && one.is_some() {
        return Err(Failure::new("Program not found"));
    }
    let verbose = one.is_some() || arguments.is(&tag::LEVEL, "verbose");
    Ok(Answer::done(match verbose {
        true => programs.iter().map(details).collect(),
        false => table(&programs),
    }))
}

/// What there is of a kind; what goes away while it is asked for is left out.
fn all<T>(
    client: &Client,
    ids: impl Fn(&Client) -> Result<Vec<u32>, Error>,
    info: impl Fn(u32) -> Result<T, Error>,
) -> Result<Vec<T>, Failure> {
    let refused = |error| Failure::refused("ask the runtime", &error);
    let mut infos = Vec::new();
    for id in ids(client).map_err(refused)? {
        match info(id) {
            Ok(info) => infos.push(info),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(refused(error)),
        }
    }
    Ok(infos)
}

/// A type that is none, and that no program has: a slip rather than a question.
fn refuse_unknown_type(programs: &[ProgramInfo], arguments: &Arguments) -> Result<(), Failure> {
    let wanted = arguments.text(&tag::TYPE).unwrap_or_default();
    let has = |info: &ProgramInfo| type_name(info.program_type).eq_ignore_ascii_case(wanted);
    match wanted.is_empty() || programs.iter().any(has) {
        true => Ok(()),
        false => type_of(wanted).map(drop),
    }
}

fn is_wanted(info: &ProgramInfo, arguments: &Arguments) -> bool {
    let text = |tag, found: &str| {
        let wanted = arguments.text(tag).filter(|text| !text.is_empty());
        wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(found))
    };
    let condition = |tag, holds: bool| match arguments.text(tag) {
        Some("yes") => holds,
        Some("no") => !holds,
        _ => true,
    };
    let id = arguments.number(&tag::ONE_ID);
    text(&tag::TYPE, type_name(info.program_type))
        && text(&tag::SECTION, &info.section)
        && text(&tag::FILENAME_OF, &info.file)
        && condition(&tag::IF_ATTACHED, info.links > 0)
        && condition(&tag::IF_PINNED, info.pinned_paths > 0)
        && id.is_none_or(|id| id == info.id)
}

fn mode(info: &ProgramInfo) -> &'static str {
    match info.code {
        CodeType::None => "NONE",
        CodeType::Jit => "JIT",
        CodeType::Interpreted => "INTERPRET",
        CodeType::Native => "NATIVE",
    }
}

fn table(programs: &[ProgramInfo]) -> String {
    let mut out = String::from(
        "\n    ID  Pins  Links  Mode       Type           Name\n\
         ======  ====  =====  =========  =============  ====================\n",
    );
    for info in programs {
        let _ = writeln!(
            out,
            "{:6}  {:4}  {:5}  {:<9}  {:<13}  {}",
            info.id,
            info.pinned_paths,
            info.links,
            mode(info),
            type_name(info.program_type),
            info.name
        );
    }
    out
}

/// The row that the ids of maps follow.
const MAP_IDS: &str = "# map IDs";

fn details(info: &ProgramInfo) -> String {
    let rows: [(&str, &dyn std::fmt::Display); 9] = [
        ("ID", &info.id),
        ("File name", &info.file),
        ("Section", &info.section),
        ("Name", &info.name),
        ("Program type", &type_name(info.program_type)),
        ("Mode", &mode(info)),
        (MAP_IDS, &info.map_count),
        ("# pinned paths", &info.pinned_paths),
        ("# links", &info.links),
    ];
    let mut out = "\n".to_owned();
    for (name, value) in rows {
        let _ = writeln!(out, "{name:<15}: {value}");
        if name != MAP_IDS {
            continue;
        }
        for (number, id) in info.map_ids.iter().enumerate() {
            let _ = match number {
                0 => writeln!(out, "{:<15}: {id}", "map IDs"),
                _ => writeln!(out, "{:17}{id}", ""),
            };
        }
    }
    out
}

/// Lists maps.
pub(crate) fn show_maps(session: &mut Session, _: &Arguments) -> Outcome {
    let client = session.client()?;
    let maps = all(&client, Client::map_ids, |id| client.map_by_id(id)?.info())?;
    let mut out = format!(
        "\n{:30}Key  Value      Max  Inner\n\
         \x20    ID            Map Type  Size   Size  Entries     ID  Pins  Name\n\
         =======  ==================  ====  =====  =======  =====  ====  ========\n",
        ""
    );
    for map in maps {
        let _ = writeln!(
            out,
            "{:7}  {:>18}{:6}{:7}{:9}{:7}{:6}  {}",
            map.id,
            map_type_name(map.map_type),
            map.key_size,
            map.value_size,
            map.max_entries,
            map.inner_map_id,
            map.pinned_paths,
            map.name
        );
    }
    Ok(Answer::done(out))
}

/// Lists which programs are attached to which hooks.
pub(crate) fn show_links(session: &mut Session, _: &Arguments) -> Outcome {
    let client = session.client()?;
    let links = all(&client, Client::link_ids, |id| {
        client.link_by_id(id)?.info()
    })?;
    let mut out = String::from(
        "\n   Link  Program  Attach\n     ID       ID  Type\n=======  =======  =============\n",
    );
    for link in links {
        let hook = link.row().map_or("unspec", |hook| hook.prefix);
        let _ = writeln!(out, "{:7}{:9}  {hook}", link.id, link.program_id);
    }
    Ok(Answer::done(out))
}

/// Lists what is pinned, by path.
pub(crate) fn show_pins(session: &mut Session, _: &Arguments) -> Outcome {
    let client = session.client()?;
    let mut out = String::from("\n     ID     Type  Path\n=======  =======  ==============\n");
    for (id, pin) in pins::pins(&client)? {
        let kind = match pin.kind {
            ObjectKind::Map => "Map",
            ObjectKind::Link => "Link",
            ObjectKind::Program => "Program",
        };
        let path = pin.path.strip_prefix("BPF:\\").unwrap_or(&pin.path);
        let _ = writeln!(out, "{id:7}  {kind:>7}  {path}");
    }
    Ok(Answer::done(out))
}

/// Lists processes that use eBPF.
pub(crate) fn show_processes(session: &mut Session, _: &Arguments) -> Outcome {
    let processes = session.host.processes();
    let processes = processes
        .map_err(|NotElevated| Failure::new("This command requires running as Administrator"))?;
    let mut out = String::from("\n  PID  Name\n=====  ==============\n");
    for process in processes {
        let _ = writeln!(out, "{:5}  {}", process.id, process.name);
    }
    Ok(Answer::done(out))
}
