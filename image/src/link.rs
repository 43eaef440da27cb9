//! The linker: a relocatable module to the bytes of a PE32+ driver.
//!
//! Order of work: put the sections in order, reserve the generated tables (imports, unwind data,
//! debug directory in `.rdata`; `.pdata`, `.rsrc`), assign addresses, fill the tables, apply
//! relocations, write the file, stamp it, sum it, check it. Everything is a function of the module:
//! no clock, no randomness. Header values follow the PE specification and what the Windows driver
//! kit's linker emits. Left out: a load configuration (no /GS cookie, no CFG table, so no flag that
//! would ask for one), PDB files.

mod debug;
mod imports;
mod layout;
mod relocate;
mod resource;
mod unwind;
mod write;

use crate::check::{Row, Verdict, check};
use crate::{Error, Image, Purpose, checksum};
use abi::Platform;
use codegen::{Module, SectionKind};
use layout::Layout;

/// Preferred load address, the usual one of drivers; the kernel always moves the image.
pub(crate) const IMAGE_BASE: u64 = 0x1_4000_0000;

/// Links a module to a driver.
///
/// # Errors
/// A module that is not proved or not for Windows, names or sizes that PE cannot express, and inconsistencies of the
/// module; an image that fails its own check is not returned.
pub fn link(module: &Module) -> Result<Image, Error> {
    if !module.proved {
        return Err(Error::Unproved {
            module: module.name.clone(),
        });
    }
    if module.platform != Platform::Windows {
        return Err(Error::WrongPlatform {
            module: module.name.clone(),
        });
    }
    build(module, Purpose::Driver)
}

/// Links a module that only this host will map and run: it need not be proved, nor be for
/// Windows.
///
/// # Errors
/// As [`link`], except for proof and platform.
pub fn link_for_host(module: &Module) -> Result<Image, Error> {
    build(module, Purpose::Host)
}

fn build(module: &Module, purpose: Purpose) -> Result<Image, Error> {
    let mut layout = Layout::of(module)?;
    let imports = imports::Plan::new(&module.imports)?;
    let unwind = unwind::Plan::new(module)?;
    let resource = resource::version(&module.name)?;

    let imports_at = layout.append_rdata(imports.len_bytes());
    let unwind_at = layout.append_rdata(unwind.infos().len());
    let debug_at = layout.append_rdata(debug::LEN_BYTES);
    layout.set_exceptions(unwind.table_len_bytes());
    layout.set_resources(resource.bytes());
    layout.assign_addresses()?;

    imports.write(&mut layout, imports_at);
    unwind.write(&mut layout, module, unwind_at)?;
    debug::write(&mut layout, debug_at);
    resource.write(&mut layout);
    let base_relocations = relocate::apply(module, &mut layout, &imports, imports_at)?;

    let directories = write::Directories {
        imports: imports.directory(&layout, imports_at),
        import_addresses: imports.address_directory(&layout, imports_at),
        debug: layout.rdata_span(debug_at, debug::DIRECTORY_BYTES),
    };
    let entry = entry_point(module, &layout)?;
    let mut bytes = write::file(&layout, &directories, entry, &base_relocations)?;
    debug::stamp(&mut bytes, &layout, debug_at, &module.content_hash);
    checksum::update(&mut bytes);
    refuse_what_fails(&bytes)?;
    Ok(Image {
        bytes,
        proved: module.proved,
        purpose,
    })
}

/// Re-reads the finished file with the checker; warnings are for other people's drivers.
fn refuse_what_fails(bytes: &[u8]) -> Result<(), Error> {
    let report = check(bytes)?;
    let bad = |row: &&Row| matches!(row.verdict, Verdict::Fail | Verdict::Warn);
    let rows = report.rows.iter().filter(bad);
    let rows: Vec<_> = rows.map(|row| (row.rule.id, row.detail.clone())).collect();
    if rows.is_empty() {
        return Ok(());
    }
    Err(Error::Refused { rows })
}

fn entry_point(module: &Module, layout: &Layout) -> Result<u32, Error> {
    let symbol = module
        .symbols
        .get(module.entry.0 as usize)
        .ok_or(Error::Entry)?;
    let section = module
        .sections
        .get(usize::from(symbol.section.0))
        .ok_or(Error::Entry)?;
    let executable = matches!(section.kind, SectionKind::Code | SectionKind::Init);
    if !executable || symbol.offset as usize >= section.data.len() {
        return Err(Error::Entry);
    }
    layout
        .rva(symbol.section, symbol.offset)
        .ok_or(Error::Entry)
}
