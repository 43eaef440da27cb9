//! Real driver images as services over one runtime: several at once, by message and by themselves,
//! stopped while others hold their programs.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod support;

use abi::{
    Guid, Platform,
    ioctl::{Handle, Reply, Request},
    native::is_module_id_of_hash,
    program_type::by_section,
};
use ebpfcore::{
    Hook, Status,
    control::{Client, Control, Detached, NoSettings, Shell},
    link::Capacity,
};
use ebpfcore_sim::{
    Environment, ModuleIdValue,
    service::{Service, ServiceOptions, control},
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What the runtime told the system.
#[derive(Default)]
struct System {
    gone: Mutex<Vec<u64>>,
    stopped: Mutex<Vec<Vec<u8>>>,
}

impl Shell for System {
    fn load_driver(&self, _: &[u8]) -> Result<(), Status> {
        // The test started it already.
        Ok(())
    }
    fn unload_driver(&self, service: &[u8]) {
        self.stopped.lock().unwrap().push(service.to_vec());
    }
    fn module_gone(&self, binding: u64) {
        self.gone.lock().unwrap().push(binding);
    }
}

#[derive(Default)]
struct Process(RefCell<BTreeMap<u64, u32>>);

impl Client for Process {
    fn open(&self, id: u32) -> Result<Handle, Status> {
        let mut handles = self.0.borrow_mut();
        let last = handles.keys().next_back().copied();
        let handle = last.unwrap_or(0x100) + 4;
        handles.insert(handle, id);
        Ok(Handle(handle))
    }
    fn object(&self, handle: Handle) -> Option<u32> {
        self.0.borrow().get(&handle.0).copied()
    }
    fn close(&self, handle: Handle) -> Option<u32> {
        self.0.borrow_mut().remove(&handle.0)
    }
    fn is_privileged(&self) -> bool {
        true
    }
}

impl Process {
    fn end(&self, control: &Control) {
        let handles = self.0.take();
        handles
            .into_values()
            .for_each(|id| control.handle_closed(id));
    }
}

fn runtime() -> (Control, &'static System) {
    let system: &'static System = Box::leak(Box::default());
    let xdp = by_section(Platform::Windows, "xdp").unwrap();
    let hooks = vec![Hook::new(xdp, Capacity::Many)];
    (
        control(Environment::default(), hooks, system).unwrap(),
        system,
    )
}

fn driver(object: &str, options: &codegen::Options) -> Vec<u8> {
    let object = support::load(object);
    support::driver(&support::verify(&object), options)
}

fn start(
    control: &Control,
    bytes: &[u8],
    (binding, module_id): (u64, ModuleIdValue),
) -> Result<Service, ebpfcore_sim::Error> {
    let options = ServiceOptions {
        name: "service",
        module_id,
        file_hash: Some([3; 32]),
        settings: &NoSettings,
    };
    Service::start(control, bytes, (binding, &options))
}

fn ask(control: &Control, process: &Process, request: &Request<'_>) -> Result<Vec<u8>, Status> {
    let mut input = vec![0; 0xffff];
    let length = request.encode(&mut input).unwrap();
    let mut output = vec![0; 0xffff];
    let length = control.serve(process, &input[..length], &mut output)?;
    output.truncate(length);
    Ok(output)
}

/// Ids of all programs or links.
fn ids(control: &Control, process: &Process, next: fn(u32) -> Request<'static>) -> Vec<u32> {
    let mut ids = Vec::new();
    loop {
        let after = ids.last().copied().unwrap_or(0);
        match ask(control, process, &next(after)) {
            Ok(bytes) => ids.push(u32::from_le_bytes(bytes[8..12].try_into().unwrap())),
            Err(status) => {
                assert_eq!(status, Status::NoMoreKeys);
                return ids;
            }
        }
    }
}

fn programs(control: &Control, process: &Process) -> Vec<Handle> {
    let ids = ids(control, process, |start_id| Request::GetNextProgramId {
        start_id,
    });
    let open = |id: &u32| {
        let bytes = ask(control, process, &Request::GetProgramHandleById { id: *id }).unwrap();
        match Reply::decode(&bytes).unwrap() {
            Reply::GetProgramHandleById { handle } => handle,
            other => panic!("{other:?}"),
        }
    };
    ids.iter().map(open).collect()
}

fn links(control: &Control, process: &Process) -> usize {
    ids(control, process, |start_id| Request::GetNextLinkId {
        start_id,
    })
    .len()
}

/// What a program decides about a UDP frame to port 53 with so many bytes of UDP.
fn verdict(control: &Control, process: &Process, program: Handle, udp_len: u16) -> u64 {
    let mut frame = vec![0; 14 + 20 + usize::from(udp_len)];
    frame[12..14].copy_from_slice(&0x0800u16.to_be_bytes());
    frame[14] = 0x45;
    frame[23] = 17;
    frame[36..38].copy_from_slice(&53u16.to_be_bytes());
    frame[38..40].copy_from_slice(&udp_len.to_be_bytes());
    let request = Request::ProgramTestRun {
        program_handle: program,
        repeat_count: 10,
        flags: 0,
        cpu: 0,
        batch_size: 0,
        context_offset: frame.len() as u16,
        data: &frame,
    };
    match Reply::decode(&ask(control, process, &request).unwrap()).unwrap() {
        Reply::ProgramTestRun { return_value, .. } => return_value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plain_service_works_from_start_to_stop_again_and_again() {
    let (control, system) = runtime();
    let bytes = driver("droppacket.o", &codegen::Options::default());
    for round in 0..20 {
        let service = start(&control, &bytes, (round, ModuleIdValue::NoKey)).unwrap();
        let process = Process::default();
        let programs = programs(&control, &process);
        assert_eq!((programs.len(), links(&control, &process)), (1, 1));
        assert_eq!(verdict(&control, &process, programs[0], 8), 2, "dropped");
        assert_eq!(verdict(&control, &process, programs[0], 40), 1, "passed");
        if round % 2 == 0 {
            process.end(&control);
            assert_eq!(service.detach(&control), Detached::Now);
        } else {
            assert_eq!(service.detach(&control), Detached::Later);
            assert_eq!(links(&control, &process), 0, "it is not called any more");
            // Its code is still there for who holds the program.
            assert_eq!(verdict(&control, &process, programs[0], 8), 2);
            process.end(&control);
            assert_eq!(std::mem::take(&mut *system.gone.lock().unwrap()), [round]);
        }
        assert_eq!(control.object_count(), 0);
        service.unload().unwrap();
    }
}

#[test]
fn services_of_all_examples_run_beside_each_other() {
    let (control, _) = runtime();
    let names = ["droppacket.o", "tail_calls.o"];
    let mut services = Vec::new();
    for (binding, name) in (1..).zip(names) {
        let bytes = driver(name, &codegen::Options::default());
        services.push(start(&control, &bytes, (binding, ModuleIdValue::NoKey)).unwrap());
    }
    let process = Process::default();
    let all = programs(&control, &process);
    assert!(
        all.len() > links(&control, &process),
        "tail calls are not attached"
    );
    assert!(links(&control, &process) >= 2);
    process.end(&control);
    for service in services {
        assert_eq!(service.detach(&control), Detached::Now);
        service.unload().unwrap();
    }
    assert_eq!(control.object_count(), 0);
}

/// The same file twice: the second has the same id and is refused; the first runs on.
#[test]
fn an_id_is_given_once() {
    let (control, _) = runtime();
    let bytes = driver("droppacket.o", &codegen::Options::default());
    let first = start(&control, &bytes, (1, ModuleIdValue::NoKey)).unwrap();
    let refused = start(&control, &bytes, (2, ModuleIdValue::NoKey));
    assert!(refused.is_err());
    let process = Process::default();
    assert_eq!(links(&control, &process), 1);
    assert_eq!(first.detach(&control), Detached::Now);
    first.unload().unwrap();
}

#[test]
fn a_service_with_an_id_needs_an_authorisation_of_its_file() {
    let (control, system) = runtime();
    let bytes = driver("droppacket.o", &codegen::Options::default());
    let id = Guid::from_u128(0x00112233_4455_4677_8899_aabbccddeeff);
    assert!(!is_module_id_of_hash(id));
    let with_id = || ModuleIdValue::of(id);
    assert!(start(&control, &bytes, (1, with_id())).is_err());
    let process = Process::default();
    let authorize = Request::AuthorizeNativeModule {
        module_id: id,
        module_hash: [3; 32],
    };
    ask(&control, &process, &authorize).unwrap();
    let service = start(&control, &bytes, (1, with_id())).unwrap();
    assert_eq!(control.object_count(), 0, "nothing is loaded by itself");
    let load = Request::LoadNativeModule {
        module_id: id,
        data: b"s\0",
    };
    ask(&control, &process, &load).unwrap();
    ask(
        &control,
        &process,
        &Request::LoadNativePrograms {
            module_id: id,
            pin_root_path: &[],
        },
    )
    .unwrap();
    let program = programs(&control, &process)[0];
    assert_eq!(verdict(&control, &process, program, 8), 2);
    assert_eq!(links(&control, &process), 0);
    process.end(&control);
    assert_eq!(*system.stopped.lock().unwrap(), [b"s\0".to_vec()]);
    assert_eq!(service.detach(&control), Detached::Now);
    service.unload().unwrap();
}
