//! The client over the runtime in this process: objects, maps, programs, links, rings, pins, and what is
//! left behind when something fails.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

use abi::program_type::{by_section, windows};
use abi::{Guid, Platform};
use ebpfapi::{
    Client, CodeType, EbpfResult, Error, Handle, Map, MapSpec, NewService, Object, ObjectKind,
    OpenOptions, Pinned, ProgramSpec, RingBuffer, RingView, Run, Simulator, Transport, Update,
    WaitEvent,
};
use std::path::PathBuf;
use std::time::Duration;

const HASH: u32 = 1;
const ARRAY: u32 = 2;
const PERCPU_ARRAY: u32 = 5;
const ARRAY_OF_MAPS: u32 = 7;
const QUEUE: u32 = 10;
const RINGBUF: u32 = 13;
const PERF: u32 = 14;

fn example(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(file)
}

fn simulator() -> (Simulator, Client) {
    let simulator = Simulator::new().unwrap();
    let client = simulator.client();
    (simulator, client)
}

fn map(client: &Client, map_type: u32, sizes: [u32; 3]) -> Map {
    try_map(client, map_type, sizes).unwrap()
}

fn try_map(client: &Client, map_type: u32, sizes: [u32; 3]) -> Result<Map, Error> {
    let [key_size, value_size, max_entries] = sizes;
    client.create_map(&MapSpec {
        name: "a_map",
        map_type,
        key_size,
        value_size,
        max_entries,
        inner: None,
    })
}

/// A UDP frame to port 53 with so many bytes of UDP.
fn frame(udp_bytes: u16) -> Vec<u8> {
    let mut frame = vec![0; 14 + 20 + usize::from(udp_bytes)];
    frame[12..14].copy_from_slice(&0x0800u16.to_be_bytes());
    frame[14] = 0x45;
    frame[23] = 17;
    frame[36..38].copy_from_slice(&53u16.to_be_bytes());
    frame[38..40].copy_from_slice(&udp_bytes.to_be_bytes());
    frame
}

fn verdict(program: &ebpfapi::Program, udp_bytes: u16) -> u32 {
    let data = frame(udp_bytes);
    let run = Run {
        data: &data,
        repeat: 3,
        ..Run::default()
    };
    let before = program.info().unwrap().runs.unwrap();
    let result = program.test_run(&run).unwrap();
    assert_eq!(program.info().unwrap().runs, Some(before + 3));
    assert_eq!(result.data, data, "the packet is as it was");
    result.value
}

fn is_empty(simulator: &Simulator) {
    assert_eq!(simulator.handle_count(), 0, "no handle is left");
    let control = simulator.device().control();
    assert_eq!(control.object_count(), 0, "no object is left");
}

