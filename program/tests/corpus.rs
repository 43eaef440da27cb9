//! Every object of the corpus loads, and every program that the inventory lists is found.
//!
//! The corpus is large and not part of the project: `BPF_CORPUS` names its folder, otherwise
//! `../shared/corpus` beside the workspace is tried; where it is missing the test says so.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use abi::{Platform, ProgramType, diagnostic, program_type};
use program::{LoadError, LoadOptions, Object, TextFunctions, Unlinkable};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Objects that must be refused, with the id of the reason.
const REFUSED: &[(&str, abi::Code)] = &[
    // Calls `ebpf_map_update_elem`, which is no helper and not defined.
    ("build/badrelo.o", diagnostic::SYMBOL_UNRESOLVED),
];

fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let folder = std::env::var_os("BPF_CORPUS").map_or(beside, PathBuf::from);
    let found = folder.join("expected.csv").is_file();
    if !found {
        println!(
            "SKIPPED: no corpus at {} (set BPF_CORPUS)",
            folder.display()
        );
    }
    found.then_some(folder)
}

/// The programs of each file: section and function.
fn inventory(folder: &Path) -> BTreeMap<String, BTreeSet<(String, String)>> {
    let text = fs::read_to_string(folder.join("expected.csv")).unwrap();
    let mut files: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for row in text.lines().skip(1) {
        let mut cells = row.split(',').map(str::to_owned);
        let (file, section, function) = (cells.next(), cells.next(), cells.next());
        files
            .entry(file.unwrap())
            .or_default()
            .insert((section.unwrap(), function.unwrap()));
    }
    files
}

/// What a file's name says about programs whose section says nothing.
fn fallback(file: &str) -> &'static ProgramType {
    let name = match file {
        _ if file.contains("xdp") => "xdp",
        _ if file.contains("cilium/") => "sched_cls",
        _ => "socket_filter",
    };
    program_type::by_name(Platform::Linux, name).unwrap()
}

fn load(folder: &Path, file: &str, unlinkable: Unlinkable) -> Result<Object, LoadError> {
    let bytes = fs::read(folder.join(file)).unwrap();
    let mut options = LoadOptions {
        platform: Platform::Linux,
        name: Path::new(file)
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .into(),
        text: TextFunctions::Programs,
        unlinkable,
        ..LoadOptions::default()
    };
    match program::load(&bytes, &options) {
        Err(error) if error.code() == diagnostic::SECTION_TYPE_UNKNOWN => {}
        Ok(object) if !object.notes.iter().any(|note| note.contains("--type")) => {
            return Ok(object);
        }
        Ok(_) => {}
        Err(error) => return Err(error),
    }
    options.program_type = Some(fallback(file));
    program::load(&bytes, &options)
}

/// Old objects do not mark functions; the inventory then lists the section's name as function.
fn has(object: &Object, section: &str, function: &str) -> bool {
    let mut inside = object
        .programs
        .iter()
        .filter(|program| program.section == section);
    match section == function {
        true => inside.count() == 1,
        false => inside.any(|program| program.name == function),
    }
}

#[test]
fn every_listed_program_is_found() {
    let Some(folder) = corpus() else { return };
    let mut wrong = Vec::new();
    let inventory = inventory(&folder);
    assert!(inventory.len() >= 60, "only {} files", inventory.len());
    for (file, programs) in &inventory {
        let refused = REFUSED.iter().find(|(name, _)| name == file);
        let unlinkable = match refused {
            Some(_) => Unlinkable::Refuse,
            None => Unlinkable::LeaveOut,
        };
        match (load(&folder, file, unlinkable), refused) {
            (Err(error), Some((_, code))) if error.code() == *code => {}
            (Err(error), _) => wrong.push(format!("{file}: {} {error}", error.code())),
            (Ok(_), Some((_, code))) => wrong.push(format!("{file}: loads, {code} expected")),
            (Ok(object), None) => {
                let missing: Vec<_> = programs
                    .iter()
                    .filter(|(section, function)| !has(&object, section, function))
                    .collect();
                if !missing.is_empty() {
                    wrong.push(format!("{file}: missing {missing:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Also the objects that the inventory leaves out.
#[test]
fn every_object_loads() {
    let Some(folder) = corpus() else { return };
    let mut wrong = Vec::new();
    let mut count = 0;
    for group in fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        let Ok(files) = fs::read_dir(&group) else {
            continue;
        };
        for path in files.map(|entry| entry.unwrap().path()) {
            let file = path
                .strip_prefix(&folder)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            if !file.ends_with(".o") || REFUSED.iter().any(|(name, _)| *name == file) {
                continue;
            }
            count += 1;
            match load(&folder, &file, Unlinkable::Refuse) {
                Ok(object) => wrong.extend(disorder(&object).map(|text| format!("{file}: {text}"))),
                Err(error) => wrong.push(format!("{file}: {} {error}", error.code())),
            }
        }
    }
    assert!(count >= 60, "only {count} objects");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a loaded object may not show, whatever the file was.
fn disorder(object: &Object) -> Option<String> {
    for program in &object.programs {
        if program
            .lines
            .windows(2)
            .any(|pair| pair[0].start >= pair[1].start)
        {
            // Each function's lines ascend, and functions follow each other.
            return Some(format!("lines of {} out of order", program.name));
        }
        if program
            .functions
            .first()
            .is_none_or(|entry| entry.name != program.name)
        {
            return Some(format!("{} does not start with its entry", program.name));
        }
    }
    let inner = |map: &program::MapDef| map.kind.is_map_of_maps() == map.inner.is_some();
    let odd = object.maps.iter().find(|map| !inner(map))?;
    Some(format!("map {} and its template", odd.name))
}
