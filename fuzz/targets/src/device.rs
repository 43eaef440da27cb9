//! Target of the runtime's device: any sequence of messages from two processes.
//!
//! An input is messages one after the other. Two bytes of a message's header that the protocol does
//! not use say how much room the answer has and which process asks. Messages that would make large
//! maps are passed over; that memory runs out is tried elsewhere. What must hold: no message harms,
//! an answer is a well-formed answer to its question, and when both processes have ended and the
//! pins are gone, no object is left. What is left out: native modules, which are code.

use crate::outcome;
use abi::{
    Platform as Numbering,
    ioctl::{self, Handle, MapDefinition, Reply, Request},
    program_type::by_section,
};
use ebpfcore::{
    Core, Hook, Platform, Status,
    control::{Client, Control, Pages},
    helper::NoExtensions,
    link::Capacity,
};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// First handle of a process, and the distance to the next one.
const FIRST: u64 = 0x44;
const STEP: u64 = 4;
/// Largest product of sizes of a map.
const MAP_BYTES: u64 = 1 << 20;
/// How often a process is asked before it cancels its request.
const PATIENCE: u32 = 3;

/// A machine with two processors on which time passes with each look at the clock.
pub(crate) struct Machine;

impl Platform for Machine {
    fn cpu_count(&self) -> u32 {
        2
    }
    fn current_cpu(&self) -> u32 {
        1
    }
    fn raise_irql(&self) -> u8 {
        0
    }
    fn lower_irql(&self, _level: u8) {}
    fn relax(&self) {
        std::thread::yield_now();
    }
    fn ktime_ns(&self) -> u64 {
        thread_local! {
            static NOW: Cell<u64> = const { Cell::new(0) };
        }
        let now = NOW.get().wrapping_add(1000);
        NOW.set(now);
        now
    }
    fn boot_ns(&self) -> u64 {
        self.ktime_ns()
    }
    fn random_u32(&self) -> u32 {
        0x9e37_79b9
    }
    fn pid_tid(&self) -> (u32, u32) {
        (4, 8)
    }
    fn logon_id(&self) -> u64 {
        0
    }
    fn is_admin(&self) -> i32 {
        1
    }
    fn process_start_key(&self) -> u64 {
        1
    }
    fn thread_create_time(&self) -> i64 {
        1
    }
    fn trace(&self, _line: &[u8]) {}
}

pub(crate) static MACHINE: Machine = Machine;

/// A process.
#[derive(Default)]
struct Process {
    handles: RefCell<BTreeMap<u64, u32>>,
    opened: Cell<u64>,
    asked: Cell<u32>,
    tickets: Cell<u64>,
}

impl Process {
    fn end(&self, control: &Control) {
        for ticket in 1..=self.tickets.get() {
            let _ = control.cancel(ticket);
        }
        let handles = self.handles.take();
        handles
            .into_values()
            .for_each(|id| control.handle_closed(id));
    }
}

impl Client for Process {
    fn open(&self, id: u32) -> Result<Handle, Status> {
        let handle = FIRST + self.opened.get() * STEP;
        self.opened.set(self.opened.get() + 1);
        self.handles.borrow_mut().insert(handle, id);
        Ok(Handle(handle))
    }
    fn object(&self, handle: Handle) -> Option<u32> {
        self.handles.borrow().get(&handle.0).copied()
    }
    fn close(&self, handle: Handle) -> Option<u32> {
        self.handles.borrow_mut().remove(&handle.0)
    }
    fn is_privileged(&self) -> bool {
        true
    }
    fn pend(&self) -> Option<u64> {
        self.tickets.set(self.tickets.get() + 1);
        Some(self.tickets.get())
    }
    fn is_cancelled(&self) -> bool {
        self.asked.set(self.asked.get() + 1);
        self.asked.get() > PATIENCE
    }
    fn share(&self, pages: Pages) -> Result<u64, Status> {
        assert!(pages.address.is_multiple_of(4096) && pages.bytes.is_multiple_of(4096));
        Ok(0x10_0000)
    }
}

