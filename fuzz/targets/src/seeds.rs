//! Inputs to start from: the examples of this repository, and what the compiler makes of them.

use isa::{Insn, encode};
use object::{Object as _, ObjectSection as _};
use program::{LoadOptions, Object, ProgramId};
use std::path::{Path, PathBuf};
use verifier::Verified;

type Seeds = Result<Vec<Vec<u8>>, String>;

/// The example objects.
pub(crate) fn objects() -> Seeds {
    let folder = root().join("examples");
    let fail = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.extension().is_some_and(|extension| extension == "o") {
            paths.push(path);
        }
    }
    // The order of a folder is not defined; the pseudo-random sequence must mean the same everywhere.
    paths.sort();
    let seeds = paths
        .iter()
        .map(std::fs::read)
        .collect::<Result<Vec<_>, _>>()
        .map_err(fail)?;
    not_empty(seeds, "example objects")
}

/// BTF and BTF.ext sections of the examples, in the format of the target `btf`.
pub(crate) fn btf() -> Seeds {
    let mut seeds = Vec::new();
    for (which, file) in (0u8..).zip(objects()?) {
        let (Some(types), Some(ext)) = (section(&file, ".BTF"), section(&file, ".BTF.ext")) else {
            continue;
        };
        let Ok(len) = u16::try_from(types.len()) else {
            continue;
        };
        let mut seed = vec![which];
        seed.extend(len.to_le_bytes());
        seed.extend(types);
        seed.extend(ext);
        seeds.push(seed);
    }
    not_empty(seeds, "examples with BTF")
}

/// Objects with CO-RE relocations, from the tests of the loader.
pub(crate) fn relocated() -> Seeds {
    core_files(&["app.o", "guarded.o", "same.o"])
}

/// Types to relocate against, with the records of an object, in the format of the target `core`.
pub(crate) fn core() -> Seeds {
    let mut seeds = Vec::new();
    let targets = core_files(&["target_moved.o", "target_ambiguous.o", "app.o"])?;
    for (which, file) in (0u8..).zip(relocated()?) {
        let ext = section(&file, ".BTF.ext").ok_or("an object without BTF.ext")?;
        for target in &targets {
            let types = section(target, ".BTF").ok_or("a target without BTF")?;
            let len = u16::try_from(types.len()).map_err(|error| error.to_string())?;
            let mut seed = vec![which];
            seed.extend(len.to_le_bytes());
            seed.extend(types);
            seed.extend(&ext);
            seeds.push(seed);
        }
    }
    not_empty(seeds, "targets to relocate against")
}

