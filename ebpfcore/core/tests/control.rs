//! Control messages: what user mode asks, end to end, and what hostile messages do.
#![expect(unsafe_code, reason = "invokes programs on contexts in memory")]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

#[path = "support/device.rs"]
mod device;
mod support;

use abi::ioctl::{Handle, Kind, MapDefinition, Operation, Reply, Request, TABLE};
use device::*;
use ebpfcore::{
    Status,
    control::{Client, Control, Shell},
};
use std::{collections::BTreeMap, sync::Mutex};
use support::Random;

#[test]
fn maps_live_as_long_as_their_handles() {
    let (control, process) = (control(), Process::new());
    let handle = create_map(&control, &process, 1, [4, 8, 10]);
    let update = |key: u32, value: u64, option| {
        let data = [&key.to_le_bytes()[..], &value.to_le_bytes()].concat();
        let data = &data;
        ask(
            &control,
            &process,
            &Request::MapUpdateElement {
                handle,
                option,
                data,
            },
        )
        .map(drop)
    };
    assert_eq!(update(1, 10, 0), Ok(()));
    assert_eq!(update(1, 11, 1), Err(Status::KeyAlreadyExists));
    assert_eq!(update(2, 20, 2), Err(Status::KeyNotFound));
    assert_eq!(update(2, 20, 7), Err(Status::InvalidArgument));
    assert_eq!(update(2, 20, 1), Ok(()));

    let find = |key: u32, find_and_delete| {
        let key = &key.to_le_bytes();
        let request = Request::MapFindElement {
            handle,
            find_and_delete,
            key,
        };
        ask(&control, &process, &request).map(|bytes| reply!(bytes, MapFindElement, value))
    };
    assert_eq!(find(1, false), Ok(10u64.to_le_bytes().to_vec()));
    assert_eq!(find(2, true), Ok(20u64.to_le_bytes().to_vec()));
    assert_eq!(find(2, false), Err(Status::KeyNotFound));

    let request = Request::MapGetNextKey {
        handle,
        previous_key: &[],
    };
    let bytes = ask(&control, &process, &request).unwrap();
    assert_eq!(reply!(bytes, MapGetNextKey, next_key), 1u32.to_le_bytes());
    let request = Request::MapGetNextKey {
        handle,
        previous_key: &1u32.to_le_bytes(),
    };
    assert_eq!(ask(&control, &process, &request), Err(Status::NoMoreKeys));

    let bytes = ask(&control, &process, &Request::GetNextMapId { start_id: 0 }).unwrap();
    let id = reply!(bytes, GetNextMapId, next_id);
    let bytes = ask(&control, &process, &Request::GetMapHandleById { id }).unwrap();
    let second = reply!(bytes, GetMapHandleById, handle);
    assert_eq!(
        ask(&control, &process, &Request::GetProgramHandleById { id }),
        Err(Status::ObjectNotFound)
    );
    assert_eq!(close(&control, &process, handle), Ok(()));
    assert_eq!(close(&control, &process, handle), Err(Status::InvalidFd));
    assert_eq!(control.object_count(), 1);
    let bytes = ask(
        &control,
        &process,
        &Request::GetObjectInfo {
            handle: second,
            info: &[],
        },
    );
    let info = reply!(bytes.unwrap(), GetObjectInfo, info);
    assert_eq!(info.len(), 96);
    let numbers: Vec<u32> = info[..20]
        .chunks(4)
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        .collect();
    assert_eq!(numbers, [id, 1, 4, 8, 10]);
    assert_eq!(&info[20..22], b"m\0");
    process.end(&control);
    assert_eq!(control.object_count(), 0);
}

/// How often a program ran, and its maps: what the runtime tells who asks with more room.
fn details(control: &Control, process: &Process, handle: Handle) -> (u64, Vec<u32>) {
    let request = Request::GetObjectInfo {
        handle,
        info: &[0; 4096],
    };
    let info = reply!(
        ask(control, process, &request).unwrap(),
        GetObjectInfo,
        info
    );
    let (runs, maps) = info[128..].split_first_chunk().unwrap();
    let maps = maps
        .chunks(4)
        .map(|id| u32::from_le_bytes(id.try_into().unwrap()));
    (u64::from_le_bytes(*runs), maps.collect())
}

