//! What the proof of everything that follows a state asked of that state.
//!
//! Most of what a state says does not matter for what comes after it: a number that only goes into
//! a map may be any number. A need is the part that matters, by place. It is found when a path has
//! ended, going back along it (`effect` says how each instruction passes needs on, `trail` walks),
//! and the stored states that were passed are then relaxed to what was needed of them (`relax`), so
//! that they cover more of the states still to come.
//!
//! The claim that all of this rests on: *whatever agrees with a state on a place-by-place need is
//! led by the same instructions through the same checks to the same ends.* To agree means, for a
//! place that is
//! - not needed: nothing; it may be unreadable as well;
//! - [`Level::Used`]: it can be read; it is a number if the state has a number there, and if the
//!   state has a pointer there, a special case of that pointer;
//! - [`Level::Exact`]: it is a special case of what the state has there, equalities with other
//!   places (links and the like) included where these are needed exactly as well.
//!
//! Frames, held references and the held lock are always needed and not written down here.

use crate::places::Places;
use alloc::vec::Vec;

/// How much of a place is needed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Level {
    /// Nothing.
    Nothing,
    /// That it can be read.
    Used,
    /// What is known about it.
    Exact,
}

/// Needs of one frame; what is needed exactly is also used.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct FrameNeed {
    /// Places that are read.
    pub(crate) used: Places,
    /// Places whose content decides something.
    pub(crate) exact: Places,
}

/// Needs of all frames, the main program's first; of frames not listed nothing is needed.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Need(Vec<FrameNeed>);

impl FrameNeed {
    /// The most that is needed of any of these places.
    pub(crate) fn level(&self, places: Places) -> Level {
        if !(self.exact & places).is_empty() {
            Level::Exact
        } else if !(self.used & places).is_empty() {
            Level::Used
        } else {
            Level::Nothing
        }
    }
}

impl Need {
    /// What is needed of the frame at a depth.
    pub(crate) fn frame(&self, depth: usize) -> FrameNeed {
        self.0.get(depth).copied().unwrap_or_default()
    }

    fn frame_mut(&mut self, depth: usize) -> &mut FrameNeed {
        if depth >= self.0.len() {
            self.0.resize(depth + 1, FrameNeed::default());
        }
        &mut self.0[depth]
    }

    /// The most that is needed of any of these places.
    pub(crate) fn level(&self, depth: usize, places: Places) -> Level {
        self.frame(depth).level(places)
    }

    /// Needs at least this much of these places.
    pub(crate) fn raise(&mut self, depth: usize, places: Places, level: Level) {
        if places.is_empty() || level == Level::Nothing {
            return;
        }
        let frame = self.frame_mut(depth);
        frame.used = frame.used | places;
        if level == Level::Exact {
            frame.exact = frame.exact | places;
        }
    }

    /// These places are written: what they held before is not needed.
    pub(crate) fn drop(&mut self, depth: usize, places: Places) {
        if let Some(frame) = self.0.get_mut(depth) {
            frame.used = frame.used & !places;
            frame.exact = frame.exact & !places;
        }
    }

    /// Nothing is needed of frames from this depth on.
    pub(crate) fn drop_frames(&mut self, depth: usize) {
        self.0.truncate(depth);
    }

    /// Needs what either does.
    pub(crate) fn join(&mut self, other: &Need) {
        for (depth, other) in other.0.iter().enumerate() {
            self.raise(depth, other.used, Level::Used);
            self.raise(depth, other.exact, Level::Exact);
        }
    }
}
