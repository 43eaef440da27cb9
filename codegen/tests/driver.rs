//! The driver skeleton and the metadata, called as the kernel and the runtime would.
//!
//! The registrar and the registry are stand-ins whose state is one static; tests take turns.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use abi::native::nmr::{Characteristics, ModuleId, NPI_NATIVE_MODULE};
use abi::native::{MapEntry, MetadataTable, ProgramEntry};
use codegen::{ElfHash, Module, Options, RelocKind, SectionKind, compile, module_id};
use common::build::{assume, object, program, slots};
use common::{Host, call, read_bytes, write_bytes};
use core::mem::offset_of;
use isa::{AluOp, CallTarget, Imm64, Insn, Operand, Reg, Width};
use program::{BtfFunction, GlobalSection, InitialValue, MapDef, MapId, Object};
use std::sync::{Mutex, MutexGuard};

const SUCCESS: u64 = 0;
const PENDING: u64 = 0x103;
const NAME_NOT_FOUND: u64 = 0xc000_0034;
const ACCESS_DENIED: u64 = 0xc000_0022;
const INVALID_PARAMETER: u64 = 0xc000_000d;
const BUFFER_OVERFLOW: u64 = 0x8000_0005;

/// What the kernel would do, and what it saw.
struct Kernel {
    /// Status of opening the service key and the `Parameters` key.
    open: [u64; 2],
    /// Type and data of the value, or the status of asking for it.
    value: Result<(u32, Vec<u8>), u64>,
    register: u64,
    deregister: u64,
    attach: u64,
    /// Calls, in order.
    log: Vec<String>,
    characteristics: u64,
    dispatch: u64,
}

static KERNEL: Mutex<Option<Kernel>> = Mutex::new(None);
static TURN: Mutex<()> = Mutex::new(());

impl Kernel {
    /// Everything succeeds, the value is there.
    fn install() -> MutexGuard<'static, ()> {
        let turn = TURN
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let kernel = Kernel {
            open: [SUCCESS; 2],
            value: Ok((3, (1..=16).collect())),
            register: SUCCESS,
            deregister: SUCCESS,
            attach: SUCCESS,
            log: Vec::new(),
            characteristics: 0,
            dispatch: 0,
        };
        *KERNEL
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(kernel);
        turn
    }
}

fn kernel<T>(with: impl FnOnce(&mut Kernel) -> T) -> T {
    with(KERNEL.lock().unwrap().as_mut().unwrap())
}

fn read_u64(address: u64) -> u64 {
    u64::from_le_bytes(read_bytes(address, 8).try_into().unwrap())
}

fn read_u32(address: u64) -> u32 {
    u32::from_le_bytes(read_bytes(address, 4).try_into().unwrap())
}

