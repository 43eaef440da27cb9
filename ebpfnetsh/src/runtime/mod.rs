//! Commands about what is loaded: they ask the runtime.

mod add;
mod change;
mod compile;
mod list;
mod pins;

pub(crate) use add::add_program;
pub(crate) use change::{delete_program, set_program};
pub(crate) use list::{show_links, show_maps, show_pins, show_processes, show_programs};
pub(crate) use pins::{pin_map, pin_program, unpin_map, unpin_program};

use crate::answer::Failure;
use crate::table::tag;
use crate::{Arguments, Host};
use abi::AttachType;
use abi::program_type::LinkType;
use ebpfapi::{Client, EbpfResult, Program};

/// The program of an id.
fn program(client: &Client, id: u32) -> Result<Program, Failure> {
    client.program_by_id(id).map_err(|error| {
        let missing = is_missing(&error);
        match missing {
            true => Failure::new("Program not found"),
            false => Failure::refused(format_args!("open program {id}"), &error),
        }
    })
}

/// Whether there is nothing of an id.
fn is_missing(error: &ebpfapi::Error) -> bool {
    let all = [EbpfResult::ObjectNotFound, EbpfResult::KeyNotFound];
    all.iter().any(|result| error.is(*result))
}

/// The attach parameter that `interface` and `compartment` say; empty without them.
fn parameter(
    host: &dyn Host,
    arguments: &Arguments,
    hook: Option<&AttachType>,
) -> Result<Vec<u8>, Failure> {
    let text = |tag| arguments.text(tag).filter(|text| !text.is_empty());
    let link = hook.map(|hook| hook.link);
    let rows = [
        (
            text(&tag::INTERFACE),
            LinkType::Xdp,
            "Interface",
            "interfaces",
        ),
        (
            text(&tag::COMPARTMENT),
            LinkType::Cgroup,
            "Compartment",
            "compartments",
        ),
    ];
    let mut parameter = Vec::new();
    for (text, kind, name, plural) in rows {
        let Some(text) = text else { continue };
        if link != Some(kind) {
            return Err(Failure::new(format_args!(
                "{name} parameter is not allowed for program types that don't support {plural}."
            )));
        }
        let number = text.parse().ok();
        let named = || (kind == LinkType::Xdp).then(|| host.interface(text))?;
        let invalid = || Failure::new(format_args!("{name} parameter is invalid."));
        let number: u32 = number.or_else(named).ok_or_else(invalid)?;
        parameter = number.to_le_bytes().to_vec();
    }
    Ok(parameter)
}
