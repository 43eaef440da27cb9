//! The stand-ins in the Windows calling convention, and the table of them.
//!
//! Structures and strings are read from the drivers' addresses with no check but for null: a driver
//! is machine code in this process anyway. A row says whether Wine has a working function of the
//! name; then only the simulator uses the row.
#![expect(unsafe_code, reason = "reads and writes memory of drivers by address")]

pub mod classify;
pub mod device;
mod ex;
mod file;
mod fwpm;
pub mod fwps;
mod image;
mod io;
mod ke;
mod loader;
mod mm;
pub mod ndis;
mod netio;
mod pages;
mod query;
mod read;
mod rtl;
pub mod sample;
mod se;
mod thread;
mod zw;

use crate::{Machine, irql, status};
use std::sync::Arc;

/// Longest name read, in UTF-16 units (the limit of `UNICODE_STRING`).
const NAME_UNITS: usize = 32_767;

/// What the library of the stand-ins puts in front of the names it exports.
pub const PREFIX: &str = "tk_";

/// Who uses a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Users {
    /// The simulator and the shim.
    All,
    /// The simulator: Wine has the function.
    Simulator,
}

/// One function that drivers import.
#[derive(Debug)]
pub struct Row {
    /// The module that exports it.
    pub module: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Who uses the row.
    pub users: Users,
    address: fn() -> u64,
}

impl Row {
    /// Address of the function.
    #[must_use]
    pub fn address(&self) -> u64 {
        (self.address)()
    }
}

/// Defines functions in the Windows calling convention and `ROWS`, the table of them.
///
/// Exported names get [`PREFIX`]: the library also imports Wine's functions of the same names.
macro_rules! exports {
    ($module:literal, $users:ident: $(
        $(#[$meta:meta])*
        fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block
    )*) => {
        $(
            $(#[$meta])*
            #[cfg_attr(all(feature = "shim", windows), unsafe(export_name = concat!("tk_", stringify!($name))))]
            pub(crate) extern "win64" fn $name($($arg: $type),*) $(-> $result)? $body
        )*
        /// The functions of this module.
        pub(super) static ROWS: &[$crate::raw::Row] = &[$($crate::raw::Row {
            module: $module,
            name: stringify!($name),
            users: $crate::raw::Users::$users,
            address: || ($name as *const ()).expose_provenance() as u64,
        }),*];
    };
}
pub(crate) use exports;

/// All tables.
static TABLES: &[&[Row]] = &[
    device::ROWS,
    device::VARIABLES,
    ex::ROWS,
    file::ROWS,
    fwpm::ROWS,
    fwps::ROWS,
    image::ROWS,
    io::ROWS,
    ke::ROWS,
    loader::ROWS,
    mm::ROWS,
    ndis::ROWS,
    netio::ROWS,
    query::ROWS,
    read::ROWS,
    rtl::ROWS,
    rtl::OWN_ROWS,
    se::ROWS,
    thread::ROWS,
    zw::ROWS,
];

/// Every function.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    TABLES.iter().copied().flatten()
}

/// Address of an import; module names compare without regard to case, function names with.
#[must_use]
pub fn address(module: &str, name: &str) -> Option<u64> {
    let fits = |row: &&Row| row.name == name && row.module.eq_ignore_ascii_case(module);
    rows().find(fits).map(Row::address)
}

/// Offers an interface on behalf of the machine itself.
///
/// # Safety
/// 1. The structure lives until the process ends or the machine does, and its callbacks have the
///    types of the registrar.
pub unsafe fn offer(machine: &Arc<Machine>, characteristics: u64, context: u64) -> u32 {
    let mut handle = 0u64;
    let variable = (&raw mut handle).expose_provenance() as u64;
    machine.enter(|| netio::NmrRegisterProvider(characteristics, context, variable))
}

/// Calls `DriverEntry`.
///
/// # Safety
/// 1. `entry` is the entry point of a mapped driver.
/// 2. Both arguments are what it expects.
pub unsafe fn call_entry(machine: &Arc<Machine>, entry: u64, driver: u64, path: u64) -> u32 {
    let entry = std::ptr::with_exposed_provenance::<()>(entry as usize);
    // SAFETY: the type of every driver's entry point.
    let function: extern "win64" fn(u64, u64) -> u32 = unsafe { std::mem::transmute(entry) };
    machine.enter(|| irql::run_at(irql::PASSIVE, "DriverEntry", || function(driver, path)))
}

/// Calls `DriverUnload`.
///
/// # Safety
/// 1. `unload` is the unload routine of a started driver.
pub unsafe fn call_unload(machine: &Arc<Machine>, unload: u64, driver: u64) {
    let unload = std::ptr::with_exposed_provenance::<()>(unload as usize);
    // SAFETY: the type of every driver's unload routine.
    let function: extern "win64" fn(u64) = unsafe { std::mem::transmute(unload) };
    machine.enter(|| irql::run_at(irql::PASSIVE, "DriverUnload", || function(driver)));
}

/// A process ended: the system closes its handles.
pub fn process_ended(machine: &Arc<Machine>, process: u64) {
    machine.enter(|| {
        mm::process_ended(process);
        file::process_ended(process);
    });
}

/// Reads a structure.
///
/// # Safety
/// 1. The address is null or readable for a `T`.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER` for null.
pub unsafe fn get<T: Copy>(address: u64) -> Result<T, u32> {
    if address == 0 {
        return Err(status::INVALID_PARAMETER);
    }
    let pointer = std::ptr::with_exposed_provenance::<T>(address as usize);
    // SAFETY: the caller's obligation.
    Ok(unsafe { pointer.read_unaligned() })
}

/// Writes a structure.
///
/// # Safety
/// 1. The address is null or writable for a `T`.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER` for null.
pub unsafe fn put<T: Copy>(address: u64, value: T) -> Result<(), u32> {
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
/// # Safety
/// 1. The structure and what it points at are readable.
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
/// # Safety
/// 1. Readable up to its end.
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

fn answer(result: Result<(), u32>) -> u32 {
    result.err().unwrap_or(status::SUCCESS)
}
