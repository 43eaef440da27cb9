//! Frames: XDP programs see them below the network stack.

use super::{Action, Frame, Point, Tally};
use crate::raw::{
    context::Run,
    hook::{Framed, call},
};

/// Lets the programs of the interface decide about a frame.
#[inline]
#[must_use]
pub fn classify(run: &mut Run<'_>, point: Point<'_>, mut frame: Frame<'_>) -> Action {
    let scope = frame.interface();
    let mut framed = Framed::frame(&mut frame);
    let mut tally = Tally::new(point.row());
    call(run, (point, scope), &mut framed, None, |result, _| {
        tally.note(result)
    });
    tally.action
}
