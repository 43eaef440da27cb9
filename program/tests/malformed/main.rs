//! Files that are wrong in one place: the error says which, and limits hold against files whose
//! parts overlap. Slots are written as in the specification: opcode byte first.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod btf;
mod support;

use abi::{Code, Platform, diagnostic as is};
use program::{LoadError, LoadOptions, Object};
use support::{Elf, FUNCTION, OBJECT, Section, Symbol, UNTYPED, code, data, relocations};

const EXIT: u64 = 0x9500_0000_0000_0000;
const MOV_R0: u64 = 0xb700_0000_0000_0000;
const CALL_NEXT: u64 = 0x8510_0000_0000_0000;
const CALL_EXTERN: u64 = 0x8510_0000_ffff_ffff;
const LDDW_R1: u64 = 0x1801_0000_0000_0000;

fn load_on(platform: Platform, elf: &Elf) -> Result<Object, LoadError> {
    let options = LoadOptions {
        platform,
        name: "test".into(),
        ..LoadOptions::default()
    };
    program::load(&elf.bytes(), &options)
}

fn load(elf: &Elf) -> Result<Object, LoadError> {
    load_on(Platform::Windows, elf)
}

fn function(name: &'static str, section: u16, value: u64, size: u64) -> Symbol {
    Symbol {
        name,
        info: FUNCTION,
        section,
        value,
        size,
    }
}

fn object(name: &'static str, section: u16, value: u64, size: u64) -> Symbol {
    Symbol {
        info: OBJECT,
        ..function(name, section, value, size)
    }
}

/// One program `main` of the slots, in section number 1.
fn one(slots: &[u64]) -> Elf {
    Elf {
        sections: vec![code("xdp", slots)],
        symbols: vec![function("main", 1, 0, slots.len() as u64 * 8)],
    }
}

fn with(mut elf: Elf, sections: &[Section], symbols: &[Symbol]) -> Elf {
    elf.sections.extend_from_slice(sections);
    elf.symbols.extend_from_slice(symbols);
    elf
}