/// The driver that the tools would make of an example, in a file.
fn driver(example_name: &str) -> (tempfile::TempDir, PathBuf) {
    let options = program::LoadOptions {
        platform: Platform::Windows,
        name: "driver".to_owned(),
        ..program::LoadOptions::default()
    };
    let object = std::fs::read(example(example_name)).unwrap();
    let object = program::load(&object, &options).unwrap();
    let verify = |at: usize| {
        let id = program::ProgramId(at as u16);
        verifier::verify(&object, id, &verifier::Options::default()).unwrap()
    };
    let programs: Vec<_> = (0..object.programs.len()).map(verify).collect();
    let module = codegen::compile(&programs, &codegen::Options::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("driver.sys");
    std::fs::write(&path, image::link(&module).unwrap().bytes()).unwrap();
    (folder, path)
}

#[test]
fn handles_are_closed_once() {
    let (_simulator, client) = simulator();
    let map = map(&client, ARRAY, [4, 4, 1]);
    assert!(map.info().is_ok());
    client.close(map.handle()).unwrap();
    assert!(map.info().unwrap_err().is(EbpfResult::InvalidFd));
    assert!(
        client
            .close(map.handle())
            .unwrap_err()
            .is(EbpfResult::InvalidFd)
    );
    assert_eq!(client.map_ids().unwrap(), []);
}

#[test]
fn an_object_is_loaded_attached_run_and_gone() {
    let (simulator, client) = simulator();
    let object = Object::open(example("droppacket.o")).unwrap();
    assert_eq!(object.programs()[0].section, "xdp");
    let loaded = object.load(&client).unwrap();
    let program = loaded.program("DropPacket").unwrap();
    assert_eq!(program.code_type().unwrap(), CodeType::Interpreted);
    assert_eq!((verdict(program, 8), verdict(program, 40)), (2, 1));

    let link = program.attach().unwrap();
    let info = link.info().unwrap();
    assert_eq!(info.row().unwrap().prefix, "xdp");
    assert_eq!(info.program_id, program.info().unwrap().id);
    assert_eq!(program.info().unwrap().links, 1);
    assert_eq!(client.link_ids().unwrap(), [info.id]);
    assert_eq!(client.program_ids().unwrap().len(), 1);
    assert_eq!(client.map_ids().unwrap().len(), loaded.maps().count());

    link.detach().unwrap();
    assert!(link.detach().is_err(), "detached once");
    drop((link, loaded));
    is_empty(&simulator);
}

#[test]
fn links_go_with_their_handle_unless_they_are_kept() {
    let (simulator, client) = simulator();
    let loaded = Object::open(example("droppacket.o"))
        .unwrap()
        .load(&client)
        .unwrap();
    let program = loaded.programs()[0].clone();
    drop(loaded);
    drop(program.attach_to(7).unwrap());
    assert_eq!(client.link_ids().unwrap(), []);
    let link = program.attach_to(7).unwrap();
    assert_eq!(link.info().unwrap().interface(), Some(7));
    let again = program.attach_to(7).unwrap_err();
    assert_eq!(again.status(), EbpfResult::ObjectAlreadyExists, "{again}");
    link.keep().unwrap();
    drop((link, program));
    let [id] = client.link_ids().unwrap()[..] else {
        panic!("the link stays")
    };
    client.link_by_id(id).unwrap().detach().unwrap();
    is_empty(&simulator);
}

#[test]
fn an_unsafe_program_is_refused_here_and_there() {
    let (simulator, client) = simulator();
    let object = Object::open(example("droppacket_unsafe.o")).unwrap();
    let here = object.load(&client).unwrap_err();
    assert_eq!(here.status(), EbpfResult::VerificationFailed);
    assert!(
        here.report().unwrap().contains("droppacket_unsafe.c"),
        "{here}"
    );
    assert!(here.to_string().contains("help: "), "{here}");

    // Somebody who does not verify is told the same by the runtime.
    let source = object.bytecode().unwrap();
    let code: Vec<_> = source.programs[0]
        .insns
        .iter()
        .map(|insn| match *insn {
            isa::Insn::LoadImm64 { dst, .. } => isa::Insn::LoadImm64 {
                dst,
                imm: isa::Imm64::Const(0),
            },
            other => other,
        })
        .collect();
    let spec = ProgramSpec {
        name: "DropPacket",
        file: "",
        section: "xdp",
        program_type: &windows::XDP,
    };
    let code = isa::encode::program(&code).unwrap();
    let there = client.load_program(&spec, &code).unwrap_err();
    assert!(matches!(there.cause(), ebpfapi::Cause::RefusedByRuntime(_)));
    assert!(!there.report().unwrap().is_empty(), "{there}");
    is_empty(&simulator);
}

#[test]
fn elements_keys_and_batches() {
    let (simulator, client) = simulator();
    let hash = map(&client, HASH, [4, 8, 20_000]);
    let key = |number: u32| number.to_le_bytes();
    let value = |number: u64| number.to_le_bytes();
    assert_eq!(hash.get(&key(1)).unwrap(), None);
    assert_eq!(hash.lookup(&key(1)).unwrap_err().errno(), 2);
    hash.update(&key(1), &value(10), Update::NoExist).unwrap();
    let again = hash.update(&key(1), &value(11), Update::NoExist);
    assert_eq!(again.unwrap_err().status(), EbpfResult::KeyAlreadyExists);
    assert_eq!(hash.lookup(&key(1)).unwrap(), value(10));
    assert_eq!(hash.take(&key(1)).unwrap(), value(10));
    assert!(hash.delete(&key(1)).is_err());
    let wrong = hash.update(&[1], &value(1), Update::Any).unwrap_err();
    assert!(wrong.to_string().contains("1 bytes, not 4"), "{wrong}");

    // More than fits into one message.
    let all: Vec<_> = (0..15_000u32)
        .map(|at| (key(at), value(at.into())))
        .collect();
    let pairs = all.iter().map(|(key, value)| (&key[..], &value[..]));
    assert_eq!(hash.update_batch(pairs, Update::Any).unwrap(), all.len());
    let mut entries = hash.entries().unwrap();
    entries.sort();
    let mut expected: Vec<_> = all.iter().map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
    expected.sort();
    assert_eq!(entries, expected);
    assert_eq!(hash.keys().unwrap().len(), all.len());
    let some = all[..9000].iter().map(|(key, _)| &key[..]);
    assert_eq!(hash.delete_batch(some).unwrap(), 9000);
    assert_eq!(hash.take_all().unwrap().len(), 6000);
    assert_eq!(hash.next_key(None).unwrap(), None);

    let array = map(&client, PERCPU_ARRAY, [4, 12, 2]);
    assert_eq!(array.value_size(), 16 * client.cpu_count() as usize);
    assert_eq!(array.lookup(&key(1)).unwrap().len(), array.value_size());

    let queue = map(&client, QUEUE, [0, 4, 2]);
    queue.update(&[], &key(5), Update::Any).unwrap();
    queue.update(&[], &key(6), Update::Any).unwrap();
    let full = queue.update(&[], &key(7), Update::Any).unwrap_err();
    assert_eq!(full.status(), EbpfResult::OutOfSpace);
    assert_eq!(queue.lookup(&[]).unwrap(), key(5));
    assert_eq!(queue.take(&[]).unwrap(), key(5));

    let refused = try_map(&client, ARRAY, [8, 4, 1]).unwrap_err();
    assert!(
        refused.to_string().starts_with("cannot create map a_map: "),
        "{refused}"
    );
    drop((hash, array, queue));
    is_empty(&simulator);
}

#[test]
fn maps_of_maps_hold_maps_like_their_template() {
    let (simulator, client) = simulator();
    let inner = map(&client, ARRAY, [4, 4, 1]);
    let other = map(&client, ARRAY, [4, 8, 1]);
    let outer = client
        .create_map(&MapSpec {
            name: "outer",
            map_type: ARRAY_OF_MAPS,
            key_size: 4,
            value_size: 4,
            max_entries: 2,
            inner: Some(&inner),
        })
        .unwrap();
    outer.set_map(&[0; 4], &inner).unwrap();
    assert_eq!(outer.lookup(&[0; 4]).unwrap(), inner.id().to_le_bytes());
    assert!(outer.set_map(&[0; 4], &other).is_err());
    drop((outer, inner, other));
    is_empty(&simulator);
}

#[test]
fn records_are_read_in_order_and_waited_for() {
    let (simulator, client) = simulator();
    let ring = map(&client, RINGBUF, [0, 0, 4096]);
    let mut reader = RingBuffer::open(&ring).unwrap();
    assert!(!reader.wait(Some(Duration::ZERO)).unwrap());
    // More than the ring holds, with wrapping at every place.
    for round in 0..400u32 {
        for length in [1, 7, 8, 300] {
            ring.write_record(&vec![round as u8; length]).unwrap();
        }
        assert!(reader.wait(Some(Duration::from_secs(5))).unwrap());
        for length in [1, 7, 8, 300] {
            let record = loop {
                if let Some(record) = reader.read().unwrap() {
                    break record;
                }
                assert!(reader.wait(Some(Duration::from_secs(5))).unwrap());
            };
            assert_eq!(record, vec![round as u8; length]);
        }
        assert_eq!(reader.read().unwrap(), None);
    }
    let writer = ring.clone();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        writer.write_record(b"late").unwrap();
    });
    assert_eq!(reader.next().unwrap().unwrap(), b"late");
    thread.join().unwrap();

    // Room is used up, and what finds none is counted.
    let mut written = 0;
    while ring.write_record(&[0; 500]).is_ok() {
        written += 1;
    }
    assert_eq!(written, 4096 / 512);
    while reader.wait(Some(Duration::ZERO)).unwrap() {
        assert_eq!(reader.read().unwrap().unwrap(), [0; 500]);
        written -= 1;
    }
    assert_eq!(written, 0);
    ring.write_record(b"after").unwrap();
    assert!(reader.wait(None).unwrap());
    assert_eq!(reader.lost(), 1);
    // Kept by the reader alone, with a request that waits.
    drop(ring);
    assert_eq!(reader.read().unwrap().unwrap(), b"after");
    assert!(!reader.wait(Some(Duration::ZERO)).unwrap());
    drop(reader);

    let perf = map(&client, PERF, [0, 0, 4096]);
    let mut readers = RingBuffer::open_all(&perf).unwrap();
    assert_eq!(readers.len(), client.cpu_count() as usize);
    perf.write_record(b"event").unwrap();
    assert!(readers[0].wait(None).unwrap());
    assert_eq!(readers[0].read().unwrap().unwrap(), b"event");
    assert!(!readers[1].wait(Some(Duration::ZERO)).unwrap());
    drop((readers, perf));
    is_empty(&simulator);
}

