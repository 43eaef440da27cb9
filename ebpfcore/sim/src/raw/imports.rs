//! The kernel functions that native modules import, in the Windows calling convention.
//!
//! They are plain functions without a context argument, so the kernel they act on is the one that
//! [`enter`] put in place on this thread. Strings and structures are read from the driver's
//! addresses with no check but for null: the driver is machine code in this process anyway.
//!
//! Invariant: no borrow of the kernel is held while code of the driver is called.
#![expect(unsafe_code, reason = "reads and writes memory of drivers by address")]

use crate::kernel::{BINDING_HANDLE, Binding, Client, Kernel, is_error, status};
use crate::registry::{Value, join};
use abi::Guid;
use abi::native::nmr::{Characteristics, ModuleId};
use std::cell::RefCell;

thread_local! {
    static KERNEL: RefCell<Option<Kernel>> = const { RefCell::new(None) };
}

/// Longest name read, in UTF-16 units (the limit of `UNICODE_STRING`).
const NAME_UNITS: usize = 32_767;

/// One imported function.
struct Row {
    module: &'static str,
    name: &'static str,
    address: fn() -> u64,
}

macro_rules! imports {
    ($($module:literal $name:ident = $function:path;)*) => {
        &[$(Row {
            module: $module,
            name: stringify!($name),
            address: || ($function as *const ()).expose_provenance() as u64,
        }),*]
    };
}

/// Everything that can be imported.
static IMPORTS: &[Row] = imports! {
    "NETIO.SYS" NmrRegisterClient = nmr_register_client;
    "NETIO.SYS" NmrDeregisterClient = nmr_deregister_client;
    "NETIO.SYS" NmrWaitForClientDeregisterComplete = nmr_wait_for_client_deregister_complete;
    "NETIO.SYS" NmrClientAttachProvider = nmr_client_attach_provider;
    "ntoskrnl.exe" ZwOpenKey = zw_open_key;
    "ntoskrnl.exe" ZwQueryValueKey = zw_query_value_key;
    "ntoskrnl.exe" ZwClose = zw_close;
    "ntoskrnl.exe" RtlQueryRegistryValues = rtl_query_registry_values;
    "ntoskrnl.exe" RtlQueryRegistryValuesEx = rtl_query_registry_values;
    "ntoskrnl.exe" RtlInitUnicodeString = rtl_init_unicode_string;
    "ntoskrnl.exe" MmGetSystemRoutineAddress = mm_get_system_routine_address;
};

/// Address of an import; module names compare without regard to case, function names with.
pub(crate) fn address(module: &str, name: &str) -> Option<u64> {
    let row = IMPORTS
        .iter()
        .find(|row| row.name == name && row.module.eq_ignore_ascii_case(module))?;
    Some((row.address)())
}

/// Puts a kernel in place while `action` runs code of its driver.
pub(crate) fn enter<T>(kernel: &mut Kernel, action: impl FnOnce() -> T) -> T {
    let outer = KERNEL.replace(Some(std::mem::take(kernel)));
    let result = action();
    if let Some(inner) = KERNEL.replace(outer) {
        *kernel = inner;
    }
    result
}

/// The kernel in place; functions called outside of [`enter`] fail.
fn with<T>(action: impl FnOnce(&mut Kernel) -> Result<T, u32>) -> Result<T, u32> {
    KERNEL.with_borrow_mut(|kernel| match kernel {
        Some(kernel) => action(kernel),
        None => Err(status::INVALID_PARAMETER),
    })
}

fn answer(result: Result<(), u32>) -> u32 {
    result.err().unwrap_or(status::SUCCESS)
}

/// Safety: null, or readable for a `T`.
unsafe fn get<T: Copy>(address: u64) -> Result<T, u32> {
    if address == 0 {
        return Err(status::INVALID_PARAMETER);
    }
    let pointer = std::ptr::with_exposed_provenance::<T>(address as usize);
    // SAFETY: the caller's obligation.
    Ok(unsafe { pointer.read_unaligned() })
}

/// Safety: null, or writable for a `T`.
unsafe fn put<T: Copy>(address: u64, value: T) -> Result<(), u32> {
    if address == 0 {
        return Err(status::INVALID_PARAMETER);
    }
    let pointer = std::ptr::with_exposed_provenance_mut::<T>(address as usize);
    // SAFETY: the caller's obligation.
    unsafe { pointer.write_unaligned(value) };
    Ok(())
}

/// Text of a `UNICODE_STRING`: length in bytes, capacity, address.
///
/// Safety: the structure and what it points at are readable.
unsafe fn unicode_string(address: u64) -> Result<String, u32> {
    // SAFETY: the caller's obligation, for each read.
    unsafe {
        let length: u16 = get(address)?;
        let buffer: u64 = get(address + 8)?;
        let unit = |at: u16| get::<u16>(buffer + u64::from(at) * 2);
        let units: Result<Vec<u16>, u32> = (0..length / 2).map(unit).collect();
        Ok(String::from_utf16_lossy(&units?))
    }
}

