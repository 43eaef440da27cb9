//! Every object of the corpus loads, and every program that the inventory lists is found.
//!
//! Where the corpus is missing the tests say so.

use abi::diagnostic;
use corpus::Row;
use program::{Object, Unlinkable};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Objects that must be refused, with the id of the reason.
const REFUSED: &[(&str, abi::Code)] = &[
    // Calls `ebpf_map_update_elem`, which is no helper and not defined.
    ("build/badrelo.o", diagnostic::SYMBOL_UNRESOLVED),
];

/// The rows of each file.
fn inventory(folder: &Path) -> BTreeMap<String, Vec<Row>> {
    let mut files: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in corpus::rows(folder) {
        files.entry(row.file.clone()).or_default().push(row);
    }
    files
}

#[test]
fn every_listed_program_is_found() {
    let Some(folder) = corpus::folder() else {
        return;
    };
    let mut wrong = Vec::new();
    let inventory = inventory(&folder);
    assert!(inventory.len() >= 60, "only {} files", inventory.len());
    for (file, programs) in &inventory {
        let refused = REFUSED.iter().find(|(name, _)| name == file);
        let unlinkable = match refused {
            Some(_) => Unlinkable::Refuse,
            None => Unlinkable::LeaveOut,
        };
        match (corpus::load(&folder, file, unlinkable), refused) {
            (Err(error), Some((_, code))) if error.code() == *code => {}
            (Err(error), _) => wrong.push(format!("{file}: {} {error}", error.code())),
            (Ok(_), Some((_, code))) => wrong.push(format!("{file}: loads, {code} expected")),
            (Ok(object), None) => {
                let missing: Vec<_> = programs
                    .iter()
                    .filter(|row| corpus::find(&object, row).is_none())
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
    let Some(folder) = corpus::folder() else {
        return;
    };
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
            match corpus::load(&folder, &file, Unlinkable::Refuse) {
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
