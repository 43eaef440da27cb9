//! Programs of processes at the socket hooks of the actual `ebpfcore.sys`: verified and interpreted
//! by the driver, called through its callouts.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

#[path = "support/runtime.rs"]
mod runtime;

use ebpfcore_sim::computer::event::{Event, Field};
use runtime::{Process, computer, stop};
use wdk::classify::fields;
use wdk::fwp::layer;

const TCP: u8 = 6;
/// 10.0.0.1 and 10.0.0.2 as the platform has them.
const LOCAL: u32 = 0x0a00_0001;
const REMOTE: u32 = 0x0a00_0002;

/// An operation of a socket on a local port, to a remote one where the layer has one.
fn event(of: u16, local: u16, remote: u16) -> Event {
    let fields = fields(of).unwrap();
    let at = |field: Option<usize>, value: Field| Some((u16::try_from(field?).unwrap(), value));
    let values = [
        at(fields.local_address(), Field::U32(LOCAL)),
        at(fields.local_port(), Field::U16(local)),
        at(fields.protocol(), Field::U8(TCP)),
        at(fields.remote_address(), Field::U32(REMOTE)),
        at(fields.remote_port(), Field::U16(remote)),
    ];
    Event {
        layer: of,
        values: values.into_iter().flatten().collect(),
        process: 1234,
        ..Event::default()
    }
}

/// A program that answers `no` for a port at an offset of its context, else `yes`.
fn refuse_port(offset: u32, port: u16, (yes, no): (u32, u32)) -> String {
    format!(
        "r2 = *(u16 *)(r1 + {offset})
         r0 = {yes}
         if r2 != {port} goto +1
         r0 = {no}
         exit"
    )
}

#[test]
fn programs_decide_about_binding_connecting_and_accepting() {
    let Some(computer) = computer() else { return };
    // Section, layer, where the port stands and how port 80 looks there, what permits and what
    // blocks, the local port to refuse or the remote one. The bind hook has ports as numbers of this
    // machine, the others in network byte order.
    let net = 80u16.to_be();
    #[rustfmt::skip] // one row, one line
    let rows = [
        ("bind", layer::AleResourceAssignmentV4, (26, 80), (0, 1), (80, 0)),
        ("cgroup/bind4", layer::AleResourceAssignmentV4, (40, net), (1, 0), (80, 0)),
        ("cgroup/listen4", layer::AleAuthListenV4, (40, net), (1, 0), (80, 0)),
        ("cgroup/connect_authorization4", layer::AleAuthConnectV4, (40, net), (1, 0), (0, 80)),
        ("cgroup/recv_accept4", layer::AleAuthRecvAcceptV4, (40, net), (1, 0), (80, 0)),
    ];
    for (section, layer, (offset, port), verdicts, (local, remote)) in rows {
        let process = Process::new(&computer, 100);
        let refused = event(layer, local, remote);
        let other = event(layer, local + 1, remote + 1);
        let asked = || [&refused, &other].map(|event| computer.ask(event).is_blocked);
        assert_eq!(asked(), [false, false], "{section}");
        let program = process.load(section, &refuse_port(offset, port, verdicts));
        process.attach(section, program.unwrap(), &[]).unwrap();
        assert_eq!(asked(), [true, false], "{section}");
        let pool = &computer.machine().pool;
        let allocations = pool.allocations();
        assert_eq!(asked(), [true, false], "{section}");
        assert_eq!(
            pool.allocations(),
            allocations,
            "{section}: memory for an answer"
        );
        process.caller.end();
        assert_eq!(asked(), [false, false], "{section}");
    }
    stop(&computer);
}

