//! Pins: their paths, and the maps that are pinned.

use crate::error::{Fault, code};
use crate::exports;
use crate::fd;
use crate::raw::{self, Output, Text, give_text, take_text};
use abi::native::{MapDefinitionInMemory, PIN_BY_NAME};
use abi::pin::PinPath;
use client::ObjectKind;
use std::ffi::{c_char, c_int};

/// `ebpf_map_info_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct PinnedMap {
    definition: MapDefinitionInMemory,
    path: *mut c_char,
}

fn pinned_maps() -> Result<Vec<PinnedMap>, Fault> {
    let client = fd::client()?;
    let mut found = Vec::new();
    let pins = client.pins()?.into_iter();
    for pin in pins.filter(|pin| pin.kind == ObjectKind::Map) {
        // It may have gone since it was listed.
        if let Some(map) = client.pinned_map(&pin.path)? {
            found.push((pin.path, map));
        }
    }
    // No error from here on, so that no text is left over.
    let found = found.into_iter().map(|(path, map)| {
        let info = map.definition();
        let definition = MapDefinitionInMemory {
            map_type: info.map_type,
            key_size: info.key_size,
            value_size: info.value_size,
            max_entries: info.max_entries,
            inner_map_id: info.inner_map_id,
            pinning: PIN_BY_NAME,
        };
        PinnedMap {
            definition,
            path: give_text(&path),
        }
    });
    Ok(found.collect())
}

/// Pinned maps, as many as their number has room for.
fn give_maps(count: Option<&mut u16>, maps: Option<&mut *mut PinnedMap>) -> Result<(), Fault> {
    let (count, maps) = (count.ok_or(Fault::INVALID)?, maps.ok_or(Fault::INVALID)?);
    (*count, *maps) = (0, std::ptr::null_mut());
    let mut found = pinned_maps()?;
    for map in found.drain(found.len().min(usize::from(u16::MAX))..) {
        take_text(map.path);
    }
    *count = u16::try_from(found.len()).unwrap_or(u16::MAX);
    *maps = raw::give_array(found);
    Ok(())
}

fn canonicalize(output: Output, room: usize, input: Text) -> Result<(), Fault> {
    let path = PinPath::canonical(input.get()?.as_bytes()).ok_or(Fault::INVALID)?;
    let path = path.as_bytes();
    if path.len() >= room {
        return Err(Fault::NO_ROOM);
    }
    output.write(path)?;
    output.write_at(path.len(), &[0])
}

exports! {
    /// The form of a path that pins are listed with.
    fn ebpf_canonicalize_pin_path(output: Output, output_size: usize, input: Text) -> c_int {
        code(canonicalize(output, output_size, input))
    }

    /// All pinned maps in the order of their paths, given back with `ebpf_api_map_info_free`.
    fn ebpf_api_get_pinned_map_info(count: Option<&mut u16>, maps: Option<&mut *mut PinnedMap>) -> c_int {
        code(give_maps(count, maps))
    }

    /// Gives pinned maps back.
    fn ebpf_api_map_info_free(count: u16, maps: *mut PinnedMap) {
        for map in raw::take_array(maps, usize::from(count)) {
            take_text(map.path);
        }
    }
}
