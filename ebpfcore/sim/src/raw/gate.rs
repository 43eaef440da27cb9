//! Vouches for the programs at the hooks of a runtime on this host.
#![expect(unsafe_code, reason = "says that programs may run")]

use ebpfcore::control::Control;
use ebpfcore::hooks::{Action, Frame, Point, frame::classify, table};

/// What the programs at the hook of frames decide.
pub(crate) fn frame(control: &Control, bytes: &mut [u8], interface: u32) -> Action {
    let row = &table::TABLE[0];
    // SAFETY: a runtime on this host takes programs that were proved, and those of images that a
    // service keeps mapped until the runtime says that nobody uses them.
    let point = unsafe { Point::find(control.hooks(), row) };
    let mut run = control.core().enter();
    point.map_or(Action::Permit, |point| {
        classify(&mut run, point, Frame::of(bytes, interface))
    })
}
