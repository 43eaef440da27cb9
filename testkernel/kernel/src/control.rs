//! Messages of test programs: what they can ask the stand-ins.
//!
//! A request is a code and its arguments, all little-endian; the reply is bytes or text. The same
//! module encodes for the program and decodes for the device.

use crate::event::{self, Event};
use crate::machine::{Machine, current};
use crate::report::lock;
use crate::traffic::{self, Traffic};
use crate::wire::{Reader, Writer};
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

/// Control code of the device: unknown device type, buffered, any access, function 0x800.
pub const CONTROL_CODE: u32 = 0x22_2000;

/// What can be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Text: a line for each violation, each leak, and the debug output.
    Report,
    /// Makes the allocation after so many further ones fail, once.
    FailAllocation(u64),
    /// Brings frames; the reply is a [`traffic::Outcome`].
    Traffic(Traffic),
    /// Asks a layer; the reply is an [`event::Answer`].
    Event(Event),
    /// Ends a flow.
    EndFlow(u64),
    /// Makes callers ordinary users from now on, or administrators again.
    Restrict(bool),
    /// Refuses drivers that drivers start with a status from now on; 0 ends it.
    RefuseDrivers(u32),
    /// Text: how many packets were injected for sending, and the first of them.
    Sent,
}

impl Request {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        match self {
            Request::Report => drop(writer.number(1)),
            Request::FailAllocation(after) => drop(writer.number(2).number(*after)),
            Request::Traffic(traffic) => traffic.write(writer.number(3)),
            Request::Event(event) => event.write(writer.number(4)),
            Request::EndFlow(flow) => drop(writer.number(5).number(*flow)),
            Request::Sent => drop(writer.number(6)),
            Request::Restrict(is) => drop(writer.number(7).number(u64::from(*is))),
            Request::RefuseDrivers(status) => drop(writer.number(8).number(u64::from(*status))),
        }
        writer.0
    }

    /// From bytes; nothing may follow.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Request> {
        let mut reader = Reader(bytes);
        let request = match reader.number()? {
            1 => Request::Report,
            2 => Request::FailAllocation(reader.number()?),
            3 => Request::Traffic(Traffic::read(&mut reader)?),
            4 => Request::Event(Event::read(&mut reader)?),
            5 => Request::EndFlow(reader.number()?),
            6 => Request::Sent,
            7 => Request::Restrict(reader.number()? != 0),
            8 => Request::RefuseDrivers(reader.small()?),
            _ => return None,
        };
        reader.0.is_empty().then_some(request)
    }
}

/// Answers a request of the machine of this thread.
#[must_use]
pub fn serve(request: &[u8]) -> Vec<u8> {
    let machine = current();
    match Request::decode(request) {
        None => b"error: not a request\n".to_vec(),
        Some(Request::Report) => report().into_bytes(),
        Some(Request::FailAllocation(after)) => {
            machine.pool.fail_after(after);
            Vec::new()
        }
        Some(Request::Traffic(traffic)) => traffic::run(&machine, &traffic).write(),
        Some(Request::Event(event)) => event::ask(&machine, &event).write(),
        Some(Request::EndFlow(flow)) => {
            event::end_flow(&machine, flow);
            Vec::new()
        }
        Some(Request::Restrict(is)) => {
            machine.is_restricted.store(is, Ordering::Relaxed);
            Vec::new()
        }
        Some(Request::RefuseDrivers(status)) => {
            machine.refuses_drivers.store(status, Ordering::Relaxed);
            Vec::new()
        }
        Some(Request::Sent) => sent().into_bytes(),
    }
}

fn sent() -> String {
    let (count, first) = current().injection.all_sent();
    let mut text = format!("{count}\n");
    for (interface, bytes) in first {
        let _ = write!(text, "{interface}");
        for byte in bytes {
            let _ = write!(text, " {byte:02x}");
        }
        text.push('\n');
    }
    text
}

/// Everything that is wrong, then what drivers said.
fn report() -> String {
    let machine = current();
    let mut text = String::new();
    for fault in faults(&machine) {
        let _ = writeln!(text, "{fault}");
    }
    for line in machine.reports.lines() {
        let _ = writeln!(text, "said: {line}");
    }
    text
}

/// Everything that is wrong: broken rules, and what is left of drivers that should be gone.
#[must_use]
pub fn faults(machine: &Machine) -> Vec<String> {
    let mut faults = Vec::new();
    for violation in machine.reports.violations() {
        faults.push(format!("violation: {violation}"));
    }
    for (tag, usage) in machine.pool.usage() {
        let (blocks, bytes) = (usage.blocks, usage.bytes);
        faults.push(format!("pool: {tag} {blocks} blocks {bytes} bytes"));
    }
    for registration in machine.registrar.registrations() {
        let (side, module) = (registration.side, registration.module.guid);
        faults.push(format!("registered: {side:?} {module}"));
    }
    let platforms = machine.engine.left().into_iter();
    let objects = machine
        .files
        .left()
        .into_iter()
        .chain(machine.events.left())
        .chain(machine.sections.left());
    for left in platforms.chain(machine.injection.left()).chain(objects) {
        faults.push(format!("left: {left}"));
    }
    for link in lock(&machine.links).keys() {
        faults.push(format!("left: link {link}"));
    }
    faults
}
