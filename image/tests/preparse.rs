//! Images as `ebpfapi` of eBPF for Windows reads them before it loads a driver.
//!
//! A second reader, written after the behaviour of that one and sharing nothing with
//! `image::native`: three passes over the sections in file order (maps, then programs, then code),
//! arrays found by their zero marks, the number of programs computed from the size of the section,
//! strings only in `.rdata` or the section itself, GUIDs only in `.data`, addresses at the
//! preferred base. Then readers of other people (pefile, LIEF), where they are installed.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use program::{LoadOptions, Object, ProgramId};
use std::path::{Path, PathBuf};
use std::process::Command;
use verifier::Verified;

const CNT_CODE: u32 = 0x20;
const MAP_ENTRY: usize = 80;

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

struct Section {
    name: String,
    address: u64,
    /// VirtualSize bytes; raw data must have at least as many.
    bytes: Vec<u8>,
    flags: u32,
}

/// The section table, with preferred addresses.
fn sections(file: &[u8]) -> Result<Vec<Section>, String> {
    let nt = u32_at(file, 0x3C) as usize;
    let base = u64_at(file, nt + 24 + 24);
    let table = nt + 24 + usize::from(u16_at(file, nt + 20));
    let mut all = Vec::new();
    for index in 0..usize::from(u16_at(file, nt + 6)) {
        let row = &file[table + 40 * index..][..40];
        let name = String::from_utf8(row[..8].to_vec()).unwrap();
        let (virtual_size, raw_size) = (u32_at(row, 8) as usize, u32_at(row, 16) as usize);
        if virtual_size > raw_size {
            return Err(format!("{name}: VirtualSize exceeds the raw data"));
        }
        let raw = u32_at(row, 20) as usize;
        all.push(Section {
            name: name.trim_end_matches('\0').to_owned(),
            address: base + u64::from(u32_at(row, 12)),
            bytes: file[raw..raw + virtual_size].to_vec(),
            flags: u32_at(row, 36),
        });
    }
    Ok(all)
}

#[derive(Debug, PartialEq)]
struct Map {
    name: String,
    /// type, key, value, entries, inner index, pinning, id, inner id
    definition: [u32; 8],
}

#[derive(Debug, PartialEq)]
struct Program {
    name: String,
    section: String,
    pe_section: String,
    program_type: [u8; 16],
    attach_type: [u8; 16],
    instructions: u64,
    /// Size of the code section, once seen.
    code_bytes: Option<usize>,
}

/// What the three passes leave behind.
#[derive(Default)]
struct Parser<'a> {
    rdata: Option<&'a Section>,
    data: Option<&'a Section>,
    maps: Vec<Map>,
    programs: Vec<Program>,
    /// Names in the order in which their code comes.
    order: Vec<String>,
}

