//! The store of program types in the registry (`ebpf_store_helper.h`).
//!
//! Structures are read as far as they say that they reach, after their forms are checked. Elsewhere
//! than on Windows there is no registry: everything is checked, and then refused.

use crate::error::{Fault, code};
use crate::exports;
use crate::raw::{Input, Text, wide_text};
use abi::Guid;
use abi::native::HEADER_VERSION;
use abi::native::extension::{
    HelperPrototype, ProgramInfo, ProgramSectionInfo, ProgramTypeDescriptor,
};
use client::store::{Form, HelperEntry, Key, ProgramEntry, SectionEntry, is_name};
use std::ffi::c_int;
use std::mem::offset_of;

/// Largest structure that is read.
const MOST_BYTES: u64 = 4096;
/// Sizes that helpers say, in the order they grew.
const HELPER_SIZES: &[u64] = &[64, 65, 66];

/// A structure of C, as long as it says it is; what it ends before reads as zero.
struct Structure {
    bytes: Vec<u8>,
    form: Form,
    /// Distance to the next one.
    stride: u64,
}

impl Structure {
    fn read(address: u64, sizes: &[u64]) -> Result<Structure, Fault> {
        /// Bytes of a header.
        const HEADER: usize = 24;
        let header = Structure {
            bytes: Input::at(address).bytes(HEADER)?,
            form: Form {
                version: 0,
                size: 0,
            },
            stride: 0,
        };
        let [version, size, stride] = [0, 8, 16].map(|offset| header.word(offset));
        let version = version as u16;
        let is_known = version == HEADER_VERSION && sizes.contains(&size);
        if !is_known || !(size..=MOST_BYTES).contains(&stride) {
            return Err(Fault::INVALID);
        }
        Ok(Structure {
            bytes: Input::at(address).bytes(size as usize)?,
            form: Form {
                version,
                size: size as u32,
            },
            stride,
        })
    }

    fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut array = [0; N];
        for (to, from) in array.iter_mut().zip(self.bytes.iter().skip(offset)) {
            *to = *from;
        }
        array
    }

    fn number(&self, offset: usize) -> u32 {
        u32::from_ne_bytes(self.array(offset))
    }

    fn word(&self, offset: usize) -> u64 {
        u64::from_ne_bytes(self.array(offset))
    }

    fn guid(&self, offset: usize) -> Guid {
        Guid::from_bytes(self.array(offset))
    }
}

/// The structures of an array.
fn array(
    address: u64,
    count: u32,
    sizes: &'static [u64],
) -> impl Iterator<Item = Result<Structure, Fault>> {
    let mut next = Some(address);
    (0..count).map(move |_| {
        let structure = Structure::read(next.ok_or(Fault::INVALID)?, sizes)?;
        next = next.and_then(|address| address.checked_add(structure.stride));
        Ok(structure)
    })
}

fn name(text: &str) -> Result<String, Fault> {
    match is_name(text) {
        true => Ok(text.to_owned()),
        false => Err(Fault::invalid(format!(
            "`{text}` cannot be the name of a key"
        ))),
    }
}

fn guid_at(address: u64) -> Result<Guid, Fault> {
    let bytes = Input::at(address).bytes(size_of::<Guid>())?;
    let bytes = bytes.first_chunk().ok_or(Fault::INVALID)?;
    Ok(Guid::from_bytes(*bytes))
}

fn section(from: &Structure) -> Result<SectionEntry, Fault> {
    use ProgramSectionInfo as S;
    Ok(SectionEntry {
        form: from.form,
        name: name(&wide_text(from.word(offset_of!(S, section_name)))?)?,
        types: [
            guid_at(from.word(offset_of!(S, program_type)))?,
            guid_at(from.word(offset_of!(S, attach_type)))?,
        ],
        numbers: [
            from.number(offset_of!(S, bpf_program_type)),
            from.number(offset_of!(S, bpf_attach_type)),
        ],
    })
}

fn helper(from: &Structure) -> Result<HelperEntry, Fault> {
    use HelperPrototype as H;
    let mut prototype = [0; 7];
    prototype[0] = from.number(offset_of!(H, helper_id));
    prototype[1] = from.number(offset_of!(H, return_type));
    for (at, to) in prototype[2..].iter_mut().enumerate() {
        *to = from.number(offset_of!(H, arguments) + at * size_of::<u32>());
    }
    let [flags] = from.array(offset_of!(H, flags));
    Ok(HelperEntry {
        form: from.form,
        name: name(Text::at(from.word(offset_of!(H, name))).get()?)?,
        prototype,
        moves_packet: flags & 1 != 0,
    })
}