#[test]
fn events_are_set_with_records_and_waiting_is_interrupted() {
    let (simulator, client) = simulator();
    let ring = map(&client, RINGBUF, [0, 0, 4096]);
    let mut reader = RingBuffer::open(&ring).unwrap();
    let event = WaitEvent::new().unwrap();
    assert!(!event.wait(Some(Duration::ZERO)));
    ring.write_record(b"before").unwrap();
    ring.set_wait_handle(0, Some(event.handle())).unwrap();
    assert!(event.wait(None), "there is a record already");
    event.reset();
    assert!(!event.wait(Some(Duration::ZERO)));
    assert_eq!(reader.read().unwrap().unwrap(), b"before");
    // From another thread, to one that waits as long as it takes.
    let writer = ring.clone();
    let thread = std::thread::spawn(move || writer.write_record(b"late").unwrap());
    assert!(event.wait(None));
    thread.join().unwrap();
    assert_eq!(reader.read().unwrap().unwrap(), b"late");
    event.reset();
    ring.set_wait_handle(0, None).unwrap();
    ring.write_record(b"untold").unwrap();
    assert!(!event.wait(Some(Duration::ZERO)));
    assert_eq!(reader.read().unwrap().unwrap(), b"untold");

    // What is no event, no ring, no map with rings.
    let file = std::fs::File::open("/dev/null").unwrap();
    let no_event = Handle(std::os::fd::AsRawFd::as_raw_fd(&file) as u64);
    for handle in [no_event, Handle(u64::MAX - 1), Handle(1 << 40)] {
        let refused = ring.set_wait_handle(0, Some(handle)).unwrap_err();
        assert_eq!(refused.errno(), 9, "{refused}");
    }
    assert!(ring.set_wait_handle(1, Some(event.handle())).is_err());
    let array = map(&client, 2, [4, 4, 1]);
    assert!(array.set_wait_handle(0, Some(event.handle())).is_err());
    assert!(RingView::open(&array, 0).is_err());
    assert!(RingView::open(&ring, 1).is_err());

    // The event is closed while the runtime has it still.
    ring.set_wait_handle(0, Some(event.handle())).unwrap();
    drop(event);
    ring.write_record(b"to nobody").unwrap();
    assert_eq!(reader.read().unwrap().unwrap(), b"to nobody");

    let interrupt = reader.interrupt();
    assert!(!interrupt.is_raised());
    let thread = std::thread::spawn(move || reader.wait(None));
    interrupt.raise();
    let ended = thread.join().unwrap().unwrap_err();
    assert!(ended.is(EbpfResult::Canceled) && interrupt.is_raised());
    drop((interrupt, ring, array));
    is_empty(&simulator);
}

