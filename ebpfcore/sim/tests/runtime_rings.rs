//! Ring buffers of the actual `ebpfcore.sys`: mapped by processes with the rights that the handle to each
//! part has, and waited for. What a process has mapped stays until it lets go of it or ends.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(unsafe_code, reason = "reads and writes what a process is shown")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

#[path = "support/runtime.rs"]
mod runtime;

use abi::ioctl::{CONTROL_CODE, Handle, Reply, Request};
use ebpfcore_sim::computer::{Computer, Pending};
use runtime::{INTERFACE, Process, bring, computer, field, stop, udp};
use testkernel::sections::Access;

const RING: u32 = 13;
const BYTES: u64 = 8192;
const CONSUMER: u32 = 0;
const PRODUCER: u32 = 1;
const RECORDS: u32 = 2;
/// `STATUS_INVALID_HANDLE`, `STATUS_ACCESS_DENIED`, `STATUS_INVALID_PARAMETER`, `STATUS_CANCELLED`,
/// `STATUS_NO_MEMORY`, `STATUS_INSUFFICIENT_RESOURCES`.
const NO_HANDLE: u32 = 0xc000_0008;
const DENIED: u32 = 0xc000_0022;
const INVALID: u32 = 0xc000_000d;
const CANCELLED: u32 = 0xc000_0120;
const SHORT: [u32; 2] = [0xc000_0017, 0xc000_009a];

impl Process {
    fn ring(&self) -> Handle {
        self.create_map(RING, [0, 0, BYTES as u32]).unwrap()
    }

    /// A handle to a part of the ring.
    fn section(&self, map: Handle, section: u32) -> Result<u64, u32> {
        let request = Request::RingBufferMapMapBuffer {
            map_handle: map,
            index: 0,
            section,
        };
        let reply = self.ask(&request)?;
        let size = field!(reply, RingBufferMapMapBuffer, view_size);
        assert_eq!(size, if section == RECORDS { BYTES } else { 4096 });
        Ok(field!(reply, RingBufferMapMapBuffer, section_handle))
    }

    /// Maps a part as a consumer does, which closes the handle then.
    fn see(&self, map: Handle, section: u32) -> Result<u64, u32> {
        let handle = self.section(map, section)?;
        let access = match section {
            CONSUMER => Access::Write,
            _ => Access::Read,
        };
        let view = self.caller.map_view(handle, access);
        assert!(self.caller.close(handle) && !self.caller.close(handle));
        view
    }

    fn unmap(&self, map: Handle, index: u64) -> Result<(), u32> {
        let request = Request::RingBufferMapUnmapBuffer {
            map_handle: map,
            index,
        };
        self.ask(&request).map(drop)
    }

    fn write(&self, map: Handle, data: &[u8]) {
        let request = Request::MapWriteData {
            map_handle: map,
            flags: 0,
            data,
        };
        self.ask(&request).unwrap();
    }

    /// Begins to wait for records behind a position.
    fn wait_for(&self, map: Handle, consumer_offset: u64) -> Result<u64, Pending> {
        let request = Request::MapAsyncQuery {
            map_handle: map,
            index: 0,
            consumer_offset,
        };
        let mut message = [0; 64];
        let length = request.encode(&mut message).unwrap();
        let started = self
            .caller
            .start(self.device, CONTROL_CODE, (&message[..length], 64));
        started.unwrap().map(|reply| {
            assert_eq!(reply.status, 0);
            produced(&reply.bytes)
        })
    }

    fn close(&self, handle: Handle) {
        self.ask(&Request::CloseHandle { handle }).unwrap();
    }
}

fn produced(bytes: &[u8]) -> u64 {
    match Reply::decode(bytes).unwrap() {
        Reply::MapAsyncQuery { producer, .. } => producer,
        other => panic!("{other:?}"),
    }
}

/// What the process may do with a page of its addresses; nothing where there is none.
fn protection(address: u64) -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        (number(start)..number(end)).contains(&address)
    })?;
    Some(line.split(' ').nth(1).unwrap()[..3].to_owned())
}

fn read<T: Copy>(address: u64) -> T {
    // SAFETY: an address in a view that the test still has.
    unsafe { std::ptr::with_exposed_provenance::<T>(address as usize).read_volatile() }
}

fn write(address: u64, value: u64) {
    // SAFETY: the consumer's page, which the process may write.
    unsafe { std::ptr::with_exposed_provenance_mut::<u64>(address as usize).write_volatile(value) };
}