fn program(from: &Structure) -> Result<ProgramEntry, Fault> {
    use ProgramInfo as P;
    use ProgramTypeDescriptor as D;
    let sizes = &[D::HEADER.size];
    let descriptor = Structure::read(from.word(offset_of!(P, type_descriptor)), sizes)?;
    let context = Input::at(descriptor.word(offset_of!(D, context_descriptor))).bytes(16)?;
    let (context, _) = context.as_chunks();
    let context = context.iter().map(|bytes| i32::from_ne_bytes(*bytes));
    let context: Vec<i32> = context.collect();
    let count = from.number(offset_of!(P, helper_count));
    let helpers = array(from.word(offset_of!(P, helpers)), count, HELPER_SIZES);
    let helpers = helpers.map(|from| {
        // They are kept in today's form.
        let entry = helper(&from?)?;
        let form = Form {
            size: HelperPrototype::HEADER.size as u32,
            ..entry.form
        };
        Ok(HelperEntry { form, ..entry })
    });
    let [is_privileged] = descriptor.array(offset_of!(D, is_privileged));
    Ok(ProgramEntry {
        form: from.form,
        descriptor_form: descriptor.form,
        name: Text::at(descriptor.word(offset_of!(D, name)))
            .get()?
            .to_owned(),
        program_type: descriptor.guid(offset_of!(D, program_type)),
        context: context.try_into().map_err(|_| Fault::INVALID)?,
        number: descriptor.number(offset_of!(D, bpf_prog_type)),
        is_privileged: is_privileged != 0,
        helpers: helpers.collect::<Result<_, Fault>>()?,
    })
}

/// Writes what an array says, when all of it is understood.
fn update<T>(
    (address, count): (Input, u32),
    sizes: &'static [u64],
    read: fn(&Structure) -> Result<T, Fault>,
    keys: fn(&T) -> Vec<Key>,
) -> Result<(), Fault> {
    let all = array(address.address(), count, sizes);
    let entries = all.map(|structure| read(&structure?));
    let entries: Vec<T> = entries.collect::<Result<_, Fault>>()?;
    let keys: Vec<Key> = entries.iter().flat_map(keys).collect();
    match keys.is_empty() {
        true => Ok(()),
        false => write(&keys),
    }
}

#[cfg(windows)]
fn write(keys: &[Key]) -> Result<(), Fault> {
    Ok(client::store::write_stored(keys)?)
}

#[cfg(windows)]
fn delete(path: &str) -> Result<(), Fault> {
    Ok(client::store::delete_stored(path)?)
}

#[cfg(not(windows))]
fn write(_keys: &[Key]) -> Result<(), Fault> {
    Err(Fault::no_registry())
}

#[cfg(not(windows))]
fn delete(_path: &str) -> Result<(), Fault> {
    Err(Fault::no_registry())
}

const PROGRAM_SIZES: &[u64] = &[ProgramInfo::HEADER.size];
const SECTION_SIZES: &[u64] = &[56];

exports! {
    /// Stores which program types sections are for.
    fn ebpf_store_update_section_information(sections: Input, count: u32) -> c_int {
        code(update((sections, count), SECTION_SIZES, section, SectionEntry::keys))
    }

    /// Stores program types with their helpers.
    fn ebpf_store_update_program_information_array(programs: Input, count: u32) -> c_int {
        code(update((programs, count), PROGRAM_SIZES, program, ProgramEntry::keys))
    }

    /// Stores helpers of all program types.
    fn ebpf_store_update_global_helper_information(helpers: Input, count: u32) -> c_int {
        code(update((helpers, count), HELPER_SIZES, helper, HelperEntry::keys))
    }

    /// Deletes a section.
    fn ebpf_store_delete_section_information(from: Input) -> c_int {
        let structure = Structure::read(from.address(), SECTION_SIZES);
        let entry = structure.and_then(|structure| section(&structure));
        code(entry.and_then(|entry| delete(&SectionEntry::path(&entry.name))))
    }

    /// Deletes a program type with its helpers.
    fn ebpf_store_delete_program_information(from: Input) -> c_int {
        let structure = Structure::read(from.address(), PROGRAM_SIZES);
        let entry = structure.and_then(|structure| program(&structure));
        code(entry.and_then(|entry| delete(&ProgramEntry::path(entry.program_type))))
    }

    /// Deletes a helper of all program types.
    fn ebpf_store_delete_global_helper_information(from: Input) -> c_int {
        let structure = Structure::read(from.address(), HELPER_SIZES);
        let entry = structure.and_then(|structure| helper(&structure));
        code(entry.and_then(|entry| delete(&HelperEntry::path(&entry.name))))
    }
}
