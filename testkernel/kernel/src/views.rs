//! Memory of drivers that processes see, and who is told of the ends of processes.
//!
//! Invariant: a view is in the table from its mapping to its unmapping; what is left of a process
//! that has ended is a fault of the driver, because the system would show freed memory.

use crate::report::lock;
use std::sync::Mutex;

/// What a process may do with a view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read.
    Read,
    /// Read and write.
    Write,
}

/// A view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct View {
    /// The process that sees it.
    pub process: u64,
    /// Its address there.
    pub address: u64,
    /// Bytes.
    pub len_bytes: u64,
    /// The list of pages that was mapped.
    pub list: u64,
    /// Address of the first page in the pool.
    pub source: u64,
}

#[derive(Debug, Default)]
struct State {
    views: Vec<View>,
    routines: Vec<u64>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Views(Mutex<State>);

impl Views {
    /// Notes a view.
    pub fn add(&self, view: View) {
        lock(&self.0).views.push(view);
    }

    /// Takes out the view at an address of a process.
    pub fn remove(&self, process: u64, address: u64) -> Option<View> {
        let views = &mut lock(&self.0).views;
        let is_meant = |view: &View| (view.process, view.address) == (process, address);
        let at = views.iter().position(is_meant)?;
        Some(views.swap_remove(at))
    }

    /// The views of a process.
    #[must_use]
    pub fn of_process(&self, process: u64) -> Vec<View> {
        let state = lock(&self.0);
        let own = state.views.iter().filter(|view| view.process == process);
        own.copied().collect()
    }

    /// Whether a list of pages is mapped.
    #[must_use]
    pub fn has_list(&self, list: u64) -> bool {
        lock(&self.0).views.iter().any(|view| view.list == list)
    }

    /// Whether a view shows some of these bytes of the pool.
    #[must_use]
    pub fn shows(&self, address: u64, len_bytes: u64) -> bool {
        let overlaps = |view: &View| {
            view.source < address + len_bytes && address < view.source + view.len_bytes
        };
        lock(&self.0).views.iter().any(overlaps)
    }

    /// Adds a routine that is told of processes; false when it is there already.
    pub fn add_routine(&self, routine: u64) -> bool {
        let routines = &mut lock(&self.0).routines;
        let is_new = !routines.contains(&routine);
        if is_new {
            routines.push(routine);
        }
        is_new
    }

    /// Takes a routine out; false when it is not there.
    pub fn remove_routine(&self, routine: u64) -> bool {
        let routines = &mut lock(&self.0).routines;
        let before = routines.len();
        routines.retain(|other| *other != routine);
        routines.len() < before
    }

    /// The routines.
    #[must_use]
    pub fn routines(&self) -> Vec<u64> {
        lock(&self.0).routines.clone()
    }

    /// What drivers left behind, in words.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        let state = lock(&self.0);
        [
            ("views", state.views.len()),
            ("process routines", state.routines.len()),
        ]
        .into_iter()
        .filter(|(_, count)| *count != 0)
        .map(|(what, count)| format!("{count} {what}"))
        .collect()
    }
}