/// Units of a zero-terminated wide string.
///
/// Safety: readable up to its end.
unsafe fn wide_string(address: u64) -> Result<Vec<u16>, u32> {
    let mut units = Vec::new();
    while units.len() < NAME_UNITS {
        // SAFETY: the caller's obligation.
        match unsafe { get::<u16>(address + units.len() as u64 * 2) }? {
            0 => return Ok(units),
            unit => units.push(unit),
        }
    }
    Err(status::INVALID_PARAMETER)
}

/// Calls a client's attach callback, as the registrar does when provider and client fit.
///
/// Safety: the client's driver is mapped and `enter` is around this call.
pub(crate) unsafe fn call_attach(attach: u64, context: u64, provider: u64) -> u32 {
    // SAFETY: the type of the callback by the interface of the registrar.
    let function: extern "win64" fn(u64, u64, u64) -> u32 =
        unsafe { std::mem::transmute(std::ptr::with_exposed_provenance::<()>(attach as usize)) };
    let set = |attaching| {
        with(|kernel| {
            kernel.attaching = attaching;
            Ok(())
        })
    };
    if let Err(status) = set(true) {
        return status;
    }
    let status = function(BINDING_HANDLE, context, provider);
    answer(set(false).and(if is_error(status) {
        Err(status)
    } else {
        Ok(())
    }))
}

/// Calls `DriverEntry`.
///
/// Safety: `entry` is the entry point of a mapped driver; both arguments are what it expects; and
/// `enter` is around this call.
pub(crate) unsafe fn call_entry(entry: u64, driver: u64, registry_path: u64) -> u32 {
    // SAFETY: the type of every driver's entry point.
    let function: extern "win64" fn(u64, u64) -> u32 =
        unsafe { std::mem::transmute(std::ptr::with_exposed_provenance::<()>(entry as usize)) };
    function(driver, registry_path)
}

/// Calls `DriverUnload`.
///
/// Safety: as for [`call_entry`].
pub(crate) unsafe fn call_unload(unload: u64, driver: u64) {
    // SAFETY: the type of every driver's unload routine.
    let function: extern "win64" fn(u64) =
        unsafe { std::mem::transmute(std::ptr::with_exposed_provenance::<()>(unload as usize)) };
    function(driver);
}

extern "win64" fn nmr_register_client(characteristics: u64, context: u64, handle: u64) -> u32 {
    // SAFETY: the driver passes addresses of its structures, or null.
    let client = || unsafe {
        let characteristics: Characteristics = get(characteristics)?;
        Ok(Client {
            context,
            npi: get::<Guid>(characteristics.instance.npi_id)?,
            module: get::<ModuleId>(characteristics.instance.module_id)?,
            characteristics,
            binding: None,
            leaving: false,
        })
    };
    let registered = client().and_then(|client| with(|kernel| kernel.register(client)));
    // SAFETY: the driver's variable for the handle.
    answer(registered.and_then(|value| unsafe { put(handle, value) }))
}

extern "win64" fn nmr_client_attach_provider(
    binding: u64,
    context: u64,
    dispatch: u64,
    provider_context: u64,
    provider_dispatch: u64,
) -> u32 {
    let attached = with(
        |kernel| match kernel.attach(binding, Binding { context, dispatch }) {
            status::SUCCESS => Ok(()),
            status => Err(status),
        },
    );
    // SAFETY: the driver's variables for what the provider gives.
    answer(attached.and_then(|()| unsafe {
        put(provider_context, BINDING_HANDLE)?;
        put(provider_dispatch, 0u64)
    }))
}

extern "win64" fn nmr_deregister_client(handle: u64) -> u32 {
    match with(|kernel| kernel.deregister(handle)) {
        Err(status) => status,
        Ok(None) => status::SUCCESS,
        Ok(Some((detach, context))) => {
            // SAFETY: the type of the callback by the interface of the registrar; its driver is
            // mapped, since it is calling.
            let function: extern "win64" fn(u64) -> u32 = unsafe {
                std::mem::transmute(std::ptr::with_exposed_provenance::<()>(detach as usize))
            };
            // Pending or not, the client has to wait for the provider.
            function(context);
            status::PENDING
        }
    }
}

extern "win64" fn nmr_wait_for_client_deregister_complete(handle: u64) -> u32 {
    with(|kernel| Ok(kernel.wait_deregistered(handle))).unwrap_or_else(|status| status)
}

/// `OBJECT_ATTRIBUTES`: length at 0, root directory at 8, name at 16.
extern "win64" fn zw_open_key(handle: u64, _access: u32, attributes: u64) -> u32 {
    // SAFETY: the driver passes addresses of its structures, or null.
    let opened = unsafe { get::<u32>(attributes) }.and_then(|length| {
        if length != 48 {
            return Err(status::INVALID_PARAMETER);
        }
        // SAFETY: as above.
        let (root, name) =
            unsafe { (get(attributes + 8)?, unicode_string(get(attributes + 16)?)?) };
        with(|kernel| kernel.open_key(root, &name))
    });
    // SAFETY: the driver's variable for the handle.
    answer(opened.and_then(|value| unsafe { put(handle, value) }))
}