fn unicode(address: u64) -> String {
    let lengths = read_u32(address);
    let (length, capacity) = (lengths & 0xffff, lengths >> 16);
    assert_eq!(capacity, length + 2);
    let bytes = read_bytes(read_u64(address + 8), capacity as usize);
    let units: Vec<u16> = bytes
        .chunks(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    assert_eq!(units.last(), Some(&0));
    String::from_utf16(&units[..units.len() - 1]).unwrap()
}

extern "win64" fn open_key(key: u64, access: u64, attributes: u64) -> u64 {
    assert_eq!(access as u32, 0x20019);
    assert_eq!(read_u32(attributes), 48);
    assert_eq!(read_u32(attributes + 24), 0x240);
    assert_eq!(
        [read_u64(attributes + 32), read_u64(attributes + 40)],
        [0, 0]
    );
    let root = read_u64(attributes + 8);
    let name = unicode(read_u64(attributes + 16));
    kernel(|kernel| {
        kernel.log.push(format!("open {root} {name}"));
        let status = kernel.open[usize::from(root != 0)];
        if status == SUCCESS {
            write_bytes(key, &(root + 1).to_le_bytes());
        }
        status
    })
}

extern "win64" fn query_value(
    key: u64,
    name: u64,
    class: u64,
    information: u64,
    length: u32,
    result_length: u64,
) -> u64 {
    assert_eq!((class as u32, length), (2, 28));
    kernel(|kernel| {
        kernel.log.push(format!("query {key} {}", unicode(name)));
        let (kind, data) = match &kernel.value {
            Ok(value) => value,
            Err(status) => return *status,
        };
        let whole = 12 + data.len() as u32;
        write_bytes(result_length, &whole.to_le_bytes());
        let fits = data.len().min(16);
        write_bytes(information, &[0; 4]);
        write_bytes(information + 4, &kind.to_le_bytes());
        write_bytes(information + 8, &(data.len() as u32).to_le_bytes());
        write_bytes(information + 12, &data[..fits]);
        if fits < data.len() {
            BUFFER_OVERFLOW
        } else {
            SUCCESS
        }
    })
}

extern "win64" fn close(key: u64) -> u64 {
    kernel(|kernel| kernel.log.push(format!("close {key}")));
    SUCCESS
}

extern "win64" fn register(characteristics: u64, context: u64, handle: u64) -> u64 {
    assert_eq!(context, 0);
    kernel(|kernel| {
        kernel.log.push("register".to_owned());
        kernel.characteristics = characteristics;
        write_bytes(handle, &77u64.to_le_bytes());
        kernel.register
    })
}

extern "win64" fn deregister(handle: u64) -> u64 {
    kernel(|kernel| {
        kernel.log.push(format!("deregister {handle}"));
        kernel.deregister
    })
}

extern "win64" fn wait(handle: u64) -> u64 {
    kernel(|kernel| kernel.log.push(format!("wait {handle}")));
    SUCCESS
}

extern "win64" fn attach(binding: u64, context: u64, dispatch: u64, out: u64, table: u64) -> u64 {
    assert_eq!(context, 0);
    write_bytes(out, &1u64.to_le_bytes());
    write_bytes(table, &2u64.to_le_bytes());
    kernel(|kernel| {
        kernel.log.push(format!("attach {binding}"));
        kernel.dispatch = dispatch;
        kernel.attach
    })
}

fn import(name: &str) -> u64 {
    match name {
        "ZwOpenKey" => open_key as *const () as u64,
        "ZwQueryValueKey" => query_value as *const () as u64,
        "ZwClose" => close as *const () as u64,
        "NmrRegisterClient" => register as *const () as u64,
        "NmrDeregisterClient" => deregister as *const () as u64,
        "NmrWaitForClientDeregisterComplete" => wait as *const () as u64,
        "NmrClientAttachProvider" => attach as *const () as u64,
        other => panic!("unexpected import {other}"),
    }
}

fn simple() -> Object {
    let insns = slots(&[
        Insn::Alu {
            op: AluOp::Mov,
            width: Width::W64,
            dst: Reg::R0,
            src: Operand::Imm(1),
        },
        Insn::Exit,
    ]);
    object(vec![program("p", insns, &[0])])
}

/// A started driver: the host, and the fake DRIVER_OBJECT.
struct Driver {
    host: Host,
    object: Vec<u64>,
}

impl Driver {
    fn load(module: Module) -> Driver {
        Driver {
            host: Host::new(module, &import),
            object: vec![0; 42],
        }
    }

    /// Calls DriverEntry; the status as an unsigned 32-bit number.
    fn start(&mut self) -> u64 {
        let path: Vec<u16> = "\\Registry\\x\0".encode_utf16().collect();
        let length = (path.len() as u64 - 1) * 2;
        let string = [length | (length + 2) << 16, path.as_ptr() as u64];
        let driver = self.object.as_mut_ptr() as u64;
        let status = self
            .host
            .call("DriverEntry", [driver, string.as_ptr() as u64, 0]);
        u64::from(status as u32)
    }

    fn unload_routine(&self) -> u64 {
        self.object[0x68 / 8]
    }

    fn module_id(&self) -> Vec<u8> {
        self.host.bytes(
            self.host.address("module_id") + offset_of!(ModuleId, guid) as u64,
            16,
        )
    }
}

fn driver() -> Driver {
    Driver::load(compile(&assume(&simple()), &Options::default()).unwrap())
}

fn log() -> Vec<String> {
    kernel(|kernel| std::mem::take(&mut kernel.log))
}

const READ_VALUE: [&str; 5] = [
    "open 0 \\Registry\\x",
    "open 1 Parameters",
    "close 1",
    "query 2 NpiModuleId",
    "close 2",
];

#[test]
fn starts_attaches_detaches_and_unloads() {
    let _turn = Kernel::install();
    let mut driver = driver();
    assert_eq!(driver.start(), SUCCESS);
    assert_eq!(log(), [&READ_VALUE[..], &["register"]].concat());
    assert_eq!(driver.module_id(), (1..=16).collect::<Vec<u8>>());
    let unload = driver.unload_routine();
    assert_eq!(unload, driver.host.address("DriverUnload"));

    let characteristics = kernel(|kernel| kernel.characteristics);
    let field = |offset: usize| read_u64(characteristics + offset as u64);
    assert_eq!(field(0) as u32, 72 << 16);
    let attach_provider = field(offset_of!(Characteristics, attach));
    let detach_provider = field(offset_of!(Characteristics, detach));
    assert_eq!(field(offset_of!(Characteristics, cleanup)), 0);
    let instance = offset_of!(Characteristics, instance);
    assert_eq!(field(instance) as u32, 40 << 16);
    assert_eq!(
        read_bytes(field(instance + 8), 16),
        NPI_NATIVE_MODULE.to_bytes()
    );
    assert_eq!(read_u64(field(instance + 16)), 24 | 1 << 32);
    assert_eq!([field(instance + 24), field(instance + 32)], [0, 0]);

    assert_eq!(call(attach_provider, [5, 0, 0]) as u32, 0);
    assert_eq!(log(), ["attach 5"]);
    assert_eq!(
        kernel(|kernel| kernel.dispatch),
        driver.host.address("metadata_table")
    );
    // A second runtime is refused until the first one detaches.
    assert_eq!(
        u64::from(call(attach_provider, [6, 0, 0]) as u32),
        INVALID_PARAMETER
    );
    assert_eq!(log(), [""; 0]);
    assert_eq!(call(detach_provider, [0, 0, 0]) as u32, 0);
    // A failed attach leaves the place free.
    kernel(|kernel| kernel.attach = ACCESS_DENIED);
    assert_eq!(
        u64::from(call(attach_provider, [6, 0, 0]) as u32),
        ACCESS_DENIED
    );
    kernel(|kernel| kernel.attach = SUCCESS);
    assert_eq!(call(attach_provider, [6, 0, 0]) as u32, 0);
    assert_eq!(log(), ["attach 6", "attach 6"]);

    call(unload, [0, 0, 0]);
    assert_eq!(log(), ["deregister 77"]);
    kernel(|kernel| kernel.deregister = PENDING);
    call(unload, [0, 0, 0]);
    assert_eq!(log(), ["deregister 77", "wait 77"]);
}

#[test]
fn a_missing_module_id_is_derived_from_the_file() {
    let missing: [fn(&mut Kernel); 3] = [
        |kernel| kernel.open[0] = NAME_NOT_FOUND,
        |kernel| kernel.open[1] = NAME_NOT_FOUND,
        |kernel| kernel.value = Err(NAME_NOT_FOUND),
    ];
    for missing in missing {
        let _turn = Kernel::install();
        kernel(missing);
        let mut source = simple();
        source.sha256 = [0xab; 32];
        let module = compile(&assume(&source), &Options::default()).unwrap();
        let mut driver = Driver::load(module);
        assert_eq!(driver.start(), SUCCESS);
        assert_eq!(driver.module_id(), module_id([0xab; 32]).to_bytes());
        assert_eq!(log().last().unwrap(), "register");
        assert_ne!(driver.unload_routine(), 0);
    }
}

#[test]
fn failures_of_the_start_leave_nothing_behind() {
    type Break = fn(&mut Kernel);
    let cases: [(Break, u64, usize); 6] = [
        (|k| k.open[0] = ACCESS_DENIED, ACCESS_DENIED, 1),
        (|k| k.open[1] = ACCESS_DENIED, ACCESS_DENIED, 3),
        (|k| k.value = Err(ACCESS_DENIED), ACCESS_DENIED, 5),
        (|k| k.value = Ok((1, vec![0; 16])), INVALID_PARAMETER, 5),
        (|k| k.value = Ok((3, vec![0; 15])), INVALID_PARAMETER, 5),
        (|k| k.value = Ok((3, vec![0; 17])), INVALID_PARAMETER, 5),
    ];
    for (number, (damage, status, calls)) in cases.into_iter().enumerate() {
        let _turn = Kernel::install();
        kernel(damage);
        let mut driver = driver();
        assert_eq!(driver.start(), status, "case {number}");
        assert_eq!(log(), READ_VALUE[..calls], "case {number}");
        assert_eq!(driver.unload_routine(), 0);
    }
    let _turn = Kernel::install();
    kernel(|kernel| kernel.register = ACCESS_DENIED);
    let mut driver = driver();
    assert_eq!(driver.start(), ACCESS_DENIED);
    assert_eq!(driver.unload_routine(), 0);
}

/// What a getter answers: address and count.
fn span(host: &Host, getter: usize) -> (u64, u64) {
    let table = host.address("metadata_table");
    let mut answer = [u64::MAX; 2];
    let out = answer.as_mut_ptr() as u64;
    call(host.u64(table + getter as u64), [out, out + 8, 0]);
    (answer[0], answer[1])
}

fn map(name: &str, kind: abi::MapKind, type_number: u32) -> MapDef {
    MapDef {
        name: name.to_owned(),
        type_number,
        kind,
        key_size: 4,
        value_size: 8,
        max_entries: 16,
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

/// Two programs, four maps, a global, helpers, resolved functions.
fn rich() -> Object {
    let load_map = |map| Insn::LoadImm64 {
        dst: Reg::R1,
        imm: Imm64::MapFd(map),
    };
    let helper = |id| Insn::Call(CallTarget::Helper(id));
    let zero = Insn::Alu {
        op: AluOp::Mov,
        width: Width::W64,
        dst: Reg::R0,
        src: Operand::Imm(0),
    };
    let first = slots(&[
        load_map(2),
        helper(2),
        helper(1),
        helper(2),
        load_map(0),
        Insn::Exit,
    ]);
    let mut first = program("first", first, &[0]);
    first.section = "cgroup/connect4".to_owned();
    let mut second = program("second", slots(&[zero, Insn::Exit]), &[0]);
    second.section = "cgroup/connect4".to_owned();
    let mut third = program("third", slots(&[zero, Insn::Exit]), &[0]);
    third.section = "bind".to_owned();
    let mut object = object(vec![first, second, third]);
    let mut outer = map("outer", abi::MapKind::ArrayOfMaps, 7);
    outer.inner = Some(MapId(0));
    outer.initial = vec![InitialValue {
        index: 2,
        name: "inner".to_owned(),
    }];
    let mut pinned = map("pinned", abi::MapKind::Hash, 1);
    (pinned.pin_by_name, pinned.id) = (true, 9);
    object.maps = vec![
        map("inner", abi::MapKind::Array, 2),
        outer,
        pinned,
        map("test.data", abi::MapKind::Array, 2),
    ];
    object.globals = vec![GlobalSection {
        section: ".data".to_owned(),
        map: MapId(3),
        data: vec![1, 2, 3, 4, 5, 6, 7, 8],
        assumed: Vec::new(),
    }];
    object.sha256 = [7; 32];
    object
}

#[test]
fn an_object_without_maps_answers_null_and_zero() {
    let host = Host::new(
        compile(&assume(&simple()), &Options::default()).unwrap(),
        &|_| 0,
    );
    let table = host.address("metadata_table");
    assert_eq!(host.u64(table), 56);
    for getter in [
        offset_of!(MetadataTable, maps),
        offset_of!(MetadataTable, hash),
        offset_of!(MetadataTable, map_initial_values),
        offset_of!(MetadataTable, global_variable_sections),
    ] {
        assert_eq!(span(&host, getter), (0, 0));
    }
    assert_eq!(span(&host, offset_of!(MetadataTable, programs)).1, 1);
    let mut version = [u32::MAX; 4];
    let getter = host.u64(table + offset_of!(MetadataTable, version) as u64);
    call(getter, [version.as_mut_ptr() as u64, 0, 0]);
    assert_eq!(version, [1, 0, 0, u32::MAX]);
}

#[test]
fn programs_are_described() {
    let object = rich();
    let host = Host::new(
        compile(&assume(&object), &Options::default()).unwrap(),
        &|_| 0,
    );
    let (start, count) = span(&host, offset_of!(MetadataTable, programs));
    assert_eq!(count, 3);
    let field = |program: u64, offset: usize| host.u64(start + program * 144 + offset as u64);
    let text = |program, offset| host.string(field(program, offset));
    let expected = [
        ("first", "cgroup/connect4", "cgroup~1"),
        ("second", "cgroup/connect4", "cgroup~1"),
        ("third", "bind", "bind"),
    ];
    for (program, (name, section, pe_section)) in (0..).zip(expected) {
        assert_eq!(field(program, 0), 0);
        assert_eq!(
            [field(program, 8), field(program, 16), field(program, 24)],
            [1, 144, 144]
        );
        assert_eq!(text(program, offset_of!(ProgramEntry, program_name)), name);
        assert_eq!(
            text(program, offset_of!(ProgramEntry, section_name)),
            section
        );
        assert_eq!(
            text(program, offset_of!(ProgramEntry, pe_section_name)),
            pe_section
        );
        let function = field(program, offset_of!(ProgramEntry, function));
        assert_eq!(function, host.address(&format!("bpf.{name}")));
        let program_type = field(program, offset_of!(ProgramEntry, program_type));
        let guid = abi::program_type::windows::BIND.guid.to_bytes();
        assert_eq!(host.bytes(program_type, 16), guid);
    }
    // Maps 0 and 2, helpers in order of first use.
    let maps = field(0, offset_of!(ProgramEntry, referenced_map_indices));
    assert_eq!(field(0, offset_of!(ProgramEntry, referenced_map_count)), 2);
    assert_eq!(host.bytes(maps, 4), [0, 0, 2, 0]);
    assert_eq!(field(0, offset_of!(ProgramEntry, helper_count)), 2);
    assert_eq!(field(0, offset_of!(ProgramEntry, bpf_instruction_count)), 8);
    let helpers = field(0, offset_of!(ProgramEntry, helpers));
    for (slot, id) in [(0, 2u64), (1, 1)] {
        let entry = helpers + slot * 40;
        assert_eq!(
            [host.u64(entry), host.u64(entry + 8), host.u64(entry + 16)],
            [1, 40, 40]
        );
        assert_eq!(host.u64(entry + 24), id);
        assert_eq!(host.string(host.u64(entry + 32)), format!("helper_id_{id}"));
    }
    for offset in [
        offset_of!(ProgramEntry, helpers),
        offset_of!(ProgramEntry, helper_count),
        offset_of!(ProgramEntry, referenced_map_indices),
        // Not proved, so not hashed.
        offset_of!(ProgramEntry, program_info_hash),
        offset_of!(ProgramEntry, program_info_hash_length),
    ] {
        assert_eq!(field(1, offset), 0);
    }
}

#[test]
fn maps_values_and_globals_are_described() {
    let object = rich();
    let host = Host::new(
        compile(&assume(&object), &Options::default()).unwrap(),
        &|_| 0,
    );
    let (start, count) = span(&host, offset_of!(MetadataTable, maps));
    assert_eq!(count, 4);
    let definition = |map: u64| -> Vec<u32> {
        let bytes = host.bytes(
            start + map * 80 + offset_of!(MapEntry, definition) as u64,
            32,
        );
        let words = bytes
            .chunks(4)
            .map(|word| u32::from_le_bytes(word.try_into().unwrap()));
        words.collect()
    };
    // type, key, value, entries, inner index, pinning, id, inner id
    assert_eq!(definition(0), [2, 4, 8, 16, 0, 0, 1, 0]);
    assert_eq!(definition(1), [7, 4, 8, 16, 0, 0, 2, 1]);
    assert_eq!(definition(2), [1, 4, 8, 16, 0, 1, 9, 0]);
    let entry = start + 80;
    let head: Vec<u64> = (0..5).map(|at| host.u64(entry + at * 8)).collect();
    assert_eq!(head, [0, 0, 1, 80, 80]);
    assert_eq!(host.string(host.u64(entry + 72)), "outer");

    let (values, count) = span(&host, offset_of!(MetadataTable, map_initial_values));
    assert_eq!(count, 1);
    assert_eq!(host.string(host.u64(values + 24)), "outer");
    assert_eq!(host.u64(values + 32), 3);
    let slots = host.u64(values + 40);
    assert_eq!([host.u64(slots), host.u64(slots + 8)], [0, 0]);
    assert_eq!(host.string(host.u64(slots + 16)), "inner");

    let (globals, count) = span(&host, offset_of!(MetadataTable, global_variable_sections));
    assert_eq!(count, 1);
    assert_eq!(host.string(host.u64(globals + 24)), "test.data");
    assert_eq!(host.u64(globals + 32), 8);
    assert_eq!(
        host.bytes(host.u64(globals + 40), 8),
        [1, 2, 3, 4, 5, 6, 7, 8]
    );

    let (hash, length) = span(&host, offset_of!(MetadataTable, hash));
    assert_eq!(length, 32);
    assert_eq!(host.bytes(hash, 32), [7; 32]);
}

#[test]
fn the_file_hash_can_be_left_out() {
    let options = Options::default().with_elf_hash(ElfHash::Omit);
    let host = Host::new(compile(&assume(&rich()), &options).unwrap(), &|_| 0);
    assert_eq!(span(&host, offset_of!(MetadataTable, hash)), (0, 0));
    assert!(
        !host
            .module()
            .sections
            .iter()
            .any(|section| section.name == "hash")
    );
}

#[test]
fn resolved_functions_make_entries_longer() {
    let mut object = rich();
    object.btf_functions = vec![BtfFunction {
        name: "resolved".to_owned(),
        module: abi::Guid::from_u128(0x1234),
    }];
    let at = object.programs[1].insns.len() - 1;
    object.programs[1]
        .insns
        .insert(at, Insn::Call(CallTarget::Btf(0)));
    object.programs[1].functions[0].end.0 += 1;
    let host = Host::new(
        compile(&assume(&object), &Options::default()).unwrap(),
        &|_| 0,
    );
    let (start, count) = span(&host, offset_of!(MetadataTable, programs));
    assert_eq!(count, 3);
    let entry = start + 160;
    assert_eq!(
        [
            host.u64(entry + 8),
            host.u64(entry + 16),
            host.u64(entry + 24)
        ],
        [1, 154, 160]
    );
    assert_eq!(host.u64(entry + 152), 1);
    let function = host.u64(entry + 144);
    let head = [
        host.u64(function),
        host.u64(function + 8),
        host.u64(function + 16),
    ];
    assert_eq!(head, [1, 48, 48]);
    assert_eq!(host.string(host.u64(function + 24)), "resolved");
    assert_eq!(
        host.bytes(function + 32, 16),
        abi::Guid::from_u128(0x1234).to_bytes()
    );
    let mut version = [0u32; 3];
    host.call("version", [version.as_mut_ptr() as u64, 0, 0]);
    assert_eq!(version, [1, 5, 0]);
}

/// What readers of the file on disk rely on.
#[test]
fn sections_are_where_readers_look_for_them() {
    let module = compile(&assume(&rich()), &Options::default()).unwrap();
    let names: Vec<&str> = module.sections.iter().map(|s| s.name.as_str()).collect();
    let expected = [
        ".text", "cgroup~1", "bind", ".rdata", ".data", "programs", "maps", "map_init", "global_v",
        "hash", "INIT",
    ];
    assert_eq!(names, expected);
    let section = |name: &str| module.sections.iter().find(|s| s.name == name).unwrap();
    assert_eq!(section("programs").data.len(), 3 * 144);
    assert_eq!(section("maps").data.len(), 4 * 80);
    assert_eq!(section("hash").data.len(), 32);
    assert_eq!(module.symbols[module.entry.0 as usize].name, "DriverEntry");
    for section in &module.sections {
        let is_code = matches!(section.kind, SectionKind::Code | SectionKind::Init);
        assert_eq!(is_code, !section.functions.is_empty(), "{}", section.name);
        for reloc in &section.relocs {
            let wanted = if is_code {
                RelocKind::Rel32
            } else {
                RelocKind::Abs64
            };
            assert_eq!(reloc.kind, wanted, "{}", section.name);
        }
        assert!(section.relocs.is_sorted_by_key(|reloc| reloc.offset));
        assert!(section.functions.iter().all(|f| f.unwind.is_some()));
        assert!(section.functions.is_sorted_by_key(|f| f.start));
    }
}

#[test]
fn the_same_input_gives_the_same_module() {
    let make = |object: &Object| format!("{:?}", compile(&assume(object), &Options::default()));
    let object = rich();
    assert_eq!(make(&object), make(&object.clone()));
    let hash = |object: &Object| {
        let module = compile(&assume(object), &Options::default()).unwrap();
        module.content_hash
    };
    let mut other = rich();
    other.maps[2].max_entries += 1;
    assert_ne!(hash(&object), hash(&other));
}
