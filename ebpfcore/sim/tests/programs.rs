//! Small programs in assembly, on both engines: Linux contexts, helpers of program types, maps of
//! the less usual kinds.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

use abi::{Platform, program_type::by_name};
use ebpfcore_sim::{Dump, Engine, Environment, Host, Input, Invocation, Options, Value};
use program::{MapDef, Object, ProgramId, RawProgram};

const ENGINES: [Engine; 2] = [Engine::Native, Engine::Interpreter];

fn object(platform: Platform, program_type: &str, text: &str, maps: Vec<MapDef>) -> Object {
    let insns = isa::asm::assemble(text).unwrap();
    program::from_bytecode(RawProgram {
        name: "test",
        platform,
        program_type: by_name(platform, program_type).unwrap(),
        bytes: &isa::encode::program(&insns).unwrap(),
        maps,
    })
    .unwrap()
}

/// A host with both engines for a program that the verifier accepts.
fn host(object: &Object) -> Host {
    let options = verifier::Options::default();
    let verified = verifier::verify(object, ProgramId(0), &options)
        .unwrap_or_else(|rejected| panic!("{}", verifier::render::text(object, &rejected)));
    let programs = [verified];
    let module = codegen::compile(&programs, &codegen::Options::default()).unwrap();
    let image = image::link_for_host(&module).unwrap();
    let options = Options {
        environment: Environment {
            cpus: 3,
            ..Environment::default()
        },
        ..Options::default()
    };
    let mut host = Host::from_image_of(image.bytes(), object, &options).unwrap();
    host.add_bytecode(object, &programs).unwrap();
    host
}

/// The same result on both engines, each with maps of its own.
fn run(object: &Object, inputs: &[Input]) -> (Vec<Invocation>, Host) {
    let [(native, host), (interpreted, _)] = ENGINES.map(|engine| {
        let mut host = host(object);
        (host.run("test", engine, inputs).unwrap(), host)
    });
    assert_eq!(native, interpreted);
    (native, host)
}

fn map(kind: abi::MapKind, [key_size, value_size, max_entries]: [u32; 3]) -> MapDef {
    let row = abi::map::TABLE.iter().find(|row| row.kind == kind).unwrap();
    MapDef {
        name: "m".into(),
        type_number: row.windows.unwrap(),
        kind,
        key_size,
        value_size,
        max_entries,
        flags: 0,
        pin_by_name: false,
        id: 1,
        inner: None,
        initial: Vec::new(),
        frozen: false,
        spin_lock: None,
        timer: None,
        reserved: Vec::new(),
    }
}

#[test]
fn packets_of_linux_contexts_lie_where_32_bits_reach() {
    for (program_type, data, end) in [("xdp", 0, 4), ("sched_cls", 76, 80)] {
        let text = format!(
            "r2 = *(u32 *)(r1 + {data})
            r3 = *(u32 *)(r1 + {end})
            r0 = 1
            r4 = r2
            r4 += 14
            if r4 > r3 goto out
            r0 = 2
            r5 = *(u8 *)(r2 + 13)
            if r5 == 6 goto out
            r0 = 0
            out:
            exit"
        );
        let object = object(Platform::Linux, program_type, &text, Vec::new());
        let mut frame = [0; 60];
        let inputs = [13, 14, 60].map(|len| Input::packet(&frame[..len]));
        let (done, _) = run(&object, &inputs);
        let results: Vec<u32> = done.iter().map(|done| done.result).collect();
        assert_eq!(results, [1, 0, 0], "{program_type}");
        frame[13] = 6;
        let (done, _) = run(&object, &[Input::packet(&frame)]);
        assert_eq!(done[0].result, 2, "{program_type}");
    }
}

/// What a legacy packet load of `size` bytes at `offset` must leave in r0; `None` ends the program.
fn in_network_order(frame: &[u8], offset: i64, size: usize) -> Option<u64> {
    let start = usize::try_from(offset).ok()?;
    let bytes = frame.get(start..start.checked_add(size)?)?;
    Some(
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    )
}

/// Runs a program that begins with a legacy packet load, gives what it found, and checks it.
#[track_caller]
fn check_packet_load(load: &str, frame: &[u8], expected: Option<u64>) {
    // The upper half is looked at, too: the result is zero-extended.
    let text = format!(
        "r6 = r1
        r7 = 0
        {load}
        r1 = r0
        r1 >>= 32
        if r1 != 0 goto wrong
        r0 ^= 0x5a5a5a5a
        exit
        wrong:
        r0 = 77
        exit"
    );
    let found = expected.map_or(0, |number| number as u32 ^ 0x5a5a_5a5a);
    for program_type in ["socket_filter", "sched_cls", "sched_act"] {
        let object = object(Platform::Linux, program_type, &text, Vec::new());
        let (done, _) = run(&object, &[Input::packet(frame)]);
        assert_eq!(
            done[0].result,
            found,
            "{program_type}: {load}, {} bytes",
            frame.len()
        );
    }
}

