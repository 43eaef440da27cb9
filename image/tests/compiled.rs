//! Images of really compiled programs: the examples, and a synthetic large module.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use image::check::Verdict;
use image::native;
use image::read::{Pe, UnwindOp};
use program::{Object, ProgramId};
use std::path::PathBuf;
use verifier::Verified;

fn examples() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|e| e == "o"))
        .collect();
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    files
}

fn load(path: &PathBuf) -> Object {
    let bytes = std::fs::read(path).unwrap();
    program::load(&bytes, &program::LoadOptions::default()).unwrap()
}

/// The layout of an image does not depend on the proof, so these tests do without one.
fn linked(object: &Object) -> image::Image {
    let programs: Vec<_> = (0..object.programs.len())
        .map(|id| Verified::assume(object, ProgramId(id as u16)).unwrap())
        .collect();
    let module = codegen::compile(&programs, &codegen::Options::default()).unwrap();
    image::link_for_host(&module).unwrap()
}

#[test]
fn every_example_links_and_passes_every_rule() {
    for path in examples() {
        let object = load(&path);
        let image = linked(&object);
        let report = image::check(image.bytes()).unwrap();
        for row in &report.rows {
            let good = matches!(row.verdict, Verdict::Pass | Verdict::NotApplicable);
            assert!(good, "{}: {}: {}", path.display(), row.rule.id, row.detail);
        }
        for rule in [
            "native-metadata",
            "native-strings",
            "native-guids",
            "native-program-count",
            "unwind-info",
        ] {
            let row = report.row(rule).unwrap();
            assert_eq!(row.verdict, Verdict::Pass, "{}: {rule}", path.display());
        }
    }
}

#[test]
fn the_metadata_says_what_the_object_says() {
    for path in examples() {
        let object = load(&path);
        let image = linked(&object);
        let pe = Pe::parse(image.bytes()).unwrap();
        let module = native::read(&pe).unwrap().unwrap();
        let mut wanted: Vec<_> = object
            .programs
            .iter()
            .map(|p| (&p.name, &p.section))
            .collect();
        let mut found: Vec<_> = module
            .programs
            .iter()
            .map(|p| (&p.name, &p.section))
            .collect();
        wanted.sort();
        found.sort();
        assert_eq!(found, wanted, "{}", path.display());
        let names = |maps: Vec<&str>| maps.iter().map(ToString::to_string).collect::<Vec<_>>();
        let wanted = names(object.maps.iter().map(|map| map.name.as_str()).collect());
        let found = names(module.maps.iter().map(|map| map.name.as_str()).collect());
        assert_eq!(found, wanted, "{}", path.display());
        assert_eq!(module.elf_hash.as_deref(), Some(&object.sha256[..]));
        for program in &module.programs {
            assert!(
                program.code_bytes.is_some(),
                "code section `{}`",
                program.pe_section
            );
            // Optional: some programs have no hash that every runtime agrees on.
            assert!(
                program
                    .info_hash
                    .as_ref()
                    .is_none_or(|hash| hash.len() == 32)
            );
        }
    }
}

/// Every function with a frame has unwind data whose prolog matches its first instruction.
#[test]
fn unwind_data_matches_the_code() {
    for path in examples() {
        let image = linked(&load(&path));
        let pe = Pe::parse(image.bytes()).unwrap();
        let functions = pe.functions().unwrap();
        assert!(!functions.is_empty(), "{}", path.display());
        for function in functions {
            let info = pe.unwind(function.unwind).unwrap();
            let code = pe.slice(function.begin, 1).unwrap()[0];
            let pushes_rbp = info
                .codes
                .last()
                .is_some_and(|code| code.op == UnwindOp::Push(5));
            assert!(
                pushes_rbp && code == 0x55,
                "{}: {:#x}",
                path.display(),
                function.begin
            );
        }
    }
}
