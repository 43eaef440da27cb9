//! Ring buffers as user mode sees them: waiting requests, events, records in place.
#![expect(unsafe_code, reason = "reads and writes what a process is shown")]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

#[path = "support/device.rs"]
mod device;
mod support;

use abi::ioctl::{Handle, Reply, Request};
use device::*;
use ebpfcore::{
    Status,
    control::{Control, Section, Shell},
};
use support::{CPUS, set_cpu, turns};

const RING: u32 = 13;
const PERF: u32 = 14;

/// Events are named by their handles.
struct Events;

impl Shell for Events {
    fn event(&self, handle: Handle) -> Result<u64, Status> {
        match handle.0 {
            1000.. => Ok(handle.0),
            _ => Err(Status::InvalidFd),
        }
    }
}

fn ring(control: &Control, process: &Process) -> Handle {
    create_map(control, process, RING, [0, 0, 4096])
}

fn write(control: &Control, process: &Process, map: Handle, data: &[u8]) -> Result<(), Status> {
    let request = Request::MapWriteData {
        map_handle: map,
        flags: 0,
        data,
    };
    ask(control, process, &request).map(drop)
}

/// Producer, consumer and lost records, or why there is no answer yet.
fn query(
    control: &Control,
    process: &Process,
    (map, consumer_offset): (Handle, u64),
) -> Result<(u64, u64, u64), Status> {
    let request = Request::MapAsyncQuery {
        map_handle: map,
        index: 0,
        consumer_offset,
    };
    Ok(positions(&ask(control, process, &request)?))
}

