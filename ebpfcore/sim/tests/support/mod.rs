//! Objects of the examples through the whole pipeline, and inputs from files.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

use abi::Platform;
use ebpfcore_sim::{Host, Input, Options, read};
use program::{LoadOptions, Object, ProgramId};
use std::path::{Path, PathBuf};
use verifier::Verified;

pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

pub(crate) fn load(file: &str) -> Object {
    load_from(&examples(), file)
}

pub(crate) fn load_from(folder: &Path, file: &str) -> Object {
    let name = file.strip_suffix(".o").unwrap().to_owned();
    let options = LoadOptions {
        platform: Platform::Windows,
        name,
        ..LoadOptions::default()
    };
    program::load(&std::fs::read(folder.join(file)).unwrap(), &options).unwrap()
}

pub(crate) fn verify(object: &Object) -> Vec<Verified<'_>> {
    let program = |index: usize| {
        let id = ProgramId(u16::try_from(index).unwrap());
        verifier::verify(object, id, &verifier::Options::default())
            .unwrap_or_else(|rejected| panic!("{}", verifier::render::text(object, &rejected)))
    };
    (0..object.programs.len()).map(program).collect()
}

/// The driver that the tools would write.
pub(crate) fn driver(programs: &[Verified<'_>], options: &codegen::Options) -> Vec<u8> {
    let module = codegen::compile(programs, options).unwrap();
    image::link(&module).unwrap().into_bytes()
}

/// A host with both engines.
pub(crate) fn host(object: &Object, options: &codegen::Options) -> Host {
    let programs = verify(object);
    let mut host = Host::from_image(&driver(&programs, options), &Options::default()).unwrap();
    host.add_bytecode(object, &programs).unwrap();
    host
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    read::hex(text).unwrap()
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Inputs of a `.pcap` or `.ctx` file below `examples/`.
pub(crate) fn inputs(file: &str) -> Vec<Input> {
    let bytes = std::fs::read(examples().join(file)).unwrap();
    if file.ends_with(".pcap") {
        return read::packets(&bytes).unwrap();
    }
    read::contexts(std::str::from_utf8(&bytes).unwrap()).unwrap()
}
