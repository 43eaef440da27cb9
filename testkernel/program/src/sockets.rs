//! Socket events, each as `OPERATION:PORT`: what the filtering platform answers to them, in turn.
//!
//! ```text
//! bind4 release4 listen4 accept4 authorize4 connect4    what a process does with a socket
//! flow4                                                 a flow begins, its number is the port
//! end                                                   that flow ends
//! ```
//!
//! With 6 in place of 4 the same over IPv6. Both ports of a connection are the port: the hooks differ in
//! whose port they show. What is left out: events of several compartments, which the simulator's tests have.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use testkernel::control::Request;
use testkernel::event::{Answer, Event, Field};
use wdk::classify::{DIRECTION_OUTBOUND, Fields, fields};
use wdk::fwp::layer;

/// The operations and their layers for IPv4 and IPv6.
const LAYERS: &[(&str, [u16; 2])] = &[
    (
        "bind",
        [
            layer::AleResourceAssignmentV4,
            layer::AleResourceAssignmentV6,
        ],
    ),
    (
        "release",
        [layer::AleResourceReleaseV4, layer::AleResourceReleaseV6],
    ),
    ("listen", [layer::AleAuthListenV4, layer::AleAuthListenV6]),
    (
        "accept",
        [layer::AleAuthRecvAcceptV4, layer::AleAuthRecvAcceptV6],
    ),
    (
        "authorize",
        [layer::AleAuthConnectV4, layer::AleAuthConnectV6],
    ),
    (
        "connect",
        [layer::AleConnectRedirectV4, layer::AleConnectRedirectV6],
    ),
    (
        "flow",
        [layer::AleFlowEstablishedV4, layer::AleFlowEstablishedV6],
    ),
];

const TCP: u8 = 6;
/// The process that asks.
const PROCESS: u64 = 1234;
/// This end and the other.
const LOCAL: (Ipv4Addr, Ipv6Addr) = addresses(1);
const REMOTE: (Ipv4Addr, Ipv6Addr) = addresses(2);
/// `AF_INET` and `AF_INET6` of Windows.
const FAMILIES: [u16; 2] = [2, 23];

const fn addresses(last: u8) -> (Ipv4Addr, Ipv6Addr) {
    let six = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last as u16);
    (Ipv4Addr::new(10, 0, 0, last), six)
}

/// Asks one after another; a line for each.
pub(crate) fn run(words: &[&str]) -> Result<String, String> {
    let mut said = String::new();
    for word in words {
        let wrong = || format!("{word} is no operation and port");
        let (operation, port) = word.split_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_| wrong())?;
        if operation == "end" {
            crate::ask(&Request::EndFlow(u64::from(port)))?;
            said.push_str("ended\n");
            continue;
        }
        let event = event(operation, port).ok_or_else(wrong)?;
        let reply = crate::ask(&Request::Event(event))?;
        let answer = Answer::read(&reply).ok_or("not an answer")?;
        let _ = writeln!(said, "{}", told(&answer));
    }
    Ok(said)
}

/// The event of an operation; nothing where there is no such operation.
fn event(operation: &str, port: u16) -> Option<Event> {
    let version = match operation.chars().last()? {
        '4' => 0,
        '6' => 1,
        _ => return None,
    };
    let name = &operation[..operation.len() - 1];
    let (_, layers) = LAYERS.iter().find(|(other, _)| *other == name)?;
    let layer = layers[version];
    let ends = [LOCAL, REMOTE].map(|(four, six)| match version {
        0 => SocketAddr::from((four, port)),
        _ => SocketAddr::from((six, port)),
    });
    let [local, remote] = ends.map(|end| socket_address(&end));
    Some(Event {
        layer,
        values: values(fields(layer)?, ends),
        process: PROCESS,
        flow: if name == "flow" { u64::from(port) } else { 0 },
        request: (name == "connect").then_some((local, remote)),
        ..Event::default()
    })
}

/// What the layer says of the two ends, as far as it has fields for that.
fn values(fields: &Fields, [local, remote]: [SocketAddr; 2]) -> Vec<(u16, Field)> {
    let values = [
        (fields.local_address(), address(&local)),
        (fields.local_port(), Field::U16(local.port())),
        (fields.remote_address(), address(&remote)),
        (fields.remote_port(), Field::U16(remote.port())),
        (fields.protocol(), Field::U8(TCP)),
        (fields.direction(), Field::U32(DIRECTION_OUTBOUND)),
    ];
    let known = values
        .into_iter()
        .filter_map(|(at, value)| Some((u16::try_from(at?).ok()?, value)));
    known.collect()
}

/// Addresses of IPv4 are numbers of this machine at the layers, those of IPv6 bytes.
fn address(of: &SocketAddr) -> Field {
    match of {
        SocketAddr::V4(four) => Field::U32(u32::from(*four.ip())),
        SocketAddr::V6(six) => Field::Bytes16(six.ip().octets()),
    }
}

/// As `SOCKADDR_IN` or `SOCKADDR_IN6` of Windows.
fn socket_address(of: &SocketAddr) -> Vec<u8> {
    let family = FAMILIES[usize::from(of.is_ipv6())];
    let mut bytes = family.to_le_bytes().to_vec();
    bytes.extend(of.port().to_be_bytes());
    match of {
        SocketAddr::V4(four) => bytes.extend(four.ip().octets()),
        SocketAddr::V6(six) => {
            bytes.extend([0; 4]);
            bytes.extend(six.ip().octets());
        }
    }
    bytes
}

/// The other way; nothing for other families.
fn read_address(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_le_bytes(bytes.get(..2)?.try_into().ok()?);
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    match FAMILIES.iter().position(|known| *known == family)? {
        0 => {
            let four: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            Some(SocketAddr::from((four, port)))
        }
        _ => {
            let six: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            Some(SocketAddr::from((six, port)))
        }
    }
}

fn told(answer: &Answer) -> String {
    match &answer.remote {
        _ if answer.is_blocked => "blocked".to_owned(),
        None => "permitted".to_owned(),
        Some(remote) => match read_address(remote) {
            Some(remote) => format!("sent to {remote}"),
            None => format!("sent to {remote:?}"),
        },
    }
}