/// Serves the messages of an input.
pub(crate) fn device(data: &[u8]) -> String {
    let Ok(core) = Core::new(&MACHINE) else {
        return "no memory".to_owned();
    };
    let hooks = ["xdp", "bind", "cgroup/connect4"]
        .into_iter()
        .filter_map(|section| {
            let attach_type = by_section(Numbering::Windows, section)?;
            Some(Hook::new(attach_type, Capacity::Many))
        });
    let control = Control::new(core, hooks.collect(), &NoExtensions);
    let processes = [Process::default(), Process::default()];
    let mut outcomes = BTreeSet::new();
    let mut rest = data;
    while let Some(message) = next_message(&mut rest) {
        let number = message.get(4..8).and_then(|id| id.try_into().ok());
        let number = number.map_or(u32::MAX, u32::from_le_bytes);
        let answer = serve(&control, &processes, message);
        let kind = answer.err().map_or(0, Status::number);
        outcomes.insert((number.min(64), kind));
    }
    processes.iter().for_each(|process| process.end(&control));
    control.shut_down();
    assert_eq!(control.object_count(), 0, "objects are left");
    let mut text = String::new();
    for (number, kind) in outcomes {
        // Letters, because numbers do not count in the name of an outcome.
        let letter = |number: u32| char::from_u32(0x100 + number).unwrap_or('?');
        let _ = write!(text, "{}{}", letter(number), letter(kind.unsigned_abs()));
    }
    outcome(&text)
}

/// The next message, as long as its header says, at least a header.
fn next_message<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = rest
        .first_chunk::<2>()
        .map(|bytes| u16::from_le_bytes(*bytes))?;
    let length = usize::from(length).max(ioctl::HEADER_BYTES).min(rest.len());
    let (message, later) = rest.split_at(length);
    *rest = later;
    Some(message)
}

fn serve(control: &Control, processes: &[Process; 2], message: &[u8]) -> Result<(), Status> {
    let (room, who) = match message {
        [_, _, room, who, ..] => (*room, usize::from(*who & 1)),
        _ => (0, 0),
    };
    let process = &processes[who];
    process.asked.set(0);
    let request = Request::decode(message);
    if let Ok(Request::CreateMap { definition, .. }) = request
        && is_large(&definition)
    {
        return Err(Status::NoMemory);
    }
    let mut output = vec![0xa5; if room == 0 { 0xffff } else { usize::from(room) }];
    let answer = control.serve(process, message, &mut output);
    let untouched = output.get(answer.unwrap_or(0)..).unwrap_or_default();
    assert!(untouched.iter().all(|byte| *byte == 0xa5), "wrote more");
    let length = answer?;
    let Ok(request) = request else {
        panic!("a malformed message was answered");
    };
    let answer = output.get(..length).unwrap_or_default();
    let row = ioctl::row(request.operation() as u32);
    if row.is_some_and(|row| row.reply.is_some()) {
        let reply = Reply::decode(answer);
        let operation = reply.map(|reply| reply.operation());
        assert_eq!(operation, Ok(request.operation()), "{answer:02x?}");
    } else {
        assert!(answer.is_empty(), "an answer that nobody expects");
    }
    Ok(())
}

fn is_large(map: &MapDefinition) -> bool {
    let element = u64::from(map.key_size) + u64::from(map.value_size) + 64;
    element.saturating_mul(u64::from(map.max_entries)) > MAP_BYTES
}

/// Sequences of messages that make sense, and one of every operation.
pub(crate) fn seeds() -> Result<Vec<Vec<u8>>, String> {
    let mut seeds = vec![
        join(&map_messages())?,
        join(&program_messages()?)?,
        join(&ring_messages())?,
    ];
    for row in ioctl::TABLE {
        let mut message = vec![0; row.request.size.max(row.request.least())];
        let length = u16::try_from(message.len()).map_err(|error| error.to_string())?;
        message[..2].copy_from_slice(&length.to_le_bytes());
        message[4..8].copy_from_slice(&(row.operation as u32).to_le_bytes());
        seeds.push(message);
    }
    Ok(seeds)
}

fn join(requests: &[Vec<u8>]) -> Result<Vec<u8>, String> {
    if requests.iter().any(Vec::is_empty) {
        return Err("a message of a seed does not fit".to_owned());
    }
    Ok(requests.concat())
}

/// The bytes of a request; none when it is too long.
fn bytes(request: &Request<'_>) -> Vec<u8> {
    let mut out = vec![0; 4096];
    let length = request.encode(&mut out).unwrap_or(0);
    out.truncate(length);
    out
}

fn handle(number: u64) -> Handle {
    Handle(FIRST + number * STEP)
}

fn create_map(map_type: u32, [key_size, value_size, max_entries]: [u32; 3]) -> Vec<u8> {
    bytes(&Request::CreateMap {
        definition: MapDefinition {
            map_type,
            key_size,
            value_size,
            max_entries,
            ..MapDefinition::default()
        },
        inner_map_handle: Handle::INVALID,
        data: b"m",
    })
}

