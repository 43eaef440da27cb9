//! A broken invariant ends in a bugcheck that says where.
//!
//! The code is 0xEBFC0001; the parameters are `EBPFCORE` as text, the address and length of the
//! source file's name, and the line. The debugger's output has the message.

use crate::import::KeBugCheckEx;
use crate::platform;

const CODE: u32 = 0xebfc_0001;
const TAG: u64 = u64::from_be_bytes(*b"EBPFCORE");

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    platform::say(format_args!("{info}"));
    let (file, number) = match info.location() {
        Some(place) => (place.file(), place.line()),
        None => ("", 0),
    };
    let address = file.as_ptr().expose_provenance() as u64;
    // SAFETY: no obligation; it does not return.
    unsafe { KeBugCheckEx(CODE, TAG, address, file.len() as u64, u64::from(number)) }
}

/// Named by the unwind tables of precompiled libraries; panics do not unwind, so it never runs.
#[unsafe(no_mangle)]
extern "system" fn __CxxFrameHandler3() -> i32 {
    1
}

/// The linker looks for it when code uses floating-point registers.
#[unsafe(no_mangle)]
static _fltused: i32 = 0;
