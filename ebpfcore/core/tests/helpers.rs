//! Helpers as programs call them: that every row has a function or a reason, results, widths.
#![expect(unsafe_code, reason = "invokes programs on contexts in memory")]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod support;

use abi::{MapKind, Platform, ProgramType};
use ebpfcore::{
    CONTEXT_HEADER_BYTES, Code, Core, Definition, Machine, Map, Program, Run, Shared,
    helper::{Extensions, NoExtensions, REFUSED, function, resolve},
    interpreter::{Callee, Links, translate},
};
use isa::{AluOp, CallTarget, Insn, Operand, Reg, Size, Width};
use std::collections::BTreeSet;
use support::{TestPlatform, core, set_cpu};

/// A context of eight argument words behind the packet pointers of XDP.
#[repr(C)]
struct Arguments {
    header: [u64; CONTEXT_HEADER_BYTES / 8],
    xdp: [u64; 4],
    args: [u64; 5],
}

struct ById(&'static ProgramType);

impl Links for ById {
    fn map(&self, _: u32) -> Option<u64> {
        None
    }
    fn map_value(&self, _: u32) -> Option<u64> {
        None
    }
    fn helper(&self, id: i32) -> Option<Callee> {
        resolve(self.0, id as u32, &NoExtensions)
    }
    fn btf_function(&self, _: i32) -> Option<Callee> {
        None
    }
}

/// A program that calls one helper with the words of its context.
fn caller(core: &Core, platform: Platform, id: u32) -> Shared<Program> {
    let program_type = abi::program_type::by_name(platform, "xdp").unwrap();
    let mut insns = vec![Insn::Alu {
        op: AluOp::Mov,
        width: Width::W64,
        dst: Reg::R6,
        src: Operand::Reg(Reg::R1),
    }];
    for (at, dst) in Reg::ARGS.into_iter().enumerate() {
        insns.push(Insn::Load {
            size: Size::Dw,
            signed: false,
            dst,
            base: Reg::R6,
            offset: 32 + 8 * at as i16,
        });
    }
    insns.push(Insn::Call(CallTarget::Helper(id as i32)));
    insns.push(Insn::Exit);
    let code = translate(&insns, &ById(program_type)).unwrap();
    let machine = Machine::new(code, Vec::new());
    Program::new(core, "caller", program_type, Code::Interpreted(machine)).unwrap()
}

struct Bench {
    core: Shared<Core>,
    platform: &'static TestPlatform,
    numbering: Platform,
    packet: Vec<u8>,
}

impl Bench {
    fn new(numbering: Platform) -> Bench {
        let (core, platform) = core();
        Bench {
            core,
            platform,
            numbering,
            packet: (0..64).collect(),
        }
    }

    fn id(&self, name: &str) -> u32 {
        let table = abi::helper::general(self.numbering);
        table.iter().find(|row| row.name == name).unwrap().id
    }

    fn call(&self, name: &str, args: &[u64]) -> u64 {
        self.call_in(&mut self.core.enter(), name, args)
    }

    fn call_in(&self, run: &mut Run<'_>, name: &str, args: &[u64]) -> u64 {
        let program = caller(&self.core, self.numbering, self.id(name));
        self.invoke(run, &program, args)
    }

    fn invoke(&self, run: &mut Run<'_>, program: &Program, args: &[u64]) -> u64 {
        let packet = self.packet.as_ptr_range();
        let (start, end) = (packet.start as u64, packet.end as u64);
        let mut context = Arguments {
            header: [0; 8],
            xdp: [start, end, start, 0],
            args: [0; 5],
        };
        context.args[..args.len()].copy_from_slice(args);
        let address = &raw mut context as u64 + CONTEXT_HEADER_BYTES as u64;
        // SAFETY: the context has a header and valid packet pointers; arguments are valid.
        unsafe { run.invoke(program, address) }.unwrap()
    }

    fn map(&self, kind: MapKind, [key_size, value_size, max_entries]: [u32; 3]) -> Shared<Map> {
        let definition = Definition {
            name: "m".into(),
            kind,
            platform: self.numbering,
            key_size,
            value_size,
            max_entries,
        };
        Map::new(&self.core, definition, None).unwrap()
    }
}

fn at<T: ?Sized>(value: &T) -> u64 {
    std::ptr::from_ref(value).cast::<u8>().expose_provenance() as u64
}

/// A negative `int` as it arrives in r0: zero-extended.
fn int(value: i32) -> u64 {
    u64::from(value as u32)
}

#[test]
fn every_general_row_has_a_function_or_a_reason() {
    let refused: BTreeSet<_> = REFUSED.iter().map(|(name, _)| *name).collect();
    for row in abi::helper::general(Platform::Windows) {
        let has = function(Platform::Windows, row).is_some();
        assert_ne!(has, refused.contains(row.name), "{}", row.name);
    }
    for (name, reason) in REFUSED {
        assert!(!reason.is_empty());
        let rows = abi::helper::general(Platform::Windows);
        assert!(rows.iter().any(|row| row.name == *name), "{name} is no row");
    }
}

#[test]
fn maps_through_helpers_return_64_bit_errors() {
    let bench = Bench::new(Platform::Windows);
    let map = bench.map(MapKind::Hash, [4, 8, 1]);
    let (m, key, other, value) = (map.address(), 5u32, 6u32, 0x1122u64);
    assert_eq!(bench.call("bpf_map_lookup_elem", &[m, at(&key)]), 0);
    assert_eq!(
        bench.call("bpf_map_delete_elem", &[m, at(&key)]),
        -19i64 as u64
    );
    assert_eq!(
        bench.call("bpf_map_update_elem", &[m, at(&key), at(&value), 2]),
        -19i64 as u64
    );
    assert_eq!(
        bench.call("bpf_map_update_elem", &[m, at(&key), at(&value), 0]),
        0
    );
    assert_eq!(
        bench.call("bpf_map_update_elem", &[m, at(&key), at(&value), 1]),
        -26i64 as u64
    );
    assert_eq!(
        bench.call("bpf_map_update_elem", &[m, at(&other), at(&value), 0]),
        -29i64 as u64
    );
    assert_eq!(
        bench.call("bpf_map_update_elem", &[m, at(&key), at(&value), 3]),
        -6i64 as u64
    );
    // Another run, which goes on meanwhile, keeps everything that this one sees.
    let _pinned = bench.core.enter();
    let mut run = bench.core.enter();
    let found = bench.call_in(&mut run, "bpf_map_lookup_elem", &[m, at(&key)]);
    assert_ne!(found, 0);
    let mut bytes = [0; 8];
    // SAFETY: a value of the map while the run is pinned.
    unsafe { ebpfcore::read_bytes(found, &mut bytes) };
    assert_eq!(u64::from_ne_bytes(bytes), value);
    // A value that was taken out stays readable until the run ends, even when its room is needed.
    let taken = bench.call_in(&mut run, "bpf_map_lookup_and_delete_elem", &[m, at(&key)]);
    assert_eq!(taken, found);
    for round in 0..200u64 {
        let args = [m, at(&other), at(&round), 0];
        assert_eq!(bench.call_in(&mut run, "bpf_map_update_elem", &args), 0);
        assert_eq!(
            bench.call_in(&mut run, "bpf_map_delete_elem", &[m, at(&other)]),
            0
        );
    }
    // SAFETY: as above.
    unsafe { ebpfcore::read_bytes(found, &mut bytes) };
    assert_eq!(
        u64::from_ne_bytes(bytes),
        value,
        "memory was reused within the epoch"
    );
}

#[test]
fn a_long_batch_does_not_hold_back_memory() {
    let bench = Bench::new(Platform::Windows);
    let map = bench.map(MapKind::LruHash, [4, 24, 16]);
    let program = caller(
        &bench.core,
        Platform::Windows,
        bench.id("bpf_map_update_elem"),
    );
    let mut run = bench.core.enter();
    let value = [7u8; 24];
    let mut nodes = BTreeSet::new();
    for key in 0..20_000u32 {
        let args = [map.address(), at(&key), at(&value), 0];
        assert_eq!(bench.invoke(&mut run, &program, &args), 0);
        nodes.insert(bench.call("bpf_map_lookup_elem", &args[..2]));
    }
    assert!(nodes.len() < 1000, "{} nodes for 16 entries", nodes.len());
}

#[test]
fn linux_maps_return_errnos() {
    let bench = Bench::new(Platform::Linux);
    let map = bench.map(MapKind::Hash, [4, 8, 1]);
    let (m, key, other, value) = (map.address(), 5u32, 6u32, 1u64);
    assert_eq!(bench.call("bpf_map_delete_elem", &[m, at(&key)]) as i64, -2);
    assert_eq!(
        bench.call("bpf_map_update_elem", &[m, at(&key), at(&value), 0]),
        0
    );
    assert_eq!(
        bench.call("bpf_map_update_elem", &[m, at(&key), at(&value), 1]) as i64,
        -17
    );
    assert_eq!(
        bench.call("bpf_map_update_elem", &[m, at(&other), at(&value), 0]) as i64,
        -7
    );
    let queue = bench.map(MapKind::Queue, [0, 8, 1]);
    assert_eq!(
        bench.call("bpf_map_pop_elem", &[queue.address(), at(&value)]) as i64,
        -2
    );
}

#[test]
fn per_cpu_maps_give_programs_their_own_copy() {
    let bench = Bench::new(Platform::Windows);
    for kind in [
        MapKind::PerCpuArray,
        MapKind::PerCpuHash,
        MapKind::LruPerCpuHash,
    ] {
        let map = bench.map(kind, [4, 4, 4]);
        let key = 2u32;
        for cpu in 0..support::CPUS {
            set_cpu(cpu);
            let value = cpu + 100;
            let args = [map.address(), at(&key), at(&value), 0];
            assert_eq!(bench.call("bpf_map_update_elem", &args), 0);
        }
        set_cpu(0);
        let mut all = vec![0; map.user_value_size()];
        map.lookup(&key.to_ne_bytes(), &mut all).unwrap();
        let copies: Vec<u32> = all
            .chunks(8)
            .map(|copy| u32::from_ne_bytes(copy[..4].try_into().unwrap()))
            .collect();
        assert_eq!(copies, [100, 101, 102, 103], "{kind:?}");
    }
}

#[test]
fn queues_return_32_bit_errors() {
    let bench = Bench::new(Platform::Windows);
    let map = bench.map(MapKind::Stack, [0, 8, 1]);
    let (m, value, mut out) = (map.address(), 7u64, 0u64);
    let target = &raw mut out as u64;
    assert_eq!(bench.call("bpf_map_peek_elem", &[m, target]), int(-7));
    assert_eq!(bench.call("bpf_map_push_elem", &[m, at(&value), 0]), 0);
    assert_eq!(
        bench.call("bpf_map_push_elem", &[m, at(&value), 0]),
        int(-29)
    );
    assert_eq!(bench.call("bpf_map_push_elem", &[m, at(&value), 2]), 0);
    assert_eq!(bench.call("bpf_map_pop_elem", &[m, target]), 0);
    assert_eq!(out, 7);
    assert_eq!(bench.call("bpf_map_pop_elem", &[m, target]), int(-7));
}

#[test]
fn memory_and_string_helpers() {
    let bench = Bench::new(Platform::Windows);
    let (mut a, b) = (*b"abcdefgh", *b"xyz\0wvut");
    let target = &raw mut a as u64;
    assert_eq!(bench.call("bpf_memcpy", &[target, 8, at(&b), 9]), int(-22));
    assert_eq!(bench.call("bpf_memcpy", &[target, 8, at(&b), 3]), 0);
    assert_eq!(&a, b"xyzdefgh");
    assert_eq!(bench.call("bpf_memmove", &[target + 1, 7, target, 7]), 0);
    assert_eq!(&a, b"xxyzdefg");
    assert_eq!(
        bench.call("bpf_memcmp", &[at(b"ab"), 2, at(b"ac"), 2]),
        int(-1)
    );
    assert_eq!(bench.call("bpf_memcmp", &[at(b"ac"), 2, at(b"ab"), 2]), 1);
    assert_eq!(bench.call("bpf_memcmp", &[at(b"ab"), 2, at(b"ab"), 2]), 0);
    assert_eq!(bench.call("bpf_memset", &[target, 2, 0x1_21]), target);
    assert_eq!(&a, b"!!yzdefg");
    assert_eq!(bench.call("bpf_strnlen_s", &[at(&b), 8]), 3);
    assert_eq!(bench.call("bpf_strnlen_s", &[at(&b), 2]), 2);
    assert_eq!(bench.call("bpf_strncpy_s", &[target, 8, at(&b), 8]), 0);
    assert_eq!(&a[..4], b"xyz\0");
    assert_eq!(bench.call("bpf_strncat_s", &[target, 8, at(&b), 8]), 0);
    assert_eq!(&a[..7], b"xyzxyz\0");
    assert_eq!(
        bench.call("bpf_strncat_s", &[target, 8, at(&b), 8]),
        int(-22)
    );
    assert_eq!(a[0], 0, "what does not fit leaves nothing");
}

#[test]
fn checksum_difference_is_congruent_to_the_full_sum() {
    let bench = Bench::new(Platform::Windows);
    let (from, to) = ([1u8, 2, 3, 4, 5, 6, 7, 8], [9u8, 200, 255, 255]);
    let fold = |mut sum: u64| {
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        sum % 0xffff
    };
    let words = |bytes: &[u8]| -> u64 {
        let pairs = bytes.chunks(2);
        pairs
            .map(|pair| u64::from(u16::from_le_bytes([pair[0], pair[1]])))
            .sum()
    };
    for seed in [0u64, 0xffff, 0xffff_ffff, 77] {
        let got = bench.call("bpf_csum_diff", &[at(&from), 8, at(&to), 4, seed]);
        let removed = 4 * 0xffff - words(&from);
        assert_eq!(fold(got), fold(seed + words(&to) + removed));
    }
    assert_eq!(
        bench.call("bpf_csum_diff", &[at(&from), 6, at(&to), 4, 0]),
        int(-22)
    );
    assert_eq!(bench.call("bpf_csum_diff", &[0, 0, 0, 0, 5]), 5);
}

#[test]
fn facts_of_the_platform() {
    let bench = Bench::new(Platform::Windows);
    for (name, expected) in [
        ("bpf_ktime_get_ns", 5_000_000_123),
        ("bpf_ktime_get_ms", 5_000),
        ("bpf_ktime_get_boot_ns", 7_000_000_456),
        ("bpf_ktime_get_boot_ms", 7_000),
        ("bpf_get_smp_processor_id", 0),
        ("bpf_get_current_pid_tgid", 11 << 32 | 22),
        ("bpf_get_current_logon_id", 0x3e7),
        ("bpf_is_current_admin", int(-1)),
        ("bpf_get_current_process_start_key", 77),
        ("bpf_get_current_thread_create_time", 88),
    ] {
        assert_eq!(bench.call(name, &[]), expected, "{name}");
    }
    assert!(bench.call("bpf_get_prandom_u32", &[]) <= u64::from(u32::MAX));
}

#[test]
fn printed_lines() {
    let bench = Bench::new(Platform::Windows);
    let negative = -5i64 as u64;
    type Case = (&'static str, &'static [u8], Vec<u64>, Option<&'static str>);
    #[rustfmt::skip]
    let cases: [Case; 9] = [
        ("bpf_trace_printk2", b"plain 100%%\0", vec![], Some("plain 100%")),
        ("bpf_trace_printk3", b"%d\0", vec![negative], Some("-5")),
        ("bpf_trace_printk3", b"%u\0", vec![negative], Some("4294967291")),
        ("bpf_trace_printk3", b"%lu\0", vec![negative], Some("18446744073709551611")),
        ("bpf_trace_printk5", b"%llx %i %x\0", vec![0xabcd_ef01_2345, 1, 0xff], Some("abcdef012345 1 ff")),
        ("bpf_trace_printk3", b"none\0", vec![1], None),
        ("bpf_trace_printk2", b"%d\0", vec![], None),
        ("bpf_trace_printk3", b"%s\0", vec![1], None),
        ("bpf_trace_printk2", b"\0", vec![], None),
    ];
    for (name, text, args, expected) in cases {
        let mut all = vec![at(text), text.len() as u64];
        all.extend(args);
        let result = bench.call(name, &all);
        let line = bench.platform.lines.lock().unwrap().pop();
        assert_eq!(line.as_deref(), expected, "{name} {text:?}");
        assert_eq!(result, expected.map_or(int(-1), |line| line.len() as u64));
    }
}

#[test]
fn ring_buffers_keep_order_and_refuse_when_full() {
    let bench = Bench::new(Platform::Windows);
    let map = bench.map(MapKind::RingBuf, [0, 0, 64]);
    let data = [1u8; 100];
    let output = |size| bench.call("bpf_ringbuf_output", &[map.address(), at(&data), size, 0]);
    assert_eq!(output(0), int(-6));
    assert_eq!(output(65), int(-6));
    for round in 0..50 {
        // 24 and 16 bytes with headers: the third does not fit.
        assert_eq!(
            (output(13), output(8), output(20)),
            (0, 0, int(-12)),
            "round {round}"
        );
        assert_eq!(map.take_record().unwrap().data, [1; 13]);
        assert_eq!(map.take_record().unwrap().data, [1; 8]);
        assert!(map.take_record().is_err());
    }
    assert_eq!(map.lost_records(), 50);
}

#[test]
fn reserved_records_block_the_consumer_until_they_are_finished() {
    let bench = Bench::new(Platform::Linux);
    let map = bench.map(MapKind::RingBuf, [0, 0, 4096]);
    let mut run = bench.core.enter();
    let mut reserve = || bench.call_in(&mut run, "bpf_ringbuf_reserve", &[map.address(), 12, 0]);
    let (first, second) = (reserve(), reserve());
    assert!(first != 0 && second == first + 24);
    // SAFETY: reserved records of twelve bytes.
    unsafe { ebpfcore::write_bytes(second, b"second here!") };
    assert_eq!(bench.call("bpf_ringbuf_submit", &[second, 0]), 0);
    assert!(map.take_record().is_err(), "the first record is still busy");
    assert_eq!(bench.call("bpf_ringbuf_discard", &[first, 0]), 0);
    assert_eq!(map.take_record().unwrap().data, b"second here!");
    assert!(map.is_empty());
}

#[test]
fn perf_events_carry_packet_bytes_on_request() {
    let bench = Bench::new(Platform::Windows);
    let map = bench.map(MapKind::PerfEventArray, [0, 0, 4096]);
    let data = *b"data";
    let output = |flags: u64| {
        bench.call(
            "bpf_perf_event_output",
            &[0, map.address(), flags, at(&data), 4],
        )
    };
    let current = 0xffff_ffff;
    assert_eq!(output(current), 0);
    assert_eq!(output(current | 3 << 32), 0);
    assert_eq!(output(1), int(-6), "another CPU");
    assert_eq!(output(0), 0, "this CPU by number");
    assert_eq!(output(current | 65 << 32), int(-6), "more than the packet");
    assert_eq!(output(current | 1 << 60), int(-6), "an unknown flag");
    assert_eq!(map.take_record().unwrap().data, b"data");
    assert_eq!(map.take_record().unwrap().data, b"data\x00\x01\x02");
}

#[test]
fn tail_calls_chain_up_to_the_limit() {
    let bench = Bench::new(Platform::Windows);
    let array = bench.map(MapKind::ProgArray, [4, 4, 2]);
    // The program counts its runs in the context and calls itself through the array.
    let program = {
        let program_type = abi::program_type::by_name(Platform::Windows, "xdp").unwrap();
        let load = |dst, offset| Insn::Load {
            size: Size::Dw,
            signed: false,
            dst,
            base: Reg::R6,
            offset,
        };
        let alu = |op, dst, src| Insn::Alu {
            op,
            width: Width::W64,
            dst,
            src,
        };
        let insns = [
            alu(AluOp::Mov, Reg::R6, Operand::Reg(Reg::R1)),
            load(Reg::R0, 48),
            alu(AluOp::Add, Reg::R0, Operand::Imm(1)),
            Insn::Store {
                size: Size::Dw,
                base: Reg::R6,
                offset: 48,
                src: Operand::Reg(Reg::R0),
            },
            load(Reg::R2, 32),
            load(Reg::R3, 40),
            Insn::Call(CallTarget::Helper(5)),
            // Reached when the tail call failed: r0 = error * 1000 - runs.
            alu(AluOp::Mul, Reg::R0, Operand::Imm(1000)),
            load(Reg::R1, 48),
            alu(AluOp::Sub, Reg::R0, Operand::Reg(Reg::R1)),
            Insn::Exit,
        ];
        let code = translate(&insns, &ById(program_type)).unwrap();
        let code = Code::Interpreted(Machine::new(code, Vec::new()));
        Program::new(&bench.core, "again", program_type, code).unwrap()
    };
    array.set_program(1, Some(Shared::clone(&program))).unwrap();
    let run = |index| {
        let args = [array.address(), index, 0];
        bench.invoke(&mut bench.core.enter(), &program, &args) as i64
    };
    assert_eq!(run(1), -27 * 1000 - 34, "33 tail calls run 34 programs");
    assert_eq!(run(0), -6 * 1000 - 1, "an empty slot");
    assert_eq!(run(2), -6 * 1000 - 1, "outside of the array");
    let mut id = [0; 4];
    array.lookup(&1u32.to_ne_bytes(), &mut id).unwrap();
    assert_eq!(u32::from_ne_bytes(id), program.id());
    let bind = abi::program_type::by_name(Platform::Windows, "bind").unwrap();
    let exit = translate(&[Insn::Exit], &ById(bind)).unwrap();
    let other = Code::Interpreted(Machine::new(exit, Vec::new()));
    let other = Program::new(&bench.core, "other", bind, other).unwrap();
    assert_eq!(
        array.set_program(0, Some(other)),
        Err(ebpfcore::Status::InvalidFd)
    );
    array.release_references();
    assert_eq!(run(1), -6 * 1000 - 1);
}

#[test]
fn extensions_come_first() {
    struct Answers;
    impl Extensions for Answers {
        fn helper(
            &self,
            _: &'static ProgramType,
            helper: &abi::Helper,
        ) -> Option<ebpfcore::raw::helpers::HelperFn> {
            // Serves the pid with the function of the time: only to see who is asked.
            let rows = abi::helper::general(Platform::Windows);
            let time = rows.iter().find(|row| row.name == "bpf_ktime_get_ns")?;
            let wanted = helper.name == "bpf_get_current_pid_tgid";
            function(Platform::Windows, time).filter(|_| wanted)
        }
    }
    let xdp = abi::program_type::by_name(Platform::Windows, "xdp").unwrap();
    let address = |id, extensions: &dyn Extensions| {
        resolve(xdp, id, extensions).map(|callee| callee.function as usize)
    };
    assert_eq!(address(19, &Answers), address(9, &NoExtensions));
    assert_eq!(address(6, &Answers), address(6, &NoExtensions));
    assert_eq!(address(26, &NoExtensions), None);
}