#[test]
fn batches_go_through_a_whole_map() {
    let (control, process) = (control(), Process::new());
    let handle = create_map(&control, &process, 1, [4, 4, 100]);
    let data: Vec<u8> = (0..60u32)
        .flat_map(|key| [key, key * key])
        .flat_map(u32::to_le_bytes)
        .collect();
    let request = Request::MapUpdateElementBatch {
        handle,
        option: 0,
        data: &data,
    };
    let bytes = ask(&control, &process, &request).unwrap();
    assert_eq!(
        reply!(bytes, MapUpdateElementBatch, count_of_elements_processed),
        60
    );
    // Seven pairs and a little room at a time.
    let mut found = BTreeMap::new();
    let mut previous: Vec<u8> = Vec::new();
    loop {
        let request = Request::MapGetNextKeyValueBatch {
            handle,
            find_and_delete: false,
            previous_key: &previous,
        };
        let mut input = [0; 64];
        let length = request.encode(&mut input).unwrap();
        let mut output = [0; 8 + 7 * 8 + 3];
        let Ok(length) = control.serve(&process, &input[..length], &mut output) else {
            break;
        };
        let pairs = reply!(output[..length], MapGetNextKeyValueBatch, data);
        for pair in pairs.chunks(8) {
            let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
            found.insert(number(&pair[..4]), number(&pair[4..]));
            previous = pair[..4].to_vec();
        }
    }
    assert_eq!(found, (0..60).map(|key| (key, key * key)).collect());
    let keys: Vec<u8> = (10..20u32).flat_map(u32::to_le_bytes).collect();
    let request = Request::MapDeleteElementBatch {
        handle,
        keys: &keys,
    };
    let bytes = ask(&control, &process, &request).unwrap();
    assert_eq!(
        reply!(bytes, MapDeleteElementBatch, count_of_elements_processed),
        10
    );
    let request = Request::MapGetNextKeyValueBatch {
        handle,
        find_and_delete: true,
        previous_key: &[],
    };
    let bytes = ask(&control, &process, &request).unwrap();
    assert_eq!(reply!(bytes, MapGetNextKeyValueBatch, data).len(), 50 * 8);
    assert_eq!(ask(&control, &process, &request), Err(Status::NoMoreKeys));
}

/// Notes whether the hook is used, and cannot call it when told so.
#[derive(Default)]
struct Filters {
    used: Mutex<Vec<bool>>,
    refuses: Mutex<bool>,
}

impl Shell for Filters {
    fn links_changed(&self, control: &Control) -> Result<(), Status> {
        let is_used = !control.hooks()[0].is_idle(control.core());
        self.used.lock().unwrap().push(is_used);
        match *self.refuses.lock().unwrap() {
            true => Err(Status::Failed),
            false => Ok(()),
        }
    }
}

#[test]
fn the_shell_learns_which_hooks_are_used() {
    let filters: &'static Filters = Box::leak(Box::default());
    let (control, process) = (control().with_shell(filters), Process::new());
    let program = create_program(&control, &process, xdp().program_type.guid);
    load(&control, &process, program, "r0 = 2\nexit").unwrap();
    let attached = link(&control, &process, program).unwrap();
    close(&control, &process, attached).unwrap();
    assert_eq!(*filters.used.lock().unwrap(), [true, false]);
    *filters.refuses.lock().unwrap() = true;
    let objects = control.object_count();
    assert_eq!(link(&control, &process, program), Err(Status::Failed));
    assert_eq!(control.object_count(), objects);
    assert_eq!(invoke(&control), []);
    *filters.refuses.lock().unwrap() = false;
    link(&control, &process, program).unwrap();
    assert_eq!(invoke(&control), [2]);
}