impl<'a> Parser<'a> {
    fn parse(sections: &'a [Section]) -> Result<Parser<'a>, String> {
        let mut parser = Parser::default();
        for section in sections {
            match section.name.as_str() {
                ".rdata" => parser.rdata = Some(section),
                ".data" => parser.data = Some(section),
                "maps" => parser.maps(section)?,
                _ => {}
            }
        }
        for section in sections.iter().filter(|s| s.name == "programs") {
            parser.programs(section)?;
        }
        for section in sections.iter().filter(|s| s.flags & CNT_CODE != 0) {
            parser.code(section);
        }
        Ok(parser)
    }

    fn maps(&mut self, section: &Section) -> Result<(), String> {
        let bytes = &section.bytes;
        let is_start = |at: &usize| {
            at + 24 <= bytes.len()
                && bytes[*at..at + 16] == [0; 16]
                && bytes[at + 16..at + 24] != [0; 8]
                && (*at == 0 || bytes[at - 1] == 0)
        };
        let start = (0..bytes.len()).step_by(8).find(is_start);
        let rest = &bytes[start.ok_or("no map entry")?..];
        for entry in rest.chunks_exact(MAP_ENTRY) {
            if entry[..16] != [0; 16] {
                break;
            }
            self.maps.push(Map {
                name: self.string(section, u64_at(entry, 72))?,
                definition: std::array::from_fn(|index| u32_at(entry, 40 + 4 * index)),
            });
        }
        Ok(())
    }

    fn programs(&mut self, section: &Section) -> Result<(), String> {
        let bytes = &section.bytes;
        let is_start = |at: &usize| {
            at + 8 <= bytes.len()
                && bytes[*at..at + 8] == [0; 8]
                && (*at == 0 || bytes[at - 1] == 0)
        };
        let start = (0..bytes.len()).step_by(16).find(is_start);
        let rest = &bytes[start.ok_or("no program entry")?..];
        let stride = u64_at(rest, 24) as usize;
        for index in 0..rest.len() / stride {
            let entry = &rest[index * stride..][..stride];
            let header = (
                u16_at(entry, 8),
                u64_at(entry, 16),
                u64_at(entry, 24) as usize,
            );
            if header.0 != 1 || ![144, 154].contains(&header.1) || header.2 != stride {
                return Err(format!("program {index}: header {header:?}"));
            }
            self.programs.push(Program {
                name: self.string(section, u64_at(entry, 56))?,
                section: self.string(section, u64_at(entry, 48))?,
                pe_section: self.string(section, u64_at(entry, 40))?,
                program_type: self.guid(u64_at(entry, 104))?,
                attach_type: self.guid(u64_at(entry, 112))?,
                instructions: u64_at(entry, 96),
                code_bytes: None,
            });
        }
        Ok(())
    }

    fn code(&mut self, section: &Section) {
        for program in &mut self.programs {
            if program.pe_section == section.name {
                program.code_bytes = Some(section.bytes.len());
                self.order.push(program.name.clone());
            }
        }
    }

    fn string(&self, own: &Section, address: u64) -> Result<String, String> {
        let places = [self.rdata.ok_or(".rdata comes too late")?, own];
        for section in places {
            let at = address.wrapping_sub(section.address) as usize;
            if let Some(bytes) = section.bytes.get(at..) {
                let text = bytes.split(|byte| *byte == 0).next().unwrap();
                return String::from_utf8(text.to_vec()).map_err(|error| error.to_string());
            }
        }
        Err(format!("a string at {address:#x}"))
    }

    fn guid(&self, address: u64) -> Result<[u8; 16], String> {
        let data = self.data.ok_or("no .data")?;
        let at = address.wrapping_sub(data.address) as usize;
        let bytes = data.bytes.get(at..).and_then(<[u8]>::first_chunk);
        bytes
            .copied()
            .ok_or(format!("a GUID at {address:#x}, outside of .data"))
    }
}

fn examples() -> Vec<(String, Object)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "o"))
        .collect();
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    let load = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        let object = program::load(&bytes, &LoadOptions::default()).unwrap();
        (path.display().to_string(), object)
    };
    files.into_iter().map(load).collect()
}

/// The layout of an image does not depend on the proof, so these tests do without one.
fn image_of(object: &Object) -> Vec<u8> {
    let ids = (0..object.programs.len()).map(|id| ProgramId(id as u16));
    let programs: Vec<_> = ids
        .map(|id| Verified::assume(object, id).unwrap())
        .collect();
    let module = codegen::compile(&programs, &codegen::Options::default()).unwrap();
    image::link_for_host(&module).unwrap().into_bytes()
}

fn expected_maps(object: &Object) -> Vec<(String, [u32; 4], u32)> {
    let map = |map: &program::MapDef| {
        let definition = [
            map.type_number,
            map.key_size,
            map.value_size,
            map.max_entries,
        ];
        (map.name.clone(), definition, u32::from(map.pin_by_name))
    };
    object.maps.iter().map(map).collect()
}

#[test]
fn maps_are_found_before_the_load() {
    for (path, object) in examples() {
        let file = image_of(&object);
        let sections = sections(&file).unwrap();
        let parser = Parser::parse(&sections).unwrap();
        let found: Vec<_> = parser
            .maps
            .iter()
            .map(|map| {
                let [kind, key, value, entries, _, pinning, ..] = map.definition;
                (map.name.clone(), [kind, key, value, entries], pinning)
            })
            .collect();
        assert_eq!(found, expected_maps(&object), "{path}");
        for (index, (map, definition)) in parser.maps.iter().zip(&object.maps).enumerate() {
            let [.., inner_index, _, id, inner_id] = map.definition;
            let same_id = parser.maps.iter().filter(|m| m.definition[6] == id);
            assert!(id != 0 && same_id.count() == 1, "{path}: id of map {index}");
            // Index 0 means "none" there, so the template is then found by its id.
            let inner = definition.inner.map(|inner| usize::from(inner.0));
            assert_eq!(inner_index as usize, inner.unwrap_or(0), "{path}: {index}");
            let template = inner.map_or(0, |inner| parser.maps[inner].definition[6]);
            assert_eq!(inner_id, template, "{path}: {index}");
        }
    }
}

