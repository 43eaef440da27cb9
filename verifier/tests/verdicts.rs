//! Programs in assembler text with the verdict they must get.
//!
//! `programs/unsafe.bpf` must be refused and `programs/safe.bpf` accepted, without exception.
//! A file is a list of cases: `case TITLE`, then optionally `type PLATFORM NAME` (default
//! `windows xdp`) and `map KIND KEY VALUE ENTRIES [inner INDEX | frozen]` lines, then instructions. A frozen map is
//! a constant section of zeros. Lines that start with
//! `#` before the first case are remarks.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use abi::{Platform, ProgramType, map};
use program::{GlobalSection, MapDef, MapId, Object, ProgramId, RawProgram};
use verifier::{Options, Rejected, verify};

struct Case {
    title: String,
    program_type: &'static ProgramType,
    maps: Vec<MapDef>,
    text: String,
}

fn cases(file: &str) -> Vec<Case> {
    let chunks = file.split("\ncase ").skip(1);
    chunks.map(case).collect()
}

fn case(chunk: &str) -> Case {
    let mut lines = chunk.lines();
    let mut case = Case {
        title: lines.next().unwrap_or_default().to_owned(),
        program_type: program_type("windows", "xdp"),
        maps: Vec::new(),
        text: String::new(),
    };
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["type", platform, name] => case.program_type = program_type(platform, name),
            ["map", kind, key, value, entries, property @ ..] => {
                let numbers = [key, value, entries].map(|word| word.parse().expect("a number"));
                let mut map = map_definition(kind, numbers);
                match property {
                    ["inner", id] => map.inner = Some(MapId(id.parse().expect("an index"))),
                    ["frozen"] => map.frozen = true,
                    [] => {}
                    other => panic!("{other:?}"),
                }
                case.maps.push(map);
            }
            _ => case.text += &format!("{line}\n"),
        }
    }
    case
}

fn program_type(platform: &str, name: &str) -> &'static ProgramType {
    let platform = match platform {
        "windows" => Platform::Windows,
        "linux" => Platform::Linux,
        other => panic!("platform {other}"),
    };
    abi::program_type::by_name(platform, name).unwrap_or_else(|| panic!("program type {name}"))
}

fn map_definition(kind: &str, [key_size, value_size, max_entries]: [u32; 3]) -> MapDef {
    let row = map::TABLE.iter().find(|row| row.name == kind);
    let row = row.unwrap_or_else(|| panic!("map kind {kind}"));
    MapDef {
        name: format!("a_{kind}"),
        type_number: row.windows.or(row.linux).expect("a number"),
        kind: row.kind,
        key_size,
        value_size,
        max_entries,
        flags: 0,
        pin_by_name: false,
        id: 0,
        inner: None,
        initial: Vec::new(),
        frozen: false,
        spin_lock: None,
        timer: None,
    }
}

fn object(case: &Case) -> Result<Object, String> {
    let insns = isa::asm::assemble(&case.text)
        .unwrap_or_else(|error| panic!("{}: {error}\n{}", case.title, case.text));
    let bytes = isa::encode::program(&insns).expect("encodable");
    let raw = RawProgram {
        name: "main",
        platform: case.program_type.platform,
        program_type: case.program_type,
        bytes: &bytes,
        maps: case.maps.clone(),
    };
    let mut object = program::from_bytecode(raw).map_err(|error| error.to_string())?;
    let constants = (0..).zip(&case.maps).filter(|(_, map)| map.frozen);
    object.globals = constants
        .map(|(index, map)| GlobalSection {
            section: ".rodata".into(),
            map: MapId(index),
            data: vec![0; map.value_size as usize],
        })
        .collect();
    Ok(object)
}

fn verdict(case: &Case) -> Result<(), String> {
    let object = object(case)?;
    let refused = |rejected: Rejected| rejected.to_string();
    verify(&object, ProgramId(0), &Options::default())
        .map(drop)
        .map_err(refused)
}

#[test]
fn unsafe_programs_are_refused() {
    let mut accepted = Vec::new();
    let mut reasons = String::new();
    for case in cases(include_str!("programs/unsafe.bpf")) {
        match verdict(&case) {
            Ok(()) => accepted.push(case.title),
            Err(why) => reasons += &format!("{}: {why}\n", case.title),
        }
    }
    assert!(accepted.is_empty(), "accepted: {accepted:#?}");
    compare("unsafe.expected", &reasons);
}

/// Refused for the right reason: the messages are part of the test.
fn compare(name: &str, found: &str) {
    let path = format!("{}/tests/programs/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, found).expect("writable");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected, "see {path}; BLESS=1 accepts new reasons");
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "{path}");
}

#[test]
fn safe_programs_are_accepted() {
    let mut refused = Vec::new();
    for case in cases(include_str!("programs/safe.bpf")) {
        if let Err(why) = verdict(&case) {
            refused.push(format!("{}: {why}", case.title));
        }
    }
    assert!(refused.is_empty(), "refused: {refused:#?}");
}
