//! What facts do to code: dead branches, the size of frames, lookups without a call, and the
//! alias region of the stack.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use abi::native::VERSION_ARRAY_DATA;
use codegen::{Options, compile, print};
use common::build::{assume, object, program};
use common::{Host, Runtime};
use isa::InsnIdx;
use program::{MapDef, MapId, Object};
use verifier::Verified;
use verifier::facts::{Facts, InsnFact, Memory};

fn assemble(text: &str) -> Object {
    object(vec![program("p", isa::asm::assemble(text).unwrap(), &[0])])
}

/// The program with facts in which `change` was applied to each instruction.
fn with(object: &Object, change: impl Fn(usize, &mut InsnFact)) -> Verified<'_> {
    let verified = assume(object).remove(0);
    let mut facts: Facts = verified.facts().clone();
    for (at, fact) in facts.insns.iter_mut().enumerate() {
        change(at, fact);
    }
    verified.with_facts(facts)
}

#[test]
fn branches_that_are_never_taken_disappear() {
    let object = assemble("r0 = 1\n if r1 == 7 goto +1\n exit\n r0 = 2\n exit");
    let run = |verified: Verified<'_>, r1| {
        let module = compile(&[verified], &Options::default()).unwrap();
        let host = Host::new(module, &|_| 0);
        host.call("bpf.p", [r1, Runtime::empty().address(), 0])
    };
    // The facts say what they say, so both values of r1 follow them.
    for r1 in [7, 8] {
        let never = with(&object, |_, fact| fact.taken = false);
        assert_eq!(run(never, r1), 1);
        let always = with(&object, |_, fact| fact.fallthrough = false);
        assert_eq!(run(always, r1), 2);
        assert_eq!(
            run(with(&object, |_, _| ()), r1),
            if r1 == 7 { 2 } else { 1 }
        );
    }
}

#[test]
fn frames_are_as_large_as_needed() {
    let object = assemble("*(u64 *)(r10 - 16) = r1\n r0 = *(u64 *)(r10 - 16)\n exit");
    let clif = |bytes| {
        let verified = assume(&object).remove(0);
        let facts = Facts {
            stack_bytes: vec![bytes],
            ..verified.facts().clone()
        };
        print::clif(&[verified.with_facts(facts)], &Options::default()).unwrap()
    };
    assert!(
        clif(16).contains("explicit_slot 16, align = 8"),
        "{}",
        clif(16)
    );
    assert!(clif(13).contains("explicit_slot 16,"));
    assert!(clif(0).contains("explicit_slot 8,"));
    assert!(clif(512).contains("explicit_slot 512,"));
    assert!(clif(9999).contains("explicit_slot 512,"));
}

#[test]
fn known_results_are_not_computed() {
    let object = assemble("r0 = r1\n r0 *= 3\n exit");
    let run = |constants| {
        let verified = assume(&object).remove(0);
        let facts = Facts {
            constants,
            ..verified.facts().clone()
        };
        let module = compile(&[verified.with_facts(facts)], &Options::default()).unwrap();
        let host = Host::new(module, &|_| 0);
        host.call("bpf.p", [5, Runtime::empty().address(), 0])
    };
    assert_eq!(run(Vec::new()), 15);
    // The facts say what they say, so the code believes them.
    assert_eq!(run(vec![(InsnIdx(1), u64::MAX)]), u64::MAX);
    assert_eq!(run(vec![(InsnIdx(0), 7)]), 21);
}

#[test]
fn stack_values_are_forwarded_only_when_every_access_is_known() {
    // A store through an unknown pointer may hit the stack, so the second load must be done.
    let object =
        assemble("*(u64 *)(r10 - 8) = 5\n *(u64 *)(r1 + 0) = 7\n r0 = *(u64 *)(r10 - 8)\n exit");
    let asm = |kinds: [Option<Memory>; 3]| {
        let verified = with(&object, |at, fact| {
            fact.memory = kinds.get(at).copied().flatten();
        });
        print::clif(&[verified], &Options::default()).unwrap()
    };
    let (stack, map) = (Some(Memory::Stack), Some(Memory::MapValue));
    assert!(asm([stack, map, stack]).contains("load.i64 notrap region0"));
    assert!(!asm([stack, None, stack]).contains("notrap region0"));
}

#[test]
fn loads_of_shared_memory_stay() {
    let object = assemble("r0 = *(u64 *)(r1 + 0)\n r2 = *(u64 *)(r1 + 0)\n r0 -= r2\n exit");
    let loads = |memory| {
        let verified = with(&object, |_, fact| fact.memory = Some(memory));
        let asm = print::asm(&[verified], &Options::default()).unwrap();
        asm.matches("(%rcx)").count()
    };
    assert_eq!(loads(Memory::MapValue), 2);
    assert_eq!(loads(Memory::Other), 2);
    assert_eq!(loads(Memory::Packet), 1);
}

fn array_map() -> MapDef {
    MapDef {
        name: "array".to_owned(),
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

#[test]
fn lookups_in_arrays_need_no_call_when_the_abi_allows_it() {
    let mut object =
        assemble("*(u32 *)(r10 - 4) = r1\n r2 = r10\n r2 += -4\n r1 = 0 ll\n call 1\n exit");
    object.maps = vec![array_map()];
    let verified = || with(&object, |at, fact| fact.map = (at == 5).then_some(MapId(0)));
    // Without leave the helper is called.
    let module = compile(&[verified()], &Options::default()).unwrap();
    let host = Host::new(module, &|_| 0);
    extern "win64" fn lookup(_: u64, key: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
        u64::from(common::read_bytes(key, 1)[0]) + 1000
    }
    let runtime = Runtime::new(&[(lookup, false)], (&[(0, 0)], 32), &[], &[]);
    assert_eq!(host.call("bpf.p", [2, runtime.address(), 0]), 1002);

    let options = Options::default().with_abi(VERSION_ARRAY_DATA);
    let host = Host::new(compile(&[verified()], &options).unwrap(), &|_| 0);
    let mut version = [0u32; 3];
    host.call("version", [version.as_mut_ptr() as u64, 0, 0]);
    assert_eq!(version, [1, 4, 0]);
    let runtime = Runtime::new(&[], (&[(0, 0x10000)], 40), &[], &[]);
    let values = [
        (0, 0x10000),
        (1, 0x10010),
        (2, 0x10020),
        (3, 0),
        (u32::MAX.into(), 0),
    ];
    for (index, expected) in values {
        assert_eq!(host.call("bpf.p", [index, runtime.address(), 0]), expected);
    }
}
