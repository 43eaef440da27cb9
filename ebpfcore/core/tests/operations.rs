//! Operations beyond maps, programs and links: test runs, flags, bound maps, flattened information.
#![expect(unsafe_code, reason = "invokes programs on contexts in memory")]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

#[path = "support/device.rs"]
mod device;
mod support;

use abi::{
    Guid,
    ioctl::{Handle, Reply, Request},
};
use device::*;
use ebpfcore::{
    Status,
    control::{Client, CodeIntegrity, Control, Shell},
};
use std::sync::Mutex;

/// Adds 1 to the first byte of the packet and gives the length of the packet.
const TOUCH: &str = "r2 = *(u64 *)(r1 + 0)
     r3 = *(u64 *)(r1 + 8)
     r0 = 1
     r4 = r2
     r4 += 1
     if r4 > r3 goto +3
     r5 = *(u8 *)(r2 + 0)
     r5 += 1
     *(u8 *)(r2 + 0) = r5
     exit";

fn program(control: &Control, process: &Process, text: &str) -> Handle {
    let program = create_program(control, process, xdp().program_type.guid);
    load(control, process, program, text).unwrap();
    program
}

struct Run<'a> {
    repeat: u64,
    flags: u32,
    data: &'a [u8],
    context: &'a [u8],
}

const ONCE: Run<'static> = Run {
    repeat: 1,
    flags: 0,
    data: &[],
    context: &[],
};