#[test]
fn a_program_is_verified_attached_and_detached() {
    let (control, process) = (control(), Process::new());
    let map = create_map(&control, &process, 2, [4, 8, 1]);
    let program = create_program(&control, &process, xdp().program_type.guid);
    assert_eq!(link(&control, &process, program), Err(Status::InvalidState));
    load(&control, &process, program, &counting(map)).unwrap();
    assert_eq!(
        load(&control, &process, program, &counting(map)),
        Err(Status::InvalidState)
    );
    assert_eq!(invoke(&control), []);
    let attached = link(&control, &process, program).unwrap();
    assert_eq!(invoke(&control), [1]);
    assert_eq!(invoke(&control), [1]);
    let request = Request::MapFindElement {
        handle: map,
        find_and_delete: false,
        key: &[0; 4],
    };
    let bytes = ask(&control, &process, &request).unwrap();
    assert_eq!(reply!(bytes, MapFindElement, value), 2u64.to_le_bytes());

    let bytes = ask(
        &control,
        &process,
        &Request::GetObjectInfo {
            handle: program,
            info: &[],
        },
    );
    let info = reply!(bytes.unwrap(), GetObjectInfo, info);
    assert_eq!(&info[24..29], b"prog\0");
    assert_eq!((info[8], info[124]), (1, 1), "one map, one link");
    assert_eq!(info.len(), 128, "no more than eBPF for Windows tells");
    assert_eq!(
        details(&control, &process, program),
        (2, vec![process.handles.borrow()[&map.0]])
    );
    let bytes = ask(
        &control,
        &process,
        &Request::QueryProgramInfo { handle: program },
    )
    .unwrap();
    assert_eq!(reply!(bytes, QueryProgramInfo, data), b"xdp");

    // The program stays as long as its link; the map as long as the program.
    close(&control, &process, program).unwrap();
    close(&control, &process, map).unwrap();
    assert_eq!(control.object_count(), 3);
    assert_eq!(invoke(&control), [1]);
    close(&control, &process, attached).unwrap();
    assert_eq!(invoke(&control), []);
    assert_eq!(control.object_count(), 0);
}

#[test]
fn unsafe_bytecode_is_refused_with_the_verifiers_text() {
    let (control, process) = (control(), Process::new());
    let program = create_program(&control, &process, xdp().program_type.guid);
    let unsafe_load = "r1 = *(u64 *)(r1 + 0)\nr0 = *(u8 *)(r1 + 0)\nexit";
    assert_eq!(
        load(&control, &process, program, unsafe_load),
        Err(Status::VerificationFailed)
    );
    let id = process.object(program).unwrap();
    let log = control.verifier_log(id).unwrap();
    assert!(log.contains("BN02"), "{log}");
    // The process reads it as well, in place of the name of a file.
    let query = Request::QueryProgramInfo { handle: program };
    let bytes = ask(&control, &process, &query).unwrap();
    assert_eq!(reply!(bytes, QueryProgramInfo, code_type), 0);
    let section = usize::from(reply!(bytes, QueryProgramInfo, section_name_offset));
    assert_eq!(bytes[16..section], *log.as_bytes());
    assert_eq!(bytes[section..], *b"xdp");
    // The program can still get better code.
    load(&control, &process, program, "r0 = 1\nexit").unwrap();
    assert_eq!(control.verifier_log(id).as_deref(), Some(""));
    let bytes = ask(&control, &process, &query).unwrap();
    assert_eq!(reply!(bytes, QueryProgramInfo, section_name_offset), 16);
    // A map is named by a handle of this process, not by any number.
    let other = create_program(&control, &process, xdp().program_type.guid);
    let foreign = counting(Handle(0x7777));
    assert_eq!(
        load(&control, &process, other, &foreign),
        Err(Status::InvalidFd)
    );
    assert_eq!(
        load(&control, &process, other, &counting(program)),
        Err(Status::InvalidFd)
    );
}

#[test]
fn a_link_can_outlive_its_handle_until_it_is_detached() {
    let (control, process) = (control(), Process::new());
    let program = create_program(&control, &process, xdp().program_type.guid);
    load(&control, &process, program, "r0 = 2\nexit").unwrap();
    let attached = link(&control, &process, program).unwrap();
    ask(
        &control,
        &process,
        &Request::LinkSetLegacyMode {
            link_handle: attached,
        },
    )
    .unwrap();
    close(&control, &process, attached).unwrap();
    assert_eq!(invoke(&control), [2]);
    let unlink = |attach_data_present, data| Request::UnlinkProgram {
        link_handle: Handle::INVALID,
        program_handle: program,
        attach_type: xdp().guid,
        attach_data_present,
        data,
    };
    let wrong = ask(&control, &process, &unlink(true, &[8, 0, 0, 0]));
    assert_eq!(wrong, Err(Status::ObjectNotFound));
    ask(&control, &process, &unlink(true, &[7, 0, 0, 0])).unwrap();
    assert_eq!(invoke(&control), []);
    let again = ask(&control, &process, &unlink(false, &[]));
    assert_eq!(again, Err(Status::ObjectNotFound));
    process.end(&control);
    assert_eq!(control.object_count(), 0);
}

