//! Drivers that drivers start: the machine may refuse them, as one does that checks signatures.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::file::under;
use super::thread::with_manager;
use super::{exports, unicode_string};
use crate::irql;
use crate::machine::current;
use crate::status;
use std::sync::atomic::Ordering;

exports! { "ntoskrnl.exe", All:
    fn ZwLoadDriver(service: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "ZwLoadDriver");
        let refused = current().refuses_drivers.load(Ordering::Relaxed);
        if refused != status::SUCCESS {
            return refused;
        }
        if let Some(status) = under("ZwLoadDriver", &[service]) {
            return status as u32;
        }
        // SAFETY: the driver's string.
        let name = unsafe { unicode_string(service) };
        name.map_or_else(|status| status, |name| with_manager(|manager| manager.load(&name)))
    }
}