/// Duration, result, data and context of a test run.
fn test_run(
    control: &Control,
    process: &Process,
    (program, run): (Handle, &Run<'_>),
) -> Result<(u64, u64, Vec<u8>, Vec<u8>), Status> {
    let data = [run.data, run.context].concat();
    let request = Request::ProgramTestRun {
        program_handle: program,
        repeat_count: run.repeat,
        flags: run.flags,
        cpu: 2,
        batch_size: 0,
        context_offset: run.data.len() as u16,
        data: &data,
    };
    let bytes = ask(control, process, &request)?;
    match Reply::decode(&bytes).unwrap() {
        Reply::ProgramTestRun {
            duration,
            return_value,
            context_offset,
            data,
        } => {
            let (data, context) = data.split_at(context_offset as usize);
            Ok((duration, return_value, data.to_vec(), context.to_vec()))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_test_run_changes_data_and_hides_addresses() {
    let (control, process) = (control(), Process::new());
    let program = program(&control, &process, TOUCH);
    let run = Run {
        repeat: 200,
        data: &[10, 20, 30],
        ..ONCE
    };
    let (_, result, data, context) = test_run(&control, &process, (program, &run)).unwrap();
    assert_eq!(result, 1);
    assert_eq!(data, [210, 20, 30]);
    assert_eq!(context, [0; 32], "pointers do not leave the kernel");

    // What a given context says beside its pointers is kept; what it says of pointers is not used.
    let given = Run {
        context: &[0xee; 32],
        ..ONCE
    };
    let (.., context) = test_run(&control, &process, (program, &given)).unwrap();
    assert_eq!(context[..24], [0; 24]);
    assert_eq!(context[24..], [0xee; 8]);
}

#[test]
fn a_test_run_that_makes_no_sense_is_refused() {
    let (control, process) = (control(), Process::new());
    let program = program(&control, &process, TOUCH);
    let refused = |run: &Run<'_>| test_run(&control, &process, (program, run)).err();
    let short = Run {
        context: &[0; 31],
        ..ONCE
    };
    assert_eq!(refused(&short), Some(Status::InvalidArgument));
    let flags = Run { flags: 2, ..ONCE };
    assert_eq!(refused(&flags), Some(Status::InvalidArgument));
    // No shell, no processors to choose from.
    let on_cpu = Run { flags: 1, ..ONCE };
    assert_eq!(refused(&on_cpu), Some(Status::OperationNotSupported));
    let draft = create_program(&control, &process, xdp().program_type.guid);
    let run = test_run(&control, &process, (draft, &ONCE));
    assert_eq!(run.err(), Some(Status::InvalidState));
    let map = create_map(&control, &process, 2, [4, 8, 1]);
    let run = test_run(&control, &process, (map, &ONCE));
    assert_eq!(run.err(), Some(Status::InvalidFd));

    // The context begins behind the data.
    let request = Request::ProgramTestRun {
        program_handle: program,
        repeat_count: 1,
        flags: 0,
        cpu: 0,
        batch_size: 1,
        context_offset: 9,
        data: &[0; 8],
    };
    assert_eq!(
        ask(&control, &process, &request),
        Err(Status::InvalidArgument)
    );
    // No room for the outcome: nothing runs.
    let request = Request::ProgramTestRun {
        program_handle: program,
        repeat_count: u64::MAX,
        flags: 0,
        cpu: 0,
        batch_size: 1,
        context_offset: 8,
        data: &[0; 8],
    };
    let mut input = [0; 64];
    let length = request.encode(&mut input).unwrap();
    let answer = control.serve(&process, &input[..length], &mut [0; 71]);
    assert_eq!(answer, Err(Status::InsufficientBuffer));
}

/// A process that gives up after it was asked three times.
struct Impatient<'a>(&'a Process, std::cell::Cell<u32>);

impl Client for Impatient<'_> {
    fn open(&self, id: u32) -> Result<Handle, Status> {
        self.0.open(id)
    }
    fn object(&self, handle: Handle) -> Option<u32> {
        self.0.object(handle)
    }
    fn close(&self, handle: Handle) -> Option<u32> {
        self.0.close(handle)
    }
    fn is_privileged(&self) -> bool {
        false
    }
    fn is_cancelled(&self) -> bool {
        let asked = self.1.get() + 1;
        self.1.set(asked);
        asked > 3
    }
}

#[test]
fn an_endless_test_run_ends_when_it_is_cancelled() {
    let (control, process) = (control(), Process::new());
    let map = create_map(&control, &process, 2, [4, 8, 1]);
    let program = program(&control, &process, &counting(map));
    let request = Request::ProgramTestRun {
        program_handle: program,
        repeat_count: u64::MAX,
        flags: 0,
        cpu: 0,
        batch_size: 10,
        context_offset: 0,
        data: &[],
    };
    let mut input = [0; 64];
    let length = request.encode(&mut input).unwrap();
    let impatient = Impatient(&process, 0.into());
    let answer = control.serve(&impatient, &input[..length], &mut [0; 256]);
    assert_eq!(answer, Err(Status::Canceled));
    let find = Request::MapFindElement {
        handle: map,
        find_and_delete: false,
        key: &[0; 4],
    };
    let value = reply!(
        ask(&control, &process, &find).unwrap(),
        MapFindElement,
        value
    );
    assert_eq!(value, 30u64.to_le_bytes(), "three batches of ten");
}

#[derive(Default)]
struct System(Mutex<Vec<Option<u32>>>);

impl Shell for System {
    fn stay_on(&self, cpu: Option<u32>) -> Result<(), Status> {
        self.0.lock().unwrap().push(cpu);
        Ok(())
    }
    fn code_integrity(&self) -> CodeIntegrity {
        CodeIntegrity {
            hypervisor: true,
            test_signing: false,
        }
    }
}

#[test]
fn a_test_run_stays_on_its_processor_and_lets_it_go() {
    let system: &'static System = Box::leak(Box::default());
    let (control, process) = (control().with_shell(system), Process::new());
    let good = program(&control, &process, TOUCH);
    let run = Run { flags: 1, ..ONCE };
    test_run(&control, &process, (good, &run)).unwrap();
    process.cancelled.set(true);
    let cancelled = test_run(&control, &process, (good, &run));
    assert_eq!(cancelled.err(), Some(Status::Canceled));
    assert_eq!(*system.0.lock().unwrap(), [Some(2), None, Some(2), None]);
    let bytes = ask(&control, &process, &Request::GetCodeIntegrityState {}).unwrap();
    assert_eq!(bytes[8..10], [1, 0]);
}

#[test]
fn bound_maps_and_flags_belong_to_a_program() {
    let (control, process) = (control(), Process::new());
    let map = create_map(&control, &process, 2, [4, 8, 1]);
    let program = program(&control, &process, TOUCH);
    let bind = Request::BindMap {
        program_handle: program,
        map_handle: map,
    };
    ask(&control, &process, &bind).unwrap();
    ask(&control, &process, &bind).unwrap();
    let info = Request::GetObjectInfo {
        handle: program,
        info: &[],
    };
    let info = reply!(ask(&control, &process, &info).unwrap(), GetObjectInfo, info);
    assert_eq!(info[8], 1, "one map, bound twice");
    let flags = Request::ProgramSetFlags {
        program_handle: program,
        flags: 0x1_0000_0002,
    };
    ask(&control, &process, &flags).unwrap();
    let id = process.object(program).unwrap();
    assert_eq!(control.program_flags(id), Some(0x1_0000_0002));
    let wrong = Request::ProgramSetFlags {
        program_handle: map,
        flags: 0,
    };
    assert_eq!(ask(&control, &process, &wrong), Err(Status::InvalidFd));

    close(&control, &process, map).unwrap();
    assert_eq!(control.object_count(), 2, "the program keeps its map");
    close(&control, &process, program).unwrap();
    assert_eq!(control.object_count(), 0);
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

#[test]
fn a_program_type_is_told_flat() {
    let (control, process) = (control(), Process::new());
    let request = |program_type, program_handle| Request::GetProgramInfo {
        program_type,
        program_handle,
    };
    let by_type = ask(
        &control,
        &process,
        &request(xdp().program_type.guid, Handle::INVALID),
    )
    .unwrap();
    let program = program(&control, &process, TOUCH);
    let by_program = ask(&control, &process, &request(Guid::default(), program)).unwrap();
    assert_eq!(by_type, by_program);
    let unknown = ask(
        &control,
        &process,
        &request(Guid::default(), Handle::INVALID),
    );
    assert_eq!(unknown, Err(Status::ExtensionFailedToLoad));

    let data = reply!(by_type, GetProgramInfo, data);
    assert_eq!(number(&by_type, 16), data.len() as u64);
    assert_eq!(number(&data, 0), 56 + 3);
    assert_eq!(data[56..59], *b"xdp");
    let helpers = &data[59..];
    assert_eq!(number(helpers, 0), helpers.len() as u64);
    let count = u32::from_le_bytes(helpers[8..12].try_into().unwrap());
    let mut rest = &helpers[12..];
    let mut names = Vec::new();
    for _ in 0..count {
        let (one, more) = rest.split_at(number(rest, 0) as usize);
        assert_eq!(number(one, 40) as usize, one.len() - 48);
        let id = u32::from_le_bytes(one[8..12].try_into().unwrap());
        names.push((id, String::from_utf8(one[48..].to_vec()).unwrap()));
        rest = more;
    }
    assert!(rest.is_empty());
    assert!(names.contains(&(1, "bpf_map_lookup_elem".into())));
    assert!(names.contains(&(65536, "bpf_xdp_adjust_head".into())));
    assert!(!names.iter().any(|(id, _)| *id == 26), "not for xdp");
}

#[test]
fn pinned_maps_are_told_flat() {
    let (control, process) = (control(), Process::new());
    for (name, entries) in [("b", 7), ("a/c", 9)] {
        let handle = create_map(&control, &process, 2, [4, 8, entries]);
        let path = name.as_bytes();
        ask(&control, &process, &Request::UpdatePinning { handle, path }).unwrap();
    }
    let program = program(&control, &process, TOUCH);
    let pin = Request::UpdatePinning {
        handle: program,
        path: b"aa",
    };
    ask(&control, &process, &pin).unwrap();
    let bytes = ask(&control, &process, &Request::GetPinnedMapInfo {}).unwrap();
    assert_eq!(reply!(bytes, GetPinnedMapInfo, map_count), 2);
    let data = reply!(bytes, GetPinnedMapInfo, data);
    let words = |at: usize| -> Vec<u32> {
        let words = data[at..at + 24].chunks(4);
        words
            .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
            .collect()
    };
    assert_eq!(words(0), [2, 4, 8, 9, 0, 1]);
    assert_eq!(data[24..26], [8, 0]);
    assert_eq!(data[26..34], *br"BPF:\a\c");
    assert_eq!(words(34), [2, 4, 8, 7, 0, 1]);
    assert_eq!(data[60..], *br"BPF:\b");
}

/// A map of maps tells which map its own are made like, also when that one is gone.
#[test]
fn the_template_of_inner_maps_is_told() {
    let (control, process) = (control(), Process::new());
    let info = |handle| {
        let bytes = ask(
            &control,
            &process,
            &Request::GetObjectInfo { handle, info: &[] },
        )
        .unwrap();
        let info = reply!(bytes, GetObjectInfo, info);
        [0, 88].map(|at| u32::from_le_bytes(info[at..at + 4].try_into().unwrap()))
    };
    let inner = create_map(&control, &process, 2, [4, 8, 7]);
    let [inner_id, none] = info(inner);
    assert_eq!(none, 0);
    // Hash of maps, array of maps; a plain map has no use for a template.
    for (kind, expected) in [(6, inner_id), (7, inner_id), (2, 0)] {
        let outer = try_create_map(&control, &process, kind, [4, 4, 2], inner).unwrap();
        assert_eq!(info(outer)[1], expected, "type {kind}");
    }
    let outer = try_create_map(&control, &process, 7, [4, 4, 2], inner).unwrap();
    close(&control, &process, inner).unwrap();
    assert_eq!(info(outer)[1], inner_id);
}
