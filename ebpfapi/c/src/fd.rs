//! Descriptors: how C programs name maps, programs and links.
//!
//! A number is reserved with the C runtime, so that it never means two things. It is closed with
//! `ebpf_close_fd`, or with the runtime's own `close`: then the object behind it goes when its number is
//! used again, asked for, or listed. Invariant: a number of this table whose descriptor is not the one
//! that was reserved is not an object any more.

use crate::error::Fault;
use crate::raw::runtime;
use client::{Client, Link, Map, Program};
use std::collections::BTreeMap;
use std::ffi::c_int;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a descriptor names.
#[derive(Clone)]
pub(crate) enum Item {
    Map(Map),
    Program(Program),
    Link(Link),
}

struct Entry {
    identity: u64,
    item: Item,
}

static TABLE: Mutex<BTreeMap<c_int, Entry>> = Mutex::new(BTreeMap::new());
static CLIENT: Mutex<Option<Client>> = Mutex::new(None);

/// The runtime of this machine; asked for again as long as there is none.
pub(crate) fn client() -> Result<Client, Fault> {
    let mut client = lock(&CLIENT);
    if let Some(client) = &*client {
        return Ok(client.clone());
    }
    let new = Client::connect()?;
    *client = Some(new.clone());
    Ok(new)
}

/// A new descriptor.
pub(crate) fn insert(item: Item) -> Result<c_int, Fault> {
    let (fd, identity) = runtime::reserve().ok_or(Fault::NO_FD)?;
    let old = lock(&TABLE).insert(fd, Entry { identity, item });
    // Closed by the C runtime; dropped without the lock.
    drop(old);
    Ok(fd)
}

/// The object of a descriptor.
pub(crate) fn get(fd: c_int) -> Result<Item, Fault> {
    let mut table = lock(&TABLE);
    let entry = table.get(&fd).ok_or(Fault::BAD_FD)?;
    if runtime::identity(fd) == Some(entry.identity) {
        return Ok(entry.item.clone());
    }
    let gone = table.remove(&fd);
    drop(table);
    drop(gone);
    Err(Fault::BAD_FD)
}

pub(crate) fn map(fd: c_int) -> Result<Map, Fault> {
    match get(fd)? {
        Item::Map(map) => Ok(map),
        _ => Err(Fault::BAD_FD),
    }
}

pub(crate) fn program(fd: c_int) -> Result<Program, Fault> {
    match get(fd)? {
        Item::Program(program) => Ok(program),
        _ => Err(Fault::BAD_FD),
    }
}

pub(crate) fn link(fd: c_int) -> Result<Link, Fault> {
    match get(fd)? {
        Item::Link(link) => Ok(link),
        _ => Err(Fault::BAD_FD),
    }
}

/// Closes a descriptor.
pub(crate) fn close(fd: c_int) -> Result<(), Fault> {
    get(fd)?;
    let gone = lock(&TABLE).remove(&fd);
    if gone.is_some() {
        runtime::release(fd);
    }
    Ok(())
}

/// How many there are; those that the C runtime closed are not any more.
pub(crate) fn count() -> c_int {
    let fds: Vec<c_int> = lock(&TABLE).keys().copied().collect();
    let open = fds.into_iter().filter(|fd| get(*fd).is_ok());
    c_int::try_from(open.count()).unwrap_or(c_int::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
