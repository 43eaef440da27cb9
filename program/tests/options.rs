//! What the options of the loader change.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use abi::{Platform, ProgramType, diagnostic, program_type};
use program::{LoadError, LoadOptions, Object, TextFunctions, Unlinkable};
use std::fs;
use std::path::Path;

fn load(file: &str, options: &LoadOptions) -> Result<Object, LoadError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(file);
    program::load(&fs::read(path).unwrap(), options)
}

fn windows(name: &str) -> &'static ProgramType {
    program_type::by_name(Platform::Windows, name).unwrap()
}

/// Names and types of the programs.
fn programs(object: &Object) -> Vec<(&str, &str)> {
    let list = object.programs.iter();
    list.map(|program| (&*program.name, program.program_type.name))
        .collect()
}

#[test]
fn a_type_for_sections_that_say_nothing() {
    let options = LoadOptions {
        program_type: Some(windows("bind")),
        ..LoadOptions::default()
    };
    let object = load("unknown_section.o", &options).unwrap();
    assert_eq!(programs(&object), [("known", "xdp"), ("unknown", "bind")]);
    assert!(object.programs[0].attach_type.is_some());
    assert!(object.programs[1].attach_type.is_none());
    let object = load("no_program.o", &options).unwrap();
    assert_eq!(programs(&object), [("lonely", "bind")]);
}

#[test]
fn a_type_for_one_section() {
    let options = LoadOptions {
        section_types: vec![("mystery/one".into(), windows("bind"))],
        ..LoadOptions::default()
    };
    let object = load("unknown_section.o", &options).unwrap();
    assert_eq!(programs(&object), [("known", "xdp"), ("unknown", "bind")]);
    assert!(object.programs[0].attach_type.is_some());
    // What a section says is overruled only by its own name.
    let options = LoadOptions {
        section_types: vec![("xdp".into(), windows("bind"))],
        program_type: Some(windows("sockops")),
        ..LoadOptions::default()
    };
    let object = load("unknown_section.o", &options).unwrap();
    assert_eq!(
        programs(&object),
        [("known", "bind"), ("unknown", "sockops")]
    );
    assert!(object.programs[0].attach_type.is_none());
}

#[test]
fn libraries_stay_libraries() {
    let options = LoadOptions {
        program_type: Some(windows("xdp")),
        ..LoadOptions::default()
    };
    for options in [LoadOptions::default(), options] {
        let object = load("library.o", &options).unwrap();
        assert_eq!(programs(&object), [("optional", "xdp"), ("always", "xdp")]);
        assert!(
            object
                .programs
                .iter()
                .all(|program| program.functions.len() == 2)
        );
    }
}

#[test]
fn text_functions_as_programs() {
    let options = LoadOptions {
        text: TextFunctions::Programs,
        program_type: Some(windows("xdp")),
        ..LoadOptions::default()
    };
    let object = load("subprograms.o", &options).unwrap();
    let names: Vec<_> = programs(&object).iter().map(|(name, _)| *name).collect();
    // `shared` and `step` are static and called: subprograms even so.
    assert_eq!(names, ["leaf", "unused", "entry", "again"]);
}

#[test]
fn programs_that_cannot_be_linked() {
    let options = LoadOptions {
        unlinkable: Unlinkable::LeaveOut,
        ..LoadOptions::default()
    };
    let object = load("undefined.o", &options).unwrap();
    assert!(object.programs.is_empty());
    assert!(
        object.notes[0].contains("`use` left out: BN0113"),
        "{:?}",
        object.notes
    );
    let [left_out] = &*object.unlinked else {
        panic!("{:?}", object.unlinked)
    };
    assert_eq!((&*left_out.name, &*left_out.section), ("use", "xdp"));
    assert_eq!(left_out.error.code(), diagnostic::SYMBOL_UNRESOLVED);
}

#[test]
fn lines_and_functions_are_found_by_instruction() {
    let object = load("subprograms.o", &LoadOptions::default()).unwrap();
    let (_, program) = object.program("entry").unwrap();
    for function in &program.functions {
        let line = program.line(function.start);
        assert_eq!(program.function_at(function.start), Some(function));
        // Functions that the linker brings along have no source.
        let own = !["memset", "memcpy"].contains(&&*function.name);
        assert_eq!(line.is_some(), own, "{}", function.name);
    }
}

#[test]
fn big_line_tables_are_complete() {
    let object = load("lines.o", &LoadOptions::default()).unwrap();
    let (_, program) = object.program("many").unwrap();
    assert!(program.lines.len() > 4000);
    let files: std::collections::BTreeSet<_> =
        program.lines.iter().map(|line| &*line.file).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(program.lines.is_sorted_by_key(|line| line.start));
}

#[test]
fn platforms_number_maps_differently() {
    let linux = LoadOptions {
        platform: Platform::Linux,
        ..LoadOptions::default()
    };
    let error = load("legacy_windows.o", &linux).unwrap_err();
    assert!(
        [diagnostic::MAP_MALFORMED, diagnostic::SECTION_TYPE_UNKNOWN].contains(&error.code()),
        "{error}"
    );
}
