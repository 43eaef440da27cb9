//! Native modules that come and go while the runtime is used: authorised, started plainly, loaded
//! by message, pinned, detached.
#![expect(
    unsafe_code,
    reason = "modules are functions of this process; contexts lie in memory"
)]
#![allow(clippy::unwrap_used, reason = "a test may stop")]
#![cfg(target_arch = "x86_64")]

#[path = "support/device.rs"]
mod device;
#[path = "support/fixture.rs"]
mod fixture;
mod support;

use abi::{
    Guid,
    ioctl::{Handle, Reply, Request},
    native::{ModuleVersion, is_module_id_of_hash, module_id_of_hash},
};
use device::*;
use ebpfcore::{
    Hook, Status,
    control::{
        Arrival, Client, Control, Detached, NoSettings, SETTING_ATTACH, SETTING_INTERFACE,
        Settings, Shell,
    },
    helper::NoExtensions,
    link::Capacity,
    native::Error,
};
use fixture::{ANSWERS, Fixture, NEW, OLD};
use std::{collections::BTreeMap, sync::Mutex};
use support::core;

/// What the core asked of the system.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Asked {
    Load(Vec<u8>),
    Unload(Vec<u8>),
    Gone(u64),
}

#[derive(Default)]
struct System(Mutex<Vec<Asked>>);