#[test]
fn pins_keep_objects_alive_without_a_process() {
    let (control, process) = (control(), Process::new());
    let map = create_map(&control, &process, 2, [4, 8, 1]);
    let pin = |handle, path: &str| {
        let path = path.as_bytes();
        ask(&control, &process, &Request::UpdatePinning { handle, path }).map(drop)
    };
    assert_eq!(pin(map, "/ebpf/global/m"), Ok(()));
    assert_eq!(pin(map, r"BPF:\m"), Err(Status::ObjectAlreadyExists));
    assert_eq!(pin(map, "c:/m"), Err(Status::InvalidArgument));
    process.end(&control);
    assert_eq!(control.object_count(), 1);

    let later = Process::new();
    let bytes = ask(&control, &later, &Request::GetPinnedObject { path: b"m" }).unwrap();
    let handle = reply!(bytes, GetPinnedObject, handle);
    let request = Request::GetNextPinnedObjectPath {
        object_type: 0,
        start_path: b"",
    };
    let bytes = ask(&control, &later, &request).unwrap();
    assert_eq!(
        reply!(bytes, GetNextPinnedObjectPath, next_path),
        br"BPF:\m"
    );
    let request = Request::GetNextPinnedProgramPath { start_path: b"" };
    assert_eq!(ask(&control, &later, &request), Err(Status::NoMoreKeys));
    assert_eq!(pin(Handle::INVALID, "m"), Ok(()));
    assert_eq!(pin(Handle::INVALID, "m"), Err(Status::KeyNotFound));
    assert_eq!(control.object_count(), 1);
    close(&control, &later, handle).unwrap();
    assert_eq!(control.object_count(), 0);
}

/// A program array that holds the program which uses it is a cycle; it ends with the last handle.
#[test]
fn a_cycle_through_a_program_array_ends_with_its_last_user() {
    let (control, process) = (control(), Process::new());
    let array = create_map(&control, &process, 3, [4, 4, 4]);
    let program = create_program(&control, &process, xdp().program_type.guid);
    let text = format!("r2 = map_fd({}) ll\nr3 = 1\ncall 5\nr0 = 1\nexit", array.0);
    load(&control, &process, program, &text).unwrap();
    let put = Request::MapUpdateElementWithHandle {
        map_handle: array,
        value_handle: program,
        option: 0,
        key: &[1, 0, 0, 0],
    };
    ask(&control, &process, &put).unwrap();
    close(&control, &process, program).unwrap();
    assert_eq!(control.object_count(), 2);
    close(&control, &process, array).unwrap();
    assert_eq!(control.object_count(), 0);
}

#[test]
fn maps_of_maps_hold_what_is_put_into_them() {
    let (control, process) = (control(), Process::new());
    let inner = create_map(&control, &process, 2, [4, 8, 1]);
    let refused = try_create_map(&control, &process, 7, [4, 4, 2], Handle::INVALID);
    assert_eq!(refused, Err(Status::InvalidObject));
    let outer = try_create_map(&control, &process, 7, [4, 4, 2], inner).unwrap();
    let put = |value_handle| Request::MapUpdateElementWithHandle {
        map_handle: outer,
        value_handle,
        option: 0,
        key: &[1, 0, 0, 0],
    };
    ask(&control, &process, &put(inner)).unwrap();
    let other = create_map(&control, &process, 2, [4, 16, 1]);
    assert_eq!(
        ask(&control, &process, &put(other)),
        Err(Status::InvalidObject)
    );
    close(&control, &process, inner).unwrap();
    assert_eq!(control.object_count(), 3);
    ask(&control, &process, &put(Handle::INVALID)).unwrap();
    assert_eq!(control.object_count(), 2);
}

#[test]
fn only_the_privileged_load_code() {
    let control = control();
    let process = Process {
        privileged: false,
        ..Process::new()
    };
    let program = create_program(&control, &process, xdp().program_type.guid);
    assert_eq!(
        load(&control, &process, program, "r0 = 1\nexit"),
        Err(Status::AccessDenied)
    );
}

#[test]
fn what_cannot_be_answered_is_not_left_behind() {
    let (control, process) = (control(), Process::new());
    *process.exhausted.borrow_mut() = true;
    let refused = try_create_map(&control, &process, 2, [4, 8, 1], Handle::INVALID);
    assert_eq!(refused, Err(Status::NoMemory));
    assert_eq!(control.object_count(), 0);
    *process.exhausted.borrow_mut() = false;
    // No room for the handle in the reply.
    let request = Request::CreateMap {
        definition: MapDefinition {
            map_type: 2,
            key_size: 4,
            value_size: 8,
            max_entries: 1,
            ..MapDefinition::default()
        },
        inner_map_handle: Handle::INVALID,
        data: b"m",
    };
    let mut input = [0; 64];
    let length = request.encode(&mut input).unwrap();
    let refused = control.serve(&process, &input[..length], &mut [0; 15]);
    assert_eq!(refused, Err(Status::InsufficientBuffer));
    assert_eq!(control.object_count(), 0);
    assert!(process.handles.borrow().is_empty());
}

