//! Local addresses: programs of type `bind` allow or refuse that a socket gets one, and learn when
//! it is given up.

use super::{
    Action, Point, Tally,
    socket::{Endpoint, Family},
};
use crate::raw::{
    context::Run,
    hook::{Framed, call},
};
use abi::context::structures::{BindMd, bind_operation};

/// What happens to a local address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// A socket gets it.
    Bind,
    /// A socket gives it up; nobody can refuse that.
    Unbind,
}

/// A socket and its local address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bind<'a> {
    /// Path of the program file in UTF-16, as the network stack knows it.
    pub app_id: &'a [u8],
    /// Process.
    pub process_id: u64,
    /// IP version.
    pub family: Family,
    /// The address.
    pub local: Endpoint,
    /// IP protocol.
    pub protocol: u8,
    /// What happens.
    pub operation: Operation,
}

impl Bind<'_> {
    fn context(&self) -> BindMd {
        BindMd {
            process_id: self.process_id,
            socket_address: self.socket_address(),
            socket_address_length: 16,
            operation: match self.operation {
                Operation::Bind => bind_operation::BIND,
                Operation::Unbind => bind_operation::UNBIND,
            },
            protocol: self.protocol,
            ..BindMd::default()
        }
    }

    /// `SOCKADDR_IN` as programs for eBPF for Windows know it: port and address are numbers of this
    /// machine, not in network byte order. Of `SOCKADDR_IN6`, whose address comes after a flow
    /// number, only half of the address has room.
    fn socket_address(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&self.family.number().to_le_bytes());
        bytes[2..4].copy_from_slice(&self.local.port.to_le_bytes());
        match self.family {
            Family::V4 => {
                bytes[4..8].copy_from_slice(&self.local.address[..4]);
                bytes[4..8].reverse();
            }
            Family::V6 => bytes[8..].copy_from_slice(&self.local.address[..8]),
        }
        bytes
    }
}

/// The part of a path in UTF-16 behind its last backslash.
fn file_name(path: &[u8]) -> &[u8] {
    let units = path.chunks_exact(2);
    let separator = units.rev().position(|unit| unit == [b'\\', 0]);
    let whole = path.len() & !1;
    let kept = separator.map_or(whole, |units| 2 * units);
    &path[whole - kept..whole]
}

/// Lets the program decide.
#[must_use]
pub fn classify(run: &mut Run<'_>, point: Point<'_>, bind: &Bind<'_>) -> Action {
    let mut framed = Framed::bind(bind.context(), file_name(bind.app_id));
    let mut tally = Tally::new(point.row());
    call(run, (point, 0), &mut framed, None, |result, _| {
        tally.note(result)
    });
    match bind.operation {
        Operation::Bind => tally.action,
        Operation::Unbind => Action::Permit,
    }
}
