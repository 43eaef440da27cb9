//! The imports, called as drivers of Microsoft's tool chain and ours call them.

use super::*;
use crate::Machine;
use crate::raw::se::ZwClose;
use crate::raw::zw::{MmGetSystemRoutineAddress, RtlInitUnicodeString, ZwOpenKey, ZwQueryValueKey};
use crate::raw::{address, put};
use crate::registry::{ModuleIdValue, REG_BINARY, REG_DWORD, Registry};
use std::sync::Arc;

const ID: [u8; 16] = *b"0123456789abcdef";

fn machine(module_id: &ModuleIdValue) -> Arc<Machine> {
    Machine::new(Registry::with_service("drop", module_id))
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

fn at<T>(value: &[T]) -> u64 {
    value.as_ptr().expose_provenance() as u64
}

extern "win64" fn routine(
    _name: u64,
    kind: u32,
    data: u64,
    length: u32,
    context: u64,
    target: u64,
) -> u32 {
    if kind != REG_BINARY || length != 16 || context != 7 {
        return status::INVALID_PARAMETER;
    }
    // SAFETY: sixteen bytes of the value; the variable of the test.
    answer(unsafe { get::<[u8; 16]>(data) }.and_then(|id| unsafe { put(target, id) }))
}

/// What `DriverEntry` of a module by Microsoft's tool chain does.
fn query(module_id: &ModuleIdValue) -> (u32, [u8; 16]) {
    let (path, parameters, name) = (
        wide(&service_key("drop")),
        wide("Parameters"),
        wide("NpiModuleId"),
    );
    let mut found = [[0u8; 16]];
    let target = found.as_mut_ptr().expose_provenance() as u64;
    let empty = QueryRow {
        routine: 0,
        flags: 0,
        name: 0,
        entry_context: 0,
        default_type: 0,
        default_data: 0,
        default_length: 0,
    };
    let table = [
        QueryRow {
            flags: QUERY_SUBKEY,
            name: at(&parameters),
            ..empty
        },
        QueryRow {
            routine: (routine as *const ()).expose_provenance() as u64,
            flags: QUERY_REQUIRED,
            name: at(&name),
            entry_context: target,
            ..empty
        },
        empty,
    ];
    let function = wide("RtlQueryRegistryValuesEx");
    let (start, table) = (at(&path), at(&table));
    let status = machine(module_id).enter(|| {
        let mut string = [0u64; 2];
        let string = string.as_mut_ptr().expose_provenance() as u64;
        RtlInitUnicodeString(string, at(&function));
        let query = MmGetSystemRoutineAddress(string);
        assert_eq!(
            Some(query),
            address("NTOSKRNL.exe", "RtlQueryRegistryValuesEx")
        );
        // SAFETY: the function that was asked for.
        let query: extern "win64" fn(u32, u64, u64, u64, u64) -> u32 =
            unsafe { std::mem::transmute(query) };
        query(0, start, table, 7, 0)
    });
    (status, found[0])
}

#[test]
fn the_registry_is_read_as_by_modules_of_microsofts_tool_chain() {
    let id = abi::Guid::from_bytes(ID);
    assert_eq!(query(&ModuleIdValue::of(id)), (status::SUCCESS, ID));
    for (value, expected) in [
        (ModuleIdValue::NoKey, status::OBJECT_NAME_NOT_FOUND),
        (ModuleIdValue::NoValue, status::OBJECT_NAME_NOT_FOUND),
        (wrong(REG_DWORD, 16), status::INVALID_PARAMETER),
        (wrong(REG_BINARY, 15), status::INVALID_PARAMETER),
    ] {
        assert_eq!(query(&value), (expected, [0; 16]), "{value:?}");
    }
}

fn wrong(kind: u32, len: usize) -> ModuleIdValue {
    ModuleIdValue::Value(Value {
        kind,
        data: ID[..len].to_vec(),
    })
}

#[test]
fn other_names_have_no_address() {
    assert_eq!(address("ntoskrnl.exe", "ZwOpenSection"), None);
    assert_eq!(address("hal.dll", "ZwClose"), None);
    let name = wide("ZwOpenSection");
    let mut string = [0u64; 2];
    let string = string.as_mut_ptr().expose_provenance() as u64;
    RtlInitUnicodeString(string, at(&name));
    assert_eq!(MmGetSystemRoutineAddress(string), 0);
}

/// `UNICODE_STRING`.
fn string(text: &[u16]) -> [u64; 2] {
    let bytes = (text.len() as u64 - 1) * 2;
    [bytes | (bytes + 2) << 16, at(text)]
}

#[test]
fn values_are_read_in_pieces_of_the_right_size() {
    let machine = machine(&ModuleIdValue::of(abi::Guid::from_bytes(ID)));
    let (path, name) = (wide(&service_key("DROP")), wide("npimoduleid"));
    let (path, parameters, name) = (string(&path), wide("Parameters"), string(&name));
    let parameters = string(&parameters);
    let (mut handle, mut needed) = ([0u64; 2], [0u32; 1]);
    let handles = handle.as_mut_ptr().expose_provenance() as u64;
    let needs = needed.as_mut_ptr().expose_provenance() as u64;
    let attributes = [48u64, 0, at(&path), 0x240, 0, 0];
    let opened = machine.enter(|| ZwOpenKey(handles, 0x2_0019, at(&attributes)));
    assert_eq!(opened, status::SUCCESS);
    let attributes = [48u64, handle[0], at(&parameters), 0x240, 0, 0];
    let opened = machine.enter(|| ZwOpenKey(handles + 8, 0x2_0019, at(&attributes)));
    assert_eq!(opened, status::SUCCESS);
    let key = handle[1];
    for (length, expected) in [
        (8, status::BUFFER_TOO_SMALL),
        (20, status::BUFFER_OVERFLOW),
        (28, status::SUCCESS),
        (64, status::SUCCESS),
    ] {
        let mut buffer = [0xeeu8; 64];
        let target = buffer.as_mut_ptr().expose_provenance() as u64;
        let query = || ZwQueryValueKey(key, at(&name), 2, target, length, needs);
        assert_eq!(machine.enter(query), expected, "{length}");
        assert_eq!(needed[0], 28);
        let filled = if length < 12 {
            0
        } else {
            length.min(28) as usize
        };
        assert!(
            buffer[filled..].iter().all(|byte| *byte == 0xee),
            "{length}"
        );
        if filled != 0 {
            assert_eq!(buffer[..12], [0, 0, 0, 0, 3, 0, 0, 0, 16, 0, 0, 0]);
            assert_eq!(buffer[12..filled], ID[..filled - 12]);
        }
    }
    assert_eq!(machine.leaked_keys().len(), 2);
    for handle in handle {
        assert_eq!(machine.enter(|| ZwClose(handle)), status::SUCCESS);
        assert_eq!(machine.enter(|| ZwClose(handle)), status::INVALID_HANDLE);
    }
    assert!(machine.leaked_keys().is_empty());
}