fn positions(bytes: &[u8]) -> (u64, u64, u64) {
    match Reply::decode(bytes).unwrap() {
        Reply::MapAsyncQuery {
            producer,
            consumer,
            lost_count,
        } => (producer, consumer, lost_count),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_waits_for_a_record_and_is_completed_once() {
    let (control, platform) = control_and_platform();
    let process = Process::new();
    let map = ring(&control, &process);
    assert_eq!(
        query(&control, &process, (map, 0)),
        Err(Status::OperationNotSupported),
        "this request cannot wait"
    );
    process.ticket.set(Some(70));
    assert_eq!(query(&control, &process, (map, 0)), Err(Status::Pending));
    assert_eq!(platform.take_completed(), []);
    write(&control, &process, map, b"12345").unwrap();
    let completed = platform.take_completed();
    assert_eq!(completed.len(), 1);
    assert_eq!(completed[0].0, 70);
    assert_eq!(positions(completed[0].1.as_ref().unwrap()), (16, 0, 0));
    write(&control, &process, map, b"6").unwrap();
    assert_eq!(platform.take_completed(), [], "nobody waits any more");
    assert!(!control.cancel(70));

    // There is something to read: the answer comes at once, also the second time.
    assert_eq!(query(&control, &process, (map, 0)), Ok((32, 0, 0)));
    assert_eq!(query(&control, &process, (map, 16)), Ok((32, 16, 0)));
    process.ticket.set(Some(71));
    assert_eq!(query(&control, &process, (map, 32)), Err(Status::Pending));
    for nonsense in [33, 40, 16, u64::MAX - 7] {
        let refused = query(&control, &process, (map, nonsense));
        assert_eq!(refused, Err(Status::InvalidArgument), "{nonsense}");
    }
}

#[test]
fn waiting_ends_with_cancelling_or_with_the_map() {
    let (control, platform) = control_and_platform();
    let process = Process::new();
    let map = ring(&control, &process);
    for ticket in [80, 81, 82, 83] {
        process.ticket.set(Some(ticket));
        assert_eq!(query(&control, &process, (map, 0)), Err(Status::Pending));
    }
    process.ticket.set(Some(84));
    assert_eq!(query(&control, &process, (map, 0)), Err(Status::Pending));
    let refused = platform.take_completed();
    assert_eq!(refused, [(84, Err(Status::OutOfSpace))]);

    assert!(control.cancel(81));
    assert!(!control.cancel(81), "the shell completed it");
    assert_eq!(platform.take_completed(), []);
    // A request that was cancelled before it was registered.
    process.ticket.set(Some(85));
    process.cancelled.set(true);
    assert_eq!(query(&control, &process, (map, 0)), Err(Status::Pending));
    let cancelled = platform.take_completed();
    assert_eq!(cancelled, [(85, Err(Status::Canceled))]);

    process.end(&control);
    let mut ended = platform.take_completed();
    ended.sort_by_key(|(ticket, _)| *ticket);
    let canceled = |ticket| (ticket, Err(Status::Canceled));
    assert_eq!(ended, [80, 82, 83].map(canceled));
    assert_eq!(control.object_count(), 0);
}

/// A program's records wake as well: whole ones, and reserved ones when they are handed over.
#[test]
fn programs_wake_who_waits() {
    let (control, platform) = control_and_platform();
    let process = Process::new();
    let map = ring(&control, &process);
    let output = format!(
        "*(u64 *)(r10 - 8) = 7
         r1 = map_fd({}) ll
         r2 = r10
         r2 += -8
         r3 = 8
         r4 = 0
         call 11
         r0 = 1
         exit",
        map.0
    );
    let program = create_program(&control, &process, xdp().program_type.guid);
    load(&control, &process, program, &output).unwrap();
    link(&control, &process, program).unwrap();
    process.ticket.set(Some(90));
    assert_eq!(query(&control, &process, (map, 0)), Err(Status::Pending));
    invoke(&control);
    let completed = platform.take_completed();
    assert_eq!(positions(completed[0].1.as_ref().unwrap()), (16, 0, 0));
}

#[test]
fn an_event_is_set_for_each_record_until_it_is_replaced() {
    let (control, platform) = control_and_platform();
    let control = control.with_shell(&Events);
    let process = Process::new();
    let map = ring(&control, &process);
    let set = |wait_handle, index, flags| {
        let request = Request::MapSetWaitHandle {
            map_handle: map,
            wait_handle,
            index,
            flags,
        };
        ask(&control, &process, &request).map(drop)
    };
    let signals = || std::mem::take(&mut *platform.signals.lock().unwrap());
    assert_eq!(set(Handle(9), 0, 0), Err(Status::InvalidFd));
    assert_eq!(set(Handle(1001), 1, 0), Err(Status::InvalidArgument));
    assert_eq!(set(Handle(1001), 0, 1), Err(Status::InvalidArgument));
    set(Handle(1001), 0, 0).unwrap();
    assert_eq!(signals(), []);
    write(&control, &process, map, b"a").unwrap();
    write(&control, &process, map, b"b").unwrap();
    assert_eq!(signals(), [1001, 1001]);
    set(Handle(1002), 0, 0).unwrap();
    assert_eq!(signals(), [1002], "there are records already");
    assert_eq!(*platform.forgotten.lock().unwrap(), [1001]);
    set(Handle::INVALID, 0, 0).unwrap();
    write(&control, &process, map, b"c").unwrap();
    assert_eq!(signals(), []);
    set(Handle(1003), 0, 0).unwrap();
    process.end(&control);
    assert_eq!(*platform.forgotten.lock().unwrap(), [1001, 1002, 1003]);
}

fn map_part(map: Handle, section: u32) -> Request<'static> {
    Request::RingBufferMapMapBuffer {
        map_handle: map,
        index: 0,
        section,
    }
}

fn show(control: &Control, process: &Process, map: Handle, section: u32) -> *mut u64 {
    let bytes = ask(control, process, &map_part(map, section)).unwrap();
    let size = reply!(bytes, RingBufferMapMapBuffer, view_size);
    assert_eq!(size, if section == 2 { 8192 } else { 4096 });
    let address = reply!(bytes, RingBufferMapMapBuffer, section_handle);
    assert_eq!(address % 4096, 0);
    std::ptr::with_exposed_provenance_mut(address as usize)
}

/// Reads all records through the views, as a consumer in user mode does.
#[test]
fn records_are_read_in_place() {
    let (control, process) = (control(), Process::new());
    let map = ring(&control, &process);
    let [consumer, producer, data] = [0, 1, 2].map(|part| show(&control, &process, map, part));
    let mut read = Vec::new();
    let rounds = turns(2000);
    for round in 0..rounds {
        let record = vec![round as u8; (round % 37 + 1) as usize];
        write(&control, &process, map, &record).unwrap();
        // SAFETY: the views of one ring, which lives as long as its handle.
        unsafe {
            while *consumer < *producer {
                let place = data.cast::<u8>().add((*consumer % 4096) as usize);
                let length = *place.cast::<u32>();
                assert_eq!(length >> 30, 0, "finished, not discarded");
                read.push(std::slice::from_raw_parts(place.add(8), length as usize).to_vec());
                *consumer += u64::from(length).next_multiple_of(8) + 8;
            }
        }
        assert_eq!(read.last(), Some(&record));
    }
    assert_eq!(read.len() as u64, rounds);
    let given: Vec<_> = process.shared.borrow().iter().map(|p| p.section).collect();
    assert_eq!(given, [Section::Consumer, Section::Producer, Section::Data]);
    // Unmapping is the process's own business: the runtime knows the ring, and no more.
    let unmap = |index| Request::RingBufferMapUnmapBuffer {
        map_handle: map,
        index,
    };
    for _ in 0..2 {
        ask(&control, &process, &unmap(0)).unwrap();
    }
    let refused = ask(&control, &process, &unmap(1));
    assert_eq!(refused, Err(Status::InvalidArgument));
    let refused = ask(&control, &process, &map_part(map, 3));
    assert_eq!(refused, Err(Status::InvalidArgument));
    let buffer = Request::MapQueryBuffer {
        map_handle: map,
        index: 0,
    };
    let bytes = ask(&control, &process, &buffer).unwrap();
    assert_eq!(reply!(bytes, MapQueryBuffer, buffer_address), 0);
    // SAFETY: as above.
    let consumed = unsafe { *consumer };
    assert_eq!(reply!(bytes, MapQueryBuffer, consumer_offset), consumed);
}

/// Memory of the host is asked for once for each ring, counts once, and goes back with the map; each
/// request makes a handle, and none is made that the process does not hear of.
#[test]
fn rings_lie_in_memory_of_the_host() {
    let (control, platform) = control_and_platform();
    let process = Process::new();
    let rings = |left| {
        let mut rings = platform.rings.lock().unwrap();
        rings.get_or_insert_default().left = left;
    };
    let given = || platform.rings.lock().unwrap().as_ref().unwrap().given.len();
    rings(1);
    let map = ring(&control, &process);
    assert_eq!(given(), 1);
    for (section, bytes) in [(0, 4096), (1, 4096), (2, 4096), (2, 4096)] {
        let reply = ask(&control, &process, &map_part(map, section)).unwrap();
        assert_eq!(reply!(reply, RingBufferMapMapBuffer, view_size), bytes);
    }
    let offsets: Vec<u64> = {
        let shared = process.shared.borrow();
        assert!(shared.iter().all(|pages| pages.memory == Some(1)));
        let start = shared[0].address;
        shared.iter().map(|pages| pages.address - start).collect()
    };
    assert_eq!(offsets, [0, 4096, 8192, 8192]);
    let mut message = [0; 64];
    let length = map_part(map, 0).encode(&mut message).unwrap();
    let short = control.serve(&process, &message[..length], &mut [0; 23]);
    assert_eq!(short, Err(Status::InsufficientBuffer));
    assert_eq!(process.shared.borrow().len(), 4);
    *process.exhausted.borrow_mut() = true;
    let refused = ask(&control, &process, &map_part(map, 0));
    assert_eq!(refused, Err(Status::NoMemory));
    *process.exhausted.borrow_mut() = false;
    for round in 0..300u32 {
        write(&control, &process, map, &round.to_le_bytes()).unwrap();
        process.ticket.set(Some(1));
        query(&control, &process, (map, u64::from(round) * 16 + 16)).unwrap_err();
        assert!(control.cancel(1));
    }
    // A ring for each processor, or none: what was taken before the host had no more goes back.
    for (left, is_made) in [(CPUS - 1, false), (CPUS, true)] {
        rings(left);
        let made = try_create_map(&control, &process, PERF, [0, 0, 8192], Handle::INVALID);
        assert_eq!(made.is_ok(), is_made);
        assert_eq!(given(), if is_made { 1 + CPUS as usize } else { 1 });
    }
    // Less than a page is no business of the host.
    let small = create_map(&control, &process, RING, [0, 0, 64]);
    write(&control, &process, small, b"1").unwrap();
    process.end(&control);
    assert_eq!(given(), 0);
}

/// A process may write anything to its page: records may be lost, nothing else happens.
#[test]
fn nonsense_in_the_consumers_page_does_no_harm() {
    let (control, process) = (control(), Process::new());
    let map = ring(&control, &process);
    let consumer = show(&control, &process, map, 0);
    let positions = [1u64, 7, 8, 4096, 1 << 20, u64::MAX, u64::MAX - 7, 1 << 63];
    for (round, position) in (0..200u64).zip(positions.iter().cycle()) {
        // SAFETY: the view of a ring that lives as long as its handle.
        unsafe { *consumer = position.wrapping_add(round / 8 * 8) };
        let record = vec![1; (round * 13 % 4000 + 1) as usize];
        let written = write(&control, &process, map, &record);
        assert!(matches!(written, Ok(()) | Err(Status::NoMemory)));
        process.ticket.set(Some(1));
        let _ = query(&control, &process, (map, *position));
        let _ = control.cancel(1);
    }
}

/// Nor does nonsense in the other pages, should a process find a way to write them.
#[test]
fn nonsense_in_the_other_pages_does_no_harm() {
    let (control, process) = (control(), Process::new());
    let map = ring(&control, &process);
    let [consumer, producer, data] = [0, 1, 2].map(|part| show(&control, &process, map, part));
    let numbers = [
        0,
        1,
        7,
        8,
        4088,
        4096,
        1 << 20,
        u64::MAX,
        u64::MAX - 7,
        1 << 63,
    ];
    for &at in &numbers {
        for &used in &numbers {
            for header in [0u64, 8, 4000, 0x7fff_ffff, 0xffff_ffff, u64::MAX] {
                // SAFETY: the views of a ring that lives as long as its handle.
                unsafe {
                    *producer = at;
                    *consumer = at.wrapping_sub(used);
                    *data.add((at % 4096 / 8) as usize) = header;
                }
                let written = write(&control, &process, map, b"record");
                let is_told = |status| matches!(status, Status::NoMemory | Status::Failed);
                assert!(
                    written.is_ok() || written.is_err_and(is_told),
                    "{at:x} {used:x}"
                );
                process.ticket.set(Some(1));
                let _ = query(&control, &process, (map, at));
                let _ = control.cancel(1);
            }
        }
    }
}

#[test]
fn perf_arrays_have_a_ring_for_each_processor() {
    let (control, process) = (control(), Process::new());
    let map = create_map(&control, &process, PERF, [0, 0, 4096]);
    let write = |flags| {
        let request = Request::MapWriteData {
            map_handle: map,
            flags,
            data: b"x",
        };
        ask(&control, &process, &request).map(drop)
    };
    let offset = |index| {
        process.ticket.set(Some(5));
        let request = Request::MapAsyncQuery {
            map_handle: map,
            index,
            consumer_offset: 0,
        };
        let answer = ask(&control, &process, &request);
        let _ = control.cancel(5);
        answer.map(|bytes| positions(&bytes).0)
    };
    set_cpu(1);
    write(u64::from(u32::MAX)).unwrap();
    write(3).unwrap();
    assert_eq!(write(4), Err(Status::InvalidArgument));
    assert_eq!(write(1 << 32), Err(Status::InvalidArgument));
    assert_eq!(offset(0), Err(Status::Pending));
    assert_eq!((offset(1), offset(3)), (Ok(16), Ok(16)));
    assert_eq!(offset(4), Err(Status::InvalidArgument));
    let array = create_map(&control, &process, 2, [4, 8, 1]);
    let other = query(&control, &process, (array, 0));
    assert_eq!(other, Err(Status::OperationNotSupported));
}
