//! Calls and the runtime's tables: helpers, tail calls, resolved functions, maps, globals,
//! subprograms with frames of their own, callbacks.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use codegen::{Error, Options, compile};
use common::build::{assume, object, program, slots};
use common::{Host, Runtime};
use isa::{AluOp, CallTarget, Cond, Imm64, Insn, Operand, Reg, Size, Width};
use program::{BtfFunction, GlobalSection, MapDef, MapId, Object};

fn alu(op: AluOp, dst: Reg, src: Operand) -> Insn {
    Insn::Alu {
        op,
        width: Width::W64,
        dst,
        src,
    }
}

fn mov(dst: Reg, src: Reg) -> Insn {
    alu(AluOp::Mov, dst, Operand::Reg(src))
}

fn set(dst: Reg, value: i32) -> Insn {
    alu(AluOp::Mov, dst, Operand::Imm(value))
}

fn helper(id: i32) -> Insn {
    Insn::Call(CallTarget::Helper(id))
}

fn local(offset: i32) -> Insn {
    Insn::Call(CallTarget::Local(offset))
}

fn array(name: &str) -> MapDef {
    MapDef {
        name: name.to_owned(),
        type_number: 2,
        kind: abi::MapKind::Array,
        key_size: 4,
        value_size: 12,
        max_entries: 3,
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

/// Folds all six arguments into one number in which each has its place.
extern "win64" fn fold(a: u64, b: u64, c: u64, d: u64, e: u64, context: u64) -> u64 {
    [a, b, c, d, e, context]
        .iter()
        .fold(0, |sum, value| sum * 1000 + value)
}

extern "win64" fn negate(a: u64, _: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    a.wrapping_neg()
}

extern "win64" fn identity(a: u64, _: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    a
}

fn run(object: &Object, runtime: &Runtime, r1: u64) -> u64 {
    let verified = assume(object);
    let host = Host::new(compile(&verified, &Options::default()).unwrap(), &|_| 0);
    host.call("bpf.p", [r1, runtime.address(), 0])
}

#[test]
fn helpers_get_six_arguments_and_their_slots_in_order_of_use() {
    let insns = slots(&[
        set(Reg::R1, 1),
        set(Reg::R2, 2),
        set(Reg::R3, 3),
        set(Reg::R4, 4),
        set(Reg::R5, 5),
        helper(77),
        mov(Reg::R6, Reg::R0),
        set(Reg::R1, 7),
        helper(3),
        mov(Reg::R1, Reg::R0),
        helper(3),
        alu(AluOp::Add, Reg::R0, Operand::Reg(Reg::R6)),
        Insn::Exit,
    ]);
    let object = object(vec![program("p", insns, &[0])]);
    let runtime = Runtime::new(&[(fold, false), (negate, false)], (&[], 32), &[], &[]);
    assert_eq!(run(&object, &runtime, 9), 1_002_003_004_005_009 + 7);
}

/// `helper(5)`, then r0 + 100.
fn with_tail_call(argument: i32) -> Vec<Insn> {
    slots(&[
        set(Reg::R1, argument),
        helper(5),
        alu(AluOp::Add, Reg::R0, Operand::Imm(100)),
        Insn::Exit,
    ])
}

#[test]
fn a_successful_tail_call_ends_the_program_with_zero() {
    let run = |argument, flag| {
        let object = object(vec![program("p", with_tail_call(argument), &[0])]);
        let runtime = Runtime::new(&[(identity, flag)], (&[], 32), &[], &[]);
        run(&object, &runtime, 0)
    };
    assert_eq!(run(0, true), 0);
    assert_eq!(run(0, false), 100);
    assert_eq!(run(-22, true), 78);
}

#[test]
fn a_tail_call_in_a_subprogram_ends_the_whole_program() {
    let run = |argument, flag| {
        // p: r0 = sub1(argument) + 7; sub1: r0 = sub2(r1) + 10; sub2: tail call, + 100.
        let mut insns = slots(&[
            set(Reg::R1, argument),
            local(2),
            alu(AluOp::Add, Reg::R0, Operand::Imm(7)),
            Insn::Exit,
            local(2),
            alu(AluOp::Add, Reg::R0, Operand::Imm(10)),
            Insn::Exit,
        ]);
        insns.extend(slots(&[
            helper(5),
            alu(AluOp::Add, Reg::R0, Operand::Imm(100)),
            Insn::Exit,
        ]));
        let object = object(vec![program("p", insns, &[0, 4, 7])]);
        let runtime = Runtime::new(&[(identity, flag)], (&[], 32), &[], &[]);
        run(&object, &runtime, 0)
    };
    assert_eq!(run(0, true), 0);
    assert_eq!(run(0, false), 117);
    assert_eq!(run(5, true), 122);
}

#[test]
fn frames_of_callers_and_callees_do_not_overlap() {
    // Both functions write r10 - 512 .. r10; the caller's cells must survive the call, and the
    // callee gets a pointer into the caller's frame.
    let store = |offset, imm| Insn::Store {
        size: Size::Dw,
        base: Reg::R10,
        offset,
        src: Operand::Imm(imm),
    };
    let load = |dst, base, offset| Insn::Load {
        size: Size::Dw,
        signed: false,
        dst,
        base,
        offset,
    };
    let add = |src| alu(AluOp::Add, Reg::R0, Operand::Reg(src));
    let mut insns = slots(&[
        store(-8, 1),
        store(-512, 20),
        mov(Reg::R1, Reg::R10),
        alu(AluOp::Add, Reg::R1, Operand::Imm(-512)),
        set(Reg::R6, 300),
        local(6),
        load(Reg::R1, Reg::R10, -8),
        load(Reg::R2, Reg::R10, -512),
        add(Reg::R1),
        add(Reg::R2),
        add(Reg::R6),
        Insn::Exit,
    ]);
    insns.extend(slots(&[
        load(Reg::R0, Reg::R1, 0),
        store(-8, -1),
        store(-512, -1),
        set(Reg::R6, -1),
        alu(AluOp::Mul, Reg::R0, Operand::Imm(1000)),
        Insn::Exit,
    ]));
    let object = object(vec![program("p", insns, &[0, 12])]);
    assert_eq!(run(&object, &Runtime::empty(), 0), 20_000 + 1 + 20 + 300);
}

#[test]
fn maps_and_globals_come_from_the_runtime() {
    let load_map = |dst, map| Insn::LoadImm64 {
        dst,
        imm: Imm64::MapFd(map),
    };
    let load_value = |dst, fd, offset| Insn::LoadImm64 {
        dst,
        imm: Imm64::MapValue { fd, offset },
    };
    let add = |src| alu(AluOp::Add, Reg::R0, Operand::Reg(src));
    let insns = slots(&[
        load_map(Reg::R0, 1),
        load_map(Reg::R1, 2),
        load_value(Reg::R2, 3, 24),
        load_value(Reg::R3, 0, 5),
        add(Reg::R1),
        add(Reg::R2),
        add(Reg::R3),
        Insn::Exit,
    ]);
    let mut object = object(vec![program("p", insns, &[0])]);
    object.maps = ["a", "b", "c", "d"].map(array).to_vec();
    object.globals = [3, 0]
        .map(|map| GlobalSection {
            section: ".data".to_owned(),
            map: MapId(map),
            data: vec![0; 12],
            assumed: Vec::new(),
        })
        .to_vec();
    let maps = [(0, 0), (1 << 8, 0), (2 << 16, 0), (0, 0)];
    let runtime = Runtime::new(&[], (&maps, 32), &[3 << 24, 4 << 32], &[]);
    let expected = (1 << 8) + (2 << 16) + (3 << 24) + 24 + (4 << 32) + 5;
    assert_eq!(run(&object, &runtime, 0), expected);
}

#[test]
fn values_of_array_maps_need_the_newer_map_table() {
    let insns = slots(&[
        Insn::LoadImm64 {
            dst: Reg::R0,
            imm: Imm64::MapValue { fd: 1, offset: 4 },
        },
        Insn::LoadImm64 {
            dst: Reg::R1,
            imm: Imm64::MapFd(1),
        },
        alu(AluOp::Add, Reg::R0, Operand::Reg(Reg::R1)),
        Insn::Exit,
    ]);
    let mut object = object(vec![program("p", insns, &[0])]);
    object.maps = ["a", "b"].map(array).to_vec();
    let maps = [(0, 0), (1 << 20, 1 << 8)];
    let runtime = Runtime::new(&[], (&maps, 40), &[], &[]);
    assert_eq!(run(&object, &runtime, 0), (1 << 20) + (1 << 8) + 4);
    let capped = Options::default().with_abi(abi::native::VERSION_BASE);
    let error = compile(&assume(&object), &capped).unwrap_err();
    assert!(matches!(error, Error::AbiTooOld { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "section bind, program p, instruction i0: the address of a value in a map that is not a \
         global section needs native module ABI 1.4.0, allowed is 1.0.0"
    );
}

#[test]
fn resolved_functions_are_called_through_their_table() {
    let btf = |index| Insn::Call(CallTarget::Btf(index));
    let insns = slots(&[
        set(Reg::R1, 4),
        btf(1),
        mov(Reg::R6, Reg::R0),
        set(Reg::R1, 1),
        set(Reg::R2, 2),
        set(Reg::R3, 3),
        set(Reg::R4, 4),
        set(Reg::R5, 5),
        btf(0),
        alu(AluOp::Add, Reg::R0, Operand::Reg(Reg::R6)),
        Insn::Exit,
    ]);
    let mut object = object(vec![program("p", insns, &[0])]);
    object.btf_functions = ["first", "second"]
        .map(|name| BtfFunction {
            name: name.to_owned(),
            module: abi::Guid::from_u128(7),
        })
        .to_vec();
    // In order of first use: function 1 comes first.
    let runtime = Runtime::new(&[], (&[], 40), &[], &[negate, fold]);
    let expected = 1_002_003_004_005_006 - 4;
    assert_eq!(run(&object, &runtime, 6), expected);
    let capped = Options::default().with_abi(abi::native::VERSION_ARRAY_DATA);
    let error = compile(&assume(&object), &capped).unwrap_err();
    assert!(matches!(error, Error::AbiTooOld { .. }), "{error}");
}

/// Calls its first argument as a callback with (20, 3).
extern "win64" fn call_back(function: u64, _: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    common::call(function, [20, 3, 0])
}

#[test]
fn callbacks_are_plain_functions_of_five_arguments() {
    let mut insns = slots(&[
        Insn::LoadImm64 {
            dst: Reg::R1,
            imm: Imm64::Code(3),
        },
        helper(44),
        Insn::Exit,
    ]);
    insns.extend(slots(&[
        mov(Reg::R0, Reg::R1),
        alu(AluOp::Sub, Reg::R0, Operand::Reg(Reg::R2)),
        Insn::Exit,
    ]));
    let object = object(vec![program("p", insns, &[0, 4])]);
    let runtime = Runtime::new(&[(call_back, false)], (&[], 32), &[], &[]);
    assert_eq!(run(&object, &runtime, 0), 17);
}

#[test]
fn recursion_of_subprograms_compiles() {
    // sub(n) = n == 0 ? 0 : n + sub(n - 1)
    let insns = slots(&[
        local(1),
        Insn::Exit,
        mov(Reg::R6, Reg::R1),
        set(Reg::R0, 0),
        Insn::JumpIf {
            cond: Cond::Eq,
            width: Width::W64,
            dst: Reg::R6,
            src: Operand::Imm(0),
            offset: 3,
        },
        alu(AluOp::Sub, Reg::R1, Operand::Imm(1)),
        local(-5),
        alu(AluOp::Add, Reg::R0, Operand::Reg(Reg::R6)),
        Insn::Exit,
    ]);
    let object = object(vec![program("p", insns, &[0, 2])]);
    assert_eq!(run(&object, &Runtime::empty(), 10), 55);
}

fn refused(insns: &[Insn], starts: &[u32]) -> Error {
    let object = object(vec![program("p", slots(insns), starts)]);
    compile(&assume(&object), &Options::default()).unwrap_err()
}

#[test]
fn what_has_no_native_form_is_refused_with_its_place() {
    let packet = Insn::LoadPacket {
        size: Size::W,
        index: None,
        imm: 12,
    };
    // Windows has no such programs.
    let error = refused(&[set(Reg::R6, 0), packet, Insn::Exit], &[0]);
    assert!(error.to_string().contains("Linux platform only"), "{error}");
    assert_eq!(error.code(), abi::diagnostic::CODEGEN_UNSUPPORTED);
    assert!(
        error.to_string().contains("program p, instruction i1"),
        "{error}"
    );
    assert!(!error.help().is_empty());
    let through = Insn::Call(CallTarget::Register(Reg::R3));
    let variable = Insn::LoadImm64 {
        dst: Reg::R0,
        imm: Imm64::Var(1),
    };
    for insn in [through, variable] {
        let error = refused(&[insn, Insn::Exit], &[0]);
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    }
    // A callback that calls a helper.
    let address = Insn::LoadImm64 {
        dst: Reg::R1,
        imm: Imm64::Code(2),
    };
    let error = refused(&[address, Insn::Exit, helper(1), Insn::Exit], &[0, 3]);
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
}

#[test]
fn malformed_programs_are_refused() {
    let jump = |offset| Insn::Jump {
        offset,
        long: false,
    };
    let map = Insn::LoadImm64 {
        dst: Reg::R0,
        imm: Imm64::MapFd(0),
    };
    let cases: &[(&[Insn], &[u32])] = &[
        (&[jump(1), Insn::Exit], &[0]),
        (&[jump(-2), Insn::Exit], &[0]),
        (&[jump(i32::MAX), Insn::Exit], &[0]),
        (&[set(Reg::R0, 0)], &[0]),
        (&[set(Reg::R0, 0), Insn::Exit], &[0, 1]),
        (&[local(0), set(Reg::R0, 0), Insn::Exit], &[0]),
        (&[local(-1), Insn::Exit], &[0]),
        (&[Insn::Call(CallTarget::Btf(0)), Insn::Exit], &[0]),
        (&[Insn::Call(CallTarget::Btf(-1)), Insn::Exit], &[0]),
        (&[map, Insn::Exit], &[0]),
        (&[jump(1), map, Insn::Exit], &[0]),
    ];
    for (insns, starts) in cases {
        let error = refused(insns, starts);
        assert!(
            matches!(error, Error::Malformed { .. }),
            "{insns:?}: {error}"
        );
    }
}

#[test]
fn dead_code_is_not_looked_at() {
    let through = Insn::Call(CallTarget::Register(Reg::R3));
    let jump = Insn::Jump {
        offset: 1,
        long: false,
    };
    let insns = slots(&[set(Reg::R0, 3), jump, through, Insn::Exit]);
    let object = object(vec![program("p", insns, &[0])]);
    assert_eq!(run(&object, &Runtime::empty(), 0), 3);
}

#[test]
fn programs_must_fit_together() {
    let make = |name: &str| program(name, slots(&[set(Reg::R0, 0), Insn::Exit]), &[0]);
    assert_eq!(
        compile(&[], &Options::default()).unwrap_err(),
        Error::NoPrograms
    );
    let twice = object(vec![make("p"), make("p")]);
    let error = compile(&assume(&twice), &Options::default()).unwrap_err();
    assert!(matches!(error, Error::DuplicateProgram { .. }));
    let (one, other) = (object(vec![make("p")]), object(vec![make("q")]));
    let mixed = [assume(&one), assume(&other)].concat();
    let error = compile(&mixed, &Options::default()).unwrap_err();
    assert!(matches!(error, Error::MixedObjects { .. }));
    for name in ["", &"x".repeat(64)] {
        let object = object(vec![make(name)]);
        let error = compile(&assume(&object), &Options::default()).unwrap_err();
        assert!(matches!(error, Error::Name { .. }), "{error}");
    }
    let object = object(vec![make(&"x".repeat(63))]);
    compile(&assume(&object), &Options::default()).unwrap();
}

#[test]
fn the_abi_can_be_older_but_not_older_than_runtimes_accept() {
    let insns = slots(&[set(Reg::R0, 0), Insn::Exit]);
    let object = object(vec![program("p", insns, &[0])]);
    let version = |major, minor| abi::native::ModuleVersion::new(major, minor, 0);
    let compile = |cap| compile(&assume(&object), &Options::default().with_abi(cap));
    for (cap, expected) in [
        (version(0, 21), [0, 21, 0]),
        (version(1, 0), [1, 0, 0]),
        (version(9, 9), [1, 0, 0]),
    ] {
        let host = Host::new(compile(cap).unwrap(), &|_| 0);
        let mut found = [0u32; 3];
        host.call("version", [found.as_mut_ptr() as u64, 0, 0]);
        assert_eq!(found, expected);
    }
    let error = compile(version(0, 20)).unwrap_err();
    assert_eq!(error.code(), abi::diagnostic::CODEGEN_ABI);
    assert!(error.to_string().contains("0.20.0"), "{error}");
}