/// The same operations over IPv6, where addresses are sixteen bytes behind a pointer: a program tells
/// a remote address by its last word.
#[test]
fn programs_see_addresses_of_ipv6() {
    let Some(computer) = computer() else { return };
    let text = "r2 = *(u32 *)(r1 + 0)
        r0 = 1
        if r2 != 23 goto +3
        r2 = *(u32 *)(r1 + OFFSET)
        if r2 != WORD goto +1
        r0 = 0
        exit";
    // A word of `msg_src_ip`, or of `user_ip`.
    #[rustfmt::skip] // one row, one line
    let rows = [
        ("cgroup/bind6", layer::AleResourceAssignmentV6, 36),
        ("cgroup/listen6", layer::AleAuthListenV6, 36),
        ("cgroup/connect_authorization6", layer::AleAuthConnectV6, 36),
        ("cgroup/recv_accept6", layer::AleAuthRecvAcceptV6, 16),
    ];
    for (section, layer, offset) in rows {
        let process = Process::new(&computer, 100);
        let with = |last: u8| {
            let mut event = event(layer, 5000, 80);
            let fields = fields(layer).unwrap();
            for at in [fields.local_address(), fields.remote_address()] {
                let Some(at) = at.and_then(|at| u16::try_from(at).ok()) else {
                    continue;
                };
                event.values.retain(|(field, _)| *field != at);
                let mut address = [0x20; 16];
                address[15] = last;
                event.values.push((at, Field::Bytes16(address)));
            }
            event
        };
        let asked = || [9, 8].map(|last| computer.ask(&with(last)).is_blocked);
        assert_eq!(asked(), [false, false], "{section}");
        let word = u32::from_le_bytes([0x20, 0x20, 0x20, 9]);
        let text = text.replace("OFFSET", &offset.to_string());
        let program = process.load(section, &text.replace("WORD", &word.to_string()));
        process.attach(section, program.unwrap(), &[]).unwrap();
        assert_eq!(asked(), [true, false], "{section}");
        process.caller.end();
    }
    stop(&computer);
}

/// Programs attached to a compartment decide about that one only.
#[test]
fn programs_belong_to_a_compartment() {
    let Some(computer) = computer() else { return };
    let process = Process::new(&computer, 100);
    let section = "cgroup/connect_authorization4";
    let program = process.load(section, "r0 = 0\nexit").unwrap();
    process
        .attach(section, program, &2u32.to_le_bytes())
        .unwrap();
    let asked = [1, 2, 3].map(|compartment| {
        let mut event = event(layer::AleAuthConnectV4, 5000, 80);
        let at = fields(layer::AleAuthConnectV4).unwrap().compartment();
        let at = u16::try_from(at.unwrap()).unwrap();
        event.values.push((at, Field::U32(compartment)));
        event.compartment = compartment;
        computer.ask(&event).is_blocked
    });
    assert_eq!(asked, [false, true, false]);
    process.caller.end();
    stop(&computer);
}

#[test]
fn a_connection_gets_another_destination() {
    let Some(computer) = computer() else { return };
    let process = Process::new(&computer, 100);
    let text = format!(
        "r2 = {}
         *(u32 *)(r1 + 24) = r2
         r2 = {}
         *(u16 *)(r1 + 40) = r2
         r0 = 1
         exit",
        0x0900_000a,
        8080u16.to_be()
    );
    let program = process.load("cgroup/connect4", &text).unwrap();
    process.attach("cgroup/connect4", program, &[]).unwrap();
    let mut connect = event(layer::AleConnectRedirectV4, 5000, 80);
    let address = |port: u16, last: u8| {
        let port = port.to_be_bytes();
        vec![2, 0, port[0], port[1], 10, 0, 0, last]
    };
    connect.request = Some((address(5000, 1), address(80, 2)));
    let answer = computer.ask(&connect);
    assert!(!answer.is_blocked);
    assert_eq!(answer.remote.unwrap()[..8], address(8080, 9));
    process.caller.end();
    assert_eq!(computer.ask(&connect).remote, None);
    stop(&computer);
}

#[test]
fn flows_are_reported_when_they_begin_and_end() {
    let Some(computer) = computer() else { return };
    let process = Process::new(&computer, 100);
    let map = process.create_map(2, [4, 8, 4]).unwrap();
    let text = format!(
        "r6 = *(u32 *)(r1 + 0)
         r6 &= 3
         *(u32 *)(r10 - 4) = r6
         r2 = r10
         r2 += -4
         r1 = map_fd({}) ll
         call 1
         if r0 == 0 goto +3
         r1 = *(u64 *)(r0 + 0)
         r1 += 1
         *(u64 *)(r0 + 0) = r1
         r0 = 0
         exit",
        map.0
    );
    let program = process.load("sockops", &text).unwrap();
    process.attach("sockops", program, &[]).unwrap();
    let counts = || [0, 1, 2, 3].map(|operation| process.number(map, operation));
    let mut flow = event(layer::AleFlowEstablishedV4, 5000, 80);
    for number in 1..=3 {
        flow.flow = number;
        assert!(!computer.ask(&flow).is_blocked);
    }
    let begun = counts();
    assert_eq!(begun.iter().sum::<u64>(), 3, "{begun:?}");
    (1..=3).for_each(|number| computer.end_flow(number));
    let ended = counts();
    assert_eq!(ended.iter().sum::<u64>(), 6, "{ended:?}");
    assert_eq!(
        ended.iter().filter(|count| **count == 3).count(),
        2,
        "{ended:?}"
    );
    process.caller.end();
    stop(&computer);
}
