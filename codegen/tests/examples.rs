//! The example programs: verified, compiled, and what their metadata says.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use abi::native::ProgramEntry;
use codegen::{Module, Options, compile, print, program_info_hash};
use common::{Host, call};
use core::mem::offset_of;
use isa::{CallTarget, Insn};
use program::{Object, ProgramId};
use std::collections::BTreeSet;
use std::path::Path;
use verifier::Verified;

/// Examples whose programs are safe.
const SAFE: [&str; 8] = [
    "connect_policy",
    "droppacket",
    "flow_logger",
    "globals",
    "port_quota",
    "rate_limiter",
    "subprograms",
    "tail_calls",
];

fn load(name: &str) -> Object {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let bytes = std::fs::read(folder.join(name).with_extension("o")).unwrap();
    program::load(&bytes, &program::LoadOptions::default())
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn verify(object: &Object) -> Vec<Verified<'_>> {
    (0..object.programs.len())
        .map(|id| {
            let id = ProgramId(u16::try_from(id).unwrap());
            verifier::verify(object, id, &verifier::Options::default())
                .unwrap_or_else(|error| panic!("{}: {error:?}", object.name))
        })
        .collect()
}

fn program_entries(host: &Host) -> Vec<u64> {
    let mut answer = [0; 2];
    let out = answer.as_mut_ptr() as u64;
    call(host.address("programs"), [out, out + 8, 0]);
    (0..answer[1]).map(|at| answer[0] + at * 144).collect()
}

#[test]
fn proved_programs_carry_the_hash_of_what_they_were_proved_with() {
    for name in SAFE {
        let object = load(name);
        let module = compile(&verify(&object), &Options::default()).unwrap();
        assert!(module.proved, "{name}");
        let host = Host::new(module, &|_| 0);
        let entries = program_entries(&host);
        assert_eq!(entries.len(), object.programs.len(), "{name}");
        for (program, entry) in object.programs.iter().zip(entries) {
            let helpers: BTreeSet<u32> = program
                .insns
                .iter()
                .filter_map(|insn| match insn {
                    Insn::Call(CallTarget::Helper(id)) => u32::try_from(*id).ok(),
                    _ => None,
                })
                .collect();
            let helpers: Vec<u32> = helpers.into_iter().collect();
            let expected = program_info_hash(program.program_type, &helpers).unwrap();
            let field = |offset: usize| host.u64(entry + offset as u64);
            let hash = field(offset_of!(ProgramEntry, program_info_hash));
            assert_eq!(host.bytes(hash, 32), expected, "{name}: {}", program.name);
            assert_eq!(
                field(offset_of!(ProgramEntry, program_info_hash_length)),
                32
            );
            let kind = field(offset_of!(ProgramEntry, program_info_hash_type));
            assert_eq!(host.string(kind), "SHA256");
            let attach_type = field(offset_of!(ProgramEntry, expected_attach_type));
            let expected = program.attach_type.unwrap().guid.to_bytes();
            assert_eq!(host.bytes(attach_type, 16), expected);
        }
    }
}

#[test]
fn compiling_twice_gives_the_same_module() {
    for name in SAFE {
        let text = |object: &Object| -> String {
            let module: Module = compile(&verify(object), &Options::default()).unwrap();
            format!("{module:?}")
        };
        assert_eq!(text(&load(name)), text(&load(name)), "{name}");
    }
}

#[test]
fn listings_name_every_function() {
    let object = load("subprograms");
    let programs = verify(&object);
    for print in [print::clif, print::asm, print::unwind] {
        let listing = print(&programs, &Options::default()).unwrap();
        for program in &object.programs {
            for function in &program.functions {
                let title = format!("; program {}, function {}", program.name, function.name);
                assert!(listing.contains(&title), "{title} is not in\n{listing}");
            }
        }
    }
}

#[test]
fn array_lookups_become_loads_when_the_abi_allows() {
    let object = load("droppacket");
    let programs = verify(&object);
    let newer = Options::default().with_abi(abi::native::VERSION_ARRAY_DATA);
    let calls = |options| {
        let listing = print::clif(&programs, options).unwrap();
        listing.matches("call_indirect").count()
    };
    assert!(calls(&newer) < calls(&Options::default()));
}
