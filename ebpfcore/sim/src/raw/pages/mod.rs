//! Pages of the system: reserve a range, make a part of it usable, give the range back.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::{commit, release, reserve};
#[cfg(windows)]
pub(super) use windows::{commit, release, reserve};