/// Reads what a consumer in user mode reads, many times around the ring.
#[test]
fn records_are_read_in_place_with_the_protection_of_each_part() {
    let Some(computer) = computer() else { return };
    let process = Process::new(&computer, 100);
    let map = process.ring();
    let [consumer, producer, records] =
        [CONSUMER, PRODUCER, RECORDS].map(|part| process.see(map, part).unwrap());
    let parts = [consumer, producer, records, records + BYTES - 1];
    let expected = ["rw-", "r--", "r--", "r--"].map(|text| Some(text.to_owned()));
    assert_eq!(parts.map(protection), expected);
    let mut sum = 0;
    for round in 0..3000u64 {
        let data = vec![round as u8; (round % 61 + 1) as usize];
        process.write(map, &data);
        let at: u64 = read(consumer);
        let place = records + at % BYTES;
        assert_eq!(read::<u32>(place), data.len() as u32);
        // What does not fit in front of the end goes on at the beginning.
        let seen: Vec<u8> = (at + 8..at + 8 + data.len() as u64)
            .map(|position| read(records + position % BYTES))
            .collect();
        assert_eq!(seen, data);
        let next = at + (data.len() as u64).next_multiple_of(8) + 8;
        assert_eq!(read::<u64>(producer), next);
        write(consumer, next);
        sum += data.len();
    }
    assert!(sum as u64 > 10 * BYTES, "several times around");
    // The message takes nothing away.
    process.unmap(map, 0).unwrap();
    assert_eq!(process.unmap(map, 1), Err(INVALID));
    assert_eq!(parts.map(protection), expected);
    for view in [consumer, producer, records] {
        assert!(process.caller.unmap_view(view) && !process.caller.unmap_view(view));
    }
    assert_eq!(
        computer.machine().sections.left().len(),
        3,
        "the map has it still"
    );
    process.caller.end();
    stop(&computer);
}

/// Only the consumer's page can be mapped to be written; others cannot use a process's handles.
#[test]
fn handles_allow_what_the_part_allows() {
    let Some(computer) = computer() else { return };
    let (process, other) = (Process::new(&computer, 100), Process::new(&computer, 104));
    let map = process.ring();
    for (section, written) in [
        (CONSUMER, None),
        (PRODUCER, Some(DENIED)),
        (RECORDS, Some(DENIED)),
    ] {
        let handle = process.section(map, section).unwrap();
        assert_ne!(
            process.section(map, section),
            Ok(handle),
            "each has its own"
        );
        let view = process.caller.map_view(handle, Access::Write);
        assert_eq!(view.err(), written);
        assert!(process.caller.map_view(handle, Access::Read).is_ok());
        assert_eq!(other.caller.map_view(handle, Access::Read), Err(NO_HANDLE));
    }
    assert_eq!(other.section(map, RECORDS), Err(NO_HANDLE));
    assert_eq!(process.section(map, 3), Err(INVALID));
    other.caller.end();
    process.caller.end();
    stop(&computer);
}

#[test]
fn views_stay_when_the_map_goes_and_end_with_their_process() {
    let Some(computer) = computer() else { return };
    let process = Process::new(&computer, 100);
    let map = process.ring();
    let views = [CONSUMER, PRODUCER, RECORDS].map(|part| process.see(map, part).unwrap());
    process.write(map, b"12345678");
    process.close(map);
    assert_eq!(process.section(map, RECORDS), Err(NO_HANDLE));
    assert!(views.iter().all(|view| protection(*view).is_some()));
    assert_eq!(read::<u64>(views[1]), 16);
    assert_eq!(read::<[u8; 8]>(views[2] + 8), *b"12345678");
    write(views[0], 16);
    // A handle that is never used, and a view.
    let map = process.ring();
    process.section(map, RECORDS).unwrap();
    let view = process.see(map, CONSUMER).unwrap();
    process.caller.end();
    // Memory goes back when nothing shows it any more; other tests may use the addresses meanwhile.
    assert!(!process.caller.unmap_view(view));
    assert_eq!(computer.machine().sections.left(), [""; 0]);
    stop(&computer);
}

/// A process that ends in the midst of reading leaves the ring to the next one.
#[test]
fn several_processes_map_a_ring() {
    let Some(computer) = computer() else { return };
    let (one, two) = (Process::new(&computer, 100), Process::new(&computer, 104));
    let map = one.ring();
    let theirs = Handle(one.caller.duplicate(map.0, &two.caller).unwrap());
    let seen = [one.see(map, PRODUCER), two.see(theirs, PRODUCER)].map(Result::unwrap);
    assert_ne!(seen[0], seen[1]);
    one.write(map, b"12345678");
    assert_eq!(seen.map(read::<u64>), [16, 16]);
    one.caller.end();
    assert!(!one.caller.unmap_view(seen[0]));
    two.write(theirs, b"1");
    assert_eq!(read::<u64>(seen[1]), 32);
    let consumer = two.see(theirs, CONSUMER).unwrap();
    assert_eq!(read::<u64>(consumer), 0);
    two.caller.end();
    stop(&computer);
}

/// Each allocation that a ring needs, and a handle to it, fails once.
#[test]
fn what_cannot_be_made_is_refused_and_leaves_nothing() {
    let Some(computer) = computer() else { return };
    let process = Process::new(&computer, 100);
    let pool = &computer.machine().pool;
    // What is made is a map to close.
    let refusals = |action: &dyn Fn() -> Result<Option<Handle>, u32>| {
        let mut refused = 0;
        for after in 0.. {
            pool.fail_after(after);
            let done = action();
            let is_over = pool.stop_failing();
            match done {
                Ok(map) => map.into_iter().for_each(|map| process.close(map)),
                Err(status) => {
                    assert!(SHORT.contains(&status), "{status:#x}");
                    refused += 1;
                }
            }
            if is_over {
                return refused;
            }
        }
        refused
    };
    // Three sections, their views and lists, the list of all and its mapping, and what keeps them.
    let make = || process.create_map(RING, [0, 0, BYTES as u32]).map(Some);
    let refused = refusals(&make);
    assert!(refused >= 12, "{refused}");
    let map = process.ring();
    let section = || process.section(map, RECORDS).map(|_| None);
    let refused = refusals(&section);
    assert!(refused >= 1, "{refused}");
    process.caller.end();
    stop(&computer);
}

