//! Flows: programs of type `sockops` learn when a connection is established and when it is over.

use super::{
    Action, Caller, Point, Tally,
    socket::{Endpoint, Socket},
};
use crate::raw::{
    context::Run,
    hook::{Framed, call},
};
use abi::context::structures::{BpfSockOps, sock_op};

/// Who began a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// This machine.
    Here,
    /// The other end.
    There,
}

/// A flow: what a shell keeps from its begin to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow {
    context: BpfSockOps,
    process_id: u32,
    id: u64,
}

impl Flow {
    /// A flow that has just begun.
    #[must_use]
    pub fn new(socket: &Socket, origin: Origin, process_id: u32, id: u64) -> Flow {
        let op = match origin {
            Origin::Here => sock_op::ACTIVE_ESTABLISHED,
            Origin::There => sock_op::PASSIVE_ESTABLISHED,
        };
        Flow {
            context: BpfSockOps {
                op,
                family: u32::from(socket.family.number()),
                local_ip: socket.local.address,
                local_port: wide_port(socket.local),
                remote_ip: socket.remote.address,
                remote_port: wide_port(socket.remote),
                protocol: socket.protocol,
                compartment_id: socket.compartment,
                interface_luid: socket.interface_luid,
                ..BpfSockOps::default()
            },
            process_id,
            id,
        }
    }
}

/// Two bytes in network byte order, and two zeros.
fn wide_port(end: Endpoint) -> [u8; 4] {
    let [high, low] = end.port.to_be_bytes();
    [high, low, 0, 0]
}

/// Tells programs that a flow has begun; they may end it.
#[must_use]
pub fn established(run: &mut Run<'_>, point: Point<'_>, flow: &Flow) -> Action {
    tell(run, point, flow, flow.context.op)
}

/// Tells programs that a flow is over.
pub fn deleted(run: &mut Run<'_>, point: Point<'_>, flow: &Flow) {
    let _ = tell(run, point, flow, sock_op::DELETED);
}

fn tell(run: &mut Run<'_>, point: Point<'_>, flow: &Flow, op: u32) -> Action {
    let mut framed = Framed::new(BpfSockOps { op, ..flow.context });
    let caller = Caller {
        process_id: flow.process_id,
        flow_id: flow.id,
        ..Caller::default()
    };
    let mut tally = Tally::new(point.row());
    let where_ = (point, flow.context.compartment_id);
    call(run, where_, &mut framed, Some(&caller), |result, _| {
        tally.note(result)
    });
    tally.action
}