/// All operations are served but those that ask for addresses of the kernel, to make code of them.
#[test]
fn every_operation_is_served_or_forbidden() {
    let forbidden = [
        Operation::ResolveHelper,
        Operation::ResolveMap,
        Operation::GetEcFunction,
    ];
    let (control, process) = (control(), Process::new());
    for row in TABLE {
        let message = message(row, &mut |kind| kind.size().unwrap_or(8), &mut Random(1));
        let answer = control.serve(&process, &message, &mut [0; 256]);
        assert_ne!(answer, Err(Status::OperationNotSupported), "{}", row.name);
        assert_eq!(
            answer == Err(Status::BlockedByPolicy),
            forbidden.contains(&row.operation),
            "{}: {answer:?}",
            row.name
        );
    }
}

/// Random messages that follow the table, with handles, types and sizes that often exist.
#[test]
fn random_messages_do_no_harm() {
    let (control, process) = (control(), Process::new());
    let mut random = Random(7);
    let mut answered = 0;
    for round in 0..60_000u32 {
        let row = &TABLE[random.below(TABLE.len() as u64) as usize];
        let tail = random.below(40) as usize;
        let mut input = message(row, &mut |kind| kind.size().unwrap_or(tail), &mut random);
        if random.below(16) == 0 {
            let at = random.below(input.len() as u64) as usize;
            input[at] = random.next() as u8;
        }
        let mut output = vec![0; random.below(200) as usize];
        answered += u32::from(control.serve(&process, &input, &mut output).is_ok());
        if round % 500 == 0 {
            invoke(&control);
        }
        if control.object_count() > 64 {
            process.end(&control);
            control.shut_down();
            assert_eq!(control.object_count(), 0, "round {round}");
        }
    }
    process.end(&control);
    control.shut_down();
    assert_eq!(control.object_count(), 0);
    assert!(answered > 3_000, "only {answered} messages were answered");
}

/// A message of a row with fields that are plausible.
fn message(
    row: &abi::ioctl::Row,
    size: &mut dyn FnMut(Kind) -> usize,
    random: &mut Random,
) -> Vec<u8> {
    let layout = &row.request;
    let tail = layout
        .tail()
        .map_or(0, |tail| size(tail.kind).next_multiple_of(4));
    let length = layout
        .tail()
        .map_or(layout.size, |field| field.offset + tail);
    let mut bytes = vec![0; length];
    bytes[..2].copy_from_slice(&(length as u16).to_le_bytes());
    bytes[4..8].copy_from_slice(&(row.operation as u32).to_le_bytes());
    for field in layout.fields {
        let value: Vec<u8> = match field.kind {
            Kind::Handle => match random.below(8) {
                0 => Handle::INVALID.0.to_le_bytes().to_vec(),
                _ => (0x44 + 4 * random.below(64)).to_le_bytes().to_vec(),
            },
            Kind::Guid => match field.name {
                "attach_type" => xdp().guid.to_bytes().to_vec(),
                _ => xdp().program_type.guid.to_bytes().to_vec(),
            },
            Kind::Definition => {
                let words = [
                    random.below(16) as u32,
                    4,
                    4 + 4 * random.below(2) as u32,
                    1 + random.below(4) as u32,
                    0,
                    0,
                ];
                words.into_iter().flat_map(u32::to_le_bytes).collect()
            }
            Kind::U16 if field.name == "section_name_offset" => 28u16.to_le_bytes().to_vec(),
            Kind::U16 => 30u16.to_le_bytes().to_vec(),
            Kind::U32 => (random.below(4) as u32).to_le_bytes().to_vec(),
            Kind::Bytes if field.name == "code" => {
                isa::encode::program(&isa::asm::assemble("r0 = 1\nexit").unwrap()).unwrap()
            }
            kind => (0..kind.size().unwrap_or(tail))
                .map(|_| b'a' * u8::from(random.below(3) == 0))
                .collect(),
        };
        for (to, from) in bytes.iter_mut().skip(field.offset).zip(value) {
            *to = from;
        }
    }
    bytes
}
