//! What is told about an object: structures of C, in the layouts of eBPF for Windows and of Linux.
//!
//! Callers say how much room they have and get that much; of a program they may also ask for the ids
//! of its maps, with the address and the room in the structure that is filled.

use crate::error::Fault;
use crate::fd::Item;
use crate::raw::Output;
use client::{LinkInfo, MapInfo, ObjectKind, ProgramInfo};

/// How structures look.
pub(crate) struct Layout {
    map: fn(&MapInfo) -> Structure,
    program: fn(&ProgramInfo) -> Structure,
    link: fn(&LinkInfo) -> Structure,
    /// Offset of the number of maps of a program, and of the address of their ids.
    ids: [usize; 2],
}

/// `struct bpf_map_info`, `bpf_prog_info` and `bpf_link_info` of the headers.
pub(crate) const WINDOWS: Layout = Layout {
    map: Structure::map,
    program: Structure::program,
    link: Structure::link,
    ids: [8, 16],
};

/// The structures of the system call of Linux, which `bpf()` fills.
pub(crate) const LINUX: Layout = Layout {
    map: Structure::linux_map,
    program: Structure::linux_program,
    link: Structure::linux_link,
    ids: [52, 56],
};

/// A structure of C that is filled at offsets.
struct Structure(Vec<u8>);

impl Structure {
    /// Room for names with their zero.
    const NAME: usize = 64;
    const LINUX_NAME: usize = 16;

    fn new(bytes: usize) -> Structure {
        Structure(vec![0; bytes])
    }

    fn put(mut self, offset: usize, bytes: &[u8]) -> Structure {
        let place = self.0.iter_mut().skip(offset);
        for (to, from) in place.zip(bytes) {
            *to = *from;
        }
        self
    }

    fn number(self, offset: usize, number: u32) -> Structure {
        self.put(offset, &number.to_ne_bytes())
    }

    fn name(self, offset: usize, name: &str, room: usize) -> Structure {
        let end = name.floor_char_boundary(room - 1);
        self.put(offset, &name.as_bytes()[..end])
    }

    /// `struct bpf_map_info`.
    fn map(info: &MapInfo) -> Structure {
        Structure::new(96)
            .number(0, info.id)
            .number(4, info.map_type)
            .number(8, info.key_size)
            .number(12, info.value_size)
            .number(16, info.max_entries)
            .name(20, &info.name, Self::NAME)
            .number(84, info.flags)
            .number(88, info.inner_map_id)
            .number(92, info.pinned_paths)
    }

    /// `struct bpf_prog_info`; it ends before the runs when the runtime does not count them.
    fn program(info: &ProgramInfo) -> Structure {
        Structure::new(if info.runs.is_some() { 136 } else { 128 })
            .number(0, info.id)
            .number(4, info.number)
            .number(8, info.map_count)
            .name(24, &info.name, Self::NAME)
            .put(88, &info.program_type.to_bytes())
            .put(104, &info.attach_type.to_bytes())
            .number(120, info.pinned_paths)
            .number(124, info.links)
            .put(128, &info.runs.unwrap_or(0).to_ne_bytes())
    }

    /// `struct bpf_link_info`.
    fn link(info: &LinkInfo) -> Structure {
        Structure::new(56)
            .number(0, info.id)
            .number(4, info.program_id)
            .number(8, info.kind)
            .number(12, info.number)
            .put(16, &info.attach_type.to_bytes())
            .put(32, &info.program_type.to_bytes())
            .put(48, &info.parameter)
    }

    fn linux_map(info: &MapInfo) -> Structure {
        Structure::new(40)
            .number(0, info.map_type)
            .number(4, info.id)
            .number(8, info.key_size)
            .number(12, info.value_size)
            .number(16, info.max_entries)
            .number(20, info.flags)
            .name(24, &info.name, Self::LINUX_NAME)
    }

    /// Up to the name; the tag, code and times between are zero.
    fn linux_program(info: &ProgramInfo) -> Structure {
        Structure::new(80)
            .number(0, info.number)
            .number(4, info.id)
            .number(52, info.map_count)
            .name(64, &info.name, Self::LINUX_NAME)
    }

    fn linux_link(info: &LinkInfo) -> Structure {
        Structure::new(12)
            .number(0, info.kind)
            .number(4, info.id)
            .number(8, info.program_id)
    }
}

/// What kind of object it is.
pub(crate) fn kind(item: &Item) -> ObjectKind {
    match item {
        Item::Map(_) => ObjectKind::Map,
        Item::Program(_) => ObjectKind::Program,
        Item::Link(_) => ObjectKind::Link,
    }
}

impl Layout {
    /// Fills as much of the structure as there is room for; says how much that is.
    pub(crate) fn give(&self, item: &Item, to: Output, length: &mut u32) -> Result<(), Fault> {
        let room = *length as usize;
        let Structure(bytes) = match item {
            Item::Map(map) => (self.map)(&map.info()?),
            Item::Program(program) => self.with_ids(&program.info()?, to, room)?,
            Item::Link(link) => (self.link)(&link.info()?),
        };
        let written = room.min(bytes.len());
        to.write(&bytes[..written])?;
        *length = u32::try_from(written).unwrap_or(0);
        Ok(())
    }

    /// The structure of a program; the ids of its maps go where the caller's structure says.
    fn with_ids(&self, info: &ProgramInfo, to: Output, room: usize) -> Result<Structure, Fault> {
        let structure = (self.program)(info);
        let [count_at, address_at] = self.ids;
        let end = address_at + size_of::<u64>();
        if room < end {
            return Ok(structure);
        }
        let asked = to.before().bytes(end)?;
        let count = asked[count_at..]
            .first_chunk()
            .map(|count| u32::from_ne_bytes(*count));
        let address = asked[address_at..]
            .first_chunk()
            .map_or(0, |word| u64::from_ne_bytes(*word));
        let wanted = count.filter(|_| address != 0).unwrap_or(0) as usize;
        let ids = info.map_ids.iter().take(wanted);
        let ids: Vec<u8> = ids.flat_map(|id| id.to_ne_bytes()).collect();
        Output::at(address).write(&ids)?;
        Ok(structure.put(address_at, &address.to_ne_bytes()))
    }
}
