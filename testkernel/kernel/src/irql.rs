//! The interrupt request level of each thread.
//!
//! A user-mode process has no levels, so they are kept per thread and checked where Windows only
//! documents them: whoever calls a function above its level, or lowers to a level above the present
//! one, is reported. What is left out: interrupts; nothing is delayed by a raised level.

use crate::machine::violation;
use std::cell::Cell;

/// Threads run here.
pub const PASSIVE: u8 = 0;
/// Asynchronous procedure calls are held back.
pub const APC: u8 = 1;
/// The scheduler is held back: nothing may wait.
pub const DISPATCH: u8 = 2;
/// Highest level of x64.
pub const HIGH: u8 = 15;

thread_local! {
    static LEVEL: Cell<u8> = const { Cell::new(PASSIVE) };
}

/// Level of this thread.
#[must_use]
pub fn level() -> u8 {
    LEVEL.get()
}

/// Raises the level; the result is the one before.
pub fn raise(new: u8) -> u8 {
    let old = LEVEL.replace(new);
    if new < old || new > HIGH {
        violation(|| format!("KeRaiseIrql to {new} at level {old}"));
    }
    old
}

/// Lowers the level.
pub fn lower(new: u8) {
    let old = LEVEL.replace(new);
    if new > old {
        violation(|| format!("KeLowerIrql to {new} at level {old}"));
    }
}

/// Reports a call above the level that its function allows.
pub fn at_most(highest: u8, function: &str) {
    let level = level();
    if level > highest {
        violation(|| format!("{function} at level {level}, allowed up to {highest}"));
    }
}

/// Reports a call below the level that its function needs.
pub fn at_least(lowest: u8, function: &str) {
    let level = level();
    if level < lowest {
        violation(|| format!("{function} at level {level}, needs {lowest}"));
    }
}

/// Runs code of a driver at a level, and reports it when it returns at another one.
pub fn run_at<T>(level: u8, what: &str, action: impl FnOnce() -> T) -> T {
    let outer = LEVEL.replace(level);
    let result = action();
    let left = LEVEL.replace(outer);
    if left != level {
        violation(|| format!("{what} returned at level {left}, was called at {level}"));
    }
    result
}