fn map_messages() -> Vec<Vec<u8>> {
    let (map, key) = (handle(0), &[1, 0, 0, 0][..]);
    let pair = &[1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0][..];
    let requests = [
        Request::MapUpdateElement {
            handle: map,
            option: 0,
            data: pair,
        },
        Request::MapFindElement {
            handle: map,
            find_and_delete: false,
            key,
        },
        Request::MapUpdateElementBatch {
            handle: map,
            option: 0,
            data: pair,
        },
        Request::MapGetNextKey {
            handle: map,
            previous_key: key,
        },
        Request::MapGetNextKeyValueBatch {
            handle: map,
            find_and_delete: true,
            previous_key: &[],
        },
        Request::MapDeleteElement { handle: map, key },
        Request::UpdatePinning {
            handle: map,
            path: b"/ebpf/global/m",
        },
        Request::GetPinnedObject { path: b"m" },
        Request::GetPinnedMapInfo {},
        Request::GetNextPinnedObjectPath {
            object_type: 0,
            start_path: &[],
        },
        Request::GetNextMapId { start_id: 0 },
        Request::GetMapHandleById { id: 2 },
        Request::GetObjectInfo {
            handle: map,
            info: &[],
        },
        Request::MapUpdateElementWithHandle {
            map_handle: handle(1),
            value_handle: map,
            option: 0,
            key,
        },
        Request::CloseHandle { handle: map },
    ];
    let mut all = vec![create_map(1, [4, 8, 16]), create_map(3, [4, 4, 4])];
    all.extend(requests.iter().map(bytes));
    all
}

fn program_messages() -> Result<Vec<Vec<u8>>, String> {
    let xdp = by_section(Numbering::Windows, "xdp").ok_or("no xdp")?;
    let insns = isa::asm::assemble("r0 = 1\nexit").map_err(|error| error.to_string())?;
    let code = isa::encode::program(&insns).map_err(|error| format!("{error:?}"))?;
    let program = handle(0);
    let (program_type, attach_type) = (xdp.program_type.guid, xdp.guid);
    let requests = [
        Request::CreateProgram {
            program_type,
            section_name_offset: 28,
            program_name_offset: 31,
            data: b"xdpprog",
        },
        Request::LoadCode {
            program_handle: program,
            code_type: 2,
            code: &code,
        },
        Request::LinkProgram {
            program_handle: program,
            attach_type,
            data: &[7, 0, 0, 0],
        },
        Request::LinkSetLegacyMode {
            link_handle: handle(1),
        },
        Request::ProgramTestRun {
            program_handle: program,
            repeat_count: 3,
            flags: 0,
            cpu: 0,
            batch_size: 0,
            context_offset: 4,
            data: &[1, 2, 3, 4],
        },
        Request::QueryProgramInfo { handle: program },
        Request::GetProgramInfo {
            program_type,
            program_handle: program,
        },
        Request::ProgramSetFlags {
            program_handle: program,
            flags: 1,
        },
        Request::GetObjectInfo {
            handle: program,
            info: &[],
        },
        Request::UnlinkProgram {
            link_handle: Handle::INVALID,
            program_handle: program,
            attach_type,
            attach_data_present: false,
            data: &[],
        },
        Request::EpochSynchronize {},
    ];
    Ok(requests.iter().map(bytes).collect())
}

fn ring_messages() -> Vec<Vec<u8>> {
    let ring = handle(0);
    let requests = [
        Request::MapWriteData {
            map_handle: ring,
            flags: 0,
            data: b"record",
        },
        Request::MapAsyncQuery {
            map_handle: ring,
            index: 0,
            consumer_offset: 16,
        },
        Request::MapSetWaitHandle {
            map_handle: ring,
            wait_handle: Handle::INVALID,
            index: 0,
            flags: 0,
        },
        Request::RingBufferMapMapBuffer {
            map_handle: ring,
            index: 0,
            section: 2,
        },
        Request::RingBufferMapUnmapBuffer {
            map_handle: ring,
            index: 0,
        },
        Request::MapQueryBuffer {
            map_handle: ring,
            index: 0,
        },
        Request::MapWriteData {
            map_handle: handle(1),
            flags: 1,
            data: b"event",
        },
    ];
    let mut all = vec![create_map(13, [0, 0, 4096]), create_map(14, [0, 0, 4096])];
    all.extend(requests.iter().map(bytes));
    all
}