fn core_files(names: &[&str]) -> Seeds {
    let folder = root().join("program/tests/data/core");
    let read = |name: &&str| {
        let path = folder.join(name);
        std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    names.iter().map(read).collect()
}

/// Linked programs of the examples as raw slots, and one slot of every encoding.
pub(crate) fn bytecode() -> Seeds {
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for object in loaded()? {
        let programs = object.programs.iter();
        seeds.extend(programs.filter_map(|program| encode::program(&program.insns).ok()));
    }
    for insn in every_form() {
        let program: Vec<Insn> = match insn.slots() {
            2 => vec![insn, Insn::Imm64High, Insn::Exit],
            _ => vec![insn, Insn::Exit],
        };
        seeds.extend(encode::program(&program).ok());
    }
    not_empty(seeds, "programs")
}

/// The same as text, with a few labels.
pub(crate) fn listings() -> Seeds {
    let mut seeds =
        vec![b"again: r0 += 1\n if r0 < 10 goto again # loop\n goto +0\n exit".to_vec()];
    for object in loaded()? {
        let listing = |insns: &[Insn]| {
            insns
                .iter()
                .map(|insn| format!("{insn}\n"))
                .collect::<String>()
        };
        seeds.extend(
            object
                .programs
                .iter()
                .map(|program| listing(&program.insns).into_bytes()),
        );
    }
    seeds.extend(every_form().map(|insn| insn.to_string().into_bytes()));
    not_empty(seeds, "listings")
}

/// Driver images made of the examples.
pub(crate) fn images() -> Seeds {
    let images = linked()?
        .into_iter()
        .map(image::Image::into_bytes)
        .collect();
    not_empty(images, "images")
}

/// The same, signed with the key of the tests.
pub(crate) fn signed_images() -> Seeds {
    let path = root().join("signing/tests/fixtures/test-only.pfx");
    let pfx = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let signer =
        signing::Signer::from_pfx(&pfx, TEST_PASSWORD).map_err(|error| error.to_string())?;
    let sign = |image| signing::sign(&image, &signer).map_err(|error| error.to_string());
    let signed = linked()?
        .into_iter()
        .take(2)
        .map(sign)
        .collect::<Result<Vec<_>, _>>()?;
    not_empty(signed, "signed images")
}

/// Password of the key in the fixtures of the tests.
const TEST_PASSWORD: &str = "test-only";

fn linked() -> Result<Vec<image::Image>, String> {
    let mut images = Vec::new();
    for object in loaded()? {
        let ids = (0u16..).zip(&object.programs).map(|(at, _)| ProgramId(at));
        let programs: Vec<_> = ids.filter_map(|id| Verified::assume(&object, id)).collect();
        let module = codegen::compile(&programs, &codegen::Options::default());
        let mut module = module.map_err(|error| error.to_string())?;
        // The bytes are only looked at, never run.
        module.proved = true;
        images.push(image::link(&module).map_err(|error| error.to_string())?);
    }
    Ok(images)
}

/// The examples as the loader sees them; those that it refuses are seeds of `elf` only.
fn loaded() -> Result<Vec<Object>, String> {
    let load = |file: Vec<u8>| program::load(&file, &LoadOptions::default()).ok();
    let objects: Vec<Object> = objects()?.into_iter().filter_map(load).collect();
    if objects.is_empty() {
        Err("no example loads".to_owned())
    } else {
        Ok(objects)
    }
}

/// One instruction of every encoding of the table.
fn every_form() -> impl Iterator<Item = Insn> {
    isa::opcode::ROWS.iter().filter_map(|row| {
        let fixed = |field, operand| match field {
            isa::opcode::Field::Is(only) => only,
            _ => operand,
        };
        let slot = isa::Slot {
            opcode: row.opcode,
            dst: fixed(row.dst, 1) as u8,
            src: fixed(row.src, 2) as u8,
            offset: fixed(row.offset, 0) as i16,
            imm: fixed(row.imm, 1),
        };
        isa::decode::insn(slot, Some(isa::Slot::default())).ok()
    })
}

/// The file with other contents of a section: they are appended, and the section header is pointed
/// at them. `None` when there is no such section.
pub(crate) fn with_section(file: &[u8], name: &str, contents: &[u8]) -> Option<Vec<u8>> {
    /// Place of the offset of the section headers in the file header.
    const HEADERS: usize = 0x28;
    /// Length of a section header, and place of offset and size in it.
    const HEADER: usize = 0x40;
    const OFFSET: usize = 0x18;

    let parsed = object::File::parse(file).ok()?;
    let index = parsed.section_by_name(name)?.index().0;
    let headers = u64::from_le_bytes(file.get(HEADERS..HEADERS + 8)?.try_into().ok()?);
    let at = usize::try_from(headers).ok()? + index * HEADER + OFFSET;
    let mut patched = file.to_vec();
    let fields = patched.get_mut(at..at + 16)?;
    let (offset, size) = fields.split_at_mut(8);
    offset.copy_from_slice(&(file.len() as u64).to_le_bytes());
    size.copy_from_slice(&(contents.len() as u64).to_le_bytes());
    patched.extend_from_slice(contents);
    Some(patched)
}

fn section(file: &[u8], name: &str) -> Option<Vec<u8>> {
    let parsed = object::File::parse(file).ok()?;
    Some(parsed.section_by_name(name)?.data().ok()?.to_vec())
}

fn not_empty(seeds: Vec<Vec<u8>>, what: &str) -> Seeds {
    if seeds.is_empty() {
        Err(format!("no {what} to start from"))
    } else {
        Ok(seeds)
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}
