//! The table of hooks.
//!
//! Layers have the names of the Windows Filtering Platform; numbers and GUIDs of layers and fields
//! are the shell's, which maps each [`Layer`]. Sources for verdicts and capacities: the
//! documentation of eBPF for Windows on its bind, connect-authorization and listen hooks.

use crate::link::Capacity;
use abi::program_type::{AttachType, windows::ATTACH};

/// A place in the network stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layer {
    /// Frames as the miniport driver indicates them.
    InboundMacFrameNative,
    /// A socket gets a local address.
    AleResourceAssignmentV4,
    /// A socket gets a local address.
    AleResourceAssignmentV6,
    /// A socket gives up its local address.
    AleResourceReleaseV4,
    /// A socket gives up its local address.
    AleResourceReleaseV6,
    /// A connection is about to be made; its destination may be changed.
    AleConnectRedirectV4,
    /// A connection is about to be made; its destination may be changed.
    AleConnectRedirectV6,
    /// A connection is about to be made, its route is known.
    AleAuthConnectV4,
    /// A connection is about to be made, its route is known.
    AleAuthConnectV6,
    /// A connection or the first packet of a peer comes in.
    AleAuthRecvAcceptV4,
    /// A connection or the first packet of a peer comes in.
    AleAuthRecvAcceptV6,
    /// A socket is about to listen.
    AleAuthListenV4,
    /// A socket is about to listen.
    AleAuthListenV6,
    /// A flow has begun; its end is reported through the same callout.
    AleFlowEstablishedV4,
    /// A flow has begun; its end is reported through the same callout.
    AleFlowEstablishedV6,
}

/// Which end of a connection is its destination (`user_*` of the context).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// The remote end; the source is local.
    Out,
    /// The local end; the source is remote.
    In,
    /// The local end; there is no other.
    Local,
}

/// What a hook is called with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A frame.
    Frame,
    /// A local address.
    Bind,
    /// A socket operation that is allowed or not.
    Socket(Direction),
    /// A connection that may get another destination.
    Connect,
    /// The begin or end of a flow.
    Flow,
}

/// What to do, ascending by strength.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Action {
    /// Let it pass; others may still block it.
    Permit,
    /// Let it pass whatever others of lower weight say.
    PermitHard,
    /// Send the frame back through its interface and let nobody else see it.
    Transmit,
    /// Drop it without a report.
    Absorb,
    /// Block it whatever others say.
    Block,
}

impl Action {
    /// Whether nothing stronger can follow from other programs.
    #[inline(always)]
    #[must_use]
    pub fn is_final(self) -> bool {
        self >= Action::Transmit
    }
}

/// One hook.
#[derive(Debug)]
pub struct Row {
    /// Its attach type and, with it, program type, kind of attach parameter and section name.
    pub attach: &'static AttachType,
    /// What it is called with.
    pub kind: Kind,
    /// How many programs it takes.
    pub capacity: Capacity,
    /// Where it sits.
    pub layers: &'static [Layer],
    /// Meanings of the results from 0.
    pub verdicts: [Action; 4],
    /// Meaning of any other result.
    pub other: Action,
    /// What becomes of it when a program was stopped.
    pub stopped: Action,
}

impl Row {
    /// What a result of a program means; results are 32 bits wide.
    #[inline(always)]
    #[must_use]
    pub fn meaning(&self, result: u64) -> Action {
        let at = result as u32 as usize;
        self.verdicts.get(at).copied().unwrap_or(self.other)
    }
}

use Action::{Absorb, Block, Permit, PermitHard, Transmit};
use Capacity::{Many, One, OnePerParameter};
use Direction::{In, Local, Out};
use Kind::{Bind, Connect, Flow, Frame, Socket};
use Layer::*;

/// All hooks.
#[rustfmt::skip] // one row, one line
pub static TABLE: [Row; 13] = [
    row("xdp", Frame, OnePerParameter, &[InboundMacFrameNative]),
    row("bind", Bind, One, &[AleResourceAssignmentV4, AleResourceAssignmentV6, AleResourceReleaseV4, AleResourceReleaseV6]),
    row("cgroup/connect4", Connect, Many, &[AleConnectRedirectV4, AleConnectRedirectV6]),
    row("cgroup/connect6", Connect, Many, &[AleConnectRedirectV6]),
    row("cgroup/recv_accept4", Socket(In), OnePerParameter, &[AleAuthRecvAcceptV4]),
    row("cgroup/recv_accept6", Socket(In), OnePerParameter, &[AleAuthRecvAcceptV6]),
    row("sockops", Flow, OnePerParameter, &[AleFlowEstablishedV4, AleFlowEstablishedV6]),
    row("cgroup/connect_authorization4", Socket(Out), Many, &[AleAuthConnectV4]),
    row("cgroup/connect_authorization6", Socket(Out), Many, &[AleAuthConnectV6]),
    row("cgroup/bind4", Socket(Local), Many, &[AleResourceAssignmentV4]),
    row("cgroup/bind6", Socket(Local), Many, &[AleResourceAssignmentV6]),
    row("cgroup/listen4", Socket(Local), OnePerParameter, &[AleAuthListenV4]),
    row("cgroup/listen6", Socket(Local), OnePerParameter, &[AleAuthListenV6]),
];

const fn row(section: &str, kind: Kind, capacity: Capacity, layers: &'static [Layer]) -> Row {
    let (verdicts, other, stopped) = match kind {
        Frame => ([Absorb, Permit, Absorb, Transmit], Absorb, Absorb),
        // REDIRECT changes nothing, as in eBPF for Windows.
        Bind => ([Permit, Block, Permit, PermitHard], Block, Block),
        Socket(_) | Connect => ([Block, Permit, PermitHard, Block], Block, Block),
        // These programs watch; that one was stopped is no reason to end a connection.
        Flow => ([Permit, Block, Block, Block], Block, Permit),
    };
    Row {
        attach: attach_type(section),
        kind,
        capacity,
        layers,
        verdicts,
        other,
        stopped,
    }
}

/// The attach type with this section prefix; evaluated when this file is compiled.
const fn attach_type(section: &str) -> &'static AttachType {
    let mut at = 0;
    while at < ATTACH.len() {
        if is_same(ATTACH[at].prefix.as_bytes(), section.as_bytes()) {
            return &ATTACH[at];
        }
        at += 1;
    }
    panic!("no such attach type")
}

const fn is_same(left: &[u8], right: &[u8]) -> bool {
    let mut at = 0;
    while at < left.len() && at < right.len() && left[at] == right[at] {
        at += 1;
    }
    at == left.len() && at == right.len()
}

/// The row of a section name.
#[must_use]
pub fn by_section(section: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.attach.prefix == section)
}
