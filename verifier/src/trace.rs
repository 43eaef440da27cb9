//! Watching the analysis at work, for `verify -v` and `--emit state`.

use crate::state::State;
use crate::value::Value;
use core::fmt;
use isa::{InsnIdx, Reg};

/// Receives the steps of the analysis in the order in which they happen.
pub trait Observer {
    /// `at` is about to be analysed in this state.
    fn step(&mut self, at: InsnIdx, state: &View<'_>);
    /// The path ends here because an equal or more general state was already proved safe.
    fn pruned(&mut self, _at: InsnIdx) {}
    /// A branch goes on at `at` with a state that was put aside earlier.
    fn resumed(&mut self, _at: InsnIdx) {}
}

/// An observer that does nothing.
pub struct Silent;

impl Observer for Silent {
    fn step(&mut self, _at: InsnIdx, _state: &View<'_>) {}
}

/// A state as an observer sees it; prints as one line of readable registers and stack slots.
pub struct View<'a>(pub(crate) &'a State);

impl View<'_> {
    /// What a register of the running function holds.
    #[must_use]
    pub fn register(&self, reg: Reg) -> Value {
        self.0.top().register(reg)
    }

    /// Depth of the running function; 0 is the main program.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.depth()
    }
}

impl fmt::Display for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)
    }
}
