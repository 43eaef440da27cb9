//! The file itself, through `object::write::pe`: headers, section table, contents, `.reloc`.

use super::IMAGE_BASE;
use super::layout::{FILE_ALIGNMENT, Layout, PAGE};
use crate::Error;
use object::pe::{
    IMAGE_DIRECTORY_ENTRY_DEBUG, IMAGE_DIRECTORY_ENTRY_EXCEPTION, IMAGE_DIRECTORY_ENTRY_IAT,
    IMAGE_DIRECTORY_ENTRY_IMPORT, IMAGE_DIRECTORY_ENTRY_RESOURCE,
    IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE, IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY,
    IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA, IMAGE_DLLCHARACTERISTICS_NX_COMPAT,
    IMAGE_FILE_EXECUTABLE_IMAGE, IMAGE_FILE_LARGE_ADDRESS_AWARE, IMAGE_FILE_MACHINE_AMD64,
    IMAGE_NUMBEROF_DIRECTORY_ENTRIES, IMAGE_REL_BASED_DIR64, IMAGE_SUBSYSTEM_NATIVE,
};
use object::write::pe::{NtHeaders, Writer};

/// RVA and size of the directories that point into `.rdata`.
#[derive(Debug)]
pub(super) struct Directories {
    /// Import descriptors.
    pub(super) imports: (u32, u32),
    /// Import address table.
    pub(super) import_addresses: (u32, u32),
    /// Debug directory.
    pub(super) debug: (u32, u32),
}

/// Writes the file; checksum and time stamps are still zero.
pub(super) fn file(
    layout: &Layout,
    directories: &Directories,
    entry: u32,
    base_relocations: &[u32],
) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(true, PAGE, FILE_ALIGNMENT, &mut bytes);
    reserve(&mut writer, layout, base_relocations)?;
    set_directories(&mut writer, layout, directories);

    writer
        .write_empty_dos_header()
        .map_err(|e| Error::Unwritable(e.to_string()))?;
    writer.write_nt_headers(nt_headers(entry));
    writer.write_section_headers();
    for section in &layout.sections {
        writer.write_section(section.file_offset, &section.data);
    }
    if !base_relocations.is_empty() {
        writer.write_reloc_section();
    }
    Ok(bytes)
}

fn reserve(writer: &mut Writer<'_>, layout: &Layout, relocs: &[u32]) -> Result<(), Error> {
    let sections = layout.sections.len() + usize::from(!relocs.is_empty());
    writer.reserve_dos_header();
    writer.reserve_nt_headers(IMAGE_NUMBEROF_DIRECTORY_ENTRIES);
    writer.reserve_section_headers(sections as u16);
    for section in &layout.sections {
        let len = section.data.len() as u32;
        let range = writer.reserve_section(section.name, section.flags, len, len);
        if (range.virtual_address, range.file_offset) != (section.rva, section.file_offset) {
            let name = String::from_utf8_lossy(&section.name).into_owned();
            return Err(Error::Unwritable(format!(
                "section {name} moved while writing"
            )));
        }
    }
    if !relocs.is_empty() {
        relocs
            .iter()
            .for_each(|&rva| writer.add_reloc(rva, IMAGE_REL_BASED_DIR64));
        writer.reserve_reloc_section();
    }
    Ok(())
}

fn set_directories(writer: &mut Writer<'_>, layout: &Layout, directories: &Directories) {
    let all = [
        (IMAGE_DIRECTORY_ENTRY_IMPORT, directories.imports),
        (IMAGE_DIRECTORY_ENTRY_IAT, directories.import_addresses),
        (IMAGE_DIRECTORY_ENTRY_DEBUG, directories.debug),
        (IMAGE_DIRECTORY_ENTRY_RESOURCE, layout.resources_span()),
        (
            IMAGE_DIRECTORY_ENTRY_EXCEPTION,
            layout.exceptions_span().unwrap_or_default(),
        ),
    ];
    for (index, (rva, len)) in all {
        writer.set_data_directory(index, rva, len);
    }
}

/// Header values as the driver kit's linker sets them. FORCE_INTEGRITY (`/INTEGRITYCHECK`) asks
/// for a signature at load on every system.
fn nt_headers(entry: u32) -> NtHeaders {
    NtHeaders {
        machine: IMAGE_FILE_MACHINE_AMD64,
        time_date_stamp: 0,
        characteristics: IMAGE_FILE_EXECUTABLE_IMAGE | IMAGE_FILE_LARGE_ADDRESS_AWARE,
        major_linker_version: 14,
        minor_linker_version: 0,
        address_of_entry_point: entry,
        image_base: IMAGE_BASE,
        major_operating_system_version: 10,
        minor_operating_system_version: 0,
        major_image_version: 10,
        minor_image_version: 0,
        major_subsystem_version: 10,
        minor_subsystem_version: 0,
        subsystem: IMAGE_SUBSYSTEM_NATIVE,
        dll_characteristics: IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA
            | IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE
            | IMAGE_DLLCHARACTERISTICS_NX_COMPAT
            | IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY,
        size_of_stack_reserve: 0x10_0000,
        size_of_stack_commit: 0x1000,
        size_of_heap_reserve: 0x10_0000,
        size_of_heap_commit: 0x1000,
    }
}
