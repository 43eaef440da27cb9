//! Maps of the runtime, read through its own device.

use crate::device::Device;
use abi::ioctl::{CONTROL_CODE, Handle, Reply, Request};
use std::fmt::Write as _;

/// Where the name stands in the information about a map, after six numbers but one.
const NAME_AT: usize = 20;
/// Longest request.
const REQUEST_BYTES: usize = 4096;
/// Entries printed at most.
const ENTRIES: usize = 1000;

/// Sends a request of the runtime's protocol.
fn ask<T>(
    device: &Device,
    request: &Request<'_>,
    take: impl FnOnce(Reply<'_>) -> Option<T>,
) -> Result<T, String> {
    let mut bytes = [0; REQUEST_BYTES];
    let length = request.encode(&mut bytes).map_err(|_| "request too long")?;
    let reply = device.control(CONTROL_CODE, &bytes[..length])?;
    let reply = Reply::decode(&reply).map_err(|error| format!("{error:?}"))?;
    take(reply).ok_or_else(|| "another reply than was asked for".to_owned())
}

macro_rules! ask {
    ($device:expr, $kind:ident { $($argument:tt)* } => $result:ident) => {
        ask($device, &Request::$kind { $($argument)* }, |reply| match reply {
            Reply::$kind { $result, .. } => Some($result.to_owned()),
            _ => None,
        })
    };
}

/// Entries of all maps with a name, a line for each: key and value in hexadecimal digits.
pub(crate) fn dump(name: &str) -> Result<String, String> {
    let device = Device::open(r"\\.\EbpfIoDevice")?;
    let mut text = String::new();
    let mut id = 0;
    while let Ok(next) = ask!(&device, GetNextMapId { start_id: id } => next_id) {
        id = next;
        let handle = ask!(&device, GetMapHandleById { id } => handle)?;
        let info = ask!(&device, GetObjectInfo { handle, info: &[] } => info)?;
        let own = info.get(NAME_AT..).unwrap_or(&[]);
        let own = own.split(|byte| *byte == 0).next().unwrap_or(&[]);
        if own == name.as_bytes() {
            entries(&device, handle, &mut text)?;
        }
        // The process ends soon; what closing says does not matter.
        let mut bytes = [0; 64];
        if let Ok(length) = (Request::CloseHandle { handle }).encode(&mut bytes) {
            let _ = device.control(CONTROL_CODE, &bytes[..length]);
        }
    }
    Ok(text)
}

fn entries(device: &Device, handle: Handle, text: &mut String) -> Result<(), String> {
    let mut key: Vec<u8> = Vec::new();
    for _ in 0..ENTRIES {
        let next = ask!(device, MapGetNextKey { handle, previous_key: &key } => next_key);
        let Ok(next) = next else { break };
        key = next;
        let request = Request::MapFindElement {
            handle,
            find_and_delete: false,
            key: &key,
        };
        let value = ask(device, &request, |reply| match reply {
            Reply::MapFindElement { value } => Some(value.to_owned()),
            _ => None,
        })?;
        for byte in &key {
            let _ = write!(text, "{byte:02x}");
        }
        text.push(' ');
        for byte in &value {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
    }
    Ok(())
}
