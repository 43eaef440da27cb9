//! Objects loaded without an image: globals, initial values, tail calls, unproved programs.
#![expect(unsafe_code, reason = "invokes programs on contexts in memory")]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod support;

use abi::{MapKind, Platform};
use ebpfcore::{
    CONTEXT_HEADER_BYTES, Core, Program,
    helper::NoExtensions,
    interpreter::{Trap, TrapKind},
    object::{Checking, LoadError, Loaded, load},
};
use isa::{AluOp, CallTarget, Imm64, Insn, InsnIdx, Operand, Reg, Size, Width};
use program::{Function, GlobalSection, InitialValue, MapDef, MapId, Object, ProgramId};
use support::core;
use verifier::Verified;

fn map(name: &str, kind: MapKind, type_number: u32, value_size: u32) -> MapDef {
    MapDef {
        name: name.into(),
        type_number,
        kind,
        key_size: 4,
        value_size,
        max_entries: 2,
        flags: 0,
        pin_by_name: false,
        id: 0,
        inner: None,
        initial: Vec::new(),
        frozen: false,
        spin_lock: None,
        timer: None,
        reserved: Vec::new(),
    }
}

fn source(name: &str, insns: Vec<Insn>) -> program::Program {
    program::Program {
        name: name.into(),
        section: "xdp".into(),
        place: 0,
        unmarked: false,
        program_type: abi::program_type::by_name(Platform::Windows, "xdp").unwrap(),
        attach_type: None,
        functions: vec![Function {
            name: name.into(),
            section: "xdp".into(),
            start: InsnIdx(0),
            end: InsnIdx(insns.len() as u32),
            global: true,
            contract: None,
        }],
        insns,
        lines: Vec::new(),
        arguments: None,
        missing: Vec::new(),
    }
}

/// m0: globals (a number at offset 8); m1: programs, slot 1 is `second`.
fn object(first: Vec<Insn>, second: Vec<Insn>) -> Object {
    let mut globals = map(".data", MapKind::Array, 2, 16);
    globals.max_entries = 1;
    let mut progs = map("progs", MapKind::ProgArray, 3, 4);
    progs.initial.push(InitialValue {
        index: 1,
        name: "second".into(),
    });
    let mut data = [0; 16];
    data[8] = 42;
    Object {
        platform: Platform::Windows,
        name: "test".into(),
        maps: vec![globals, progs],
        globals: vec![GlobalSection {
            section: ".data".into(),
            map: MapId(0),
            data: data.into(),
            assumed: Vec::new(),
        }],
        btf_functions: Vec::new(),
        programs: vec![source("first", first), source("second", second)],
        license: None,
        version: None,
        sha256: [0; 32],
        unlinked: Vec::new(),
        notes: Vec::new(),
        kernel: None,
    }
}

fn wide(dst: Reg, imm: Imm64) -> [Insn; 2] {
    [Insn::LoadImm64 { dst, imm }, Insn::Imm64High]
}

fn mov(dst: Reg, src: Operand) -> Insn {
    let (op, width) = (AluOp::Mov, Width::W64);
    Insn::Alu {
        op,
        width,
        dst,
        src,
    }
}

fn load_word(dst: Reg, base: Reg, offset: i16) -> Insn {
    Insn::Load {
        size: Size::Dw,
        signed: false,
        dst,
        base,
        offset,
    }
}

/// Tail-calls slot `index` and returns 5 when that fails.
fn jumps_to(index: i32) -> Vec<Insn> {
    let mut insns = wide(Reg::R2, Imm64::MapFd(1)).to_vec();
    insns.extend([
        mov(Reg::R3, Operand::Imm(index)),
        Insn::Call(CallTarget::Helper(5)),
        mov(Reg::R0, Operand::Imm(5)),
        Insn::Exit,
    ]);
    insns
}

/// Returns the number in the globals.
fn reads_global() -> Vec<Insn> {
    let mut insns = wide(Reg::R1, Imm64::MapValue { fd: 0, offset: 8 }).to_vec();
    insns.extend([load_word(Reg::R0, Reg::R1, 0), Insn::Exit]);
    insns
}

fn load_all(core: &ebpfcore::Shared<Core>, object: &Object) -> Result<Loaded, LoadError> {
    let programs = [ProgramId(0), ProgramId(1)];
    let programs: Vec<_> = programs
        .iter()
        .map(|id| Verified::assume(object, *id).unwrap())
        .collect();
    load(core, object, &programs, &NoExtensions, Checking::Unproved)
}

fn invoke(core: &Core, program: &Program) -> Result<u64, Trap> {
    let packet = [1u8, 2, 3, 4];
    let mut words = [0u64; CONTEXT_HEADER_BYTES / 8 + 4];
    let start = packet.as_ptr() as u64;
    words[CONTEXT_HEADER_BYTES / 8..][..3].copy_from_slice(&[start, start + 4, start]);
    let context = words.as_mut_ptr() as u64 + CONTEXT_HEADER_BYTES as u64;
    // SAFETY: an XDP context over `packet`.
    unsafe { core.enter().invoke(program, context) }
}

#[test]
fn globals_and_program_arrays_are_filled() {
    let (core, _) = core();
    let object = object(jumps_to(1), reads_global());
    let loaded = load_all(&core, &object).unwrap();
    assert_eq!(invoke(&core, &loaded.programs[1]), Ok(42));
    assert_eq!(
        invoke(&core, &loaded.programs[0]),
        Ok(42),
        "through the tail call"
    );
    loaded.maps[1].release_references();
    assert_eq!(invoke(&core, &loaded.programs[0]), Ok(5));
}

#[test]
fn programs_without_proof_are_checked() {
    let (core, _) = core();
    let reads = |offset| {
        vec![
            load_word(Reg::R1, Reg::R1, 0),
            Insn::Load {
                size: Size::W,
                signed: false,
                dst: Reg::R0,
                base: Reg::R1,
                offset,
            },
            Insn::Exit,
        ]
    };
    let object = object(reads(0), reads(1));
    let loaded = load_all(&core, &object).unwrap();
    assert_eq!(invoke(&core, &loaded.programs[0]), Ok(0x0403_0201));
    let trap = invoke(&core, &loaded.programs[1]).unwrap_err();
    assert_eq!(trap.at, InsnIdx(1));
    assert!(
        matches!(trap.kind, TrapKind::Read { size: 4, .. }),
        "{trap}"
    );
}

#[test]
fn unknown_helpers_are_named() {
    let (core, _) = core();
    let calls = vec![Insn::Call(CallTarget::Helper(26)), Insn::Exit];
    let error = load_all(&core, &object(calls, reads_global()))
        .err()
        .unwrap();
    assert_eq!(error.code(), abi::diagnostic::RUN_HELPER);
    assert!(error.to_string().contains("first"), "{error}");
    assert!(error.to_string().contains("helper 26"), "{error}");
}