/// A program that writes the length of each frame to a ring.
fn logging(process: &Process, computer: &Computer) -> Handle {
    let map = process.ring();
    let text = format!(
        "*(u64 *)(r10 - 8) = 7
         r1 = map_fd({}) ll
         r2 = r10
         r2 += -8
         r3 = 8
         r4 = 0
         call 11
         r0 = 1
         exit",
        map.0 as i32
    );
    let program = process.load("xdp", &text).unwrap();
    process
        .attach("xdp", program, &INTERFACE.to_le_bytes())
        .unwrap();
    assert!(
        computer
            .faults()
            .iter()
            .all(|fault| !fault.starts_with("violation"))
    );
    map
}

#[test]
fn requests_wait_for_programs_and_are_cancelled() {
    let Some(computer) = computer() else { return };
    let process = Process::new(&computer, 100);
    let map = logging(&process, &computer);
    let waiting = process.wait_for(map, 0).unwrap_err();
    let waiting = waiting.poll().unwrap_err();
    bring(&computer, &[udp(8)], 1);
    let reply = waiting.wait();
    assert_eq!((reply.status, produced(&reply.bytes) > 0), (0, true));
    let all = process.wait_for(map, 0).ok().unwrap();
    let waiting = process.wait_for(map, all).unwrap_err();
    waiting.cancel();
    // Once more does nothing.
    waiting.cancel();
    assert_eq!(waiting.wait().status, CANCELLED);
    // A record that comes while cancelling is under way: the request ends one way or the other.
    for _ in 0..200 {
        let end = process.wait_for(map, all);
        let Err(waiting) = end else { break };
        std::thread::scope(|scope| {
            scope.spawn(|| waiting.cancel());
        });
        assert_eq!(waiting.wait().status, CANCELLED);
    }
    process.caller.end();
    stop(&computer);
}

/// Records and cancelling at the same time, from two threads.
#[test]
fn each_request_ends_once_whoever_is_first() {
    let Some(computer) = computer() else { return };
    let process = Process::new(&computer, 100);
    let map = process.ring();
    let mut ended = [0, 0];
    let mut at = 0;
    for round in 0..400u64 {
        let waiting = match process.wait_for(map, at) {
            Err(waiting) => waiting,
            Ok(produced) => {
                at = produced;
                continue;
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                if round % 2 == 0 {
                    std::thread::yield_now();
                }
                process.write(map, b"x");
            });
            waiting.cancel();
        });
        let reply = waiting.wait();
        match reply.status {
            0 => ended[0] += 1,
            CANCELLED => ended[1] += 1,
            other => panic!("{other:#x}"),
        }
    }
    assert!(ended[0] + ended[1] > 100, "{ended:?}");
    process.caller.end();
    stop(&computer);
}

#[test]
fn a_process_that_ends_takes_its_requests_and_events_with_it() {
    let Some(computer) = computer() else { return };
    let process = Process::new(&computer, 100);
    let map = logging(&process, &computer);
    let waiting: Vec<Pending> = (0..3)
        .map(|_| process.wait_for(map, 0).unwrap_err())
        .collect();
    let events = &computer.machine().events;
    let event = Handle(events.create());
    let set = |wait_handle| {
        let request = Request::MapSetWaitHandle {
            map_handle: map,
            wait_handle,
            index: 0,
            flags: 0,
        };
        process.ask(&request).map(drop)
    };
    assert_eq!(set(Handle(4)), Err(NO_HANDLE));
    set(event).unwrap();
    assert!(!events.take(event.0));
    process.caller.end();
    for waiting in waiting {
        assert_eq!(waiting.wait().status, CANCELLED);
    }
    stop(&computer);
}

#[test]
fn events_are_set_by_programs_until_they_are_taken_away() {
    let Some(computer) = computer() else { return };
    let process = Process::new(&computer, 100);
    let map = logging(&process, &computer);
    let events = &computer.machine().events;
    let event = Handle(events.create());
    let set = |wait_handle| {
        let request = Request::MapSetWaitHandle {
            map_handle: map,
            wait_handle,
            index: 0,
            flags: 0,
        };
        process.ask(&request).unwrap();
    };
    set(event);
    for _ in 0..3 {
        assert!(!events.take(event.0));
        bring(&computer, &[udp(8)], 1);
        assert!(events.take(event.0));
    }
    set(Handle::INVALID);
    bring(&computer, &[udp(8)], 1);
    assert!(!events.take(event.0));
    process.caller.end();
    stop(&computer);
}
