//! Targets of the `program` and `verifier` crates.

use crate::{outcome, seeds};
use ebpfcore::helper::NoExtensions;
use ebpfcore::object::{Checking, load as load_programs};
use ebpfcore::{Core, Shared, Status};
use isa::{CallTarget, Imm64, Insn, InsnIdx, encode};
use program::{
    KernelField, KernelType, LoadOptions, Object, Program, ProgramId, RawProgram, TargetBtf,
    Unlinkable,
};
use std::io::Cursor;
use std::sync::LazyLock;

/// A file loads, with everything that [`Object`] promises, or is refused with a code and a message.
pub(crate) fn elf(data: &[u8]) -> String {
    load(data)
}

/// BTF and BTF.ext sections in an otherwise good object. The input is: which object (one byte),
/// length of the BTF section (two bytes), BTF section, BTF.ext section.
pub(crate) fn btf(data: &[u8]) -> String {
    static TEMPLATES: LazyLock<Vec<Vec<u8>>> =
        LazyLock::new(|| seeds::objects().unwrap_or_default());
    let (template, types, ext) = match parts(&TEMPLATES, data) {
        Ok(parts) => parts,
        Err(why) => return why.to_owned(),
    };
    let patched = seeds::with_section(template, ".BTF", types)
        .and_then(|file| seeds::with_section(&file, ".BTF.ext", ext));
    patched.map_or_else(|| "template without BTF".to_owned(), |file| load(&file))
}

/// CO-RE relocation of a good object, or one with other records, against any types. The input is:
/// which object (one byte), length of the BTF section of the target (two bytes), that section, the
/// object's BTF.ext section.
pub(crate) fn relocation(data: &[u8]) -> String {
    static TEMPLATES: LazyLock<Vec<Vec<u8>>> =
        LazyLock::new(|| seeds::relocated().unwrap_or_default());
    let (template, types, ext) = match parts(&TEMPLATES, data) {
        Ok(parts) => parts,
        Err(why) => return why.to_owned(),
    };
    let target = match TargetBtf::read(Cursor::new(types)) {
        Ok(target) => target,
        Err(error) => return outcome(&error.to_string()),
    };
    let Some(file) = seeds::with_section(template, ".BTF.ext", ext) else {
        return "template without BTF".to_owned();
    };
    let options = LoadOptions {
        platform: abi::Platform::Linux,
        unlinkable: Unlinkable::LeaveOut,
        btf: Some(target),
        ..LoadOptions::default()
    };
    match program::load(&file, &options) {
        Ok(object) => loaded(&object) + &fields(&object),
        Err(error) => outcome(&error.to_string()),
    }
}

/// Three pieces of an input.
type Parts<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// An object, and the two sections of an input: which object (one byte), length of the first section
/// (two bytes), first section, second section.
fn parts<'a>(templates: &'a [Vec<u8>], data: &'a [u8]) -> Result<Parts<'a>, &'static str> {
    let [which, low, high, rest @ ..] = data else {
        return Err("too short");
    };
    let template = templates.get(usize::from(*which) % templates.len().max(1));
    let template = template.ok_or("no template")?;
    let len = usize::from(u16::from_le_bytes([*low, *high]));
    let (first, second) = rest.split_at(len.min(rest.len()));
    Ok((template, first, second))
}

/// Asks for fields of the first types of the kernel.
fn fields(object: &Object) -> String {
    let Some(kernel) = &object.kernel else {
        return String::new();
    };
    let places = (0..64).flat_map(|ty| (0..64).step_by(4).map(move |at| (KernelType(ty), at)));
    let found = places.filter(|(ty, at)| {
        let is_pointer = matches!(kernel.field(*ty, *at, 8), Some(KernelField::Pointer(_)));
        is_pointer || kernel.contains(*ty, *at, "inner") || kernel.name(*ty).is_empty()
    });
    // How many, roughly: an input that changes this is worth keeping.
    format!(
        "fields 2^{}",
        found.count().checked_ilog2().map_or(0, |log| log + 1)
    )
}

/// Bytecode without a file: decodes or not, links or not, verifies or not.
pub(crate) fn bytecode(data: &[u8]) -> String {
    let Some(program_type) = abi::program_type::WINDOWS.first() else {
        return "no program types".to_owned();
    };
    let raw = RawProgram {
        name: "fuzzed",
        platform: abi::Platform::Windows,
        program_type,
        bytes: data,
        maps: Vec::new(),
    };
    match program::from_bytecode(raw) {
        Ok(object) => loaded(&object),
        Err(error) => outcome(&error.to_string()),
    }
}

