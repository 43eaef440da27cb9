//! Ring buffers of the actual `ebpfcore.sys`: seen by processes in place, with the protection that
//! each part has, and waited for; all of it ends with a handle, by a message, or with the process.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(unsafe_code, reason = "reads and writes what a process is shown")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

#[path = "support/runtime.rs"]
mod runtime;

use abi::ioctl::{CONTROL_CODE, Handle, Reply, Request};
use ebpfcore_sim::computer::{Computer, Pending};
use runtime::{INTERFACE, Process, bring, computer, field, stop, udp};

const RING: u32 = 13;
const BYTES: u64 = 8192;
const CONSUMER: u32 = 0;
const PRODUCER: u32 = 1;
const RECORDS: u32 = 2;
/// `STATUS_INVALID_HANDLE`, `STATUS_OBJECT_PATH_NOT_FOUND`, `STATUS_CANCELLED`,
/// `STATUS_INSUFFICIENT_RESOURCES`.
const NO_HANDLE: u32 = 0xc000_0008;
const NOT_FOUND: u32 = 0xc000_003a;
const CANCELLED: u32 = 0xc000_0120;
const SHORT: u32 = 0xc000_009a;

impl Process {
    fn ring(&self) -> Handle {
        self.create_map(RING, [0, 0, BYTES as u32]).unwrap()
    }

    fn see(&self, map: Handle, section: u32) -> Result<u64, u32> {
        let request = Request::RingBufferMapMapBuffer {
            map_handle: map,
            index: 0,
            section,
        };
        let reply = self.ask(&request)?;
        let size = field!(reply, RingBufferMapMapBuffer, view_size);
        assert_eq!(size, if section == RECORDS { 2 * BYTES } else { 4096 });
        Ok(field!(reply, RingBufferMapMapBuffer, section_handle))
    }

    fn unsee(&self, map: Handle) -> Result<(), u32> {
        let request = Request::RingBufferMapUnmapBuffer {
            map_handle: map,
            index: 0,
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
    assert_eq!(process.see(map, RECORDS), Ok(records), "it is shown once");
    let parts = [consumer, producer, records, records + 2 * BYTES - 1];
    let expected = ["rw-", "r--", "r--", "r--"].map(|text| Some(text.to_owned()));
    assert_eq!(parts.map(protection), expected);
    let mut sum = 0;
    for round in 0..3000u64 {
        let data = vec![round as u8; (round % 61 + 1) as usize];
        process.write(map, &data);
        let at: u64 = read(consumer);
        let place = records + at % BYTES;
        assert_eq!(read::<u32>(place), data.len() as u32);
        let seen: Vec<u8> = (0..data.len() as u64)
            .map(|byte| read(place + 8 + byte))
            .collect();
        assert_eq!(seen, data);
        let next = at + (data.len() as u64).next_multiple_of(8) + 8;
        assert_eq!(read::<u64>(producer), next);
        write(consumer, next);
        sum += data.len();
    }
    assert!(sum as u64 > 10 * BYTES, "several times around");
    process.unsee(map).unwrap();
    assert_eq!(process.unsee(map), Err(NOT_FOUND));
    assert_eq!(parts.map(protection), [const { None }; 4]);
    process.caller.end();
    stop(&computer);
}

#[test]
fn views_end_with_their_handle_and_with_their_process() {
    let Some(computer) = computer() else { return };
    let process = Process::new(&computer, 100);
    let map = process.ring();
    let view = process.see(map, RECORDS).unwrap();
    process.close(map);
    assert_eq!(protection(view), None);
    assert_eq!(process.see(map, RECORDS), Err(NO_HANDLE));
    let map = process.ring();
    let view = process.see(map, CONSUMER).unwrap();
    process.caller.end();
    assert_eq!(protection(view), None);
    stop(&computer);
}

/// A view belongs to one process; the file may be open in others.
#[test]
fn duplicates_of_a_handle_have_views_of_their_own() {
    let Some(computer) = computer() else { return };
    let (one, two) = (Process::new(&computer, 100), Process::new(&computer, 104));
    let map = one.ring();
    let theirs = Handle(one.caller.duplicate(map.0, &two.caller).unwrap());
    let seen = [one.see(map, PRODUCER), two.see(theirs, PRODUCER)].map(Result::unwrap);
    assert_ne!(seen[0], seen[1]);
    one.write(map, b"12345678");
    assert_eq!(seen.map(read::<u64>), [16, 16]);
    // The first process sees it until it ends, also when the handle is gone that was used for it.
    one.close(map);
    assert!(seen.map(protection).iter().all(Option::is_some));
    two.write(theirs, b"12345678");
    assert_eq!(read::<u64>(seen[0]), 32);
    // The last handle takes all views with it, those of the other process too.
    two.close(theirs);
    assert_eq!(seen.map(protection), [None, None]);
    let map = one.ring();
    let theirs = Handle(one.caller.duplicate(map.0, &two.caller).unwrap());
    let seen = [one.see(map, PRODUCER), two.see(theirs, PRODUCER)].map(Result::unwrap);
    one.caller.end();
    assert_eq!(seen.map(|view| protection(view).is_some()), [false, true]);
    two.write(theirs, b"1");
    assert_eq!(read::<u64>(seen[1]), 16);
    two.caller.end();
    stop(&computer);
}

/// Each allocation that showing needs fails once.
#[test]
fn a_view_that_cannot_be_made_is_refused_and_leaves_nothing() {
    let Some(computer) = computer() else { return };
    let process = Process::new(&computer, 100);
    let map = process.ring();
    let pool = &computer.machine().pool;
    let mut refused = 0;
    for after in 0.. {
        pool.fail_after(after);
        let shown = process.see(map, RECORDS);
        let is_over = pool.stop_failing();
        match shown {
            Ok(_) => process.unsee(map).unwrap(),
            Err(status) => {
                assert!([0xc000_0017, SHORT].contains(&status), "{status:#x}");
                refused += 1;
            }
        }
        if is_over {
            break;
        }
    }
    // The list of pages and the mapping are two of them.
    assert!(refused >= 3, "{refused}");
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
