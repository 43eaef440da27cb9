//! Socket operations: programs of type `sock_addr` allow or refuse them, and may give a connection
//! another destination.
//!
//! A connection over an IPv6 socket to an IPv4-mapped address is one of IPv4 to programs. A program
//! that changes the destination of a connection ends the round: the next one would decide about
//! a connection that is not made. Where eBPF for Windows remembers a refused connection and blocks
//! it at a later layer, it is blocked at once here, so that nothing needs remembering.

use super::{Action, Caller, Direction, Kind, Point, Tally};
use crate::raw::{
    context::Run,
    hook::{Framed, call},
};
use abi::context::structures::{AF_INET, AF_INET6, BpfSockAddr};
use core::ops::ControlFlow;

/// IP version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// `AF_INET` or `AF_INET6`.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Family::V4 => AF_INET,
            Family::V6 => AF_INET6,
        }
    }
}

/// One end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Endpoint {
    /// Address in network byte order; IPv4 in the first four bytes, zeros behind.
    pub address: [u8; 16],
    /// Port as a number.
    pub port: u16,
}

impl Endpoint {
    /// An IPv4 endpoint.
    #[must_use]
    pub fn v4(address: [u8; 4], port: u16) -> Endpoint {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&address);
        Endpoint {
            address: bytes,
            port,
        }
    }

    /// The IPv4 endpoint that an IPv6 one maps to (`::ffff:a.b.c.d`).
    fn unmapped(self) -> Option<Endpoint> {
        let (prefix, rest) = self.address.split_first_chunk::<12>()?;
        let rest = <[u8; 4]>::try_from(rest).ok()?;
        (*prefix == MAPPED).then(|| Endpoint::v4(rest, self.port))
    }

    fn mapped(self) -> Endpoint {
        let mut address = [0; 16];
        address[..12].copy_from_slice(&MAPPED);
        address[12..].copy_from_slice(&self.address[..4]);
        Endpoint {
            address,
            port: self.port,
        }
    }
}

const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// A socket operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Socket {
    /// IP version.
    pub family: Family,
    /// The end on this machine.
    pub local: Endpoint,
    /// The other end; zeros where there is none.
    pub remote: Endpoint,
    /// IP protocol.
    pub protocol: u8,
    /// Network compartment.
    pub compartment: u32,
    /// Interface, 0 where it is not known yet.
    pub interface_luid: u64,
    /// Programs decided about it before: it is authorized again, or was redirected here.
    pub is_known: bool,
}

impl Socket {
    fn context(&self, direction: Direction) -> BpfSockAddr {
        let (source, destination) = match direction {
            Direction::Out => (self.local, self.remote),
            Direction::In => (self.remote, self.local),
            Direction::Local => (Endpoint::default(), self.local),
        };
        BpfSockAddr {
            family: u32::from(self.family.number()),
            msg_src_ip: source.address,
            msg_src_port: source.port.to_be_bytes(),
            user_ip: destination.address,
            user_port: destination.port.to_be_bytes(),
            protocol: u32::from(self.protocol),
            compartment_id: self.compartment,
            interface_luid: self.interface_luid,
            ..BpfSockAddr::default()
        }
    }

    /// What programs see of a connection: IPv4 where IPv6 only carries it.
    fn seen(&self) -> Socket {
        let Some(remote) = self.carried() else {
            return *self;
        };
        Socket {
            family: Family::V4,
            local: self.local.unmapped().unwrap_or(Endpoint {
                address: [0; 16],
                port: self.local.port,
            }),
            remote,
            ..*self
        }
    }

    fn carried(&self) -> Option<Endpoint> {
        match self.family {
            Family::V4 => None,
            Family::V6 => self.remote.unmapped(),
        }
    }
}

/// Lets programs decide about an operation that they cannot change.
#[must_use]
pub fn authorize(
    run: &mut Run<'_>,
    point: Point<'_>,
    socket: &Socket,
    caller: &Caller<'_>,
) -> Action {
    let Kind::Socket(direction) = point.row().kind else {
        debug_assert!(false, "the hook is for something else");
        return Action::Permit;
    };
    let mut tally = Tally::new(point.row());
    if socket.is_known {
        return tally.action;
    }
    let mut framed = Framed::new(socket.context(direction));
    let where_ = (point, socket.compartment);
    call(run, where_, &mut framed, Some(caller), |result, _| {
        tally.note(result)
    });
    tally.action
}

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// What to do with it.
    pub action: Action,
    /// Its new destination.
    pub redirect: Option<Endpoint>,
}

/// Lets programs decide about a connection and its destination. `points` are the hooks for IPv4 and
/// for IPv6.
#[must_use]
pub fn connect(
    run: &mut Run<'_>,
    [v4, v6]: [Point<'_>; 2],
    socket: &Socket,
    caller: &Caller<'_>,
) -> Decision {
    let seen = socket.seen();
    let point = match seen.family {
        Family::V4 => v4,
        Family::V6 => v6,
    };
    let mut tally = Tally::new(point.row());
    let context = seen.context(Direction::Out);
    let before = destination(&context);
    let mut framed = Framed::new(context);
    let mut redirect = None;
    if !socket.is_known {
        let where_ = (point, seen.compartment);
        call(run, where_, &mut framed, Some(caller), |result, context| {
            tally.note(result)?;
            let now = destination(context);
            redirect = (now != before).then_some(now);
            redirect.map_or(ControlFlow::Continue(()), |_| ControlFlow::Break(()))
        });
    }
    if tally.action == Action::Block {
        redirect = None;
    }
    Decision {
        action: tally.action,
        redirect: redirect.map(|to| if seen == *socket { to } else { to.mapped() }),
    }
}

fn destination(context: &BpfSockAddr) -> Endpoint {
    let mut address = context.user_ip;
    if context.family == u32::from(AF_INET) {
        // Programs may leave anything behind the four bytes that count.
        address[4..].fill(0);
    }
    Endpoint {
        address,
        port: u16::from_be_bytes(context.user_port),
    }
}