#[test]
fn a_ring_is_read_by_its_reader_alone_whatever_others_map() {
    let (simulator, client) = simulator();
    let ring = map(&client, RINGBUF, [0, 0, 4096]);
    let mut reader = RingBuffer::open(&ring).unwrap();
    let view = RingView::open(&ring, 0).unwrap();
    assert_eq!((view.size(), reader.view().size()), (4096, 4096));
    let records = view.records().unwrap();
    let addresses = [view.consumer_page(), view.producer_page(), records];
    assert!(addresses.iter().all(|address| address % 4096 == 0));
    assert_eq!(simulator.handle_count(), 3, "each has a handle of its own");
    drop(view);
    ring.write_record(b"still").unwrap();
    assert_eq!(reader.read().unwrap().unwrap(), b"still");
    assert_eq!(simulator.handle_count(), 2);
    drop((reader, ring));
    is_empty(&simulator);
}

#[test]
fn pins_keep_objects_alive() {
    let (simulator, client) = simulator();
    let loaded = Object::open(example("droppacket.o"))
        .unwrap()
        .load(&client)
        .unwrap();
    loaded.programs()[0].pin("folder/program").unwrap();
    let (_, counter) = loaded.maps().next().unwrap();
    counter.pin("counter").unwrap();
    assert_eq!(counter.info().unwrap().pinned_paths, 1);
    let taken = loaded.programs()[0].pin("counter").unwrap_err();
    assert_eq!(taken.errno(), 17, "{taken}");
    let id = counter.id();
    drop(loaded);

    let pins = client.pins().unwrap();
    let listed: Vec<_> = pins.iter().map(|pin| (&*pin.path, pin.kind)).collect();
    let expected = [
        (r"BPF:\counter", ObjectKind::Map),
        (r"BPF:\folder\program", ObjectKind::Program),
    ];
    assert_eq!(listed, expected);
    assert!(matches!(client.pinned("BPF:/counter").unwrap(), Pinned::Map(map) if map.id() == id));
    let Pinned::Program(program) = client.pinned("folder/program").unwrap() else {
        panic!("a program")
    };
    assert_eq!(verdict(&program, 8), 2);
    client.unpin("counter").unwrap();
    client.unpin(r"BPF:\folder\program").unwrap();
    assert_eq!(client.unpin("counter").unwrap_err().errno(), 2);
    assert!(client.pinned_map("counter").unwrap().is_none());
    drop(program);
    is_empty(&simulator);
}