/// A legacy map record of 32 bytes.
fn record(words: [u32; 8]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[track_caller]
fn refused(elf: &Elf, code: Code, place: &str) {
    let error = load(elf).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert_eq!(error.place().to_string(), place, "{error}");
    assert!(!error.help().is_empty());
}

#[test]
fn the_writer_makes_good_files() {
    let object = load(&one(&[MOV_R0, EXIT])).unwrap();
    assert_eq!(object.programs[0].name, "main");
    assert_eq!(object.programs[0].insns.len(), 2);
    assert!(object.notes.is_empty(), "{:?}", object.notes);
}

#[test]
fn functions_must_fit_their_section() {
    let mut elf = one(&[MOV_R0, EXIT]);
    elf.symbols[0].size = 24;
    refused(
        &elf,
        is::FUNCTION_MALFORMED,
        "section `xdp`, `main`, offset 0x0",
    );
    elf.symbols[0].size = 12;
    refused(
        &elf,
        is::FUNCTION_MALFORMED,
        "section `xdp`, `main`, offset 0x0",
    );
    elf.symbols[0].value = u64::MAX;
    refused(
        &elf,
        is::FUNCTION_MALFORMED,
        "section `xdp`, `main`, offset 0xffffffffffffffff",
    );
    let mut elf = one(&[MOV_R0, EXIT]);
    elf.symbols.push(function("inside", 1, 8, 8));
    refused(
        &elf,
        is::FUNCTION_MALFORMED,
        "section `xdp`, `main`, offset 0x0",
    );
    let mut elf = one(&[MOV_R0, EXIT]);
    elf.sections[0].data.pop();
    refused(&elf, is::FUNCTION_MALFORMED, "section `xdp`");
    elf = one(&[MOV_R0, EXIT]);
    elf.symbols.clear();
    refused(&elf, is::FUNCTION_MALFORMED, "section `xdp`");
}

#[test]
fn instructions_must_decode() {
    refused(
        &one(&[MOV_R0, u64::MAX]),
        is::BYTECODE_MALFORMED,
        "section `xdp`, `main`, offset 0x8",
    );
    refused(
        &one(&[MOV_R0, LDDW_R1]),
        is::BYTECODE_MALFORMED,
        "section `xdp`, `main`, offset 0x8",
    );
}

#[test]
fn calls_must_hit_functions() {
    refused(
        &one(&[CALL_NEXT, EXIT]),
        is::CALL_TARGET_INVALID,
        "section `xdp`, `main`, offset 0x0",
    );
    let far = 0x8510_0000_0000_0070;
    refused(
        &one(&[far, EXIT]),
        is::CALL_TARGET_INVALID,
        "section `xdp`, `main`, offset 0x0",
    );
    let label = Symbol {
        info: 0,
        ..function("middle", 2, 8, 0)
    };
    let elf = with(
        one(&[CALL_EXTERN, EXIT]),
        &[
            code(".text", &[MOV_R0, EXIT]),
            relocations(1, &[(0, 10, 3)]),
        ],
        &[function("callee", 2, 0, 16), label],
    );
    refused(
        &elf,
        is::CALL_TARGET_INVALID,
        "section `xdp`, `main`, offset 0x0",
    );
    let callee = with(
        one(&[CALL_EXTERN, EXIT]),
        &[
            code(".text", &[MOV_R0, EXIT]),
            relocations(1, &[(0, 10, 2)]),
        ],
        &[function("callee", 2, 0, 16)],
    );
    let object = load(&callee).unwrap();
    assert_eq!(object.programs[0].functions.len(), 2);
}

#[test]
fn relocations_must_fit() {
    let reloc = |entry| with(one(&[MOV_R0, EXIT]), &[relocations(1, &[entry])], &[]);
    let place = "section `xdp`, `main`, offset 0x0";
    refused(&reloc((0, 1, 1)), is::RELOCATION_INVALID, place);
    refused(&reloc((0, 77, 1)), is::RELOCATION_UNSUPPORTED, place);
    refused(&reloc((0, 1, 99)), is::RELOCATION_INVALID, place);
    refused(
        &reloc((4, 1, 1)),
        is::RELOCATION_INVALID,
        "section `xdp`, `main`, offset 0x4",
    );
    let twice = with(
        one(&[LDDW_R1, 0, EXIT]),
        &[
            data(".data", &[0; 8]),
            relocations(1, &[(0, 1, 2), (0, 1, 2)]),
        ],
        &[object("variable", 2, 0, 8)],
    );
    refused(&twice, is::RELOCATION_INVALID, place);
    let nowhere = with(
        one(&[LDDW_R1, 0, EXIT]),
        &[data("other", &[0; 8]), relocations(1, &[(0, 1, 2)])],
        &[object("variable", 2, 0, 8)],
    );
    refused(&nowhere, is::RELOCATION_INVALID, place);
    let unrelocated = 0x1811_0000_0500_0000;
    refused(&one(&[unrelocated, 0, EXIT]), is::RELOCATION_INVALID, place);
}

#[test]
fn legacy_maps_must_fit() {
    let maps = |bytes: &[u8], symbols: &[Symbol]| {
        let elf = with(one(&[MOV_R0, EXIT]), &[data("maps", bytes)], symbols);
        load(&elf).map_err(|error| (error.code(), error.place().to_string()))
    };
    let good = record([1, 4, 8, 10, 0, 0, 0, 0]);
    let loaded = maps(&good, &[object("m", 2, 0, 32)]).unwrap();
    assert_eq!((loaded.maps[0].key_size, loaded.maps[0].value_size), (4, 8));
    let refused = |bytes: &[u8], symbols: &[Symbol]| maps(bytes, symbols).unwrap_err();
    assert_eq!(
        refused(&good, &[]),
        (is::MAP_MALFORMED, "section `maps`".into())
    );
    assert_eq!(
        refused(&good, &[object("m", 2, 8, 32)]),
        (is::MAP_MALFORMED, "section `maps`, `m`, offset 0x8".into())
    );
    let odd = refused(&good[..30], &[object("m", 2, 0, 30)]);
    assert_eq!(odd.0, is::MAP_MALFORMED);
    let unknown = record([4000, 4, 8, 10, 0, 0, 0, 0]);
    assert_eq!(
        refused(&unknown, &[object("m", 2, 0, 32)]),
        (
            is::MAP_TYPE_UNKNOWN,
            "section `maps`, `m`, offset 0x0".into()
        )
    );
    let empty = record([2, 4, 0, 10, 0, 0, 0, 0]);
    assert_eq!(
        refused(&empty, &[object("m", 2, 0, 32)]).0,
        is::MAP_SIZE_INVALID
    );
}

/// The last four numbers of a record: `inner_map_idx, pinning, id, inner_id`.
#[test]
fn legacy_maps_of_maps_need_a_template() {
    let rows = [
        ([0, 0, 0, 0], "neither inner_map_idx nor inner_id names a"),
        ([3, 0, 0, 0], "inner_map_idx 3 is no map that can be a"),
        ([0, 0, 0, 9], "inner_id 9 is no map that can be a"),
        ([0, 0, 9, 9], "inner_id 9 is no map that can be a"),
    ];
    for ([index, pinning, id, inner], said) in rows {
        let map = record([7, 4, 4, 10, index, pinning, id, inner]);
        let elf = with(
            one(&[MOV_R0, EXIT]),
            &[data("maps", &map)],
            &[object("m", 2, 0, 32)],
        );
        let error = load(&elf).unwrap_err();
        assert_eq!(error.code(), is::MAP_INNER_INVALID);
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn names_must_fit_the_tables() {
    let long: &'static str = "a_name_of_64_characters_which_is_one_more_than_the_tables_can_hold__";
    let mut elf = one(&[MOV_R0, EXIT]);
    elf.symbols[0].name = long;
    refused(&elf, is::NAME_INVALID, &format!("section `xdp`, `{long}`"));
    let twice = with(
        one(&[MOV_R0, EXIT]),
        &[code("bind", &[MOV_R0, EXIT])],
        &[function("main", 2, 0, 16)],
    );
    refused(&twice, is::NAME_DUPLICATE, "section `bind`, `main`");
}

#[test]
fn old_objects_mark_functions_by_global_labels() {
    let label = |name, info, value| Symbol {
        info,
        ..function(name, 1, value, 0)
    };
    let elf = Elf {
        sections: vec![code("xdp", &[MOV_R0, EXIT, MOV_R0, EXIT])],
        symbols: vec![
            label("one", UNTYPED, 0),
            label("L1", 0, 8),
            label("two", UNTYPED, 16),
        ],
    };
    let object = load_on(Platform::Linux, &elf).unwrap();
    let names: Vec<_> = object
        .programs
        .iter()
        .map(|program| &*program.name)
        .collect();
    assert_eq!(names, ["one", "two"]);
}

#[test]
fn headers_must_be_those_of_bpf() {
    let good = one(&[MOV_R0, EXIT]).bytes();
    let refused = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        program::load(&bytes, &LoadOptions::default())
            .unwrap_err()
            .code()
    };
    // Magic, class, byte order, file type, machine.
    for (at, byte) in [(0, 0), (4, 1), (5, 2), (16, 2), (18, 62)] {
        assert_eq!(refused(at, byte), is::ELF_NOT_BPF, "byte {at}");
    }
    let short = program::load(&good[..63], &LoadOptions::default()).unwrap_err();
    assert_eq!(short.code(), is::ELF_MALFORMED);
}

/// 128 sections of global variables that are all the same megabyte of the file.
#[test]
fn overlapping_globals_are_counted() {
    let mut elf = with(one(&[MOV_R0, EXIT]), &[data(".data", &[1; 1 << 20])], &[]);
    for _ in 0..128 {
        let mut again = data(".data.again", &[]);
        again.overlaps = Some(1);
        elf.sections.push(again);
    }
    let error = load_on(Platform::Linux, &elf).unwrap_err();
    assert_eq!(error.code(), is::GLOBAL_INVALID, "{error}");
}

/// 2,000 programs that share a subprogram of 4,000 slots would be 8 million slots.
#[test]
fn copies_of_subprograms_are_counted() {
    let names: Vec<&'static str> = (0..2000).map(|i| &*format!("p{i}").leak()).collect();
    let mut slots = Vec::new();
    let mut elf = Elf::default();
    let mut entries = Vec::new();
    for (index, name) in (0u64..).zip(&names) {
        slots.extend([CALL_EXTERN, EXIT]);
        elf.symbols.push(function(name, 1, index * 16, 16));
        entries.push((index * 16, 10, names.len() as u32 + 1));
    }
    elf.sections.push(code("xdp", &slots));
    let mut long = vec![MOV_R0; 3999];
    long.push(EXIT);
    elf.sections.push(code(".text", &long));
    elf.sections.push(relocations(1, &entries));
    elf.symbols
        .push(function("shared", 2, 0, long.len() as u64 * 8));
    refused(&elf, is::BYTECODE_LIMIT, "`shared`");
}

/// Code sections that overlap a million slots a hundred times.
#[test]
fn overlapping_code_is_counted() {
    let mut elf = one(&vec![MOV_R0; 900_000]);
    for index in 0..100u16 {
        let mut again = code("xdp/again", &[]);
        again.overlaps = Some(0);
        elf.sections.push(again);
        elf.symbols.push(function("again", index + 2, 0, 7_200_000));
    }
    assert_eq!(load(&elf).unwrap_err().code(), is::BYTECODE_LIMIT);
}

#[test]
fn programs_that_nobody_marks_go_by_their_section() {
    let mut elf = one(&[MOV_R0, EXIT]);
    assert!(!load(&elf).unwrap().programs[0].unmarked);
    elf.symbols[0].info = UNTYPED;
    elf.symbols[0].size = 0;
    assert!(load(&elf).unwrap().programs[0].unmarked);
    // Two of them: the section's name no longer says which.
    elf.symbols.push(Symbol {
        name: "other",
        value: 8,
        ..elf.symbols[0]
    });
    let object = load(&elf).unwrap();
    assert_eq!(object.programs.len(), 2);
    assert!(object.programs.iter().all(|program| !program.unmarked));
}