/// `KeyValuePartialInformation`: title index, type, length, data.
extern "win64" fn zw_query_value_key(
    key: u64,
    name: u64,
    class: u32,
    buffer: u64,
    length: u32,
    needed: u64,
) -> u32 {
    const PARTIAL: u32 = 2;
    const FIXED: u32 = 12;
    if class != PARTIAL {
        return status::NOT_SUPPORTED;
    }
    // SAFETY: the driver passes the address of its structure.
    let value = unsafe { unicode_string(name) }
        .and_then(|name| with(|kernel| kernel.query_value(key, &name).cloned()));
    answer(value.and_then(|value| {
        let total = FIXED + value.data.len() as u32;
        // SAFETY: the driver's buffer has `length` bytes.
        unsafe {
            put(needed, total)?;
            if length < FIXED {
                return Err(status::BUFFER_TOO_SMALL);
            }
            for (at, field) in [0, value.kind, value.data.len() as u32]
                .into_iter()
                .enumerate()
            {
                put(buffer + at as u64 * 4, field)?;
            }
            for (at, byte) in (FIXED..length).zip(&value.data) {
                put(buffer + u64::from(at), *byte)?;
            }
        }
        if total > length {
            return Err(status::BUFFER_OVERFLOW);
        }
        Ok(())
    }))
}

extern "win64" fn zw_close(handle: u64) -> u32 {
    with(|kernel| Ok(kernel.close(handle))).unwrap_or_else(|status| status)
}

extern "win64" fn rtl_init_unicode_string(target: u64, source: u64) {
    // SAFETY: the driver passes the address of its structure and a terminated string, or null.
    let _ = unsafe {
        let bytes = wide_string(source).map_or(0, |units| units.len() as u16 * 2);
        let capacity = if source == 0 {
            0
        } else {
            bytes.saturating_add(2)
        };
        put(target, bytes)
            .and_then(|()| put(target + 2, capacity))
            .and_then(|()| put(target + 8, source))
    };
}

extern "win64" fn mm_get_system_routine_address(name: u64) -> u64 {
    // SAFETY: the driver passes the address of its structure.
    let name = unsafe { unicode_string(name) }.unwrap_or_default();
    // The function looks in the kernel and in the HAL only.
    address("ntoskrnl.exe", &name).unwrap_or(0)
}

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

/// `RtlQueryRegistryValues` and `...Ex`, for absolute paths and services and for rows with a
/// routine; the table ends at a row without routine and name.
extern "win64" fn rtl_query_registry_values(
    relative_to: u32,
    path: u64,
    table: u64,
    context: u64,
    _environment: u64,
) -> u32 {
    const ABSOLUTE: u32 = 0;
    const SERVICES: u32 = 1;
    // SAFETY: the driver passes a terminated string.
    let path = unsafe { wide_string(path) }.map(|units| String::from_utf16_lossy(&units));
    answer(path.and_then(|path| {
        let top = match relative_to & 0xff {
            ABSOLUTE => path,
            SERVICES => crate::registry::service_key(&path),
            _ => return Err(status::NOT_SUPPORTED),
        };
        with(|kernel| match kernel.has_key(&top) {
            true => Ok(()),
            false => Err(status::OBJECT_NAME_NOT_FOUND),
        })?;
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
    }))
}

/// Safety: a row of a driver's table.
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
        if row.routine != 0 || !with(|kernel| Ok(kernel.has_key(&subkey)))? {
            // A routine here means all values of the subkey, which no native module asks for.
            return Err(match row.routine {
                0 => status::OBJECT_NAME_NOT_FOUND,
                _ => status::NOT_SUPPORTED,
            });
        }
        *key = subkey;
        return Ok(());
    }
    match with(|kernel| Ok(kernel.value_at(key, &name)))? {
        // SAFETY: the caller's obligation.
        Some(value) => unsafe { call_routine(row, &value, context) },
        None if row.flags & QUERY_REQUIRED != 0 => Err(status::OBJECT_NAME_NOT_FOUND),
        None if row.default_type == 0 => Ok(()),
        None => Err(status::NOT_SUPPORTED),
    }
}

/// Safety: a row of a driver's table.
unsafe fn call_routine(row: &QueryRow, value: &Value, context: u64) -> Result<(), u32> {
    type Routine = extern "win64" fn(u64, u32, u64, u32, u64, u64) -> u32;
    // SAFETY: the type of the routine by the interface of the function.
    let routine: Routine = unsafe {
        std::mem::transmute(std::ptr::with_exposed_provenance::<()>(
            row.routine as usize,
        ))
    };
    let data = value.data.as_ptr().expose_provenance() as u64;
    let length = value.data.len() as u32;
    match routine(
        row.name,
        value.kind,
        data,
        length,
        context,
        row.entry_context,
    ) {
        status if is_error(status) => Err(status),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