#[test]
fn a_map_that_is_pinned_is_used_and_must_fit() {
    let (simulator, client) = simulator();
    let mut object = Object::open(example("droppacket.o")).unwrap();
    object.maps_mut()[0].pin_path = Some("shared".to_owned());
    let first = object.load(&client).unwrap();
    let second = object.load(&client).unwrap();
    let id = |loaded: &ebpfapi::Loaded| loaded.maps().next().unwrap().1.id();
    assert_eq!(id(&first), id(&second));
    drop((first, second));
    client.unpin("shared").unwrap();

    map(&client, HASH, [4, 4, 4]).pin("shared").unwrap();
    let refused = object.load(&client).unwrap_err();
    assert!(refused.to_string().contains("unpin it"), "{refused}");
    client.unpin("shared").unwrap();

    // What fails later takes the new pin with it.
    map(&client, HASH, [4, 4, 4]).pin("other").unwrap();
    object.maps_mut()[1].pin_path = Some("other".to_owned());
    assert!(object.load(&client).is_err());
    assert_eq!(client.pins().unwrap().len(), 1);
    client.unpin("other").unwrap();

    // A map that is given is used, whatever is pinned.
    let given = map(&client, ARRAY, [4, 4, 1]);
    object.maps_mut()[0].reuse = Some(given.clone());
    let loaded = object.load(&client).unwrap();
    assert_eq!(id(&loaded), given.id());
    object
        .set_program_type("DropPacket", &windows::SOCK_ADDR)
        .unwrap();
    assert_eq!(object.load(&client).unwrap_err().errno(), 13);
    client.unpin("other").unwrap();
    drop((object, loaded, given));
    is_empty(&simulator);
}

#[test]
fn programs_in_arrays_and_globals_are_set_up() {
    let (simulator, client) = simulator();
    for file in [
        "tail_calls.o",
        "globals.o",
        "flow_logger.o",
        "port_quota.o",
        "subprograms.o",
    ] {
        let object = Object::open(example(file)).unwrap();
        let loaded = object.load(&client).unwrap();
        assert_eq!(loaded.programs().len(), object.programs().len(), "{file}");
        for (name, map) in loaded.maps() {
            assert_eq!(map.name(), name);
        }
    }
    is_empty(&simulator);
}