/// Index register and immediate are given in every split; the sum counts modulo 2^32.
#[test]
fn legacy_packet_loads_give_network_byte_order_or_end_the_program() {
    let frame: Vec<u8> = (0..60).map(|at| 0x80 | at).collect();
    let far = i64::from(i32::MAX);
    let offsets = [
        0,
        1,
        12,
        55,
        56,
        57,
        58,
        59,
        60,
        61,
        far - 3,
        far,
        -1,
        -4,
        -far - 1,
    ];
    for size in [1, 2, 4] {
        let bits = size * 8;
        for offset in offsets.into_iter().chain([-0x10_0000, -0x20_0000]) {
            let expected = in_network_order(&frame, offset, size);
            check_packet_load(&format!("r0 = *(u{bits} *)skb[{offset}]"), &frame, expected);
            for index in [0, 3, -5, far] {
                let rest = i64::from((offset - index) as i32);
                let sign = if rest < 0 { '-' } else { '+' };
                let load = format!(
                    "r7 = {index}\nr0 = *(u{bits} *)skb[r7 {sign} {}]",
                    rest.unsigned_abs()
                );
                check_packet_load(&load, &frame, expected);
            }
        }
        for length in 0..4 {
            let short = &frame[..length];
            let load = format!("r0 = *(u{bits} *)skb[0]");
            check_packet_load(&load, short, in_network_order(short, 0, size));
        }
    }
}

/// A function that asks for more than there is returns 0; its caller goes on.
#[test]
fn a_legacy_packet_load_ends_the_function_that_it_is_in() {
    let text = "r6 = r1
        r7 = 40
        call first
        r0 += r7
        exit
        first:
        r6 = r1
        r7 = 1
        r0 = *(u8 *)skb[2]
        r0 += 1
        exit";
    for program_type in ["socket_filter", "sched_cls", "sched_act"] {
        let object = object(Platform::Linux, program_type, text, Vec::new());
        let inputs = [Input::packet(&[1, 2]), Input::packet(&[1, 2, 3])];
        let (done, _) = run(&object, &inputs);
        let results: Vec<u32> = done.iter().map(|done| done.result).collect();
        assert_eq!(results, [40, 44], "{program_type}");
    }
}

#[test]
fn the_upper_half_of_a_packet_index_does_not_count() {
    let load = "r7 = 0x700000002 ll\nr0 = *(u16 *)skb[r7 + 1]";
    check_packet_load(load, &[1, 2, 3, 4, 5], Some(0x0405));
}

#[test]
fn made_contexts_say_what_every_packet_has() {
    // len, protocol, ifindex of __sk_buff.
    for (offset, expected) in [(0, 60), (16, 0x0008), (40, 1)] {
        let text = format!("r0 = *(u32 *)(r1 + {offset})\nexit");
        let object = object(Platform::Linux, "sched_cls", &text, Vec::new());
        let mut frame = [0; 60];
        frame[12] = 8;
        let (done, _) = run(&object, &[Input::packet(&frame)]);
        assert_eq!(done[0].result, expected, "{offset}");
    }
}

#[test]
fn packets_can_be_changed_and_are_fresh_for_each_run() {
    let text = "r2 = *(u64 *)(r1 + 0)
        r3 = *(u64 *)(r1 + 8)
        r0 = 1
        r4 = r2
        r4 += 2
        if r4 > r3 goto out
        r5 = *(u8 *)(r2 + 1)
        r5 += 1
        *(u8 *)(r2 + 1) = r5
        out:
        exit";
    let object = object(Platform::Windows, "xdp", text, Vec::new());
    let input = Input::packet(&[1, 2, 3]);
    let (done, mut host) = run(&object, &[input.clone(), input.clone()]);
    assert_eq!(
        (&done[0].data, &done[1].data),
        (&vec![1, 3, 3], &vec![1, 3, 3])
    );
    assert_eq!(done[0].context[..24], [0; 24], "addresses are not shown");
    let again = host.run("test", Engine::Native, &[input]).unwrap();
    assert_eq!(again[0].data, [1, 3, 3]);
}