fn load(data: &[u8]) -> String {
    match program::load(data, &LoadOptions::default()) {
        Ok(object) => loaded(&object),
        Err(error) => {
            assert!(
                !error.message().is_empty() && !error.help().is_empty(),
                "{error:?}"
            );
            format!("{:?}{}", error.code(), outcome(&error.to_string()))
        }
    }
}

/// Checks the promises of an object, then verifies each of its programs.
fn loaded(object: &Object) -> String {
    let mut outcomes = String::new();
    for (at, program) in (0u16..).zip(&object.programs) {
        check(object, program);
        outcomes += &verify(object, ProgramId(at));
    }
    outcomes + &outcome(&object.notes.join(" "))
}

fn check(object: &Object, program: &Program) {
    let encoded = encode::program(&program.insns);
    assert!(encoded.is_ok(), "{encoded:?}");
    let mut next = InsnIdx(0);
    for function in &program.functions {
        assert!(
            function.start == next && function.end > function.start,
            "{function:?}"
        );
        next = function.end;
    }
    assert_eq!(
        next.index(),
        program.insns.len(),
        "functions cover the program"
    );
    for (at, insn) in (0u32..).map(InsnIdx).zip(&program.insns) {
        check_references(object, program, at, insn);
    }
}

/// Every map is in range, every local call hits the start of a function.
fn check_references(object: &Object, program: &Program, at: InsnIdx, insn: &Insn) {
    match *insn {
        Insn::LoadImm64 {
            imm: Imm64::MapFd(map) | Imm64::MapValue { fd: map, .. },
            ..
        } => {
            let index = usize::try_from(map);
            assert!(
                index.is_ok_and(|map| map < object.maps.len()),
                "{at}: {insn}"
            );
        }
        Insn::Call(CallTarget::Local(offset)) => {
            let target = at.jump(offset);
            let is_start = |start| program.functions.iter().any(|f| f.start == start);
            assert!(target.is_some_and(is_start), "{at}: {insn}");
        }
        Insn::Call(CallTarget::Btf(id)) => {
            let index = usize::try_from(id);
            assert!(
                index.is_ok_and(|id| id < object.btf_functions.len()),
                "{at}: {insn}"
            );
        }
        _ => {}
    }
}

/// A rejection names an instruction of the program.
fn verify(object: &Object, id: ProgramId) -> String {
    // Small enough to try many programs; the bound itself is tested by the verifier.
    let options = verifier::Options {
        steps: 20_000,
        ..verifier::Options::default()
    };
    match verifier::verify(object, id, &options) {
        Ok(verified) => {
            assert!(verified.is_proved());
            "proved".to_owned()
        }
        Err(rejected) => {
            assert!(!rejected.rejections.is_empty());
            let len = object
                .programs
                .get(usize::from(id.0))
                .map_or(0, |p| p.insns.len());
            let inside = |at: InsnIdx| at.index() < len;
            assert!(
                rejected
                    .rejections
                    .iter()
                    .all(|rejection| inside(rejection.at))
            );
            let kind = rejected
                .rejections
                .first()
                .map(|rejection| format!("{:?}", rejection.kind));
            outcome(&kind.unwrap_or_default())
        }
    }
}

/// Two programs that do nothing, for maps that hold programs.
pub(crate) fn small_programs(
    core: &Shared<Core>,
) -> Result<Vec<Shared<ebpfcore::Program>>, Status> {
    let exit = [0xb7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
    let Some(program_type) = abi::program_type::WINDOWS.first() else {
        return Err(Status::ObjectNotFound);
    };
    let raw = RawProgram {
        name: "small",
        platform: abi::Platform::Windows,
        program_type,
        bytes: &exit,
        maps: Vec::new(),
    };
    let object = program::from_bytecode(raw).map_err(|_| Status::InvalidArgument)?;
    let verified = verifier::verify(&object, ProgramId(0), &verifier::Options::default());
    let verified = verified.map_err(|_| Status::VerificationFailed)?;
    let both = [verified.clone(), verified];
    let loaded = load_programs(core, &object, &both, &NoExtensions, Checking::Unproved);
    loaded
        .map(|loaded| loaded.programs)
        .map_err(|_| Status::NoMemory)
}
