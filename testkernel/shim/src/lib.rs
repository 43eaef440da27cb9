//! `tkernel.dll`: the stand-ins of crate `testkernel` on top of Wine's own kernel.
//!
//! Wine's `ntoskrnl.exe` is copied to `ntosreal.dll`; small images with the names of the kernel's
//! modules forward what this library exports to it and everything else to the copy. What is left
//! out: policy; this crate only reaches what lies underneath.
#![cfg(windows)]
#![allow(
    unsafe_code,
    reason = "calls the kernel underneath, and is called by it"
)]

mod device;
mod event;
mod image;
mod pages;
mod process;
mod registry;

use std::ffi::{CString, c_char};
use testkernel::images::Image;
use testkernel::platform::{Platform, install};
use testkernel::registry::Value;
use testkernel::sections::Run;

/// Wine.
struct Wine;

#[link(name = "ntosreal.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn ExFreePoolWithTag(address: u64, tag: u32);
    fn ZwClose(handle: u64) -> u32;
}

#[link(name = "kernel32.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn GetModuleHandleA(name: *const c_char) -> u64;
    fn GetProcAddress(module: u64, name: *const c_char) -> u64;
}

impl Platform for Wine {
    fn has_key(&self, path: &str) -> bool {
        registry::Key::open(path).is_some()
    }

    fn value(&self, path: &str, name: &str) -> Option<Value> {
        registry::Key::open(path)?.value(name)
    }

    fn function(&self, name: &str) -> u64 {
        let Ok(name) = CString::new(name) else {
            return 0;
        };
        // SAFETY: names with their terminators; the module is loaded because this one imports it.
        unsafe { GetProcAddress(GetModuleHandleA(c"ntosreal.dll".as_ptr()), name.as_ptr()) }
    }

    fn link(&self, link: &str, target: &str) -> u32 {
        device::link(link, target) as u32
    }

    fn unlink(&self, link: &str) -> u32 {
        device::unlink(link) as u32
    }

    fn close(&self, handle: u64) -> u32 {
        // SAFETY: a handle of the driver; the kernel underneath checks it.
        unsafe { ZwClose(handle) }
    }

    fn images(&self) -> Vec<Image> {
        image::list()
    }

    fn process(&self) -> u64 {
        process::current()
    }

    fn watch_process(&self, process: u64) -> bool {
        process::watch(process)
    }

    fn take_pages(&self, len_bytes: u64) -> u64 {
        pages::take(len_bytes)
    }

    fn give_pages(&self, address: u64) {
        pages::give(address);
    }

    fn share_pages(&self, process: u64, pages: u64, rights: u32) -> u64 {
        pages::share(process, pages, rights)
    }

    fn join_pages(&self, runs: &[Run]) -> u64 {
        pages::join(runs)
    }

    fn part_pages(&self, address: u64) {
        pages::part(address);
    }

    fn take_event(&self, process: u64, handle: u64) -> u64 {
        event::take(process, handle)
    }

    fn set_event(&self, event: u64) {
        event::set(event);
    }

    fn give_event(&self, event: u64) {
        event::give(event);
    }

    fn raise(&self, status: u32) {
        pages::raise(status);
    }

    fn free_foreign(&self, address: u64, tag: u32) {
        // SAFETY: the driver frees what Wine's kernel gave it; anything else is the driver's fault
        // and ends the process as Windows would end the system.
        unsafe { ExFreePoolWithTag(address, tag) };
    }
}

/// Called by the loader.
#[unsafe(no_mangle)]
pub extern "system" fn DllMain(_module: usize, reason: u32, _reserved: usize) -> i32 {
    const PROCESS_ATTACH: u32 = 1;
    if reason == PROCESS_ATTACH {
        install(&Wine);
    }
    1
}
