//! Every example program is proved safe, and the unsafe one is refused at the right place.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use abi::{Platform, diagnostic};
use program::{LoadOptions, Object, ProgramId};
use std::path::{Path, PathBuf};

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "o"))
        .collect();
    files.sort();
    files
}

fn load(path: &Path) -> Object {
    let options = LoadOptions {
        platform: Platform::Windows,
        name: path.file_stem().unwrap().to_str().unwrap().into(),
        ..LoadOptions::default()
    };
    program::load(&std::fs::read(path).unwrap(), &options).unwrap()
}

#[test]
fn all_examples_are_accepted_but_the_unsafe_one() {
    let mut programs = 0;
    for path in examples() {
        let object = load(&path);
        let unsafe_example = object.name.ends_with("_unsafe");
        for (index, program) in object.programs.iter().enumerate() {
            let id = ProgramId(u16::try_from(index).unwrap());
            let result = verifier::verify(&object, id, &verifier::Options::default());
            let place = format!("{} of {}", program.name, object.name);
            match result {
                Ok(verified) => {
                    assert!(!unsafe_example, "{place} was accepted");
                    assert!(verified.is_proved());
                }
                Err(rejected) => assert!(
                    unsafe_example,
                    "{place}: {}",
                    verifier::render::text(&object, &rejected)
                ),
            }
            programs += 1;
        }
    }
    assert!(programs >= 9, "only {programs} example programs found");
}

#[test]
fn the_unsafe_example_is_refused_where_it_reads_beyond_the_frame() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/droppacket_unsafe.o");
    let object = load(&path);
    let rejected = verifier::verify(&object, ProgramId(0), &verifier::Options::default())
        .expect_err("it is unsafe");
    let first = &rejected.rejections[0];
    assert_eq!(first.code(), diagnostic::VERIFY_PACKET_BOUNDS);
    let line = object.programs[0].line(first.at).expect("line information");
    assert!(line.text.contains("udp"), "{}", line.text);
}