#[test]
fn a_driver_is_loaded_as_a_service_and_leaves_nothing() {
    let (simulator, client) = simulator();
    let (_folder, path) = driver("droppacket.o");
    let object = Object::open(&path).unwrap();
    assert!(object.is_native());
    for _ in 0..3 {
        let loaded = object.load(&client).unwrap();
        let program = loaded.program("DropPacket").unwrap();
        assert_eq!(program.code_type().unwrap(), CodeType::Native);
        assert_eq!((verdict(program, 8), verdict(program, 40)), (2, 1));
        let link = program.attach().unwrap();
        assert_eq!(simulator.device().services().len(), 1);
        drop((loaded, link));
        assert_eq!(simulator.device().services(), [] as [&str; 0]);
        is_empty(&simulator);
    }
}

#[test]
fn a_driver_that_does_not_start_leaves_nothing() {
    let (simulator, client) = simulator();
    let (_folder, path) = driver("droppacket.o");
    let object = Object::open(&path).unwrap();
    // Another file than the one that was looked at.
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let refused = object.load(&client).unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("did not become a module"), "{text}");
    assert!(text.contains("not signed"), "{text}");
    assert_eq!(simulator.device().services(), [] as [&str; 0]);
    is_empty(&simulator);
    let gone = std::fs::remove_file(&path).and(Ok(()));
    gone.unwrap();
    assert!(object.load(&client).is_err());
    assert_eq!(simulator.device().services(), [] as [&str; 0]);
    is_empty(&simulator);
}

#[test]
fn wrong_files_are_named() {
    let missing = Object::open("no/such/file.o").unwrap_err();
    assert_eq!(missing.errno(), 2);
    assert!(
        missing
            .to_string()
            .starts_with("cannot open no/such/file.o: "),
        "{missing}"
    );
    let text = Object::parse(b"int main;", &OpenOptions::default()).unwrap_err();
    assert!(text.to_string().contains("neither"), "{text}");
    assert!(Object::parse(b"\x7fELF", &OpenOptions::default()).is_err());
    assert!(Object::parse(b"MZ", &OpenOptions::default()).is_err());
    let this = std::env::current_exe().unwrap();
    assert!(Object::open(this).is_err());
}

#[test]
fn services_of_the_simulated_manager() {
    let (simulator, client) = simulator();
    let (_folder, path) = driver("droppacket.o");
    let service = NewService {
        name: "twice",
        file: &path,
        module_id: Guid::from_u128(1),
    };
    simulator.create_service(&service).unwrap();
    assert!(simulator.create_service(&service).is_err());
    simulator.remove_service("twice").unwrap();
    // Started by hand: its programs are attached at once.
    let device = simulator.device();
    let bytes = std::fs::read(&path).unwrap();
    device.create_service("plain", &bytes, None).unwrap();
    device.start_service("plain").unwrap();
    assert!(device.start_service("plain").is_err());
    assert_eq!(client.link_ids().unwrap().len(), 1);
    let held = client
        .program_by_id(client.program_ids().unwrap()[0])
        .unwrap();
    device.stop_service("plain").unwrap();
    assert_eq!(client.link_ids().unwrap(), []);
    assert_eq!(verdict(&held, 8), 2, "its code stays as long as it is used");
    drop(held);
    device.delete_service("plain").unwrap();
    assert_eq!(device.services(), [] as [&str; 0]);
    is_empty(&simulator);
}

#[test]
fn processes_have_their_own_handles() {
    let (simulator, client) = simulator();
    let ring = map(&client, RINGBUF, [0, 0, 4096]);
    let other = simulator.another_process();
    let same = other.client().map_by_id(ring.id()).unwrap();
    let mut reader = RingBuffer::open(&same).unwrap();
    assert!(!reader.wait(Some(Duration::ZERO)).unwrap());
    drop((reader, same));
    assert_eq!(other.handle_count(), 0);
    assert!(other.client().program_by_id(ring.id()).is_err());
    assert_eq!(by_section(Platform::Windows, "xdp").unwrap().number, 1);
    assert!(!client.code_integrity().unwrap().hypervisor);
    client.synchronize().unwrap();
    drop(ring);
    is_empty(&simulator);
}