#[test]
fn programs_are_found_before_the_load() {
    for (path, object) in examples() {
        let file = image_of(&object);
        let sections = sections(&file).unwrap();
        let parser = Parser::parse(&sections).unwrap();
        assert_eq!(parser.programs.len(), object.programs.len(), "{path}");
        for program in &object.programs {
            let found = parser.programs.iter().find(|p| p.name == program.name);
            let found = found.unwrap();
            assert_eq!(found.section, program.section, "{path}");
            assert_eq!(found.program_type, program.program_type.guid.to_bytes());
            let attach = program.attach_type.map(|row| row.guid.to_bytes());
            assert_eq!(found.attach_type, attach.unwrap_or_default(), "{path}");
            assert_eq!(found.instructions, program.insns.len() as u64, "{path}");
            assert!(found.code_bytes.is_some_and(|size| size > 0), "{path}");
        }
        // Callers get programs in the order of their code: that of the file.
        let order: Vec<_> = object.programs.iter().map(|p| p.name.clone()).collect();
        assert_eq!(parser.order, order, "{path}");
    }
}

/// Long section names are cut and numbered through the whole file; short ones stay.
#[test]
fn section_names_follow_the_rule() {
    for (path, object) in examples() {
        let file = image_of(&object);
        let sections = sections(&file).unwrap();
        let parser = Parser::parse(&sections).unwrap();
        let (mut counter, mut known) = (0, Vec::new());
        for program in &object.programs {
            let found = parser.programs.iter().find(|p| p.name == program.name);
            let expected = match known.iter().find(|(elf, _)| *elf == program.section) {
                Some((_, name)) => String::clone(name),
                None if program.section.len() <= 8 => program.section.clone(),
                None => {
                    counter += 1;
                    format!("{}~{counter}", &program.section[..6])
                }
            };
            known.push((program.section.clone(), expected.clone()));
            assert_eq!(found.unwrap().pe_section, expected, "{path}");
        }
    }
}

/// The reader above does notice what it is here to notice.
#[test]
fn misplaced_metadata_is_noticed() {
    let (_, object) = examples().remove(0);
    let file = image_of(&object);
    let change = |name: &str, change: &dyn Fn(&mut Section)| {
        let mut sections = sections(&file).unwrap();
        change(sections.iter_mut().find(|s| s.name == name).unwrap());
        Parser::parse(&sections).map(|parser| parser.programs.len())
    };
    assert_eq!(change(".pdata", &|_| {}), Ok(object.programs.len()));
    assert!(change(".rdata", &|s| s.name = "strings".into()).is_err());
    assert!(change(".data", &|s| s.address += 0x10_0000).is_err());
    assert!(change("programs", &|s| s.bytes.resize(s.bytes.len() + 144, 0)).is_err());
    assert!(change("programs", &|s| s.bytes[16] = 120).is_err());
    let mut late = sections(&file).unwrap();
    late.reverse();
    assert!(Parser::parse(&late).is_err(), "`maps` before `.rdata`");
}

const PYTHON: &str = "
import sys, pefile, lief
for path in sys.argv[1:]:
    pe = pefile.PE(path)
    warnings = [text for text in pe.get_warnings() if not text.startswith('Byte 0x00 makes up')]
    print('pefile: checksum', pe.verify_checksum(), 'warnings', warnings)
    print('imports', sum(len(module.imports) for module in pe.DIRECTORY_ENTRY_IMPORT))
    print('unwind flags', any(entry.unwindinfo.Flags for entry in pe.DIRECTORY_ENTRY_EXCEPTION))
    pe = lief.PE.parse(path)
    header = pe.optional_header
    print('lief: checksum', pe.compute_checksum() == header.checksum)
    print('size', pe.virtual_size == header.sizeof_image)
    print('imports', sum(len(module.entries) for module in pe.imports))
    print('relocations', sum(len(page.entries) for page in pe.relocations) >= 20)
    print('reproducible', pe.is_reproducible_build, 'version', pe.resources_manager.has_version)
";

const PYTHON_SAYS: &str = "\
pefile: checksum True warnings []
imports 7
unwind flags False
lief: checksum True
size True
imports 7
relocations True
reproducible True version True
";

#[test]
fn pefile_and_lief_agree() {
    let mut files = Vec::new();
    for (_, object) in examples() {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.sys", object.name));
        std::fs::write(&file, image_of(&object)).unwrap();
        files.push(file);
    }
    let python = |script: &str, files: &[PathBuf]| {
        let arguments = ["-c", script];
        Command::new("python3").args(arguments).args(files).output()
    };
    if !python("import pefile, lief", &[]).is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: python3 with pefile and lief is not installed");
        return;
    }
    let output = python(PYTHON, &files).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let trouble = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, PYTHON_SAYS.repeat(files.len()), "{trouble}");
}