#[test]
fn redirect_contexts_are_recorded() {
    let text = "r6 = r1
        *(u32 *)(r10 - 4) = 0x04030201
        r2 = r10
        r2 += -4
        r3 = 4
        call 65537
        if r0 != 0 goto bad
        r1 = r6
        call 26
        r7 = r0
        r1 = r6
        call 26
        if r0 != r7 goto bad
        r1 = r6
        r2 = r10
        r2 += -40
        r3 = 32
        call 65538
        if r0 != 0 goto bad
        r0 = *(u32 *)(r10 - 36)
        if r0 != 6 goto bad
        r0 = 1
        goto out
        bad:
        r0 = 0
        out:
        exit";
    let object = object(Platform::Windows, "sock_addr", text, Vec::new());
    let (done, host) = run(&object, &[Input::context(&[2; 64])]);
    assert_eq!(done[0].result, 1);
    assert_eq!(host.take_redirect_contexts(), [[1, 2, 3, 4]]);
    assert!(host.take_redirect_contexts().is_empty());
}

#[test]
fn a_flow_keeps_its_id() {
    let object = object(Platform::Windows, "sockops", "call 65536\nexit", Vec::new());
    let mut other = [2; 64];
    other[40] = 9;
    let mut later = [2; 64];
    later[0] = 1;
    let inputs = [[2; 64], later, other].map(|context| Input::context(&context));
    let (done, _) = run(&object, &inputs);
    assert_eq!(done[0].result, done[1].result);
    assert_ne!(done[0].result, done[2].result);
}

#[test]
fn values_of_all_processors_are_shown_and_can_be_set() {
    let text = "*(u32 *)(r10 - 4) = 1
        r1 = map_fd(0) ll
        r2 = r10
        r2 += -4
        call 1
        r6 = r0
        r0 = 3
        if r6 == 0 goto out
        r0 = *(u32 *)(r6 + 0)
        r0 &= 1
        r0 += 1
        *(u32 *)(r6 + 0) = 77
        out:
        exit";
    let map = map(abi::MapKind::PerCpuArray, [4, 4, 2]);
    let object = object_with_map(text, map);
    for engine in ENGINES {
        let mut host = host(&object);
        host.set("m", &[1, 0, 0, 0], &[5, 0, 0, 0]).unwrap();
        let done = host
            .run("test", engine, &[Input::packet(&[0; 60])])
            .unwrap();
        assert_eq!(done[0].result, 2);
        let Dump::Entries(entries) = host.dump("m").unwrap() else {
            unreachable!("arrays have entries");
        };
        let copies = [[77, 0, 0, 0], [5, 0, 0, 0], [5, 0, 0, 0]].map(|copy| copy.to_vec());
        assert_eq!(entries[1].value, Value::PerCpu(copies.to_vec()));
    }
}

/// An XDP program with one map.
fn object_with_map(text: &str, map: MapDef) -> Object {
    object(Platform::Windows, "xdp", text, vec![map])
}

#[test]
fn queues_and_stacks_show_what_comes_next_first() {
    let orders = [
        (abi::MapKind::Queue, [1, 2, 3]),
        (abi::MapKind::Stack, [3, 2, 1]),
    ];
    for (kind, order) in orders {
        let text = "r1 = map_fd(0) ll
            *(u8 *)(r10 - 8) = 0
            r2 = r10
            r2 += -8
            call 17
            r0 = *(u8 *)(r10 - 8)
            r0 &= 1
            r0 += 1
            exit";
        let object = object_with_map(text, map(kind, [0, 1, 4]));
        for engine in ENGINES {
            let mut host = host(&object);
            for element in [1, 2, 3] {
                host.set("m", &[], &[element]).unwrap();
            }
            let elements: Vec<Vec<u8>> = order.iter().map(|element| vec![*element]).collect();
            assert_eq!(host.dump("m").unwrap(), Dump::Elements(elements.clone()));
            let packet = [Input::packet(&[0; 60])];
            let done = host.run("test", engine, &packet).unwrap();
            assert_eq!(done[0].result, 2, "{kind:?}");
            assert_eq!(
                host.dump("m").unwrap(),
                Dump::Elements(elements[1..].to_vec())
            );
        }
    }
}

#[test]
fn printed_lines_are_kept() {
    let text = "*(u32 *)(r10 - 8) = 0x0a6968
        r1 = r10
        r1 += -8
        r2 = 4
        call 12
        r0 = 1
        exit";
    let object = object(Platform::Windows, "xdp", text, Vec::new());
    let (_, host) = run(&object, &[Input::packet(&[0; 60]), Input::packet(&[0; 60])]);
    let trace = host.take_trace();
    assert_eq!((trace.lines.len(), trace.dropped), (2, 0));
    assert!(trace.lines[0].starts_with("hi"), "{:?}", trace.lines);
    assert!(host.take_trace().lines.is_empty());
}