impl System {
    fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Shell for System {
    fn load_driver(&self, service: &[u8]) -> Result<(), Status> {
        self.0.lock().unwrap().push(Asked::Load(service.to_vec()));
        Ok(())
    }
    fn unload_driver(&self, service: &[u8]) {
        self.0.lock().unwrap().push(Asked::Unload(service.to_vec()));
    }
    fn module_gone(&self, binding: u64) {
        self.0.lock().unwrap().push(Asked::Gone(binding));
    }
}

fn runtime() -> (Control, &'static System) {
    let system: &'static System = Box::leak(Box::default());
    let (core, _) = core();
    let hooks = vec![Hook::new(xdp(), Capacity::Many)];
    let control = Control::new(core, hooks, &NoExtensions).with_shell(system);
    (control, system)
}

struct Numbers(BTreeMap<&'static str, u32>);

impl Settings for Numbers {
    fn number(&self, name: &str) -> Option<u32> {
        self.0.get(name).copied()
    }
}

/// An id as a plain service has, and one as the API makes.
fn plain_id() -> Guid {
    module_id_of_hash([0x5a; 32])
}
const RANDOM_ID: Guid = Guid::from_u128(0x00112233_4455_4677_8899_aabbccddeeff);
const FILE: [u8; 32] = [7; 32];

fn attach(
    control: &Control,
    fixture: &Fixture,
    (binding, module_id, settings): (u64, Guid, &dyn Settings),
) -> Result<(), Error> {
    ANSWERS.set(fixture.answers);
    let arrival = Arrival {
        binding,
        module_id,
        table: fixture.table,
        memory: fixture,
        file_hash: Some(FILE),
        settings,
    };
    // SAFETY: the getters and programs are functions of this process.
    unsafe { control.attach_module(&arrival) }
}

fn attach_plain(control: &Control, fixture: &Fixture) -> Result<(), Error> {
    attach(control, fixture, (1, plain_id(), &NoSettings))
}

fn authorize(control: &Control, process: &Process, module_hash: [u8; 32]) {
    let request = Request::AuthorizeNativeModule {
        module_id: RANDOM_ID,
        module_hash,
    };
    ask(control, process, &request).unwrap();
}

/// The messages of a load, up to the handles of maps and programs.
fn load_module(control: &Control, process: &Process) -> Result<(Handle, u64, u64), Status> {
    let request = Request::LoadNativeModule {
        module_id: RANDOM_ID,
        data: b"s\0v\0c\0",
    };
    let bytes = ask(control, process, &request)?;
    match Reply::decode(&bytes).unwrap() {
        Reply::LoadNativeModule {
            native_module_handle,
            count_of_maps,
            count_of_programs,
        } => Ok((native_module_handle, count_of_maps, count_of_programs)),
        other => panic!("{other:?}"),
    }
}

fn load_programs(control: &Control, process: &Process) -> Result<Vec<Handle>, Status> {
    load_programs_below(control, process, b"")
}

/// The same with maps that are pinned by name below a path.
fn load_programs_below(
    control: &Control,
    process: &Process,
    pin_root_path: &[u8],
) -> Result<Vec<Handle>, Status> {
    let request = Request::LoadNativePrograms {
        module_id: RANDOM_ID,
        pin_root_path,
    };
    let bytes = ask(control, process, &request)?;
    match Reply::decode(&bytes).unwrap() {
        Reply::LoadNativePrograms {
            program_handle_count: 2,
            map_handle_count: 3,
            handles,
        } => Ok(handles.iter().map(Handle).collect()),
        other => panic!("{other:?}"),
    }
}

fn value(control: &Control, process: &Process, map: Handle, key: u32) -> u64 {
    let request = Request::MapFindElement {
        handle: map,
        find_and_delete: false,
        key: &key.to_le_bytes(),
    };
    let bytes = ask(control, process, &request).unwrap();
    u64::from_le_bytes(reply!(bytes, MapFindElement, value).try_into().unwrap())
}

fn map_by_name(control: &Control, process: &Process, wanted: &str) -> Handle {
    let mut start_id = 0;
    loop {
        let bytes = ask(control, process, &Request::GetNextMapId { start_id }).unwrap();
        start_id = reply!(bytes, GetNextMapId, next_id);
        let request = Request::GetMapHandleById { id: start_id };
        let handle = reply!(
            ask(control, process, &request).unwrap(),
            GetMapHandleById,
            handle
        );
        let request = Request::GetObjectInfo { handle, info: &[] };
        let bytes = ask(control, process, &request).unwrap();
        let info = reply!(bytes, GetObjectInfo, info);
        if info[20..].starts_with(wanted.as_bytes()) {
            return handle;
        }
        close(control, process, handle).unwrap();
    }
}

#[test]
fn ids_of_plain_services_are_told_from_random_ones() {
    assert!(is_module_id_of_hash(plain_id()));
    assert!(is_module_id_of_hash(module_id_of_hash([0xff; 32])));
    assert!(is_module_id_of_hash(module_id_of_hash([0; 32])));
    assert!(!is_module_id_of_hash(RANDOM_ID));
}

/// The tail-called program stands in the array from the start, so only the first one is attached.
#[test]
fn a_plain_service_runs_from_start_to_stop() {
    for version in [OLD, ModuleVersion::new(1, 4, 0), NEW] {
        let (control, system) = runtime();
        let fixture = Fixture::new(version);
        attach_plain(&control, &fixture).unwrap();
        assert_eq!(invoke(&control), [77]);
        assert_eq!(invoke(&control), [77]);
        let process = Process::new();
        let map = map_by_name(&control, &process, "counters");
        assert_eq!(value(&control, &process, map, 1), 2);
        assert_eq!(control.detach_module(1), Detached::Now);
        assert_eq!(invoke(&control), []);
        // The map of the process outlives the module that made it.
        assert_eq!(value(&control, &process, map, 1), 2);
        assert_eq!(control.object_count(), 1);
        process.end(&control);
        assert_eq!(control.object_count(), 0);
        assert_eq!(system.take(), []);
        // And again: nothing is left of the id.
        attach_plain(&control, &fixture).unwrap();
        assert_eq!(invoke(&control), [77]);
        assert_eq!(control.detach_module(1), Detached::Now);
    }
}

#[test]
fn many_cycles_leave_nothing_behind() {
    let (control, _) = runtime();
    let fixture = Fixture::new(NEW);
    for _ in 0..200 {
        attach_plain(&control, &fixture).unwrap();
        assert_eq!(invoke(&control), [77]);
        assert_eq!(control.detach_module(1), Detached::Now);
        assert_eq!(control.object_count(), 0);
    }
}

#[test]
fn settings_choose_the_interface_or_turn_attaching_off() {
    let (control, _) = runtime();
    let fixture = Fixture::new(NEW);
    let settings = Numbers([(SETTING_INTERFACE, 9)].into());
    attach(&control, &fixture, (1, plain_id(), &settings)).unwrap();
    let parameter = {
        let pinned = control.core().epoch().pin(0);
        let hook = control.hook(xdp().guid).unwrap();
        hook.links(&pinned)[0].parameter().to_vec()
    };
    assert_eq!(parameter, 9u32.to_le_bytes());
    assert_eq!(control.detach_module(1), Detached::Now);

    let off = Numbers([(SETTING_ATTACH, 0)].into());
    attach(&control, &fixture, (1, plain_id(), &off)).unwrap();
    assert_eq!((invoke(&control), control.object_count()), (vec![], 0));
    assert_eq!(control.detach_module(1), Detached::Now);

    let on = Numbers([(SETTING_ATTACH, 1)].into());
    attach(&control, &fixture, (1, RANDOM_ID, &on)).unwrap();
    assert_eq!(invoke(&control), [77]);
    assert_eq!(control.detach_module(1), Detached::Now);
}

#[test]
fn only_authorised_files_attach_under_other_ids() {
    let (control, _) = runtime();
    let (process, fixture) = (Process::new(), Fixture::new(NEW));
    let attach = || attach(&control, &fixture, (1, RANDOM_ID, &NoSettings));
    assert_eq!(
        attach().unwrap_err().status(),
        Status::VerificationFailed,
        "nobody authorised it"
    );
    authorize(&control, &process, [8; 32]);
    assert_eq!(
        attach().unwrap_err().status(),
        Status::VerificationFailed,
        "another file was authorised"
    );
    assert_eq!(
        attach().unwrap_err().status(),
        Status::VerificationFailed,
        "an authorisation is used up"
    );
    authorize(&control, &process, FILE);
    attach().unwrap();
    authorize(&control, &process, FILE);
    assert_eq!(
        attach().unwrap_err().status(),
        Status::ObjectAlreadyExists,
        "the id is taken"
    );
    assert_eq!(control.detach_module(1), Detached::Now);
    let request = Request::AuthorizeNativeModule {
        module_id: RANDOM_ID,
        module_hash: FILE,
    };
    let unprivileged = Process {
        privileged: false,
        ..Process::new()
    };
    assert_eq!(
        ask(&control, &unprivileged, &request),
        Err(Status::AccessDenied)
    );
}

#[test]
fn a_module_is_loaded_by_message_and_stopped_after_its_last_handle() {
    let (control, system) = runtime();
    let (process, fixture) = (Process::new(), Fixture::new(NEW));
    assert_eq!(
        load_module(&control, &process),
        Err(Status::ObjectNotFound),
        "nothing attached"
    );
    assert_eq!(
        load_programs(&control, &process),
        Err(Status::ObjectNotFound)
    );
    authorize(&control, &process, FILE);
    attach(&control, &fixture, (5, RANDOM_ID, &NoSettings)).unwrap();
    let (module, maps, programs) = load_module(&control, &process).unwrap();
    assert_eq!((maps, programs), (3, 2));
    assert_eq!(
        load_module(&control, &process),
        Err(Status::ObjectAlreadyExists)
    );
    let handles = load_programs(&control, &process).unwrap();
    assert_eq!(
        load_programs(&control, &process),
        Err(Status::ObjectAlreadyExists)
    );
    assert_eq!(handles.len(), 5);
    assert_eq!(invoke(&control), [], "nothing is attached by itself");
    let linked = link(&control, &process, handles[3]).unwrap();
    assert_eq!(invoke(&control), [77]);
    let request = Request::QueryProgramInfo { handle: handles[3] };
    let bytes = ask(&control, &process, &request).unwrap();
    assert_eq!(
        reply!(bytes, QueryProgramInfo, code_type),
        3,
        "machine code"
    );
    let bytes = ask(&control, &process, &request).unwrap();
    assert_eq!(reply!(bytes, QueryProgramInfo, data), b"xdp");
    // A module has neither pins nor information.
    let pin = Request::UpdatePinning {
        handle: module,
        path: b"m",
    };
    assert_eq!(ask(&control, &process, &pin), Err(Status::InvalidFd));
    let info = Request::GetObjectInfo {
        handle: module,
        info: &[],
    };
    assert_eq!(ask(&control, &process, &info), Err(Status::InvalidFd));

    system.take();
    for handle in handles {
        close(&control, &process, handle).unwrap();
    }
    close(&control, &process, module).unwrap();
    assert_eq!(system.take(), [], "the link still uses it");
    // A program array is emptied when its last user goes, so nothing is tail-called any more.
    assert_eq!(invoke(&control), [1002]);
    close(&control, &process, linked).unwrap();
    assert_eq!(system.take(), [Asked::Unload(b"s\0v\0c\0".to_vec())]);
    assert_eq!(control.detach_module(5), Detached::Now);
    assert_eq!(control.object_count(), 0);
}

#[test]
fn a_dead_process_lets_its_module_go() {
    let (control, system) = runtime();
    let (process, fixture) = (Process::new(), Fixture::new(OLD));
    authorize(&control, &process, FILE);
    attach(&control, &fixture, (5, RANDOM_ID, &NoSettings)).unwrap();
    load_module(&control, &process).unwrap();
    load_programs(&control, &process).unwrap();
    process.end(&control);
    let unload = Asked::Unload(b"s\0v\0c\0".to_vec());
    assert_eq!(system.take().last(), Some(&unload));
    assert_eq!(control.object_count(), 0);
    assert_eq!(control.detach_module(5), Detached::Now);
}

/// Stopping the driver ends its effect at once; its code stays until the last handle is closed.
#[test]
fn detaching_waits_for_those_who_hold_programs() {
    let (control, system) = runtime();
    let (process, fixture) = (Process::new(), Fixture::new(NEW));
    authorize(&control, &process, FILE);
    attach(&control, &fixture, (5, RANDOM_ID, &NoSettings)).unwrap();
    load_module(&control, &process).unwrap();
    let handles = load_programs(&control, &process).unwrap();
    link(&control, &process, handles[3]).unwrap();
    assert_eq!(invoke(&control), [77]);
    system.take();
    assert_eq!(control.detach_module(5), Detached::Later);
    assert_eq!(invoke(&control), []);
    assert_eq!(system.take(), []);
    close(&control, &process, handles[3]).unwrap();
    assert_eq!(system.take(), [], "the other program is still held");
    process.end(&control);
    assert_eq!(system.take(), [Asked::Gone(5)]);
    assert_eq!(control.object_count(), 0);
}

#[test]
fn maps_pinned_by_name_are_shared_between_loads() {
    let (control, _) = runtime();
    let (process, fixture) = (Process::new(), Fixture::new(NEW));
    // map_entry: the definition at 40, pinning at 20 in it.
    fixture.patch(fixture.answers.maps.0 + 60, &1u32.to_le_bytes());
    attach_plain(&control, &fixture).unwrap();
    invoke(&control);
    assert_eq!(control.detach_module(1), Detached::Now);
    assert_eq!(control.object_count(), 1, "the pin keeps the map");
    attach_plain(&control, &fixture).unwrap();
    invoke(&control);
    let map = map_by_name(&control, &process, "counters");
    assert_eq!(value(&control, &process, map, 1), 2);
    assert_eq!(control.detach_module(1), Detached::Now);

    // Another shape under the same name is refused, and leaves nothing.
    let other = Fixture::new(NEW);
    other.patch(other.answers.maps.0 + 60, &1u32.to_le_bytes());
    other.patch(other.answers.maps.0 + 52, &3u32.to_le_bytes());
    let error = attach_plain(&control, &other).unwrap_err();
    assert_eq!(error.status(), Status::InvalidArgument);
    process.end(&control);
    assert_eq!(control.object_count(), 1);
    control.shut_down();
    assert_eq!(control.object_count(), 0);
}

/// An application names the folder of the pins; older ones leave it out, and mean none.
#[test]
fn maps_are_pinned_below_the_path_of_the_message() {
    let (control, _) = runtime();
    for (root, path) in [
        (&b""[..], &b"BPF:\\counters"[..]),
        (b"BPF:\\mine", b"BPF:\\mine\\counters"),
        (b"/sys/../mine/deep/", b"BPF:\\mine\\deep\\counters"),
    ] {
        let (process, fixture) = (Process::new(), Fixture::new(NEW));
        fixture.patch(fixture.answers.maps.0 + 60, &1u32.to_le_bytes());
        authorize(&control, &process, FILE);
        attach(&control, &fixture, (5, RANDOM_ID, &NoSettings)).unwrap();
        load_module(&control, &process).unwrap();
        for wrong in [&b"a:b"[..], b"..", &[b'a'; 300]] {
            let refused = load_programs_below(&control, &process, wrong);
            assert_eq!(refused.err(), Some(Status::InvalidArgument));
        }
        load_programs_below(&control, &process, root).unwrap();
        ask(&control, &process, &Request::GetPinnedObject { path }).unwrap();
        process.end(&control);
        assert_eq!(control.detach_module(5), Detached::Now);
        let last = Process::new();
        let invalid = Handle(u64::MAX);
        let unpin = Request::UpdatePinning {
            handle: invalid,
            path,
        };
        ask(&control, &last, &unpin).unwrap();
        last.end(&control);
        assert_eq!(control.object_count(), 0, "nothing else was pinned");
    }
}

/// A hook that takes one program: the second module is refused whole.
#[test]
fn a_module_that_cannot_be_attached_leaves_nothing() {
    let (core, _) = core();
    let hooks = vec![Hook::new(xdp(), Capacity::One)];
    let control = Control::new(core, hooks, &NoExtensions);
    let fixture = Fixture::new(NEW);
    attach_plain(&control, &fixture).unwrap();
    let objects = control.object_count();
    let other = module_id_of_hash([1; 32]);
    let error = attach(&control, &fixture, (2, other, &NoSettings)).unwrap_err();
    assert_eq!(error.status(), Status::ObjectAlreadyExists);
    assert_eq!(control.object_count(), objects);
    assert_eq!(invoke(&control), [77]);
    assert_eq!(control.detach_module(1), Detached::Now);
    assert_eq!(control.object_count(), 0);
}

#[test]
fn two_modules_run_beside_each_other() {
    let (control, _) = runtime();
    let (first, second) = (Fixture::new(OLD), Fixture::new(NEW));
    attach_plain(&control, &first).unwrap();
    let other = module_id_of_hash([1; 32]);
    attach(&control, &second, (2, other, &NoSettings)).unwrap();
    assert_eq!(invoke(&control), [77, 77]);
    assert_eq!(control.detach_module(1), Detached::Now);
    assert_eq!(invoke(&control), [77]);
    assert_eq!(control.detach_module(2), Detached::Now);
    assert_eq!(invoke(&control), []);
}

#[test]
fn a_reply_without_room_gives_everything_up() {
    let (control, system) = runtime();
    let (process, fixture) = (Process::new(), Fixture::new(NEW));
    authorize(&control, &process, FILE);
    attach(&control, &fixture, (5, RANDOM_ID, &NoSettings)).unwrap();
    let (module, ..) = load_module(&control, &process).unwrap();
    let request = Request::LoadNativePrograms {
        module_id: RANDOM_ID,
        pin_root_path: &[],
    };
    let mut input = [0; 64];
    let length = request.encode(&mut input).unwrap();
    let refused = control.serve(&process, &input[..length], &mut [0; 40]);
    assert_eq!(refused, Err(Status::InsufficientBuffer));
    assert_eq!(process.handles.borrow().len(), 1);
    assert_eq!(control.object_count(), 1);
    *process.exhausted.borrow_mut() = true;
    assert_eq!(
        load_programs(&control, &process).err(),
        Some(Status::NoMemory)
    );
    assert_eq!(control.object_count(), 1);
    *process.exhausted.borrow_mut() = false;
    assert_eq!(load_programs(&control, &process).unwrap().len(), 5);
    assert!(process.object(module).is_some());
    process.end(&control);
    assert!(matches!(system.take().last(), Some(Asked::Unload(_))));
}
