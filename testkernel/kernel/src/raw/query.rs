//! `RtlQueryRegistryValues`, which Wine answers wrongly for tables with a subkey.
//!
//! For absolute paths and services, and for rows with a routine; the table ends at a row without
//! routine and name.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::{answer, exports, get, wide_string};
use crate::irql;
use crate::machine::current;
use crate::platform::installed;
use crate::registry::{Value, join, service_key};
use crate::report::lock;
use crate::status;

/// One element of `RTL_QUERY_REGISTRY_TABLE`.
#[derive(Clone, Copy)]
#[repr(C)]
struct QueryRow {
    routine: u64,
    flags: u32,
    name: u64,
    entry_context: u64,
    default_type: u32,
    default_data: u64,
    default_length: u32,
}
const _: () = assert!(size_of::<QueryRow>() == 56);

const QUERY_SUBKEY: u32 = 0x1;
const QUERY_TOPKEY: u32 = 0x2;
const QUERY_REQUIRED: u32 = 0x4;
const QUERY_NOVALUE: u32 = 0x8;
const QUERY_DIRECT: u32 = 0x20;
const QUERY_DELETE: u32 = 0x40;
/// Rows read at most.
const QUERY_ROWS: u64 = 256;

fn has_key(path: &str) -> bool {
    match installed() {
        Some(platform) => platform.has_key(path),
        None => lock(&current().keys).registry.has_key(path),
    }
}

fn value_at(path: &str, name: &str) -> Option<Value> {
    match installed() {
        Some(platform) => platform.value(path, name),
        None => lock(&current().keys).registry.value(path, name).cloned(),
    }
}

exports! { "ntoskrnl.exe", All:
    fn RtlQueryRegistryValues(relative_to: u32, path: u64, table: u64, context: u64, _environment: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "RtlQueryRegistryValues");
        answer(query(relative_to, path, table, context))
    }

    fn RtlQueryRegistryValuesEx(relative_to: u32, path: u64, table: u64, context: u64, _environment: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "RtlQueryRegistryValuesEx");
        answer(query(relative_to, path, table, context))
    }
}

fn query(relative_to: u32, path: u64, table: u64, context: u64) -> Result<(), u32> {
    const ABSOLUTE: u32 = 0;
    const SERVICES: u32 = 1;
    // SAFETY: the driver passes a terminated string.
    let path = String::from_utf16_lossy(&unsafe { wide_string(path) }?);
    let top = match relative_to & 0xff {
        ABSOLUTE => path,
        SERVICES => service_key(&path),
        _ => return Err(status::NOT_SUPPORTED),
    };
    if !has_key(&top) {
        return Err(status::OBJECT_NAME_NOT_FOUND);
    }
    let mut key = top.clone();
    for at in 0..QUERY_ROWS {
        // SAFETY: the driver's table, up to its last row.
        let row: QueryRow = unsafe { get(table + at * size_of::<QueryRow>() as u64) }?;
        if row.routine == 0 && row.flags & (QUERY_SUBKEY | QUERY_DIRECT) == 0 {
            return Ok(());
        }
        // SAFETY: the rows of the driver's table.
        unsafe { query_row(&row, &top, &mut key, context) }?;
    }
    Err(status::INVALID_PARAMETER)
}

/// # Safety
/// 1. A row of a driver's table.
unsafe fn query_row(row: &QueryRow, top: &str, key: &mut String, context: u64) -> Result<(), u32> {
    if row.flags & (QUERY_DIRECT | QUERY_DELETE | QUERY_NOVALUE) != 0 || row.name == 0 {
        return Err(status::NOT_SUPPORTED);
    }
    if row.flags & (QUERY_TOPKEY | QUERY_SUBKEY) != 0 {
        top.clone_into(key);
    }
    // SAFETY: the caller's obligation.
    let name = String::from_utf16_lossy(&unsafe { wide_string(row.name) }?);
    if row.flags & QUERY_SUBKEY != 0 {
        let subkey = join(top, &name);
        if row.routine != 0 || !has_key(&subkey) {
            // A routine here means all values of the subkey, which no native module asks for.
            return Err(match row.routine {
                0 => status::OBJECT_NAME_NOT_FOUND,
                _ => status::NOT_SUPPORTED,
            });
        }
        *key = subkey;
        return Ok(());
    }
    match value_at(key, &name) {
        // SAFETY: the caller's obligation.
        Some(value) => unsafe { call_routine(row, &value, context) },
        None if row.flags & QUERY_REQUIRED != 0 => Err(status::OBJECT_NAME_NOT_FOUND),
        None if row.default_type == 0 => Ok(()),
        None => Err(status::NOT_SUPPORTED),
    }
}

/// # Safety
/// 1. A row of a driver's table.
unsafe fn call_routine(row: &QueryRow, value: &Value, context: u64) -> Result<(), u32> {
    type Routine = extern "win64" fn(u64, u32, u64, u32, u64, u64) -> u32;
    let routine = std::ptr::with_exposed_provenance::<()>(row.routine as usize);
    // SAFETY: the type of the routine by the interface of the function.
    let routine: Routine = unsafe { std::mem::transmute(routine) };
    let data = value.data.as_ptr().expose_provenance() as u64;
    let length = value.data.len() as u32;
    let status = routine(
        row.name,
        value.kind,
        data,
        length,
        context,
        row.entry_context,
    );
    match status::is_error(status) {
        true => Err(status),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
