//! Names of devices.
//!
//! Wine has no folder `\GLOBAL??`, which is what `\DosDevices` of the system session means; the
//! stand-ins know both names.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::{exports, unicode_string};
use crate::irql;
use crate::machine::current;
use crate::platform::installed;
use crate::report::lock;
use crate::status;

/// One name for a link that has two.
fn canonical(link: &str) -> String {
    match link.strip_prefix(r"\GLOBAL??\") {
        Some(name) => format!(r"\DosDevices\{name}"),
        None => link.to_owned(),
    }
}

exports! { "ntoskrnl.exe", All:
    fn IoCreateSymbolicLink(link: u64, target: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "IoCreateSymbolicLink");
        // SAFETY: the driver's strings.
        let names = unsafe {
            unicode_string(link).and_then(|link| Ok((canonical(&link), unicode_string(target)?)))
        };
        let (link, target) = match names {
            Ok(names) => names,
            Err(status) => return status,
        };
        if let Some(platform) = installed() {
            return platform.link(&link, &target);
        }
        match lock(&current().links).insert(link, target) {
            None => status::SUCCESS,
            Some(_) => status::OBJECT_NAME_COLLISION,
        }
    }

    fn IoDeleteSymbolicLink(link: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "IoDeleteSymbolicLink");
        // SAFETY: the driver's string.
        let link = match unsafe { unicode_string(link) } {
            Ok(link) => canonical(&link),
            Err(status) => return status,
        };
        if let Some(platform) = installed() {
            return platform.unlink(&link);
        }
        match lock(&current().links).remove(&link) {
            Some(_) => status::SUCCESS,
            None => status::OBJECT_NAME_NOT_FOUND,
        }
    }
}
