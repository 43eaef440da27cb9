//! What drivers did wrong, and what they said.
//!
//! A violation is a rule of Windows that real hardware would punish later or never visibly: tests
//! fail on any. Both lists are bounded, so that a driver in a loop cannot fill the memory; what no
//! longer fits is counted.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Violations kept.
const VIOLATIONS: usize = 200;
/// Lines of debug output kept.
const LINES: usize = 2_000;

/// A lock that a panic elsewhere does not close: its data is plain lists and counts.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The two lists.
#[derive(Debug, Default)]
pub struct Reports {
    violations: Mutex<Vec<String>>,
    lines: Mutex<VecDeque<String>>,
}

impl Reports {
    /// Notes a broken rule.
    pub fn violation(&self, text: String) {
        let mut list = lock(&self.violations);
        if list.len() < VIOLATIONS {
            list.push(text);
        }
    }

    /// Notes a line of debug output; the oldest lines go first.
    pub fn say(&self, text: String) {
        let mut list = lock(&self.lines);
        if list.len() == LINES {
            list.pop_front();
        }
        list.push_back(text);
    }

    /// The violations so far.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        lock(&self.violations).clone()
    }

    /// The debug output so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        lock(&self.lines).iter().cloned().collect()
    }
}
