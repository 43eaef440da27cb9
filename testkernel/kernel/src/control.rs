//! Messages of test programs: what they can ask the stand-ins.
//!
//! A request is a code and its arguments, all little-endian; the reply is bytes or text. The same
//! module encodes for the program and decodes for the device.

use crate::machine::current;
use std::fmt::Write as _;

/// Control code of the device: unknown device type, buffered, any access, function 0x800.
pub const CONTROL_CODE: u32 = 0x22_2000;

/// What can be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Text: a line for each violation, each leak, and the debug output.
    Report,
    /// Makes the allocation after so many further ones fail, once.
    FailAllocation(u64),
}

impl Request {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Request::Report => vec![1],
            Request::FailAllocation(after) => {
                let mut bytes = vec![2];
                bytes.extend(after.to_le_bytes());
                bytes
            }
        }
    }

    /// From bytes.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Request> {
        let (code, arguments) = bytes.split_first()?;
        match code {
            1 => Some(Request::Report),
            2 => Some(Request::FailAllocation(u64::from_le_bytes(
                arguments.try_into().ok()?,
            ))),
            _ => None,
        }
    }
}

/// Answers a request of the machine of this process.
#[must_use]
pub fn serve(request: &[u8]) -> Vec<u8> {
    match Request::decode(request) {
        None => b"error: not a request\n".to_vec(),
        Some(Request::Report) => report().into_bytes(),
        Some(Request::FailAllocation(after)) => {
            current().pool.fail_after(after);
            Vec::new()
        }
    }
}

/// Everything that is wrong, then what drivers said.
fn report() -> String {
    let machine = current();
    let mut text = String::new();
    for violation in machine.reports.violations() {
        let _ = writeln!(text, "violation: {violation}");
    }
    for (tag, usage) in machine.pool.usage() {
        let _ = writeln!(
            text,
            "pool: {tag} {} blocks {} bytes",
            usage.blocks, usage.bytes
        );
    }
    for registration in machine.registrar.registrations() {
        let _ = writeln!(
            text,
            "registered: {:?} {}",
            registration.side, registration.module.guid
        );
    }
    for line in machine.reports.lines() {
        let _ = writeln!(text, "said: {line}");
    }
    text
}
