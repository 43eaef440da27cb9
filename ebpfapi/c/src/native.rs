//! Drivers by descriptors, without an object, and handles of the runtime.

use crate::error::{Fault, code};
use crate::exports;
use crate::fd::{self, Item};
use crate::object::{close_all, insert_all};
use crate::raw::{Output, Text};
use client::{EbpfResult, Object};
use std::ffi::c_int;

/// Room for descriptors, and how many there are.
struct Room<'a> {
    fds: Output,
    count: &'a mut usize,
}

impl Room<'_> {
    /// Says how many there are; is there room for them?
    fn reserve(&mut self, needed: usize) -> bool {
        let room = std::mem::replace(self.count, needed);
        room >= needed && (needed == 0 || !self.fds.is_null())
    }

    fn give(&self, fds: &[Option<c_int>]) -> Result<(), Fault> {
        let numbers = fds.iter().map(|fd| fd.unwrap_or(-1).to_ne_bytes());
        self.fds.write(&numbers.flatten().collect::<Vec<u8>>())
    }
}

/// Loads all maps and programs of a driver: all, or none.
fn load(file: Text, mut maps: Room<'_>, mut programs: Room<'_>) -> Result<(), Fault> {
    let object = Object::open(file.get()?)?;
    if !object.is_native() {
        let name = object.name();
        let message = format!("cannot load driver {name}: it is an object file, not a driver");
        return Err(Fault::invalid(message));
    }
    let has_room = [
        maps.reserve(object.maps().len()),
        programs.reserve(object.programs().len()),
    ];
    if has_room.contains(&false) {
        return Err(Fault::TOO_MANY);
    }
    let loaded = object.load(&fd::client()?)?;
    let items = loaded.maps().map(|(_, map)| Some(Item::Map(map.clone())));
    let map_fds = insert_all(items.collect())?;
    let all = loaded.programs().iter();
    let items = all.map(|program| Some(Item::Program(program.clone())));
    let program_fds = match insert_all(items.collect()) {
        Ok(fds) => fds,
        Err(fault) => {
            close_all(map_fds);
            return Err(fault);
        }
    };
    maps.give(&map_fds)?;
    programs.give(&program_fds)
}

fn close(handle: isize) -> Result<(), Fault> {
    let handle = client::Handle(handle as u64);
    let closed = fd::client()?.close(handle);
    closed.map_err(|error| {
        let mut fault = Fault::from(error);
        fault.result = EbpfResult::InvalidObject;
        fault
    })
}

exports! {
    /// Loads a driver; gives the descriptors of its maps and programs. Where there is not room for all,
    /// nothing is loaded, and the numbers say how many there are.
    fn ebpf_object_load_native_by_fds(file: Text, map_count: Option<&mut usize>, map_fds: Output, program_count: Option<&mut usize>, program_fds: Output) -> c_int {
        let (Some(maps), Some(programs)) = (map_count, program_count) else {
            return code(Err(Fault::INVALID));
        };
        let maps = Room { fds: map_fds, count: maps };
        code(load(file, maps, Room { fds: program_fds, count: programs }))
    }

    /// Closes a handle of the runtime that no descriptor stands for; those of descriptors are closed
    /// with `ebpf_close_fd`.
    fn ebpf_api_close_handle(handle: isize) -> c_int {
        code(close(handle))
    }
}
