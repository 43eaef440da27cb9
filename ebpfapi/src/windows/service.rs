//! Services of native modules, through the service manager.
#![expect(unsafe_code, reason = "calls the service manager")]

use super::device::last_error;
use super::registry::{Key, Root};
use super::{leftover, wide};
use crate::{Cause, NewService};
use std::ptr::{null, null_mut};
use windows_sys::Win32::Foundation::{
    ERROR_SERVICE_DOES_NOT_EXIST, ERROR_SERVICE_MARKED_FOR_DELETE, ERROR_SERVICE_NOT_ACTIVE,
    ERROR_SUCCESS,
};
use windows_sys::Win32::System::Services::{
    CloseServiceHandle, ControlService, CreateServiceW, DeleteService, OpenSCManagerW,
    OpenServiceW, QueryServiceStatus, SC_HANDLE, SC_MANAGER_CONNECT, SC_MANAGER_CREATE_SERVICE,
    SERVICE_ALL_ACCESS, SERVICE_CONTROL_STOP, SERVICE_DEMAND_START, SERVICE_ERROR_NORMAL,
    SERVICE_KERNEL_DRIVER, SERVICE_STATUS,
};

/// Below it lie the keys of services.
pub(super) const SERVICES: &str = r"System\CurrentControlSet\Services";

/// A handle of the service manager.
struct Owned(SC_HANDLE);

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: this value owns the handle.
        unsafe { CloseServiceHandle(self.0) };
    }
}

fn failed(what: &'static str) -> Cause {
    let code = last_error();
    Cause::Service { what, code }
}

fn owned(handle: SC_HANDLE, what: &'static str) -> Result<Owned, Cause> {
    match handle.is_null() {
        true => Err(failed(what)),
        false => Ok(Owned(handle)),
    }
}

fn manager() -> Result<Owned, Cause> {
    let access = SC_MANAGER_CONNECT | SC_MANAGER_CREATE_SERVICE;
    // SAFETY: this machine and its active database.
    owned(
        unsafe { OpenSCManagerW(null(), null(), access) },
        "open the service manager",
    )
}

fn open(name: &str) -> Result<Owned, Cause> {
    let (manager, name) = (manager()?, wide(name.as_ref()));
    // SAFETY: an open manager and text with its end.
    let service = unsafe { OpenServiceW(manager.0, name.as_ptr(), SERVICE_ALL_ACCESS) };
    owned(service, "open a service")
}

/// Makes the service of a module, with its id; on failure nothing is left.
pub(super) fn create(new: &NewService<'_>) -> Result<(), Cause> {
    let manager = manager()?;
    leftover::sweep();
    let (name, file) = (wide(new.name.as_ref()), wide(new.file.as_os_str()));
    // SAFETY: an open manager; texts with their ends.
    let service = unsafe {
        CreateServiceW(
            manager.0,
            name.as_ptr(),
            name.as_ptr(),
            SERVICE_ALL_ACCESS,
            SERVICE_KERNEL_DRIVER,
            SERVICE_DEMAND_START,
            SERVICE_ERROR_NORMAL,
            file.as_ptr(),
            null(),
            null_mut(),
            null(),
            null(),
            null(),
        )
    };
    let service = owned(service, "make a service")?;
    write_id(new).inspect_err(|_| {
        // The failure that matters is the other one.
        let _ = delete(&service);
    })
}

/// Writes `Parameters\NpiModuleId`, and who does it.
fn write_id(new: &NewService<'_>) -> Result<(), Cause> {
    let path = format!(r"{SERVICES}\{}\Parameters", new.name);
    let write = || {
        let key = Key::create(Root::Machine, &path)?;
        // First, so that no service with an id is without it.
        key.set(leftover::VALUE, &leftover::own_mark())?;
        key.set(abi::native::nmr::MODULE_ID_VALUE, &new.module_id.to_bytes())
    };
    write().map_err(registry)
}

/// What the registry says.
fn registry(code: u32) -> Cause {
    const WHAT: &str = "write the id of a module";
    Cause::Service { what: WHAT, code }
}

fn delete(service: &Owned) -> Result<(), Cause> {
    // SAFETY: an open service.
    match unsafe { DeleteService(service.0) } {
        0 if last_error() == ERROR_SERVICE_MARKED_FOR_DELETE => Ok(()),
        0 => Err(failed("delete a service")),
        _ => Ok(()),
    }
}

/// Lets a service go away as soon as its driver stops.
pub(super) fn retire(name: &str) -> Result<(), Cause> {
    let service = open(name)?;
    let mut status = SERVICE_STATUS::default();
    // Asking makes the manager count the driver that the runtime started as running; without, a later
    // unload by the runtime would not reach it.
    // SAFETY: an open service and a live variable.
    if unsafe { QueryServiceStatus(service.0, &raw mut status) } == 0 {
        return Err(failed("ask for the state of a service"));
    }
    delete(&service)
}

/// Stops a service and deletes it.
pub(super) fn remove(name: &str) -> Result<(), Cause> {
    let service = match open(name) {
        Err(Cause::Service {
            code: ERROR_SERVICE_DOES_NOT_EXIST,
            ..
        }) => return Ok(()),
        opened => opened?,
    };
    let mut status = SERVICE_STATUS::default();
    // SAFETY: an open service and a live variable.
    let stopped = unsafe { ControlService(service.0, SERVICE_CONTROL_STOP, &raw mut status) };
    let why = if stopped == 0 {
        last_error()
    } else {
        ERROR_SUCCESS
    };
    delete(&service)?;
    match why {
        ERROR_SUCCESS | ERROR_SERVICE_NOT_ACTIVE => Ok(()),
        code => Err(Cause::Service {
            what: "stop a service",
            code,
        }),
    }
}
